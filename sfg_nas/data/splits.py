"""Seeded splits into train, validation and test that keep what belongs together in one part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sfg_nas.data.checks import check_share
from sfg_nas.errors import DataError, explain

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Splits:
    """The rows of the three parts; no row lies in two of them.

    Attributes:
        train: Rows for weights and assignments, `[n]`.
        validation: Rows for every choice, `[n]`.
        test: Rows for the final report, `[n]`.

    Raises:
        DataError: If a part is empty or two parts share a row.
    """

    train: Indices
    validation: Indices
    test: Indices

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            rows = np.asarray(getattr(self, name), dtype=np.int64).reshape(-1)
            object.__setattr__(self, name, rows)
            if len(rows) == 0:
                raise DataError(
                    explain(
                        where=f"split: {name}",
                        rule="each part needs at least one image",
                        found="none",
                        do="use more images or another share",
                    )
                )
        rows = np.concatenate([self.train, self.validation, self.test])
        if len(np.unique(rows)) < len(rows):
            raise DataError(
                explain(
                    where="split",
                    rule="an image belongs to one part, once",
                    found=f"{len(rows) - len(np.unique(rows))} rows more than once",
                    do="remove the repeated rows",
                )
            )

    def with_fraction(self, fraction: float, seed: int) -> Self:
        """Return the split with a seeded share of the training rows, the other parts unchanged.

        Args:
            fraction: The share to keep; a smaller share lies within a larger one.
            seed: Seed of the choice.

        Raises:
            ConfigError: If the fraction is not above 0 and at most 1.
        """
        check_share("fraction", fraction, whole=True)
        order = np.random.default_rng([seed, 2]).permutation(len(self.train))
        kept = np.sort(order[: max(1, round(fraction * len(order)))])
        return replace(self, train=self.train[kept])


def divide(rows: Indices, share: float, *, groups: Indices, seed: int) -> tuple[Indices, Indices]:
    """Return `rows` in two: about `1 - share` of them, and about `share` of them.

    Whole groups are drawn in a random order until the second part holds its share, so the part may
    be larger than the share by less than one group.

    Args:
        rows: The rows to divide, `[n]`.
        share: The share of the second part, above 0 and below 1.
        groups: A number for each row of the data set; rows with the same number stay together.
        seed: Seed of the draw.

    Raises:
        ConfigError: If the share is impossible.
    """
    check_share("split", share, whole=False)
    members = groups[rows]
    names, sizes = np.unique(members, return_counts=True)
    order = np.random.default_rng([seed, 1]).permutation(len(names))
    before = np.cumsum(sizes[order]) - sizes[order]
    taken = names[order[before < round(share * len(rows))]]
    second = np.isin(members, taken)
    return rows[~second], rows[second]


def random_splits(
    count: int,
    *,
    groups: Indices | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
) -> Splits:
    """Return a seeded split of `count` images.

    Args:
        count: The number of images.
        groups: A number for each image, `[count]`; images with the same number stay together.
        validation: The share of the validation part.
        test: The share of the test part.
        seed: Seed of the draw.

    Raises:
        ConfigError: If a share is impossible.
        DataError: If a part would be empty.
    """
    together = np.arange(count) if groups is None else np.asarray(groups, dtype=np.int64)
    check_share("split: validation", validation, whole=False)
    check_share("split: validation + test", validation + test, whole=False)
    rest, tested = divide(np.arange(count), test, groups=together, seed=seed)
    share = validation / (1 - test)
    train, validated = divide(rest, share, groups=together, seed=seed)
    return Splits(train=train, validation=validated, test=tested)
