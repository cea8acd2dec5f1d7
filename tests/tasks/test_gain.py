"""The relative gain Δ, by hand."""

from __future__ import annotations

import pytest

from sfg_nas.errors import ConfigError, TrainingError
from sfg_nas.tasks import Task, check_references, mean_quality, relative_gain

AGE = Task("age", "regression", unit="years", center=30.0, scale=10.0)
GENDER = Task("gender", "classification", 2)


def test_relative_gain_is_signed_by_direction() -> None:
    references = {"age/mae": 8.0, "gender/accuracy": 0.8}
    better = {"age/mae": 6.0, "gender/accuracy": 0.9}
    assert relative_gain(better, references, [AGE, GENDER]) == pytest.approx((0.25 + 0.125) / 2)
    worse = {"age/mae": 10.0, "gender/accuracy": 0.8}
    assert relative_gain(worse, references, [AGE, GENDER]) == pytest.approx(-0.125)
    assert relative_gain(better, references, [GENDER, AGE]) == pytest.approx(0.1875)
    assert relative_gain({"age": 6.0}, {"age": 8.0}, [AGE]) == pytest.approx(0.25)


def test_relative_gain_refuses_what_it_cannot_compute() -> None:
    with pytest.raises(TrainingError, match="gender/accuracy"):
        relative_gain({"age/mae": 1.0}, {"gender/accuracy": 0.5}, [GENDER])
    with pytest.raises(TrainingError, match="other than 0"):
        relative_gain({"age/mae": 1.0}, {"age/mae": 0.0}, [AGE])
    with pytest.raises(ConfigError, match="at least one task"):
        relative_gain({}, {}, [])


def test_references_of_0_are_all_named_with_what_to_do() -> None:
    check_references({"age/mae": 8.0, "gender/accuracy": 0.5}, [AGE, GENDER])
    with pytest.raises(TrainingError) as caught:
        check_references({"age/mae": 0.0, "gender/accuracy": 0.0}, [AGE, GENDER])
    age, gender = str(caught.value).splitlines()
    assert age.startswith("reference of age/mae: ")
    assert "nothing is left to gain" in age
    assert gender.startswith("reference of gender/accuracy: ")
    assert "train" in gender


def test_mean_quality_is_the_mean_of_1_for_perfect() -> None:
    values = {"age/mae": 5.0, "gender/accuracy": 0.9}
    assert mean_quality(values, [AGE, GENDER]) == pytest.approx((0.5 + 0.9) / 2)
