"""What a study on planted data found, beside what was planted: two scores and what they say."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from math import isnan
from pathlib import Path

import pandas as pd

from sfg_nas.config import StartConfig
from sfg_nas.errors import several
from sfg_nas.study.layout import RunFiles
from sfg_nas.study.planted.bank import score_bank
from sfg_nas.study.planted.dial import DIAL, again, position, score_dial, spearman
from sfg_nas.study.study import Study
from sfg_nas.training import write_json


@dataclass(frozen=True)
class Bank:
    """A search over a frozen bank of detectors.

    Attributes:
        sharing: What it changes of the study's sharing section.
        data: What it changes of the study's dials.
        times: How often as many epochs as the study's it takes.
    """

    sharing: Mapping[str, object]
    data: Mapping[str, float] = field(default_factory=dict)
    times: int = 1


BANKS = {
    "connections": Bank({"relaxation": "connections"}),
    "streams": Bank({"relaxation": "streams"}),
    "lattice": Bank(
        {"groups": "lattice", "start": StartConfig(kind="thirds")},
        {"tasks": 3, "factors": 8, "relatedness": 0.5, "pairs": True},
        times=3,
    ),
}
"""In the last there are factors that two of three tasks need, and groups for them: seven groups, which it begins with
alike and takes three times the epochs to tell apart (`docs/defaults.md`)."""
DECIDING = {"data", "tasks", "backbone", "sharing", "training", "retrain"}
"""Sections that the scores depend on."""
TARGETS = {"auroc": 0.95, "spearman": 0.9, "position": 0.5, "forms": 0.02}
"""What a search that works reaches: at least, but for the difference of the forms, at most."""


@dataclass(frozen=True)
class PlantedReport:
    """The scores.

    Attributes:
        bank: One row per frozen bank (`BANKS`) and seed: `auroc`, `accuracy` and `confidence`.
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
    settings = study.config.model_dump_json(include=DECIDING)
    mark = _mark(settings)
    bank = [
        {"bank": name, "seed": seed}
        | _kept(
            folder / f"bank-{name}-{seed}-{_mark(settings, bank)}.json",
            partial(_bank, study, bank, seed),
        )
        for seed in seeds
        for name, bank in BANKS.items()
        if name != "connections" or study.config.sharing.preset == "corrected"
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


def _bank(study: Study, bank: Bank, seed: int) -> dict[str, float]:
    sharing = study.config.sharing.model_copy(update=dict(bank.sharing))
    epochs = study.config.training.epochs * bank.times
    training = study.config.training.model_copy(update={"epochs": epochs})
    config = study.config.model_copy(update={"sharing": sharing, "training": training})
    return score_bank(again(replace(study, config=config), seed=seed, **bank.data), seed=seed)


def _mark(*decide: object) -> str:
    return sha256("".join(map(str, decide)).encode()).hexdigest()[:12]


def _kept(path: Path, make: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Return what a file holds, or what is made and then left there."""
    if not path.exists():
        write_json(path, make())
    found: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _words(bank: pd.DataFrame, dial: pd.DataFrame) -> tuple[str, ...]:
    """Return what the scores say, target by target."""
    by_bank = bank.groupby("bank")["auroc"]
    means, spreads = by_bank.mean(), by_bank.std()
    count = bank["seed"].nunique()
    searches = "1 search" if count == 1 else f"{count} searches"
    lines = [
        f"Frozen bank, {name}: AUROC {_spread(means[name], spreads[name])} over {searches} "
        f"({_reached(means[name], TARGETS['auroc'])}); {_share(bank, name):.0%} of the detectors went to their role."
        for name in BANKS
        if name in means.index
    ]
    if "connections" in means.index:
        gap = abs(means["connections"] - means["streams"])
        lines.append(
            f"The forms, connections and streams, differ by {gap:.3f} AUROC "
            f"(target at most {TARGETS['forms']}: {'reached' if gap <= TARGETS['forms'] else 'missed'})."
        )
    rank, place = spearman(dial), position(dial)
    lines += [
        f"Learned filters: the shared fraction follows the relatedness dial with a rank correlation of {rank:.2f} "
        f"over {dial['relatedness'].nunique()} settings, means of {several(dial['seed'].nunique(), 'seed')} "
        f"({_reached(rank, TARGETS['spearman'])}).",
        f"Retrained at equal MACs, found networks gain {_with_error(dial, 'found')} over random allocations (mean "
        f"relative gain ± standard error over seeds), the oracle's {_with_error(dial, 'oracle')}: {place:.2f} of the way "
        f"({_reached(place, TARGETS['position'])}).",
    ]
    if dial["found"].isna().any():
        lost = int(dial["found"].isna().sum())
        lines.append(
            f"In {lost} of {len(dial)} searches a task lost its path from the image; they are left out."
        )
    error = _error(dial, "oracle")
    if not dial["oracle"].mean() > (0 if isnan(error) else 2 * error):
        lines.append(
            "The oracle itself is not clearly better than random here, so the way between them is ill-defined."
        )
    return tuple(lines)


def _reached(value: float, target: float) -> str:
    return f"target {target}: {'reached' if value >= target else 'missed'}"


def _error(dial: pd.DataFrame, gain: str) -> float:
    """Return the standard error over seeds, each with the mean of its settings, which differ by design; NaN for one."""
    of_seeds = dial.groupby("seed")[gain].mean()
    return float(of_seeds.std(ddof=1) / of_seeds.count() ** 0.5)


def _with_error(dial: pd.DataFrame, gain: str) -> str:
    error = _error(dial, gain)
    spread = " (one seed, no error)" if isnan(error) else f" ± {error:.3f}"
    return f"{dial[gain].mean():+.3f}{spread}"


def _spread(mean: float, sd: float) -> str:
    """Return a mean with its standard deviation over seeds; alone where one seed has none."""
    return f"{mean:.3f}" if isnan(sd) else f"{mean:.3f} ± {sd:.3f}"


def _share(bank: pd.DataFrame, name: str) -> float:
    return float(bank[bank["bank"] == name]["accuracy"].mean())


def as_markdown(report: PlantedReport) -> str:
    """Return the report as a section in Markdown.

    Args:
        report: What `planted_report` gave.
    """
    bank = report.bank.groupby("bank", sort=False)[["auroc", "accuracy", "confidence"]].agg(
        ["mean", "std"]
    )
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
        cells = [_spread(pair["mean"], pair["std"]) for pair in pairs]
        lines.append("| " + " | ".join([str(label), *cells]) + " |")
    return "\n".join(lines)
