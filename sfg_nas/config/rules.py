"""Rules over several sections, and against the names that other stages offer.

They look at the raw mapping, so that they speak up even where another section is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sfg_nas.config.problems import Problem, describe, did_you_mean
from sfg_nas.config.reader import KeyPath, Value
from sfg_nas.config.sections import TrainingConfig
from sfg_nas.config.values import UNSCALED

Finding = tuple[KeyPath, str, str, str]
"""Key path, rule, found, do."""

_COMMON_DATA_KEYS = frozenset({"kind", "size", "augment", "normalisation", "fraction", "seed"})


@dataclass(frozen=True)
class Inspected:
    """What a data set says about its section of the study, beyond the names of its keys.

    Attributes:
        tasks: Its tasks; None if they are not known.
        findings: What is wrong, at key paths below `data`.
        elsewhere: What is wrong in files that the section names.
    """

    tasks: tuple[str, ...] | None = None
    findings: tuple[Finding, ...] = ()
    elsewhere: tuple[Problem, ...] = ()


Inspector = Callable[[Mapping[str, Value]], Inspected]
Look = Callable[[Mapping[str, Value]], Iterable[Finding]]
"""Looks closer at a study's mapping, of any types."""


@dataclass(frozen=True)
class Names:
    """What the other stages offer; an empty member means unknown and is not checked.

    Attributes:
        backbones: Names of the backbones.
        datasets: The options of each data set beside the common ones; None: any.
        tasks: The tasks of each data set; None: known only once its table is read.
        augmentations: Names of the random changes of training images.
        compared: Looks closer at the section `compare`.
        families: What begins a name such as `torchvision/resnet18`, and gives all such names; empty if not installed.
        inspect: Looks closer at the section `data`; called with it only if its kind exists.
    """

    backbones: tuple[str, ...] = ()
    datasets: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    tasks: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    augmentations: tuple[str, ...] = ()
    aggregators: tuple[str, ...] = ()
    inspect: Inspector | None = None
    compared: Look | None = None
    families: Mapping[str, Callable[[], Sequence[str]]] = field(default_factory=dict)


def broken_rules(raw: Mapping[str, Value], names: Names) -> Iterator[Finding]:
    """Yield what is wrong between sections, or names something that does not exist.

    Args:
        raw: The study file's mapping, of any types.
        names: What the other stages offer.
    """
    yield from _backbone(raw, names)
    yield from _data(raw, names)
    yield from _tasks(raw, names)
    yield from _likelihoods(raw)
    yield from _groups(raw, names)
    yield from _warmup(raw)
    yield from _weighting(raw, names)
    if names.compared is not None:
        yield from names.compared(raw)


def problems_elsewhere(raw: Mapping[str, Value], names: Names) -> Sequence[Problem]:
    """Return what is wrong in files that the study names.

    Args:
        raw: The study file's mapping, of any types.
        names: What the other stages offer.
    """
    return _inspected(raw, names).elsewhere


def _inspected(raw: Mapping[str, Value], names: Names) -> Inspected:
    data = _section(raw, "data")
    kind = data.get("kind")
    if names.inspect is None or not isinstance(kind, str) or kind not in names.datasets:
        return Inspected()
    return names.inspect(data)


def _section(raw: Mapping[str, Value], name: str) -> dict[str, Value]:
    value = raw.get(name)
    return value if isinstance(value, dict) else {}


def _backbone(raw: Mapping[str, Value], names: Names) -> Iterator[Finding]:
    kind = _section(raw, "backbone").get("kind")
    family = kind.split("/")[0] if isinstance(kind, str) and "/" in kind else ""
    if names.backbones and family in names.families:
        yield from _family(str(kind), family, names.families[family]())
        depth = _section(raw, "backbone").get("depth")
        if depth is not None:
            rule = f"a network of {family} has one depth"
            yield ("backbone", "depth"), rule, describe(depth), "leave it out"
    elif isinstance(kind, str) and names.backbones and kind not in names.backbones:
        known = [*names.backbones, *(f"{family}/NAME" for family in names.families)]
        do = did_you_mean(kind, known, what="backbones")
        yield ("backbone", "kind"), "a backbone that exists is needed", describe(kind), do


def _family(kind: str, family: str, known: Sequence[str]) -> Iterator[Finding]:
    if not known:
        do = "pip install 'sfg_nas[vision]'"
        yield ("backbone", "kind"), f"`{family}` must be installed", "no such package", do
    elif kind not in known:
        do = did_you_mean(kind, known, what="backbones")
        yield ("backbone", "kind"), f"a network of {family} is needed", describe(kind), do


