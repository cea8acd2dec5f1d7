"""What must hold for a search space: its entries, its keys, and its ends inside a study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, product

from pydantic import ValidationError

from sfg_nas.config import (
    Document,
    Names,
    Problem,
    StudyConfig,
    check_field,
    config_error,
    describe,
    did_you_mean,
    problem_of,
    problems_of_override,
    schema_keys,
)
from sfg_nas.search_space.candidate import Choice
from sfg_nas.search_space.dimension import Dimension

Dimensions = Sequence[tuple[str, Dimension]]

NOT_SEARCHABLE = (
    "name", "data.", "tasks", "sharing.preset", "search.", "retrain.", "references.", "compare.", "expected"
)  # fmt: skip
"""Keys that belong to the whole study: trials that differ in them could not be compared, or would not follow them."""


def searchable_keys() -> list[str]:
    """Return the dotted study keys that a space may vary."""
    return [key for key in schema_keys() if not key.startswith(NOT_SEARCHABLE)]


def parse_dimensions(document: Document) -> tuple[dict[str, Dimension], list[Problem]]:
    """Return the entries that are right, and what is wrong with the others.

    Args:
        document: Values and lines; the value is a mapping.
    """
    dimensions: dict[str, Dimension] = {}
    problems: list[Problem] = []
    entries = document.value if isinstance(document.value, dict) else {}
    for key, entry in entries.items():
        try:
            dimensions[key] = Dimension.model_validate(entry)
        except ValidationError as error:
            for item in error.errors():
                shifted = {**item, "loc": (key, *item["loc"])}
                problems.append(problem_of(shifted, document.where, _advice))
    return dimensions, problems


def _advice(path: tuple[str | int, ...]) -> str:
    return did_you_mean(str(path[-1]), Dimension.model_fields, what="keys")


def key_problems(document: Document, dimensions: Mapping[str, Dimension]) -> list[Problem]:
    """Return what is wrong with the keys, the conditions and each single end of a range.

    Args:
        document: Values and lines.
        dimensions: The entries that could be read.
    """
    known, every = searchable_keys(), schema_keys()
    problems: list[Problem] = []
    entries = document.value if isinstance(document.value, dict) else {}
    for key in entries:
        if key not in known:
            exists = key in every
            rule = "this key belongs to the whole study" if exists else "only study keys may vary"
            do = "fix it in the study" if exists else did_you_mean(key, known, what="keys")
            problems.append(Problem(document.where((key,)), rule, f"`{key}`", do))
    for key, dimension in dimensions.items():
        if key in known:
            problems += _illegal_ends(document, key, dimension)
        for parent, allowed in dimension.when.items():
            problems += _bad_condition(document, key, parent, allowed, dimensions)
    return problems


def _illegal_ends(document: Document, key: str, dimension: Dimension) -> list[Problem]:
    problems: list[Problem] = []
    for value in dimension.endpoints():
        rule = check_field(key, value)
        if rule is not None:
            where = document.where((key, _end(dimension, value)))
            problems.append(Problem(where, f"`{key}`: {rule}", describe(value), "change it"))
    return problems


def _end(dimension: Dimension, value: Choice) -> str:
    if dimension.choices is not None:
        return "choices"
    return "low" if value == dimension.low else "high"


def _bad_condition(
    document: Document,
    key: str,
    parent: str,
    allowed: Sequence[Choice],
    dimensions: Mapping[str, Dimension],
) -> list[Problem]:
    where = document.where((key, "when", parent))
    known = schema_keys()
    if parent == key or parent not in known:
        do = did_you_mean(parent, [name for name in known if name != key], what="keys")
        return [Problem(where, "a condition names another study key", f"`{parent}`", do)]
    rule_of = dimensions[parent].contains if parent in dimensions else None
    for value in allowed:
        if rule_of is not None and not rule_of(value):
            rule = f"a condition's value must be possible for `{parent}`"
            return [Problem(where, rule, describe(value), "change the condition or the parent")]
        reason = check_field(parent, value)
        if reason is not None:
            return [Problem(where, f"`{parent}`: {reason}", describe(value), "change it")]
    return []


def in_order(name: str, dimensions: Mapping[str, Dimension]) -> list[tuple[str, Dimension]]:
    """Return the dimensions with each condition's key before those that depend on it.

    Args:
        name: What to call the space in messages.
        dimensions: Key to dimension, in the order of the file.

    Raises:
        ConfigError: If conditions depend on each other in a circle.
    """
    left, done = dict(dimensions), dict[str, Dimension]()
    while left:
        ready = [key for key, d in left.items() if not any(p in left for p in d.when)]
        if not ready:
            rule, do = "conditions must not go round in a circle", "remove one condition"
            raise config_error([Problem(f"{name}: when", rule, ", ".join(left), do)])
        for key in ready:
            done[key] = left.pop(key)
    return list(done.items())


def check_fits(
    document: Document, dimensions: Dimensions, study: StudyConfig, names: Names
) -> list[Problem]:
    """Return what is wrong when the ends of one range, or of any two ranges, meet in a study.

    Args:
        document: Values and lines, for the messages.
        dimensions: Bound dimensions.
        study: The study they vary.
        names: The backbones, data sets and tasks that exist.
    """
    problems: dict[tuple[str, str], Problem] = {}
    for changes in _corners(dimensions):
        for broken in problems_of_override(study, changes, names):
            key = next(iter(changes))
            found = ", ".join(f"{name}={value}" for name, value in changes.items())
            found = f"{broken.found} ({found})" if len(changes) > 1 else broken.found
            problem = Problem(document.where((key,)), broken.rule, found, broken.do)
            problems.setdefault((key, broken.rule), problem)
    return list(problems.values())


def _corners(dimensions: Dimensions) -> Iterable[dict[str, Choice]]:
    """Yield each end alone, then each pair of ends, with the conditions of both made true."""
    table = dict(dimensions)
    for size in (1, 2):
        for keys in combinations(table, size):
            for ends in product(*(table[key].endpoints() for key in keys)):
                changes = dict(zip(keys, ends, strict=True))
                if _satisfy(table, changes):
                    yield changes


def _satisfy(table: Mapping[str, Dimension], changes: dict[str, Choice]) -> bool:
    """Add the values that the conditions ask for; return whether none contradicts."""
    queue = list(changes)
    while queue:
        for parent, allowed in table[queue.pop()].when.items():
            if parent not in changes:
                changes[parent] = allowed[0]
                queue.append(parent)
            elif changes[parent] not in allowed:
                return False
    return True


def value_at(study: StudyConfig, key: str) -> object:
    """Return the study's value at a dotted key, None where nothing stands.

    Args:
        study: A checked study.
        key: A dotted key.
    """
    value: object = study
    for name in key.split("."):
        value = getattr(value, name, None)
    return value
