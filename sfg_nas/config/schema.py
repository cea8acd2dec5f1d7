"""Which keys a study file may hold, and whether one value alone is legal at one of them."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping

from pydantic import BaseModel, JsonValue, ValidationError

from sfg_nas.config.messages import problem_of, rule_of
from sfg_nas.config.models import StudyConfig
from sfg_nas.config.problems import Problem, did_you_mean
from sfg_nas.config.reader import KeyPath, Value


def schema_keys(model: type[BaseModel] = StudyConfig, prefix: str = "") -> list[str]:
    """Return the dotted keys of all single values that a study file may hold.

    Args:
        model: The section to start from.
        prefix: What stands before each key.
    """
    keys: list[str] = []
    for name in model.model_fields:
        inner = section_at((name,), model)
        keys += schema_keys(inner, f"{prefix}{name}.") if inner else [f"{prefix}{name}"]
    return keys


def check_field(key: str, value: JsonValue) -> str | None:
    """Return the rule that a value breaks at a key, whatever stands elsewhere; None if none.

    Args:
        key: A dotted key of the schema.
        value: The value to try.
    """
    path = tuple(key.split("."))
    raw: JsonValue = value
    for name in reversed(path):
        raw = {name: raw}
    try:
        StudyConfig.model_validate(raw)
    except ValidationError as error:
        for item in error.errors():
            if item["loc"][: len(path)] == path:
                return rule_of(dict(item))
    return None


def whole_study(content: Mapping[str, Value]) -> StudyConfig | Problem:
    """Return the study that a resolved mapping holds, or the first thing that is wrong with it.

    Args:
        content: All keys of a study.
    """
    try:
        return StudyConfig.model_validate(content)
    except ValidationError as error:
        return problem_of(dict(error.errors()[0]), lambda key: ".".join(map(str, key)), str)


def advice(path: KeyPath) -> str:
    """Return `did you mean` from the keys beside an unknown one, else from the whole schema.

    Args:
        path: Where the unknown key stands.
    """
    section = section_at(path[:-1])
    here = list(section.model_fields) if section else []
    word = str(path[-1])
    elsewhere = [key for key in schema_keys() if key.split(".")[-1] == word]
    if elsewhere:
        return f"did you mean `{elsewhere[0]}`? (the keys here are {', '.join(sorted(here))})"
    return did_you_mean(word, here, what="keys")


def section_at(path: KeyPath, model: type[BaseModel] = StudyConfig) -> type[BaseModel] | None:
    """Return the section at a key path, None where a plain value or nothing stands.

    Args:
        path: Keys from the model down.
        model: Where to start.
    """
    current: type[BaseModel] | None = model
    for key in path:
        info = current.model_fields.get(str(key)) if current else None
        if info is None:
            return None
        current = next(_models(info.annotation), None)
    return current


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        for argument in typing.get_args(annotation):
            yield from _models(argument)
