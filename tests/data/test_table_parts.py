"""What stays together in a draw, and what is said where that cannot work."""

from __future__ import annotations

import numpy as np

from sfg_nas.data.splits import Splits
from sfg_nas.data.table_parts import far_from_asked, filed_parts, joined_groups, together

ROWS = np.arange(20)


def test_rows_are_together_that_are_so_in_either_division() -> None:
    alike = np.array([0, 0, 2, 3, 4, 5])
    assert joined_groups(alike, ["", "a", "a", "b", "b", ""]).tolist() == [0, 0, 0, 3, 3, 5]


def test_near_duplicates_and_names_stay_together() -> None:
    alike = ROWS.copy()
    alike[[3, 7]] = 3
    groups, said = together(alike, ["p"] * 5 + [""] * 15)
    assert groups[7] == groups[3] == groups[0]
    assert len(np.unique(groups)) == 15
    assert said == []


def test_images_that_are_all_alike_are_no_duplicates() -> None:
    alike = np.where(ROWS < 11, 0, ROWS)
    groups, said = together(alike, [""] * 20)
    assert len(np.unique(groups)) == 20
    (line,) = said
    assert "11 of 20 rows would stay together" in line
    assert "`group`" in line
    # Pairs of alike images chain the patients together: their names alone are kept.
    patients = [str(row // 4) for row in ROWS]
    groups, said = together(np.where(ROWS % 4 == 0, 0, ROWS), patients)
    assert len(np.unique(groups)) == 5
    assert len(said) == 1


def test_what_the_user_names_is_kept_however_large() -> None:
    groups, said = together(ROWS, ["a"] * 15 + ["b"] * 5)
    assert len(np.unique(groups)) == 2
    assert said == []


def test_parts_far_from_what_was_asked_are_said() -> None:
    groups = np.where(ROWS < 14, 0, ROWS)
    far = Splits(np.array([18, 19]), np.array([14, 15, 16, 17]), np.arange(14))
    (line,) = far_from_asked(far, groups, validation=0.15, test=0.15)
    assert "train 2 rows for 70%" in line
    assert "test 14 rows for 15%" in line
    assert "14 of 20 rows stay together" in line
    near = Splits(np.arange(14), np.arange(14, 17), np.arange(17, 20))
    assert far_from_asked(near, groups, validation=0.15, test=0.15) == []
    assert far_from_asked(far, ROWS, validation=0.15, test=0.15) == []  # nothing was kept together


def test_groups_that_a_column_tears_apart_are_counted() -> None:
    cells = ["train", "val", "train", "test", "train", "test"]
    splits, said = filed_parts(cells, np.array([0, 0, 1, 1, 2, 3]), 0.5, seed=0)
    assert [list(rows) for rows in (splits.train, splits.validation, splits.test)] == [
        [0, 2, 4],
        [1],
        [3, 5],
    ]
    assert [words[:60] for words in said] == [
        "1 training and validation rows share a group with, or are ne",
        "1 training rows share a group with, or are near-duplicates o",
    ]
    assert filed_parts(cells, np.arange(6), 0.5, seed=0)[1] == []
    drawn = ["train", "train", "train", "test", "train", "test"]
    assert len(filed_parts(drawn, np.array([0, 0, 1, 3, 2, 4]), 0.5, seed=0)[1]) == 0
