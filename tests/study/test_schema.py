"""What an editor knows of a study file."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from sfg_nas.config import published_schema, study_schema
from sfg_nas.data import COLUMN_TASK_KEYS, DATASETS, data_options
from sfg_nas.study.schema import full_schema

BACKBONE = {"kind": "vgg11"}


def study(**data: object) -> dict[str, object]:
    return {"name": "x", "data": data, "backbone": BACKBONE}


def test_the_published_schema_is_that_of_the_code() -> None:
    assert published_schema() == json.dumps(full_schema(), indent=2) + "\n", "run `make schema`"


def test_every_option_of_every_data_set_has_its_type_and_meaning() -> None:
    schema: Any = full_schema()
    rules = {
        rule["if"]["properties"]["kind"]["const"]: rule["then"]
        for rule in schema["$defs"]["DataConfig"]["allOf"]
    }
    assert set(rules) == set(DATASETS)
    own = set(study_schema()["$defs"]["DataConfig"]["properties"])  # type: ignore[index,call-overload]
    for kind, rule in rules.items():
        assert set(rule["properties"]) == set(data_options(kind)) - own
        for name, option in rule["properties"].items():
            assert option["description"], f"{kind}: {name}"
            assert set(option) & {"type", "anyOf", "enum"}, f"{kind}: {name}"
    tasks = rules["table"]["properties"]["tasks"]["additionalProperties"]
    assert set(tasks["properties"]) == set(COLUMN_TASK_KEYS)
    assert all(entry["description"] for entry in tasks["properties"].values())


AGE = {"kind": "regression", "column": "age", "unit": "years"}


@pytest.mark.parametrize(
    ("data", "fits"),
    [
        ({"kind": "table", "table": "t.csv", "tasks": {"age": AGE}}, True),
        ({"kind": "table", "tasks": {"m": {"kind": "segmentation", "classes": ["a", "b"], "values": [0, "#ff8000"]}}}, True),
        ({"kind": "table", "tasks": {"m": {"kind": "dense-regression", "missing": [0], "factor": 0.001}}}, True),
        ({"kind": "table", "stratify": ["a", "b"], "split": None, "augment": ["flip", "rotate"]}, True),
        ({"kind": "mine", "anything": 1}, True),
        ({"kind": "npy-folders", "label": "label_7"}, True),
        ({"kind": "table", "tabel": "t.csv"}, False),
        ({"kind": "table", "tasks": {"age": {**AGE, "kind": "regresion"}}}, False),
        ({"kind": "table", "tasks": {"age": {**AGE, "colum": "x"}}}, False),
        ({"kind": "table", "validation": "x"}, False),
        ({"kind": "digits", "table": "t.csv"}, False),
        ({"kind": "table", "augment": ["flipp"]}, False),
    ],
)  # fmt: skip
def test_what_fits(data: dict[str, object], fits: bool) -> None:
    errors = list(jsonschema.Draft202012Validator(full_schema()).iter_errors(study(**data)))
    assert (errors == []) == fits
