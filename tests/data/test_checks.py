"""Checks of options."""

from __future__ import annotations

import numpy as np
import pytest

from sfg_nas.data.checks import check_integer, check_name, check_share
from sfg_nas.errors import ConfigError


def test_good_values_pass() -> None:
    assert check_integer("x", 3, 3) == 3
    assert type(check_integer("x", np.int64(4), 3)) is int
    assert check_share("x", 1, whole=True) == 1.0
    assert check_share("x", 0.5, whole=False) == 0.5
    assert check_name("x", "crop", ["flip", "crop"]) == "crop"


@pytest.mark.parametrize(
    "value",
    [2, True, 3.0, "3", None, np.int64(2), np.float64(3.0), np.array([4.0, 5.0])],
)
def test_wrong_integers(value: object) -> None:
    with pytest.raises(ConfigError, match=r"data\.size: an integer of at least 3 .*found "):
        check_integer("data.size", value, 3)


@pytest.mark.parametrize("value", [0, 1.01, -0.5, True, "0.5", float("nan")])
def test_wrong_shares(value: object) -> None:
    with pytest.raises(ConfigError, match="above 0 and at most 1"):
        check_share("data.fraction", value, whole=True)


def test_one_is_no_part() -> None:
    with pytest.raises(ConfigError, match="below 1"):
        check_share("data.test", 1.0, whole=False)


def test_an_unknown_name_gets_a_proposal() -> None:
    with pytest.raises(ConfigError, match=r"crop, flip .*'flop'; did you mean 'flip'\?"):
        check_name("augment", "flop", ["flip", "crop"])
    with pytest.raises(ConfigError, match="use one of these names"):
        check_name("augment", "zzz", ["flip", "crop"])
