"""Which rows of a table go to train, validation and test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sfg_nas.data.splits import Indices, Splits, divide, random_splits
from sfg_nas.data.stratify import stratified_splits
from sfg_nas.data.tables import Table, listed
from sfg_nas.data.troubles import Options, Trouble
from sfg_nas.tasks import Task

PARTS: dict[str, tuple[str, ...]] = {
    "train": ("train", "training", "tr"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "te"),
}
"""What a split column may say for each part, in small or capital letters."""
_PART_OF = {word: part for part, words in PARTS.items() for word in words}


def check_parts(options: Options, table: Table, split: str) -> None:
    """Take down what is wrong with a split column.

    Args:
        options: Of the data set.
        table: Holds the column.
        split: Its name.
    """
    words = [word.lower() for word in table.column(split)]
    known = ", ".join(word for words in PARTS.values() for word in words)
    for place, word in enumerate(words):
        if word and word not in _PART_OF:
            where, do = f"{table.where(place)}: {split}", "correct the cell"
            rule = f"one of {known}, or nothing, is needed"
            options.troubles.append(Trouble((), rule, repr(word), do, where))
            return
    there = {_PART_OF[word] for word in words if word}
    if not {"train", "test"} <= there:
        do = "mark rows as train and test; without validation rows some of train are drawn for it"
        found = f"only {listed(sorted(there)) or 'empty cells'}"
        options.refuse(("split",), "train and test rows are needed", found, do)


def filed_parts(
    cells: Sequence[str], groups: Indices, validation: float, seed: int
) -> tuple[Splits, list[str]]:
    """Return the parts that a split column names, and warnings.

    Args:
        cells: The column, checked.
        groups: A number for each row; rows with the same number stay together where a part is drawn.
        validation: The share of the train rows that is drawn for validation if no row is marked so.
        seed: Of that draw.

    Raises:
        DataError: If a part is empty.
    """
    parts = np.array([_PART_OF.get(cell.lower(), "") for cell in cells])
    rows = {part: np.flatnonzero(parts == part) for part in PARTS}
    train, validated = rows["train"], rows["validation"]
    if len(validated) == 0 and len(train) > 1:
        train, validated = divide(train, validation, groups=groups, seed=seed)
    warnings = []
    unmarked = int((parts == "").sum())
    if unmarked:
        warnings.append(f"left out because their split cell is empty: {unmarked} rows")
    torn = int(np.isin(groups[np.concatenate([train, validated])], groups[rows["test"]]).sum())
    if torn:
        warnings.append(
            f"{torn} training and validation rows share a group with, or are near-duplicates of, "
            "test rows; the split column is kept as it is"
        )
    torn = int(np.isin(groups[train], groups[validated]).sum())
    if torn:
        warnings.append(
            f"{torn} training rows share a group with, or are near-duplicates of, validation rows, which all choices are "
            "made on; the split column is kept as it is"
        )
    return Splits(train, validated, rows["test"]), warnings


def drawn_parts(
    groups: Indices,
    strata: NDArray[np.int64] | None,
    *,
    validation: float,
    test: float,
    seed: int,
) -> Splits:
    """Return seeded parts, stratified or not.

    Args:
        groups: A number for each row, `[N]`; rows with the same number stay together.
        strata: A number for each row whose proportions are kept, or None.
        validation: The share of the validation part.
        test: The share of the test part.
        seed: Of the draw.

    Raises:
        ConfigError: If a share is impossible.
        DataError: If a part is empty.
    """
    if strata is None:
        return random_splits(
            len(groups), groups=groups, validation=validation, test=test, seed=seed
        )
    return stratified_splits(strata, groups=groups, validation=validation, test=test, seed=seed)


def together(alike: Indices, named: Sequence[str]) -> tuple[Indices, list[str]]:
    """Return which rows stay in one part: near-duplicates, and those of one name; and a warning if only the latter.

    Images that are all taken in one way (aligned scans, parts on a belt) are as like as two copies of a photo. They
    would be one group, and one part would hold nearly all rows: where near-duplicates alone tie more than half of
    the rows together, they are not kept together.

    Args:
        alike: A number for each row; near-duplicates have the same one, `[N]`.
        named: A word for each row; an empty one for a row of its own.
    """
    alone = joined_groups(np.arange(len(alike)), named)
    joined = joined_groups(alike, named)
    half = max(len(alike) / 2, 2)
    most = _largest(joined)
    if most <= half or _largest(alone) > half:
        return joined, []
    text = (
        f"images resemble each other so much that, as near-duplicates, {most} of {len(alike)} rows would stay together: "
        "resemblance is left out of the draw; if images belong together (a patient, a film), name the column that says "
        "so as `group`"
    )
    return alone, [text]


def _largest(groups: Indices) -> int:
    return int(np.unique(groups, return_counts=True)[1].max(initial=0))


def far_from_asked(splits: Splits, groups: Indices, *, validation: float, test: float) -> list[str]:
    """Return a warning if groups are so large that a drawn part has less than half, or more than twice, its share.

    Args:
        splits: As drawn.
        groups: A number for each row; rows with the same number stayed together.
        validation: The share of the validation part.
        test: The share of the test part.
    """
    asked = {"train": 1 - validation - test, "validation": validation, "test": test}
    count, most = len(groups), _largest(groups)
    found = {name: len(getattr(splits, name)) for name in asked}
    if most < 2 or all(0.5 <= found[name] / (share * count) <= 2 for name, share in asked.items()):
        return []
    parts = ", ".join(f"{name} {found[name]} rows for {share:.0%}" for name, share in asked.items())
    return [
        f"parts are far from the shares that were asked for ({parts}): {most} of {count} rows stay together"
    ]


def strata_of(
    tasks: Mapping[str, Task], labels: Mapping[str, NDArray[np.float64]], names: Sequence[str]
) -> NDArray[np.int64] | None:
    """Return a number for each combination of some tasks' strata, `[N]`; None for no task.

    Args:
        tasks: By name.
        labels: Of each task, `[N, ...]`.
        names: The tasks to keep the proportions of.
    """
    if not names:
        return None
    columns = [
        tasks[name].strata(tasks[name].targets(labels[name], name)).numpy() for name in names
    ]
    found: NDArray[np.int64] = np.unique(np.stack(columns), axis=1, return_inverse=True)[1]
    return found.reshape(-1)


def joined_groups(first: Indices, second: Sequence[str]) -> Indices:
    """Return groups `[N]` in which rows are together that were so in either division.

    Args:
        first: A number for each row.
        second: A word for each row; an empty one for a row of its own.
    """
    parents = list(range(len(first)))

    def root(row: int) -> int:
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    seen: dict[object, int] = {}
    for row, (number, word) in enumerate(zip(first.tolist(), second, strict=True)):
        for key in (number, word) if word else (number,):
            before = seen.setdefault(key, row)
            low, high = sorted((root(before), root(row)))
            parents[high] = low
    return np.array([root(row) for row in range(len(first))], dtype=np.int64)
