"""What we publish as JSON Schema accepts what we write, and refuses what we refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from sfg_nas.architecture import Architecture
from sfg_nas.architecture.schema import json_schema
from sfg_nas.errors import ArchitectureError
from sfg_nas.fixed import distill
from tests.conversions import allocations, pair
from tests.networks import CASES

Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize("name", CASES)
def test_the_schema_accepts_what_is_written(name: str) -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    supernet = pair(name).connections
    for allocation in allocations(supernet).values():
        validator.validate(json.loads(distill(supernet, allocation).to_json()))


def first(content: dict[str, Any]) -> dict[str, Any]:
    node: dict[str, Any] = next(iter(content["nodes"].values()))
    return node


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(schema=2),
        lambda c: c.pop("tasks"),
        lambda c: c["edges"][0].pop("slots"),
        lambda c: c["edges"][0].update(channels=-1),
        lambda c: first(c).update(channels="0-"),
        lambda c: first(c).update(shape=[0]),
        lambda c: first(c).update(settings={"a": {}}),
        lambda c: first(c).update(repeats=0),
        lambda c: first(c).pop("op"),
    ],
)
def test_both_refuse_the_same(change: Change) -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    supernet = pair("vgg").connections
    content = json.loads(distill(supernet, allocations(supernet)["random"]).to_json())
    change(content)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, json_schema())
    with pytest.raises(ArchitectureError):
        Architecture.from_json(json.dumps(content))
