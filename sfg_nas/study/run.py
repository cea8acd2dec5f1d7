"""A typed reader of run directories: everything a study left behind, as frozen values and data frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, Self, cast

import pandas as pd

from sfg_nas.config import StudyConfig, Value
from sfg_nas.errors import TrainingError, explain
from sfg_nas.study.finalists import Finals, load_finals
from sfg_nas.study.layout import RunFiles
from sfg_nas.study.provenance import stored_study
from sfg_nas.study.recorder import probability_frame
from sfg_nas.study.references import References, load_references
from sfg_nas.study.stored import read_metrics, read_table
from sfg_nas.study.trial_reader import Trial


@dataclass(frozen=True)
class Run:
    """A run directory.

    Attributes:
        path: The directory.
        config: The resolved study.
        provenance: Version, commit, seed and data fingerprint.
    """

    path: Path
    config: StudyConfig
    provenance: Mapping[str, Value]

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Return the run in a directory; it may still be under way.

        Args:
            path: Such as `runs/digits`.

        Raises:
            ConfigError: If there is no run here.
        """
        files = RunFiles(Path(path))
        config, provenance = stored_study(files)
        return cls(files.root, config, provenance)

    @property
    def name(self) -> str:
        """Return the study's name."""
        return self.config.name

    @property
    def files(self) -> RunFiles:
        """Return where everything lies."""
        return RunFiles(self.path)

    @property
    def all(self) -> list[Trial]:
        """Return all trials by number, whatever their state."""
        folders = self.files.trials.glob("*") if self.files.trials.is_dir() else ()
        numbers = sorted(int(folder.name) for folder in folders if folder.name.isdigit())
        files = [self.files.trial(number) for number in numbers]
        return [Trial.load(item) for item in files if item.state.exists()]

    @property
    def complete(self) -> list[Trial]:
        """Return the complete trials by number."""
        return [trial for trial in self.all if trial.state == "complete"]

    @property
    def choices(self) -> list[Trial]:
        """Return the complete trials, each followed by itself under the other choices that were made."""
        return [choice for trial in self.complete for choice in (trial, *trial.distilled)]

    @property
    def best(self) -> Trial:
        """Return the trial that won the finals, or the complete one with the greatest score; of equals that with fewer MACs.

        Raises:
            TrainingError: If no trial is complete.
        """
        finals = self.finals
        if finals is not None and finals.finalists:
            return self.trial(finals.ranked()[0].trial)
        return max(self._some(), key=lambda trial: (self.score(trial), -trial.ledger.macs))

    @property
    def finals(self) -> Finals | None:
        """Return what the finals came to, or None if the study has none, or they are not over."""
        return load_finals(self.files) if self.config.search.finals.trials else None

    @property
    def quality(self) -> Literal["delta", "advantage"]:
        """Return what makes a trial the best: Δ, or its advantage over hard sharing if that is an objective."""
        return "advantage" if "advantage" in self.config.search.objectives else "delta"

    def score(self, trial: Trial) -> float:
        """Return a complete trial's Δ or advantage on validation, whichever makes the best.

        Args:
            trial: Of this run, perhaps under another choice of its allocation.
        """
        if self.quality == "delta":
            return trial.delta
        return self._measured_against.advantage(trial.delta, trial.ledger.macs)

    @cached_property
    def _measured_against(self) -> References:
        """Return the references, which do not change once they are there; no trial is complete without them."""
        references = self.references()
        assert references is not None
        return references

    def trial(self, number: int) -> Trial:
        """Return one trial.

        Args:
            number: From 0.

        Raises:
            TrainingError: If there is no such trial.
        """
        found = [trial for trial in self.all if trial.number == number]
        if not found:
            known = ", ".join(str(trial.number) for trial in self.all) or "none"
            raise TrainingError(
                explain(
                    where=str(self.path),
                    rule="the trial must exist",
                    found=f"{number}; the trials here are {known}",
                    do="choose one of these",
                )
            )
        return found[0]

    def pareto(self) -> list[Trial]:
        """Return the complete trials that no other beats in both Δ and MACs, by MACs.

        Raises:
            TrainingError: If no trial is complete.
        """
        front: list[Trial] = []
        for trial in sorted(self._some(), key=lambda t: (t.ledger.macs, -t.delta)):
            if not front or trial.delta > front[-1].delta:
                front.append(trial)
        return front

    def _some(self) -> list[Trial]:
        trials = self.complete
        if not trials:
            reasons = "; ".join(f"{t.number} {t.state}: {t.reason}" for t in self.all)
            raise TrainingError(
                explain(
                    where=str(self.path),
                    rule="at least one complete trial is needed",
                    found=reasons or "no trial",
                    do="go on with `sfg-nas search`, or mend what failed",
                )
            )
        return trials

    def references(self) -> References | None:
        """Return the single-task networks' scores, or None if they are not trained yet."""
        return load_references(self.files)

    def trials(self) -> pd.DataFrame:
        """Return one row per trial: state, objectives, score in the finals if they were held, Δ, costs, the candidate's values."""
        rows: list[dict[str, object]] = []
        finals = self.finals
        scores = {} if finals is None else {one.trial: one.score for one in finals.finalists}
        for trial in self.all:
            row: dict[str, object] = {"number": trial.number, "state": trial.state}
            row |= dict(zip(self.config.search.objectives, trial.values, strict=False))
            if finals is not None:
                row["final"] = scores.get(trial.number)
            if trial.state == "complete":
                ledger = trial.ledger
                row |= {"delta": ledger.delta, "macs": ledger.macs, "params": ledger.params}
                row |= {"relative_macs": ledger.relative_macs, "seconds": ledger.seconds}
                row |= {key: v for key, v in ledger.steps["fixed"].items() if key != "delta"}
            row |= dict(trial.candidate) | {"reason": trial.reason}
            rows.append(row)
        return pd.DataFrame(rows)

    def epochs(self) -> pd.DataFrame:
        """Return one row per trial and epoch."""
        frames = [
            read_table(t.files.metrics, what="epochs", counts=["epoch"]).assign(trial=t.number)
            for t in self.all
            if t.files.metrics.exists()
        ]
        return _leading("trial", frames)

    def probabilities(self, trials: Sequence[int] | None = None) -> pd.DataFrame:
        """Return one row per trial, epoch (0 is the start), layer, filter and group.

        Args:
            trials: Numbers of trials, or None for all.
        """
        frames = [
            probability_frame(trial.number, trial.files)
            for trial in self.all
            if (trials is None or trial.number in trials) and trial.files.probabilities.exists()
        ]
        return _leading("trial", frames)

    def ledgers(self) -> pd.DataFrame:
        """Return one row per trial, choice of an allocation and step of its ledger, with the metrics on validation.

        The steps are `relaxed`, `sampled`, `hard`, `recalibrated`, `fixed` and, where it was retrained, `retrained`.
        """
        return pd.DataFrame([row for trial in self.choices for row in _ledger_rows(trial)])

    def retrained(self) -> pd.DataFrame:
        """Return one row per retrained network and control: method, name, seed, costs and metrics."""
        return retrained_rows(self.files)


def retrained_rows(files: RunFiles) -> pd.DataFrame:
    """Return one row per retrained network and control of the run with these files."""
    rows: list[dict[str, object]] = []
    for path in sorted(files.retrained.glob("*/*/metrics.json")):
        content = read_metrics(path)
        row = {key: value for key, value in content.items() if not isinstance(value, dict)}
        for part in ("validation", "test"):
            values = cast("dict[str, float]", content[part])
            row |= {f"{part}/{key}": value for key, value in values.items()}
        rows.append(row)
    return pd.DataFrame(rows)


def _leading(column: str, frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    if not frames:
        return pd.DataFrame()
    joined = pd.concat(frames, ignore_index=True)
    return joined[[column, *[name for name in joined.columns if name != column]]]


def _ledger_rows(trial: Trial) -> list[dict[str, object]]:
    ledger = trial.ledger
    start = {"trial": trial.number, "choice": trial.choice}
    costs = {"macs": ledger.macs, "params": ledger.params}
    retrained = {} if ledger.retrained is None else {"retrained": ledger.retrained}
    steps = (ledger.steps | retrained).items()
    return [{**start, "step": step, **costs, **values} for step, values in steps]
