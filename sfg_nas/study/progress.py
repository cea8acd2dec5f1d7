"""What long work tells whoever watches it; printing is the command line's part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Progress:
    """One report.

    Attributes:
        stage: What is being done.
        done: Trials (or networks) that are finished, however they ended.
        total: How many there will be.
        epoch: Finished epochs of the present one, or 0.
        epochs: Its epochs in all, or 0.
        text: One line for a reader, empty for a mere epoch.
        values: The present row of metrics, or the finished trial's objectives.
    """

    stage: Literal["references", "search", "retrain"]
    done: int
    total: int
    epoch: int = 0
    epochs: int = 0
    text: str = ""
    values: Mapping[str, float] = field(default_factory=dict)


ProgressCallback = Callable[[Progress], None]


def silent(report: Progress) -> None:
    """Do nothing with a report."""
    del report
