"""From a study file, or a mapping, to a `StudyConfig`; all errors at once."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, JsonValue, ValidationError

from sfg_nas.config.models import StudyConfig
from sfg_nas.config.problems import Problem, config_error, describe, did_you_mean
from sfg_nas.config.reader import Document, KeyPath, Value, parse_yaml, read_yaml
from sfg_nas.config.rules import Names, broken_rules
from sfg_nas.errors import ConfigError

NO_NAMES = Names()


def load_study_config(
    source: str | Path | Mapping[str, JsonValue],
    overrides: Mapping[str, str | int | float | bool | None] | None = None,
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
    document = _document(source)
    return check_study(document, dict(overrides or {}), names)


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
    if not isinstance(document.value, dict):
        found = "an empty file" if document.value is None else describe(document.value)
        rule = "a study is a mapping with `name`, `data` and `backbone`"
        do = "start from `sfg-nas init`"
        raise config_error([Problem(document.name, rule, found, do)])
    problems: list[Problem] = []
    raw = _copy(document.value)
    for key, value in overrides.items():
        problems += _put(raw, key, value)
    where = _Where(document, tuple(overrides))
    study: StudyConfig | None = None
    try:
        study = StudyConfig.model_validate(raw)
    except ValidationError as error:
        problems += [_problem(dict(item), where) for item in error.errors()]
    problems += [Problem(where(path), *rest) for path, *rest in broken_rules(raw, names)]
    if problems or study is None:
        raise config_error(_unique(problems))
    return study


def override(
    study: StudyConfig, changes: Mapping[str, Value], names: Names = NO_NAMES
) -> StudyConfig:
    """Return the study with other values at some dotted keys, checked again.

    Args:
        study: The study to start from; it stays as it is.
        changes: Dotted key to value, such as a candidate.
        names: The backbones, data sets and tasks that exist.

    Raises:
        ConfigError: If a key does not exist or the values do not fit together.
    """
    document = Document(name="candidate", value=_plain(study))
    return check_study(document, changes, names)


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
        key = key.strip()
        if not equals or not key:
            rule = "`key=value` must be given"
            do = "write for example --set training.epochs=3"
            problems.append(Problem(f"--set {pair}", rule, describe(pair), do))
        elif key in result:
            problems.append(Problem(f"--set {pair}", "a key is set once", f"`{key}` again", "keep one"))
        else:
            try:
                result[key] = parse_yaml(text, name=f"--set {key}").value
            except ConfigError as error:
                do = "quote the value"
                problems.append(Problem(f"--set {key}", "a YAML value is needed", str(error), do))
    if problems:
        raise config_error(problems)
    return result


def _document(source: str | Path | Mapping[str, JsonValue]) -> Document:
    if isinstance(source, (str, Path)):
        return read_yaml(source)
    return Document(name="study", value=_copy(typing.cast("Value", dict(source))))


def _plain(study: StudyConfig) -> dict[str, Value]:
    return typing.cast("dict[str, Value]", study.model_dump(mode="json"))


def _copy(value: Value) -> typing.Any:  # noqa: ANN401 (a copy of whatever the YAML held)
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, (list, tuple)) else value


def _put(raw: dict[str, Value], key: str, value: Value) -> list[Problem]:
    """Set a dotted key in place; sections that are missing are made."""
    *sections, last = key.split(".")
    here = raw
    for depth, name in enumerate(sections):
        inner = here.get(name)
        if inner is None:
            inner = here[name] = {}
        if not isinstance(inner, dict):
            found = f"`{'.'.join(sections[: depth + 1])}` is {describe(inner)}"
            return [Problem(f"--set {key}", "only keys of sections can be set", found, "set it whole")]
        here = inner
    here[last] = value
    return []


class _Where:
    """Says where a key was written: on a line of the file, or in an override."""

    def __init__(self, document: Document, overrides: tuple[str, ...]) -> None:
        self.document = document
        self.overrides = overrides

    def __call__(self, path: KeyPath) -> str:
        dotted = ".".join(map(str, path))
        for key in self.overrides:
            if dotted == key or dotted.startswith(f"{key}.") or key.startswith(f"{dotted}."):
                from_file = self.document.name == "candidate"
                return f"candidate: {dotted}" if from_file else f"--set {key}"
        return self.document.where(path)


def _problem(error: dict[str, typing.Any], where: _Where) -> Problem:
    """Return one of pydantic's findings in the four parts of our messages."""
    path: KeyPath = tuple(error["loc"])
    kind, found = str(error["type"]), describe(error["input"])
    context = error.get("ctx") or {}
    if kind == "rule":
        path = (*path, context["key"]) if context["key"] else path
        return Problem(where(path), context["rule"], context["found"], context["do"])
    if kind == "extra_forbidden":
        do = _advice(path)
        return Problem(where(path), "only known keys may stand here", f"`{path[-1]}`", do)
    if kind == "missing":
        rule = f"`{path[-1]}` is required"
        return Problem(where(path), rule, "nothing", f"add `{path[-1]}: ...`")
    return Problem(where(path), _rule(kind, context, str(error["msg"])), found, _do(kind, found))


