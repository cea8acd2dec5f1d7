"""From a study file, or a mapping, to a `StudyConfig`; all errors at once."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue, ValidationError

from sfg_nas.config.messages import problem_of
from sfg_nas.config.models import StudyConfig
from sfg_nas.config.problems import Problem, config_error, describe
from sfg_nas.config.reader import Document, KeyPath, Value, parse_yaml, read_yaml
from sfg_nas.config.rules import Names, broken_rules, problems_elsewhere
from sfg_nas.config.schema import advice
from sfg_nas.errors import ConfigError

NO_NAMES = Names()
_CANDIDATE = "candidate"


def load_study_config(
    source: str | Path | Mapping[str, JsonValue],
    overrides: Mapping[str, Value] | None = None,
    names: Names = NO_NAMES,
) -> StudyConfig:
    """Return the checked study of a file or a mapping, with overrides put in its place.

    Args:
        source: A study file's path, or its content as a mapping.
        overrides: Dotted key to value, as from `--set training.epochs=3` (see `parse_overrides`).
        names: The backbones, data sets and tasks that exist.

    Raises:
        ConfigError: If anything is wrong; its message has one line for each wrong thing.
    """
    if isinstance(source, (str, Path)):
        document = read_yaml(source)
    else:
        document = Document(name="study", value=_copy(typing.cast("Value", dict(source))))
    return check_study(document, overrides or {}, names)


def check_study(
    document: Document, overrides: Mapping[str, Value], names: Names = NO_NAMES
) -> StudyConfig:
    """Return the checked study of a document that was read already.

    Args:
        document: A study's values and lines.
        overrides: Dotted key to value.
        names: The backbones, data sets and tasks that exist.

    Raises:
        ConfigError: If anything is wrong; its message has one line for each wrong thing.
    """
    study, problems = _check(document, overrides, names)
    if study is None or problems:
        raise config_error(problems)
    return study


def override(
    study: StudyConfig,
    changes: Mapping[str, Value],
    names: Names = NO_NAMES,
    *,
    where: str = _CANDIDATE,
) -> StudyConfig:
    """Return the study with other values at some dotted keys, checked again.

    Args:
        study: The study to start from; it stays as it is.
        changes: Dotted key to value, such as a candidate.
        names: The backbones, data sets and tasks that exist.
        where: What the changes are, for messages.

    Raises:
        ConfigError: If a key does not exist or the values do not fit together.
    """
    return check_study(_resolved(study, where), changes, names)


def problems_of_override(
    study: StudyConfig, changes: Mapping[str, Value], names: Names = NO_NAMES
) -> list[Problem]:
    """Return what `override` would complain about; an empty list if nothing.

    Args:
        study: The study to start from.
        changes: Dotted key to value.
        names: The backbones, data sets and tasks that exist.
    """
    return _check(_resolved(study, _CANDIDATE), changes, names)[1]


def parse_overrides(pairs: Sequence[str]) -> dict[str, Value]:
    """Return `key=value` texts as dotted keys and YAML values.

    Args:
        pairs: Such as `training.epochs=3` or `sharing.groups=lattice`.

    Raises:
        ConfigError: If a text has no `=`, an empty or repeated key, or a value that is no YAML.
    """
    result: dict[str, Value] = {}
    problems: list[Problem] = []
    for pair in pairs:
        key, equals, text = pair.partition("=")
        key, where = key.strip(), f"--set {pair}"
        if not equals or not all(key.split(".")):
            do = "write for example --set training.epochs=3"
            problems.append(Problem(where, "`key=value` must be given", describe(pair), do))
        elif key in result:
            problems.append(Problem(where, "a key is set once", f"`{key}` again", "keep one"))
        else:
            try:
                result[key] = parse_yaml(text, name="value").value
            except ConfigError as error:
                rule = "the value must be YAML"
                problems.append(Problem(where, rule, f"({error})", "quote the value"))
    if problems:
        raise config_error(problems)
    return result


def _check(
    document: Document, overrides: Mapping[str, Value], names: Names
) -> tuple[StudyConfig | None, list[Problem]]:
    if not isinstance(document.value, dict):
        found = "an empty file" if document.value is None else describe(document.value)
        rule = "a study is a mapping with `name`, `data` and `backbone`"
        return None, [Problem(document.name, rule, found, "start from `sfg-nas init`")]
    problems: list[Problem] = []
    raw = _copy(document.value)
    for key, value in overrides.items():
        problems += _put(raw, key, _copy(value))  # what is given stays as it is
    where = _Where(document, tuple(overrides))
    study: StudyConfig | None = None
    try:
        study = StudyConfig.model_validate(raw)
    except ValidationError as error:
        problems += [problem_of(dict(item), where, advice) for item in error.errors()]
    problems += [Problem(where(path), *rest) for path, *rest in broken_rules(raw, names)]
    problems += problems_elsewhere(raw, names)
    return study, list(dict.fromkeys(problems))


def _resolved(study: StudyConfig, name: str) -> Document:
    value = typing.cast("dict[str, Value]", study.model_dump(mode="json"))
    return Document(name=name, value=value, resolved=True)


def _copy(value: Value) -> typing.Any:  # noqa: ANN401 (a copy of whatever the YAML held)
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, (list, tuple)) else value


def _put(raw: dict[str, Value], key: str, value: Value) -> list[Problem]:
    """Set a dotted key in place; sections that are missing are made.

    Where a section has keys with dots, such as `sharing.lambda3` of a space, the longest that fits is meant.
    """
    here, rest = raw, key.split(".")
    while True:
        lengths = range(len(rest), 0, -1)
        length = next((n for n in lengths if ".".join(rest[:n]) in here), 1)
        name, rest = ".".join(rest[:length]), rest[length:]
        if not rest:
            here[name] = value
            return []
        inner = here.get(name)
        if inner is None:
            inner = here[name] = {}
        if not isinstance(inner, dict):
            found = f"`{key.removesuffix('.' + '.'.join(rest))}`: {describe(inner)}"
            rule = "only keys of sections can be set"
            return [Problem(f"--set {key}", rule, found, "set that key as a whole")]
        here = inner


class _Where:
    """Says where a key was written: on a line of the file, or in an override."""

    def __init__(self, document: Document, overrides: tuple[str, ...]) -> None:
        self.document = document
        self.overrides = overrides

    def __call__(self, path: KeyPath) -> str:
        dotted = ".".join(map(str, path))
        for key in self.overrides:
            if dotted == key or dotted.startswith(f"{key}."):
                document = self.document
                return f"{document.name}: {dotted}" if document.resolved else f"--set {key}"
        return self.document.where(path)
