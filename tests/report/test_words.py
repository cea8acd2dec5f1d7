from __future__ import annotations

import pytest

from sfg_nas.report.sketch import sketch
from sfg_nas.report.words import LONGEST_NAME, counted, layer_names, short, together
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
