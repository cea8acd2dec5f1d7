"""What the finals of a search left: Δ on validation of the best trials' networks, trained from scratch several times."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Self, cast

from sfg_nas.study.layout import RunFiles
from sfg_nas.study.stored import Check, is_count, is_finite, is_record, is_text, read_object
from sfg_nas.training import write_json


@dataclass(frozen=True)
class Finalist:
    """One network in the finals.

    Attributes:
        trial: The trial that found it; the best of those that found the same.
        architecture: Its hash.
        macs: Its multiply-accumulates for one image.
        deltas: Δ of each training, by seed.
        beside: Δ of hard sharing at its MACs, by the same seeds; empty where that was not asked or does not exist.
        expected: Δ of hard sharing at its MACs by a line through all its trainings in the finals (or the references', if
            these are of one cost), or None if it was not asked.
    """

    trial: int
    architecture: str
    macs: int
    deltas: tuple[float, ...]
    beside: tuple[float, ...] = ()
    expected: float | None = None

    @property
    def scores(self) -> tuple[float, ...]:
        """Return what decides, by seed: Δ, or its difference to hard sharing's where that is known."""
        if self.beside:
            return tuple(own - other for own, other in zip(self.deltas, self.beside, strict=True))
        return tuple(own - (self.expected or 0.0) for own in self.deltas)

    @property
    def score(self) -> float:
        """Return the mean over the seeds of what decides."""
        return fmean(self.scores)

    @classmethod
    def of(cls, stored: dict[str, object]) -> Self:
        """Return a finalist of a file that was found sound."""
        lists = {key: tuple(cast("list[float]", stored[key])) for key in ("deltas", "beside")}
        return cls(**(stored | lists))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Finals:
    """The finals of a search.

    Attributes:
        epochs: Epochs of each training.
        finalists: The networks, in the order of their trials' own scores.
        failed: Why a training failed, by the trial whose network it was.
    """

    epochs: int
    finalists: tuple[Finalist, ...]
    failed: dict[str, str]

    @property
    def seeds(self) -> int:
        """Return how often each network was trained; 0 if nobody came through."""
        return max((len(one.deltas) for one in self.finalists), default=0)

    def ranked(self) -> list[Finalist]:
        """Return the finalists, the winner first; of equals the one with fewer MACs."""
        return sorted(self.finalists, key=lambda finalist: (-finalist.score, finalist.macs))

    def in_words(self) -> str:
        """Return who came in where, with the mean score and its standard deviation over the seeds."""
        shown = []
        for one in self.ranked():
            spread = f" ± {stdev(one.scores):.4f}" if len(one.scores) > 1 else ""
            shown.append(f"trial {one.trial} {one.score:+.4f}{spread}")
        shown += [f"trial {number} failed" for number in self.failed]
        return ", ".join(shown) or "nobody took part"

    def save(self, files: RunFiles) -> None:
        """Write `finals.json`.

        Args:
            files: The run's files.
        """
        write_json(files.finals, asdict(self))


def load_finals(files: RunFiles) -> Finals | None:
    """Return the finals of a run, or None if it had none, or they are not over.

    Args:
        files: The run's files.

    Raises:
        ArchitectureError: If the file is damaged.
    """
    if not files.finals.exists():
        return None
    stored = read_object(
        files.finals,
        what="the finals of a search",
        keys={"epochs": is_count, "finalists": _are_finalists, "failed": _are_texts},
    )
    rows = cast("list[dict[str, object]]", stored["finalists"])
    return Finals(
        epochs=cast("int", stored["epochs"]),
        finalists=tuple(Finalist.of(row) for row in rows),
        failed=cast("dict[str, str]", stored["failed"]),
    )


def _are_finalists(value: object) -> bool:
    return isinstance(value, list) and all(_is_finalist(item) for item in value)


def _is_finalist(value: object) -> bool:
    checks: dict[str, Check] = {
        "trial": is_count,
        "architecture": is_text,
        "macs": is_count,
        "deltas": lambda item: _are_finite(item) and bool(item),
        "beside": _are_finite,
        "expected": lambda item: item is None or is_finite(item),
    }
    if not is_record(value, checks):
        return False
    row = cast("dict[str, list[float]]", value)
    return len(row["beside"]) in (0, len(row["deltas"]))


def _are_finite(value: object) -> bool:
    return isinstance(value, list) and all(is_finite(item) for item in value)


def _are_texts(value: object) -> bool:
    return isinstance(value, dict) and all(is_text(item) for item in value.values())
