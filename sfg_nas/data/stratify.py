"""Splits that keep the proportions of strata, with scikit-learn; whole groups stay in one part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sfg_nas.data.checks import check_share
from sfg_nas.data.splits import Indices, Splits

_FEWEST = 2
"""Members that scikit-learn needs of each stratum."""


def stratified_splits(
    strata: NDArray[np.int64],
    *,
    groups: Indices,
    validation: float,
    test: float,
    seed: int,
) -> Splits:
    """Return a seeded split whose parts have about the same proportions of each stratum.

    Where some rows belong together, the parts are folds of scikit-learn's `StratifiedGroupKFold`, so
    that their shares are the nearest `1 / k` (one group of k where there are only these); else they are drawn by
    `StratifiedShuffleSplit`.
    Strata too small to be divided are treated as one.

    Args:
        strata: A number for each row, `[N]`.
        groups: A number for each row, `[N]`; rows with the same number stay together.
        validation: The share of the validation part.
        test: The share of the test part.
        seed: Seed of the draw.

    Raises:
        ConfigError: If a share is impossible.
        DataError: If a part would be empty.
    """
    check_share("split: validation", validation, whole=False)
    check_share("split: validation + test", validation + test, whole=False)
    rows = np.arange(len(strata))
    rest, tested = _divide(rows, test, strata, groups, seed)
    train, validated = _divide(rest, validation / (1 - test), strata, groups, seed)
    return Splits(train, validated, tested)


def _divide(
    rows: Indices, share: float, strata: NDArray[np.int64], groups: Indices, seed: int
) -> tuple[Indices, Indices]:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedShuffleSplit

    own, together = strata[rows], groups[rows]
    count = len(np.unique(together))
    if count < _FEWEST:  # nothing is left for the other part, which `Splits` refuses
        return rows, rows[:0]
    folds = min(max(2, round(1 / share)), count)
    whole = count < len(rows)
    fewest = max(_FEWEST, folds) if whole else _FEWEST
    merged = _merged(own, fewest, len(rows) * min(share, 1 - share))
    if whole:
        splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    else:
        size = max(1, round(share * len(rows)))
        splitter = StratifiedShuffleSplit(n_splits=1, test_size=size, random_state=seed)
    first, second = next(splitter.split(rows, merged, together if whole else None))
    return np.sort(rows[first]), np.sort(rows[second])


def _merged(strata: NDArray[np.int64], fewest: int, room: float) -> NDArray[np.int64]:
    """Return strata of which none is smaller than `fewest`, and no more of them than a part has room for."""
    names, places, counts = np.unique(strata, return_inverse=True, return_counts=True)
    small = counts < fewest
    if 0 < counts[small].sum() < fewest:  # the small ones together are too few: take the next one
        small |= counts == counts[~small].min(initial=counts.max())
    merged = np.where(small, -1, np.arange(len(names)))[places.reshape(-1)]
    alone = np.zeros(len(strata), dtype=np.int64)
    kinds = len(np.unique(merged))
    return alone if kinds < 2 or kinds > room or (merged == -1).sum() == 1 else merged
