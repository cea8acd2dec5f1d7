"""YAML text to plain values, each with the line it stands on; nothing in it can run code.

Only mappings, lists and scalars of the YAML 1.2 core schema are read. So `1e-3` is a number and `no` is text, unlike
in YAML 1.1, and tags, anchors, aliases, merge keys and duplicate keys are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, cast

import yaml

from sfg_nas.config.problems import Problem, config_error
from sfg_nas.errors import ConfigError, explain

Scalar: TypeAlias = str | int | float | bool | None
Value: TypeAlias = "Scalar | list[Value] | dict[str, Value]"
KeyPath: TypeAlias = tuple[str | int, ...]

MAX_BYTES = 1_000_000
_SCALARS = {
    "null": re.compile(r"^(?:~|null|Null|NULL|)$"),
    "bool": re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"),
    "int": re.compile(r"^[-+]?[0-9]+$"),
    "float": re.compile(
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
}


@dataclass(frozen=True)
class Document:
    """What a YAML file says, and where it says it.

    Attributes:
        name: The file's path as the user gave it, or a word for what is no file.
        value: The file's value.
        lines: The line (from 1) of each key path.
        inside: Where in the file the value stands, empty for the whole of it.
        resolved: Whether it is no file but a study that was right, so that only changes can be wrong with it.
    """

    name: str
    value: Value
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    inside: KeyPath = ()
    resolved: bool = False

    def part(self, *path: str) -> Document:
        """Return what stands at a key path, None if nothing does, still with its file and lines.

        Args:
            path: Keys from the top of this document.
        """
        value = self.value
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        size = len(path)
        lines = {place[size:]: line for place, line in self.lines.items() if place[:size] == path}
        return Document(self.name, value, lines, inside=(*self.inside, *path))

    def where(self, path: KeyPath) -> str:
        """Return `file:line: dotted.key` for a key path, or for the nearest one above it.

        Args:
            path: Keys and list positions from the top of the file.
        """
        dotted = ".".join(map(str, (*self.inside, *path)))
        for length in range(len(path), -1, -1):
            line = self.lines.get(path[:length])
            if line is not None:
                return f"{self.name}:{line}: {dotted}" if dotted else f"{self.name}:{line}"
        return f"{self.name}: {dotted}" if dotted else self.name


class _Loader(yaml.SafeLoader):
    """Composes nodes; the tags of scalars are decided here, not by YAML 1.1's table."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (yaml's own)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        tag = getattr(event, "tag", None)
        found = f"tags ({tag}) are not read here" if tag else ""
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            found = "anchors and aliases (& and *) are not read here"
        if found:
            mark = cast("yaml.Mark", event.start_mark)
            raise yaml.composer.ComposerError(None, None, found, mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        return node


def read_yaml(path: str | Path) -> Document:
    """Return the values and lines of a YAML file.

    Args:
        path: A file in UTF-8.

    Raises:
        ConfigError: If the file cannot be read or is no YAML of the kind that is read here.
    """
    path = Path(path)
    rule = "a YAML file that can be read is needed"
    if not path.exists():
        raise ConfigError(
            explain(where=str(path), rule=rule, found="no such file", do="check the path")
        )
    if not path.is_file():
        raise ConfigError(
            explain(where=str(path), rule=rule, found="no plain file", do="give a file")
        )
    try:
        if path.stat().st_size > MAX_BYTES:
            found, do = f"more than {MAX_BYTES} bytes", "is this really a study or a space?"
            raise ConfigError(explain(where=str(path), rule=rule, found=found, do=do))
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        found, do = f"bytes that are not UTF-8 ({error.reason})", "save it as UTF-8 text"
        raise ConfigError(explain(where=str(path), rule=rule, found=found, do=do)) from error
    except OSError as error:
        found, do = str(error.strerror), "check its permissions"
        raise ConfigError(explain(where=str(path), rule=rule, found=found, do=do)) from error
    return parse_yaml(text, name=str(path))


def parse_yaml(text: str, *, name: str = "text") -> Document:
    """Return the values and lines of YAML text.

    Args:
        text: One YAML document.
        name: What to call it in messages.

    Raises:
        ConfigError: If it is no YAML, holds several documents, tags, anchors or aliases, or repeats a key.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        found = " ".join(filter(None, (error.context, error.problem)))
        raise ConfigError(_not_yaml(where, found)) from error
    except yaml.YAMLError as error:
        raise ConfigError(_not_yaml(name, str(error).replace("\n", " "))) from error
    except RecursionError as error:
        raise ConfigError(_not_yaml(name, "values nested too deeply")) from error
    builder = _Builder(name)
    value = builder.build(node, ()) if node is not None else None
    if builder.problems:
        raise config_error(builder.problems)
    return Document(name=name, value=value, lines=builder.lines)


def _not_yaml(where: str, found: str) -> str:
    return explain(
        where=where,
        rule="plain YAML (mappings, lists, text, numbers) is needed",
        found=found,
        do="mend the line; quote text that holds `: `, `#`, `*`, `&`, `!` or a tab",
    )


class _Builder:
    """Turns composed nodes into values and gathers lines and problems."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[Problem] = []

    def build(self, node: yaml.Node, path: KeyPath) -> Value:
        """Return the value of a node and note the lines of all that it holds."""
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        plain = isinstance(node, yaml.ScalarNode) and node.style is None
        return read_scalar(node.value) if plain else str(node.value)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Value]:
        result: dict[str, Value] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode) or key_node.value == "<<":
                found, do = "a list, a mapping or `<<` as a key", "write plain keys"
                self._refuse(line, path, "a key is one word", found, do)
                continue
            key = str(key_node.value)
            here = (*path, key)
            if key in result:
                found = f"`{key}` again (first on line {self.lines[here]})"
                self._refuse(line, here, "a key stands once in its mapping", found, "keep one")
                continue
            self.lines[here] = line
            result[key] = self.build(value_node, here)
        return result

    def _refuse(self, line: int, path: KeyPath, rule: str, found: str, do: str) -> None:
        where = f"{self.name}:{line}" + (f": {'.'.join(map(str, path))}" if path else "")
        self.problems.append(Problem(where, rule, found, do))


def read_scalar(text: str) -> Scalar:
    """Return what an unquoted YAML 1.2 scalar means.

    Args:
        text: The scalar as written.

    Example:
        >>> read_scalar("1e-3"), read_scalar("no"), read_scalar("true"), read_scalar("null")
        (0.001, 'no', True, None)
    """
    if _SCALARS["null"].match(text):
        return None
    if _SCALARS["bool"].match(text):
        return text.lower() == "true"
    if _SCALARS["int"].match(text) and len(text) <= 100:
        return int(text)
    if _SCALARS["float"].match(text):
        lower = text.lower()
        return float(lower.replace(".", "") if lower.endswith(("inf", "nan")) else lower)
    return text