def _data(raw: Mapping[str, Value], names: Names) -> Iterator[Finding]:
    data = _section(raw, "data")
    kind = data.get("kind")
    if not isinstance(kind, str) or not names.datasets:
        return
    if kind not in names.datasets:
        do = did_you_mean(kind, names.datasets, what="data sets")
        yield ("data", "kind"), "a data set that exists is needed", describe(kind), do
        return
    options = names.datasets[kind]
    if options is not None:
        for key in data:
            if key not in _COMMON_DATA_KEYS and key not in options:
                do = did_you_mean(key, {*_COMMON_DATA_KEYS, *options}, what="keys")
                yield ("data", key), f"`{kind}` has no such key", f"`{key}`", do
    for path, rule, found, do in _inspected(raw, names).findings:
        yield ("data", *path), rule, found, do
    augment = data.get("augment")
    if names.augmentations and isinstance(augment, list):
        for position, name in enumerate(augment):
            if isinstance(name, str) and name not in names.augmentations:
                do = did_you_mean(name, names.augmentations, what="augmentations")
                rule = "an augmentation that exists is needed"
                yield ("data", "augment", position), rule, describe(name), do


def _tasks(raw: Mapping[str, Value], names: Names) -> Iterator[Finding]:
    offered = _offered_tasks(raw, names)
    if offered is None:
        return
    for task in _section(raw, "tasks"):
        if task not in offered:
            do = did_you_mean(task, offered, what="tasks")
            kind = _section(raw, "data").get("kind")
            yield ("tasks", task), f"a task of the data set `{kind}` is needed", f"`{task}`", do


def _likelihoods(raw: Mapping[str, Value]) -> Iterator[Finding]:
    """Yield likelihoods for tasks that the study's own table says are no regressions."""
    columns = _section(_section(raw, "data"), "tasks")
    for name, task in _section(raw, "tasks").items():
        chosen = task.get("likelihood", "auto") if isinstance(task, dict) else "auto"
        kind = _section(columns, name).get("kind", "regression")
        if chosen != "auto" and kind not in ("regression", "dense-regression"):
            rule = f"a {kind} has one likelihood; only a regression may choose"
            yield ("tasks", name, "likelihood"), rule, describe(chosen), "leave it out"


def _groups(raw: Mapping[str, Value], names: Names) -> Iterator[Finding]:
    groups = _section(raw, "sharing").get("groups")
    chosen = tuple(_section(raw, "tasks")) or _offered_tasks(raw, names)
    if chosen is None or not isinstance(groups, list):
        return
    yield from _repeated(groups, chosen)
    named = set(chosen) if "all" in groups else set()
    for i, row in enumerate(groups):
        for j, task in enumerate(row if isinstance(row, list) else []):
            named.add(str(task))
            if isinstance(task, str) and task not in chosen:
                do = did_you_mean(task, chosen, what="tasks")
                yield (
                    ("sharing", "groups", i, j),
                    "a task of this study is needed",
                    describe(task),
                    do,
                )
    left = [task for task in chosen if task not in named]
    if left:
        rule = "each task must be in some group"
        found = f"no group with {', '.join(left)}"
        yield ("sharing", "groups"), rule, found, "add a group that contains it, or `all`"


def _repeated(groups: Sequence[Value], chosen: Sequence[str]) -> Iterator[Finding]:
    """Yield groups of the same tasks as one before them, in whatever order."""
    seen: list[set[str]] = []
    for i, row in enumerate(groups):
        tasks = set(chosen) if row == "all" else set(map(str, row if isinstance(row, list) else ()))
        if tasks and tasks in seen:
            do = "remove one of them"
            yield ("sharing", "groups", i), "groups must differ", describe(row), do
        seen.append(tasks)


def _warmup(raw: Mapping[str, Value]) -> Iterator[Finding]:
    warmup = _section(raw, "sharing").get("warmup_epochs", 0)
    epochs = _section(raw, "training").get("epochs", TrainingConfig().epochs)
    numbers = all(isinstance(value, int | float) for value in (warmup, epochs))
    if numbers and 0 < warmup >= epochs > 0:  # type: ignore[operator]
        rule = "`sharing.warmup_epochs < training.epochs` must hold"
        found, do = f"{warmup} of {epochs} epochs", "lower it, or raise training.epochs"
        yield ("sharing", "warmup_epochs"), rule, found, do


def _offered_tasks(raw: Mapping[str, Value], names: Names) -> tuple[str, ...] | None:
    kind = _section(raw, "data").get("kind")
    known = names.tasks.get(kind) if isinstance(kind, str) else None
    return known if known is not None else _inspected(raw, names).tasks


def _weighting(raw: Mapping[str, Value], names: Names) -> Iterator[Finding]:
    value = _section(raw, "training").get("weighting")
    if not isinstance(value, str) or not value.startswith("torchjd:"):
        return
    name = value.removeprefix("torchjd:")
    if names.aggregators and name not in names.aggregators:
        do = did_you_mean(name, names.aggregators, what="aggregators")
        yield ("training", "weighting"), "an aggregator of torchjd is needed", describe(name), do
    if _section(raw, "retrain").get("precision") == "16-mixed":
        found = f"training.weighting {value}"
        yield ("retrain", "precision"), UNSCALED, found, "take 32 or bf16-mixed"
