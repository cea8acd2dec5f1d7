from __future__ import annotations

import pytest

from sfg_nas.config import Problem, config_error, describe, did_you_mean


def test_a_problem_has_four_parts_in_one_line() -> None:
    problem = Problem("s.yaml:3: a", "`a > 0` must hold", "0", "raise a")
    assert str(problem) == "s.yaml:3: a: `a > 0` must hold; found 0; raise a"
    assert str(config_error([problem, problem])).count("\n") == 1


def test_the_nearest_name_or_all_of_them() -> None:
    assert did_you_mean("widht", ["width", "depth"]).startswith("did you mean `width`?")
    assert did_you_mean("zzz", ["b", "a"], what="keys") == "the keys here are a, b"
    assert did_you_mean("zzz", [], what="keys") == "no keys exist here"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nothing (null)"),
        (True, "true (true/false)"),
        (3, "3"),
        ("3", "'3' (text)"),
        ({"a": 1}, "a mapping with a"),
        ({}, "a mapping with no keys"),
        ([1, 2], "a list of 2: [1, 2]"),
    ],
)
def test_values_are_described_with_their_kind(value: object, text: str) -> None:
    assert describe(value) == text


def test_long_values_are_cut() -> None:
    assert len(describe("x" * 1000)) < 100