_RULES = {
    "greater_than": "a value above {gt} is needed",
    "greater_than_equal": "a value of at least {ge} is needed",
    "less_than": "a value below {lt} is needed",
    "less_than_equal": "a value of at most {le} is needed",
    "literal_error": "one of {expected} is needed",
    "int_type": "a whole number is needed",
    "float_type": "a number is needed",
    "finite_number": "a finite number is needed",
    "bool_type": "true or false is needed",
    "string_type": "text is needed",
    "tuple_type": "a list is needed",
    "dict_type": "a mapping is needed",
    "model_type": "a mapping of keys is needed",
    "string_pattern_mismatch": "text like {pattern} is needed",
    "too_short": "at least {min_length} entries are needed",
}


def _rule(kind: str, context: Mapping[str, object], message: str) -> str:
    return _RULES[kind].format(**context) if kind in _RULES else message


def _do(kind: str, found: str) -> str:
    if kind in {"int_type", "float_type", "bool_type"} and found.endswith("(text)"):
        return "remove the quotes, or write the value as it is needed"
    return "correct the value"


def _advice(path: KeyPath) -> str:
    """Return `did you mean` from the keys beside an unknown one, else from the whole schema."""
    here = _fields(_section_of(StudyConfig, path[:-1]))
    word = str(path[-1])
    elsewhere = [key for key in schema_keys() if key.split(".")[-1] == word]
    if word not in here and elsewhere:
        return f"did you mean `{elsewhere[0]}`? (the keys here are {', '.join(sorted(here))})"
    return did_you_mean(word, here, what="keys")


def schema_keys(model: type[BaseModel] = StudyConfig, prefix: str = "") -> list[str]:
    """Return the dotted keys of all single values that a study file may hold.

    Args:
        model: The section to start from.
        prefix: What stands before each key.
    """
    keys: list[str] = []
    for name in _fields(model):
        inner = _section_of(model, (name,))
        keys += schema_keys(inner, f"{prefix}{name}.") if inner else [f"{prefix}{name}"]
    return keys


def _fields(model: type[BaseModel] | None) -> list[str]:
    return list(model.model_fields) if model else []


def _section_of(model: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    """Return the model at a key path, None where a plain value or nothing stands."""
    current: type[BaseModel] | None = model
    for key in path:
        info = current.model_fields.get(str(key)) if current else None
        if info is None:
            return None
        current = next(_models(info.annotation), None)
    return current


def _models(annotation: object) -> typing.Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        for argument in typing.get_args(annotation):
            yield from _models(argument)


def _unique(problems: Sequence[Problem]) -> list[Problem]:
    return list(dict.fromkeys(problems))
