"""How volumes are prepared, to a file and back."""

from __future__ import annotations

import json

import pytest

from sfg_nas.data.volume_settings import VolumeSettings
from sfg_nas.errors import DataError

GOOD = VolumeSettings((1.0, 1.5, 3.0), (64, 64), {"bone": 1, "bladder": 7})


def test_round_trip() -> None:
    assert VolumeSettings.from_json(json.loads(json.dumps(GOOD.to_json())), "f") == GOOD


@pytest.mark.parametrize(
    "changed",
    [
        {"spacing": [1, 2]},
        {"spacing": [1, 2, -1]},
        {"spacing": [1, 2, float("nan")]},
        {"patch": [3.5, 2]},
        {"patch": [1, 2, 3, 4]},
        {"patch": [10**9, 2]},
        {"organs": {"a": True}},
        {"organs": ["a"]},
        {"more": 1},
    ],
)
def test_anything_else_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(DataError, match=r"^prediction\.json: volumes: "):
        VolumeSettings.from_json({**GOOD.to_json(), **changed}, "prediction.json: volumes")
