"""The JSON Schema of study files with what the other stages offer: names, and the options of each data set."""

from __future__ import annotations

import inspect
import re
import typing
from typing import cast

from sfg_nas.backbones import BACKBONES
from sfg_nas.config import study_schema
from sfg_nas.data import (
    AUGMENTATIONS,
    COLUMN_TASK_KEYS,
    DATASETS,
    VOLUME_AUGMENTATIONS,
    data_options,
)
from sfg_nas.tasks import TASK_KINDS

Schema = dict[str, object]
_SIMPLE: dict[object, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}
_TYPES: dict[str, Schema] = {
    "column": {"type": "string"},
    "columns": {"type": "array", "items": {"type": "string"}},
    "unit": {"type": "string"},
    "classes": {"type": "array", "items": {"type": ["string", "number", "boolean"]}},
    "class_weights": {"type": ["string", "array", "object"]},
    "likelihood": {
        "enum": sorted({word for kind in TASK_KINDS.values() for word in kind.likelihoods})
    },
    "values": {"type": "array", "items": {"type": ["integer", "string"]}},
    "missing": {"type": ["number", "string", "array"]},
    "factor": {"type": "number"},
}


def full_schema() -> Schema:
    """Return the JSON Schema that is published: the study's keys, and the options of each kind of data set."""
    schema = cast("Schema", study_schema())
    parts = cast("dict[str, Schema]", schema["$defs"])
    data = cast("Schema", parts["DataConfig"]["properties"])
    data["kind"] = _named(data["kind"], list(DATASETS))
    known = list({**AUGMENTATIONS, **VOLUME_AUGMENTATIONS})
    data["augment"] = {**cast("Schema", data["augment"]), "items": {"enum": known}}
    rules = [_options(kind, list(data)) for kind in DATASETS]
    parts["DataConfig"] = {**parts["DataConfig"], "allOf": rules}
    backbone = cast("Schema", parts["BackboneConfig"]["properties"])
    backbone["kind"] = _named(backbone["kind"], list(BACKBONES))
    return schema


def _named(field: object, names: list[str]) -> Schema:
    """Return the schema of text that an editor completes with names, and that may be another's."""
    own = {key: value for key, value in cast("Schema", field).items() if key != "type"}
    return {**own, "anyOf": [{"enum": names}, {"type": "string"}]}


def _options(kind: str, common: list[str]) -> Schema:
    """Return the rule that a kind of data set has these keys and no others."""
    load = DATASETS[kind]
    hints, said = typing.get_type_hints(load), _arguments(inspect.getdoc(load) or "")
    properties: Schema = {}
    for name, default in data_options(kind).items():
        if name not in common:
            options = _type(hints[name])
            plain = isinstance(default, str | int | float | bool) and default != ""
            options |= {"default": default} if plain else {}
            properties[name] = options | {"description": said.get(name, "")}
    if kind == "table":
        properties["tasks"] = _tasks(said["tasks"])
    keys = sorted({*common, *properties})
    return {
        "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
        "then": {"properties": properties, "propertyNames": {"enum": keys}},
    }


def _tasks(description: str) -> Schema:
    entry: Schema = {"kind": {"enum": list(TASK_KINDS), "description": "What is predicted."}}
    for key, text in COLUMN_TASK_KEYS.items():
        if key != "kind":
            entry[key] = {**_TYPES[key], "description": text}
    task: Schema = {
        "type": "object",
        "properties": entry,
        "required": ["kind"],
        "additionalProperties": False,
    }
    return {"type": "object", "description": description, "additionalProperties": task}


def _type(hint: object) -> Schema:
    """Return the schema of a type; an empty one allows anything."""
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    if hint is type(None):
        return {"type": "null"}
    arguments = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin is not None and isinstance(origin, type) and issubclass(origin, typing.Mapping):
        return {"type": "object"}
    if origin is not None and isinstance(origin, type) and issubclass(origin, typing.Sequence):
        return {"type": "array"}
    choices = [_type(argument) for argument in arguments]
    return {"anyOf": choices} if choices and all(choices) else {}


def _arguments(docstring: str) -> dict[str, str]:
    """Return what a docstring in Google's style says of each argument."""
    section = re.search(r"^Args:\n((?: .*\n|\n)*)", docstring + "\n", re.MULTILINE)
    lines = re.findall(
        r"^    (\w+): (.*(?:\n     .*)*)", section[1] if section else "", re.MULTILINE
    )
    return {name: " ".join(text.split()) for name, text in lines}
