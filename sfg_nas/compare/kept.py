"""What earlier calls of `compare` trained and this one does not name: it stays in the tables if it was made alike."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sfg_nas.compare.content import read_content
from sfg_nas.compare.entrant import Entrant, Prepared, Setting
from sfg_nas.compare.failures import lost_rates
from sfg_nas.compare.job import EQUAL, OWN, Job, stored
from sfg_nas.compare.methods import make, needs_search, parse
from sfg_nas.compare.plain import study_macs
from sfg_nas.compare.plan import chosen_rate, tuning_jobs
from sfg_nas.compare.results import rows_of
from sfg_nas.errors import SfgNasError
from sfg_nas.study.equal_cost import NEAR


@dataclass(frozen=True)
class Kept:
    """What earlier calls leave for the tables of this one.

    Attributes:
        methods: Their names.
        rows: One per network and way of predicting, as `networks` makes them.
        notes: Which methods these are, which were left out and why, and which failed.
    """

    methods: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Training:
    """A finished training of an earlier call, scored on test."""

    job: Job
    entrant: Entrant
    identity: Mapping[str, Any]
    content: Mapping[str, Any]
    tested: Mapping[str, Any]

    @property
    def macs(self) -> int:
        return int(self.content["readings"][0]["macs"])


def kept(setting: Setting, names: Collection[str], seeds: int) -> Kept:
    """Return the trainings of earlier calls that this call does not name.

    Data, backbone and training are the same by the run directory, which belongs to one study. What a later call may
    change is checked here: epochs, learning rates and how they are chosen, the options of a method, and which network
    is `found`. A training that differs is left out, and a note says why.

    Args:
        setting: The comparison.
        names: The methods of this call.
        seeds: How many seeds this call shows.
    """
    found = Kept()
    folder = setting.files.root / "compared"
    others = [path for path in _folders(folder) if path.name not in names]
    groups: dict[str, list[_Training]] = {}
    for path in others:
        try:
            trainings, reasons = _of_method(setting, path, seeds)
        except SfgNasError as error:
            found.notes.append(f"{path.name}, of an earlier call, is left out: {error}")
            continue
        found.notes.extend(reasons)
        if trainings:
            groups[path.name] = trainings
    found.notes.extend(_other_searches(setting, groups))
    found.methods.extend(groups)
    tuned = [group[0].entrant for group in groups.values() if group[0].job.scale == OWN]
    found.notes.extend(lost_rates(setting, tuned))
    reference = study_macs(setting.study)
    for training in (training for group in groups.values() for training in group):
        same = training.job.scale == OWN and setting.section.equal_macs
        same = same and _costs_the_same(setting, training, reference)
        found.rows.extend(
            rows_of(training.job, training.content, training.tested, reference=reference, same=same)
        )
    if groups:
        found.notes.insert(0, _told(groups))
    if setting.section.equal_macs:
        found.notes.extend(_without_equal_macs(groups, found.rows))
    found.notes.extend(_further_seeds(folder, seeds))
    return found


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _of_method(setting: Setting, path: Path, seeds: int) -> tuple[list[_Training], list[str]]:
    """Return the trainings of a method that fit this call, and notes on the others."""
    known = _as_made_now(setting, path.name)
    good: list[_Training] = []
    others: dict[str, list[int]] = {}
    for seed in range(seeds):
        own, reason = _fitting(setting, path / OWN / str(seed), known)
        if own is not None and not reason:
            good.append(own)
            if setting.section.equal_macs:
                twin, reason = _fitting(setting, path / EQUAL / str(seed), known, own)
                good += [twin] if twin is not None and not reason else []
        if reason:
            others.setdefault(reason, []).append(seed)
    return good, [f"{path.name}{_of(seeds)} {reason}" for reason, seeds in others.items()]


def _fitting(
    setting: Setting, folder: Path, known: Entrant | None, own: _Training | None = None
) -> tuple[_Training | None, str]:
    """Return a training, and why it does not fit this call; both may be none.

    Args:
        setting: The comparison.
        folder: Of the training.
        known: The method as this call would make it.
        own: The method at its own cost, for its twin at equal MACs.
    """
    training = _training(folder)
    if training is None:
        return None, _unfinished(folder)
    if own is not None:
        # The twin has what was chosen for the method itself.
        kept = ("epochs", "learning_rate", "options")
        alike = all(training.identity.get(key) == own.identity.get(key) for key in kept)
        return training, "" if alike else "has a row at equal MACs of other settings, left out"
    said = _differences(setting, training, known)
    if not said:
        return training, ""
    return (
        training,
        f"of an earlier call is left out ({'; '.join(said)}): name it to have it trained again",
    )


def _as_made_now(setting: Setting, name: str) -> Entrant | None:
    """Return a method as this call would make it; None if it needs a search that this call does not look at.

    Raises:
        ConfigError: If this network does not have it.
    """
    kind, _ = parse(name)
    return None if needs_search([kind]) and setting.found is None else make(setting, name)


def _training(folder: Path) -> _Training | None:
    content, tested = (read_content(folder / f"{name}.json", name) for name in ("metrics", "test"))
    identity: Any = content.get("identity")
    if not content or tested.get("identity") != identity:
        return None
    try:
        job = Job(
            str(identity["method"]),
            str(identity["scale"]),
            int(identity["seed"]),
            float(identity["factor"]),
            float(identity["learning_rate"]),
        )
        options = dict(identity["options"])
    except (KeyError, TypeError, ValueError):
        return None
    if folder.parts[-3:] != (job.entrant, job.scale, str(job.seed)):
        return None
    standing_in = Entrant(job.entrant, _not_made, None, options, own_factor=job.factor)
    return _Training(job, standing_in, identity, content, tested)


def _not_made(factor: float, *, seed: int, learning_rate: float) -> Prepared:
    raise AssertionError(f"only read: {factor}, {seed}, {learning_rate}")


def _unfinished(folder: Path) -> str:
    failed = read_content(folder / "failed.json", "failed")
    if failed:
        return f"failed in an earlier call: {failed['reason']}"
    if (folder / "begun.json").exists():
        return "was begun by an earlier call and is not scored on test: name it to have it finished"
    return ""


def _differences(setting: Setting, training: _Training, known: Entrant | None) -> list[str]:
    """Return what is otherwise than this call would have it."""
    job, said = training.job, []
    epochs = training.identity.get("epochs")
    if epochs != setting.epochs:
        said.append(f"epochs {epochs}, now {setting.epochs}")
    else:
        said += _other_rate(setting, training)
    if known is None:
        return said
    before, now = training.entrant.options, json.loads(json.dumps(dict(known.options)))
    changed = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    said += [f"another {key}" for key in changed]
    if job.factor != known.own_factor and not changed:
        said.append(f"width {job.factor:g}, now {known.own_factor:g}")
    return said


def _other_rate(setting: Setting, training: _Training) -> list[str]:
    own = training.entrant
    for tried in tuning_jobs(setting, [own]):
        if not any(stored(tried, own, setting, name) for name in ("metrics", "failed")):
            return ["its learning rate was not chosen as it would be now"]
    rate, now = training.job.learning_rate, chosen_rate(setting, own)
    return [] if rate == now else [f"learning rate {rate:g}, now {now:g}"]


def _other_searches(setting: Setting, groups: dict[str, list[_Training]]) -> list[str]:
    """Remove the methods that rest on another found network than the rest, and say so.

    With a `found` of this call, the options of each training say it. Else the earlier trainings must agree among
    themselves: on the architecture, or on what it costs.
    """
    searched = [name for name in groups if needs_search([parse(name)[0]])]
    if setting.found is not None or not searched:
        return []
    every = [training for name in searched for training in groups[name]]
    hashes = {
        t.entrant.options["architecture"] for t in every if "architecture" in t.entrant.options
    }
    own = {name: groups[name][0].macs for name in searched if groups[name][0].job.scale == OWN}
    costs = [own[name] for name in ("found", "hard-sharing-at-found") if name in own]
    if len(hashes) <= 1 and (not costs or max(costs) / min(costs) - 1 <= NEAR):
        return []
    for name in searched:
        del groups[name]
    return [
        f"{', '.join(searched)} of earlier calls are left out: they rest on different found networks; name them to have "
        "them trained again"
    ]


def _costs_the_same(setting: Setting, training: _Training, reference: int) -> bool:
    """Return whether an earlier call found that a method costs as much as hard sharing at its own width."""
    folder = setting.files.root / "compared" / training.job.entrant
    for place in ("all", str(training.job.seed)):
        content = read_content(folder / f"width-{place}.json", "width")
        key: Any = content.get("key", {})
        alike = key.get("reference") == reference and key.get("options") == training.entrant.options
        if alike and content["same"]:
            return True
    return False


def _told(groups: Mapping[str, Sequence[_Training]]) -> str:
    names = [f"{name}{_of([t.job.seed for t in group])}" for name, group in groups.items()]
    text = (
        f"of an earlier call, with the same epochs, learning rates and options: {', '.join(names)}"
    )
    if any(needs_search([parse(name)[0]]) for name in groups):
        text += "; what is found there was chosen by a search that the other methods did not have"
    return text


def _without_equal_macs(
    groups: Mapping[str, Sequence[_Training]], rows: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    there = {str(row["method"]).split(" (")[0] for row in rows if row["scale"] == EQUAL}
    lacking = [name for name in groups if name not in there]
    if lacking:
        yield f"{', '.join(lacking)}: no row at equal MACs from the earlier call"


def _of(seeds: Collection[int]) -> str:
    numbers = sorted(set(seeds))
    return f" (seed{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers))})"


def _further_seeds(folder: Path, seeds: int) -> Iterator[str]:
    """Yield a note on seeds that earlier calls finished and this one does not show."""
    done = (path.parent for path in folder.glob(f"*/{OWN}/*/test.json"))
    further = sorted({int(path.name) for path in done if path.name.isdigit()} - set(range(seeds)))
    if further:
        yield (
            f"earlier calls finished seed{'' if len(further) == 1 else 's'} {', '.join(map(str, further))} too, which "
            f"this one does not show: it asks for {seeds} (`--seeds {further[-1] + 1}` shows them)"
        )
