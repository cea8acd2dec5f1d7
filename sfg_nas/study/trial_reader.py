"""A typed reader of a trial's folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self, cast

from sfg_nas.allocation import Allocation
from sfg_nas.architecture import Architecture
from sfg_nas.files import read_text
from sfg_nas.search_space import Candidate
from sfg_nas.study.layout import TrialFiles
from sfg_nas.study.stored import read_state
from sfg_nas.study.trial import Ledger


@dataclass(frozen=True)
class Trial:
    """One trial of a run.

    Attributes:
        number: From 0.
        state: `complete`, `pruned`, `failed` or `running`.
        values: The objectives of a complete trial, in the study's order.
        reason: Why a trial failed or was pruned, else empty.
        candidate: What was tried.
        files: Where its files lie.
    """

    number: int
    state: str
    values: tuple[float, ...]
    reason: str
    candidate: Candidate
    files: TrialFiles

    @cached_property
    def ledger(self) -> Ledger:
        """Return the scores of a complete trial."""
        return Ledger.load(self.files)

    @cached_property
    def allocation(self) -> Allocation:
        """Return what a complete trial learned.

        Raises:
            ArchitectureError: If the file is missing or damaged.
        """
        return Allocation.load(self.files.allocation)

    @cached_property
    def architecture(self) -> Architecture:
        """Return the architecture of a complete trial.

        Raises:
            ArchitectureError: If the file is missing or damaged.
        """
        return Architecture.load(self.files.architecture)

    @property
    def distilled(self) -> list[Trial]:
        """Return this trial under each other choice that was made from its supernet, by name."""
        folders = sorted(self.files.distilled("").root.glob("*"))
        files = [TrialFiles(folder) for folder in folders]
        return [replace(self, files=item) for item in files if item.ledger.is_file()]

    @property
    def choice(self) -> str:
        """Return how the allocation of a complete trial was chosen, such as `layers-argmax`."""
        return str(self.ledger.choice.get("label", "filters-argmax"))

    @property
    def delta(self) -> float:
        """Return Δ of a complete trial's fixed network on validation."""
        return self.ledger.delta

    @classmethod
    def load(cls, files: TrialFiles) -> Self:
        """Return the trial in a folder.

        Args:
            files: The trial's files.

        Raises:
            SfgNasError: If a file is missing or damaged.
        """
        state = read_state(files.state)
        return cls(
            number=int(files.root.name),
            state=str(state["state"]),
            values=tuple(cast("list[float]", state.get("values", []))),
            reason=str(state.get("reason", "")),
            candidate=Candidate.from_json(read_text(files.candidate), str(files.candidate)),
            files=files,
        )
