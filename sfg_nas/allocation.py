"""The hard result of a search: one group for every filter of every searchable layer."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sfg_nas.errors import ArchitectureError, ConfigError, explain
from sfg_nas.files import parse_json, read_text
from sfg_nas.groups import Groups

SCHEMA = 1


@dataclass(frozen=True)
class Allocation:
    """One group index per filter, layer by layer.

    Attributes:
        groups: The groups that the indices refer to.
        layers: Path of each searchable layer in the backbone, to F group indices.
    """

    groups: Groups
    layers: Mapping[str, tuple[int, ...]]

    def __post_init__(self) -> None:
        """Freeze the layers and check that every filter is in exactly one known group.

        Raises:
            ArchitectureError: An index is not one of the groups.
        """
        frozen = {name: tuple(int(g) for g in row) for name, row in self.layers.items()}
        for name, row in frozen.items():
            wrong = sorted({g for g in row if not 0 <= g < len(self.groups)})
            if wrong:
                raise ArchitectureError(
                    explain(
                        where=f"allocation of layer `{name}`",
                        rule=f"a group index is in 0..{len(self.groups) - 1}",
                        found=str(wrong),
                        do="use the index of one of the groups",
                    )
                )
        object.__setattr__(self, "layers", MappingProxyType(frozen))

    def counts(self) -> dict[str, tuple[int, ...]]:
        """Return the number of filters per group `[G]` for every layer."""
        indices = range(len(self.groups))
        return {name: tuple(row.count(g) for g in indices) for name, row in self.layers.items()}

    def to_json(self) -> str:
        """Return the allocation as JSON text."""
        content = {
            "schema": SCHEMA,
            "tasks": list(self.groups.tasks),
            "groups": [sorted(group) for group in self.groups.sets],
            "layers": {name: list(row) for name, row in self.layers.items()},
        }
        return json.dumps(content, indent=1)

    @classmethod
    def from_json(cls, text: str, *, where: str = "allocation") -> Allocation:
        """Return the allocation that a JSON text describes.

        Args:
            text: What `to_json` wrote.
            where: Name of the source, for messages.

        Raises:
            ArchitectureError: The text is not such a description.
        """
        content: Any = parse_json(text, where=where, what="an allocation file")
        try:
            if content["schema"] != SCHEMA:
                raise ValueError(f"schema {content['schema']!r}")  # noqa: TRY301
            sets = tuple(frozenset(_indices(group)) for group in content["groups"])
            groups = Groups(tuple(str(name) for name in content["tasks"]), sets)
            layers = {name: _indices(row) for name, row in content["layers"].items()}
            return cls(groups, layers)
        except ArchitectureError:
            raise
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            ConfigError,
            RecursionError,
            OverflowError,
        ) as err:
            raise ArchitectureError(
                explain(
                    where=where,
                    rule=f"an allocation file (schema {SCHEMA}) is expected",
                    found=f"{type(err).__name__}: {str(err)[:200]}",
                    do="write it with `Allocation.save`",
                )
            ) from err

    def save(self, path: str | Path) -> None:
        """Write the allocation to a JSON file, atomically."""
        path = Path(path)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        part.write_text(self.to_json(), encoding="utf-8")
        part.replace(path)

    @classmethod
    def load(cls, path: str | Path) -> Allocation:
        """Return the allocation stored in a JSON file.

        Raises:
            ArchitectureError: The file cannot be read or holds something else.
        """
        text = read_text(Path(path))
        return cls.from_json(text, where=str(path))


def _indices(values: object) -> tuple[int, ...]:
    """Return whole numbers as a tuple.

    Raises:
        TypeError: They are something else.
    """
    if not isinstance(values, list) or not all(type(v) is int for v in values):
        raise TypeError(f"whole numbers are expected, not {str(values)[:60]}")
    return tuple(values)
