from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfg_nas.errors import ConfigError
from sfg_nas.sharing import SHAPES, Temperature


@pytest.mark.parametrize(
    ("shape", "middle"),
    [("constant", 4.0), ("exponential", 2.0), ("linear", 2.5), ("cosine", 2.5)],
)
def test_formulas_by_hand(shape: str, middle: float) -> None:
    temperature = Temperature(shape, start=4.0, end=1.0)  # type: ignore[arg-type]
    assert temperature.at(0.0) == pytest.approx(4.0)
    assert temperature.at(0.5) == pytest.approx(middle)
    assert temperature.at(1.0) == pytest.approx(4.0 if shape == "constant" else 1.0)


def test_cosine_at_a_quarter() -> None:
    expected = 1.0 + 3.0 * 0.5 * (1 + math.cos(math.pi / 4))
    assert Temperature("cosine", 4.0, 1.0).at(0.25) == pytest.approx(expected)


def test_a_rate_is_per_step_and_stops_at_the_end() -> None:
    temperature = Temperature("exponential", start=2.0, end=0.5, rate=0.01)
    assert temperature.at(0.5, steps=100) == pytest.approx(2.0 * math.exp(-0.5))
    assert temperature.at(1.0, steps=1000) == 0.5


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.sampled_from(SHAPES),
    st.floats(0.01, 10.0),
    st.floats(0.01, 1.0),
    st.floats(-0.5, 1.5),
    st.floats(-0.5, 1.5),
)
def test_it_falls_and_stays_between_its_ends(
    shape: str, start: float, part: float, one: float, two: float
) -> None:
    temperature = Temperature(shape, start=start, end=part * start)  # type: ignore[arg-type]
    early, late = temperature.at(min(one, two)), temperature.at(max(one, two))
    assert start * 1.000001 >= early >= late * 0.999999
    assert late >= part * start * 0.999999


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": "step"}, "temperature.shape: .* found 'step'"),
        ({"start": 0.0}, "start > 0"),
        ({"start": math.inf}, "start > 0"),
        ({"start": math.nan}, "start > 0"),
        ({"end": 0.0}, "0 < end <= start"),
        ({"end": 2.0}, "found end=2.0, start=1.0"),
        ({"end": math.nan}, "0 < end <= start"),
        ({"rate": -1.0}, "rate >= 0"),
    ],
)
def test_wrong_values_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Temperature(**options)  # type: ignore[arg-type]
