"""The starter studies and search spaces: inside the installed package, or in the checkout."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal

from sfg_nas.config.problems import did_you_mean
from sfg_nas.errors import ConfigError, explain

SCHEMA_LINE = "# yaml-language-server: $schema="
"""How a study file's first line tells an editor where its JSON Schema lies."""

Kind = Literal["studies", "search_spaces"]
_NOUNS = {"studies": "study", "search_spaces": "search space"}


def shipped(kind: Kind) -> dict[str, Path]:
    """Return the starter files of a kind: bare name to path, sorted by name.

    Args:
        kind: `studies` or `search_spaces`.
    """
    package = Path(str(files("sfg_nas")))
    for folder in (package / "starter" / kind, package.parent / kind):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    return {}


def published_schema() -> str:
    """Return the JSON Schema of study files as the package ships it; `make schema` writes it anew."""
    return (Path(str(files("sfg_nas"))) / "config" / "study.schema.json").read_text(
        encoding="utf-8"
    )


def find_file(kind: Kind, name: str, *, beside: Path | None = None) -> Path:
    """Return the file that a name or path means.

    A name without a folder and a suffix is a starter file; anything else is a path, tried from the folder of
    the file that mentions it and from the current one.

    Args:
        kind: `studies` or `search_spaces`.
        name: A bare name such as `paper`, or a path.
        beside: The folder of the file that mentions the name.

    Raises:
        ConfigError: If there is no such file.
    """
    folders = [beside] if beside else []
    for candidate in [*(folder / name for folder in folders), Path(name)]:
        if candidate.is_file():
            return candidate
    known = shipped(kind)
    if name in known:
        return known[name]
    rule = f"a {_NOUNS[kind]}'s name or file is needed"
    do = did_you_mean(Path(name).stem, known, what=f"shipped {kind.replace('_', ' ')}")
    raise ConfigError(explain(where=name, rule=rule, found="no such file or name", do=do))
