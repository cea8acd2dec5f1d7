from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfg_nas.allocation import Allocation
from sfg_nas.errors import ArchitectureError
from sfg_nas.groups import Groups

GROUPS = Groups.specialists(["age", "sex"])
SAMPLE = Allocation(GROUPS, {"features.0": (0, 1, 2, 2), "features.3": (2, 2)})


def test_counts_by_hand() -> None:
    assert SAMPLE.counts() == {"features.0": (1, 1, 2), "features.3": (0, 0, 2)}


def test_it_is_a_value() -> None:
    rows = {"a": [0, 1]}
    allocation = Allocation(GROUPS, rows)  # type: ignore[arg-type]
    rows["a"][0] = 2
    assert allocation.layers["a"] == (0, 1)
    with pytest.raises(TypeError):
        allocation.layers["a"] = (0,)  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        allocation.layers = {}  # type: ignore[misc]


@pytest.mark.parametrize("wrong", [-1, 3])
def test_every_filter_is_in_a_known_group(wrong: int) -> None:
    with pytest.raises(ArchitectureError, match=r"`a`: a group index is in 0..2; found \[-?\d\]"):
        Allocation(GROUPS, {"a": (0, wrong)})


@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    st.sampled_from([GROUPS, Groups.lattice("abc"), Groups.specialists("vwxyz")]),
    st.dictionaries(st.text(max_size=9), st.lists(st.integers(0, 2), max_size=6), max_size=4),
)
def test_json_round_trip_is_identity(groups: Groups, layers: dict[str, list[int]]) -> None:
    allocation = Allocation(groups, {name: tuple(row) for name, row in layers.items()})
    again = Allocation.from_json(allocation.to_json())
    assert again == allocation
    assert list(again.layers) == list(allocation.layers)
    totals = {name: sum(counts) for name, counts in again.counts().items()}
    assert totals == {name: len(row) for name, row in layers.items()}


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "allocation.json"
    SAMPLE.save(path)
    assert Allocation.load(path) == SAMPLE
    assert [p.name for p in tmp_path.iterdir()] == ["allocation.json"]


def damaged() -> dict[str, str]:
    content = json.loads(SAMPLE.to_json())
    return {
        "empty": "",
        "cut short": SAMPLE.to_json()[:-20],
        "list": "[]",
        "number": "3",
        "other schema": json.dumps(content | {"schema": 2}),
        "no layers": json.dumps({k: v for k, v in content.items() if k != "layers"}),
        "layers a list": json.dumps(content | {"layers": [1]}),
        "word for a group": json.dumps(content | {"layers": {"a": ["x"]}}),
        "null for a group": json.dumps(content | {"layers": {"a": [None]}}),
        "infinite group": json.dumps(content | {"layers": {"a": [float("inf")]}}),
        "group out of range": json.dumps(content | {"layers": {"a": [9]}}),
        "groups overlap": json.dumps(content | {"groups": [[0], [0], [1]]}),
        "tasks a number": json.dumps(content | {"tasks": 7}),
        "deep": "[" * 100_000,
    }


@pytest.mark.parametrize("name", damaged())
def test_damaged_files_give_one_kind_of_error(name: str, tmp_path: Path) -> None:
    path = tmp_path / "allocation.json"
    path.write_text(damaged()[name], encoding="utf-8")
    with pytest.raises(ArchitectureError):
        Allocation.load(path)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ArchitectureError, match=r"none\.json"):
        Allocation.load(tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ArchitectureError, match="readable text"):
        Allocation.load(tmp_path / "binary.json")
    with pytest.raises(ArchitectureError):
        Allocation.load(tmp_path)
