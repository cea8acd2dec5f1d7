from __future__ import annotations

import pytest

from sfg_nas.errors import several
from sfg_nas.report.sketch import sketch
from sfg_nas.report.words import (
    LONGEST_NAME,
    counted,
    layer_names,
    short,
    signed,
    significant,
    together,
)
from tests.report.samples import two_tasks


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 k"),
        (9999, "10.0 k"),
        (99_960, "100 k"),
        (999_499, "999 k"),
        (999_600, "1.00 M"),
        (31_493_836, "31.5 M"),
        (1_292_000_000, "1.29 G"),
        (2 * 10**12, "2.00 T"),
    ],
)
def test_counted_has_three_digits(number: int, text: str) -> None:
    assert counted(number) == text


def test_one_is_singular() -> None:
    words = [several(count, "paired seed") for count in (0, 1, 2, 1000)]
    assert words == ["0 paired seeds", "1 paired seed", "2 paired seeds", "1,000 paired seeds"]


@pytest.mark.parametrize(
    ("value", "decimals", "digits"),
    [
        (1.005, "+1.00", "+1.005"),
        (-1.5, "−1.50", "−1.5"),
        (-0.004, "0.00", "−0.004"),
        (0.004, "0.00", "+0.004"),
        (-0.0, "0.00", "0"),
        (0.0, "0.00", "0"),
        (-1e-7, "0.00", "−1e−07"),
        (float("nan"), "not known", "not known"),
        (float("-inf"), "not known", "not known"),
    ],
)
def test_differences_have_a_sign_and_zero_none(value: float, decimals: str, digits: str) -> None:
    assert (signed(value, 2), significant(value)) == (decimals, digits)


def test_layer_names_are_short() -> None:
    names = layer_names(sketch(two_tasks()))
    assert names["backbone.features.3@age"] == "features.3"
    assert names["heads.age@age"] == "heads.age"
    assert "input@age+gender" not in names
    assert all(len(name) <= LONGEST_NAME for name in names.values())


def test_short_cuts_the_end() -> None:
    assert short("abcdef", 6) == "abcdef"
    assert short("abcdefg", 6) == "abcde…"


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["stem.0"], "stem.0"),
        (["stem.0", "stem.0"], "stem.0"),
        (["heads.age.2", "heads.sex.2"], "heads.*"),
        (["b.1.conv1", "b.1.skip.0"], "b.1.*"),
        (["one", "two"], "one\ntwo"),
        (["one", "two", "three"], "one\ntwo …"),
    ],
)
def test_together(names: list[str], text: str) -> None:
    assert together(names) == text
