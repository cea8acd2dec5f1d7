"""What a study on planted data found, beside what was planted: two scores and what they say."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import pandas as pd

from sfg_nas.study.layout import RunFiles
from sfg_nas.study.planted.bank import score_bank
from sfg_nas.study.planted.dial import DIAL, again, position, score_dial, spearman
from sfg_nas.study.study import Study
from sfg_nas.training import write_json

FORMS = ("connections", "streams")
DECIDING = {"data", "tasks", "backbone", "sharing", "training", "retrain"}
"""Sections that the scores depend on."""
TARGETS = {"auroc": 0.95, "spearman": 0.9, "position": 0.5, "forms": 0.02}
"""What a search that works reaches: at least, but for the difference of the forms, at most."""


@dataclass(frozen=True)
class PlantedReport:
    """The scores.

    Attributes:
        bank: One row per form and seed: `auroc`, `accuracy` and `confidence` over the frozen bank.
        dial: One row per setting of the dial and seed; see `score_dial`.
        words: What follows, a sentence each.
    """

    bank: pd.DataFrame
    dial: pd.DataFrame
    words: tuple[str, ...]


def planted_report(study: Study, runs: Path, *, seeds: Sequence[int] = (0, 1, 2)) -> PlantedReport:
    """Score a study's way of searching on data whose right allocation is known.

    Every search and retraining is kept in the run directory; the same call goes on where it stopped.

    Args:
        study: A study whose data set is `planted`; its sharing and training sections are what is scored.
        runs: The folder of run directories.
        seeds: Of data, search and retraining.
    """
    folder = RunFiles(runs / study.config.name).root / "planted"
    folder.mkdir(parents=True, exist_ok=True)
    mark = sha256(study.config.model_dump_json(include=DECIDING).encode()).hexdigest()[:12]
    bank = [
        {"form": form, "seed": seed}
        | _kept(folder / f"bank-{form}-{seed}-{mark}.json", partial(_bank, study, form, seed))
        for seed in seeds
        for form in FORMS
        if form == "streams" or study.config.sharing.preset == "corrected"
    ]
    dial = [
        {"relatedness": setting, "seed": seed}
        | _kept(
            folder / f"dial-{setting}-{seed}-{mark}.json",
            partial(score_dial, study, setting, seed=seed),
        )
        for seed in seeds
        for setting in DIAL
    ]
    frames = pd.DataFrame(bank), pd.DataFrame(dial)
    return PlantedReport(*frames, words=_words(*frames))


def _bank(study: Study, form: str, seed: int) -> dict[str, float]:
    sharing = study.config.sharing.model_copy(update={"relaxation": form})
    config = study.config.model_copy(update={"sharing": sharing})
    return score_bank(again(replace(study, config=config), seed=seed), seed=seed)


def _kept(path: Path, make: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Return what a file holds, or what is made and then left there."""
    if not path.exists():
        write_json(path, make())
    found: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _words(bank: pd.DataFrame, dial: pd.DataFrame) -> tuple[str, ...]:
    """Return what the scores say, target by target."""
    by_form = bank.groupby("form")["auroc"]
    own = by_form.mean()
    spread = by_form.std(ddof=1)
    first = str(own.index[0])
    lines = [
        f"Frozen bank, {first}: AUROC {own[first]:.3f} ± {spread[first]:.3f} over {len(bank) // len(own)} searches "
        f"({_reached(own[first], TARGETS['auroc'])}); {_share(bank, first):.0%} of the detectors went to their role."
    ]
    if len(own) > 1:
        gap = abs(own["connections"] - own["streams"])
        lines.append(
            f"Streams: AUROC {own['streams']:.3f} ± {spread['streams']:.3f}; the forms differ by {gap:.3f} "
            f"(target at most {TARGETS['forms']}: {'reached' if gap <= TARGETS['forms'] else 'missed'})."
        )
    rank, place = spearman(dial), position(dial)
    lines += [
        f"Learned filters: the shared fraction follows the relatedness dial with a rank correlation of {rank:.2f} "
        f"over {dial['relatedness'].nunique()} settings, means of {dial['seed'].nunique()} seeds "
        f"({_reached(rank, TARGETS['spearman'])}).",
        f"Retrained at equal MACs, found networks gain {dial['found'].mean():+.3f} over random allocations "
        f"(mean relative gain), the oracle's {dial['oracle'].mean():+.3f}: {place:.2f} of the way "
        f"({_reached(place, TARGETS['position'])}).",
    ]
    if dial["found"].isna().any():
        lost = int(dial["found"].isna().sum())
        lines.append(
            f"In {lost} of {len(dial)} searches a task lost its path from the image; they are left out."
        )
    if not dial["oracle"].mean() > dial["oracle"].std(ddof=1) / len(dial) ** 0.5:
        lines.append(
            "The oracle itself is not clearly better than random here, so the way between them is ill-defined."
        )
    return tuple(lines)


def _reached(value: float, target: float) -> str:
    return f"target {target}: {'reached' if value >= target else 'missed'}"


def _share(bank: pd.DataFrame, form: str) -> float:
    return float(bank[bank["form"] == form]["accuracy"].mean())


def as_markdown(report: PlantedReport) -> str:
    """Return the report as a section in Markdown.

    Args:
        report: What `planted_report` gave.
    """
    bank = report.bank.groupby("form")[["auroc", "accuracy", "confidence"]].agg(["mean", "std"])
    columns = ["shared", "macs", "found", "oracle"]
    dial = report.dial.groupby("relatedness")[columns].agg(["mean", "std"])
    parts = ["## Does it find the truth?", *report.words]
    for title, frame in (("Frozen bank", bank), ("Relatedness dial", dial)):
        parts += [f"**{title}** (mean ± standard deviation over seeds)", _table(frame)]
    return "\n\n".join(parts)


def _table(frame: pd.DataFrame) -> str:
    names = list(dict.fromkeys(frame.columns.get_level_values(0)))
    lines = [
        "| " + " | ".join([str(frame.index.name), *names]) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for label in frame.index:
        pairs = [frame.loc[label, name] for name in names]
        cells = [f"{pair['mean']:.3f} ± {pair['std']:.3f}" for pair in pairs]
        lines.append("| " + " | ".join([str(label), *cells]) + " |")
    return "\n".join(lines)
