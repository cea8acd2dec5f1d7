from __future__ import annotations

import pytest
from pydantic import ValidationError

from sfg_nas.config import DistillConfig


def test_labels_name_every_choice() -> None:
    assert DistillConfig().label == "filters-argmax"
    assert DistillConfig(rule="threshold", granularity="layers").label == "layers-threshold-0.5"
    found = DistillConfig(rule="budget", budget=2000, unit="microseconds", granularity="blocks")
    assert found.label == "blocks-budget-2000-microseconds"


@pytest.mark.parametrize(
    "values",
    [
        {"rule": "budget"},
        {"budget": 0.5},
        {"threshold": 0.7},
        {"rule": "threshold", "budget": 0.5},
        {"unit": "params"},
        {"rule": "budget", "budget": -1.0},
        {"rule": "threshold", "threshold": 1.5},
        {"granularity": "atoms"},
    ],
)
def test_values_without_their_rule_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DistillConfig.model_validate(values)
