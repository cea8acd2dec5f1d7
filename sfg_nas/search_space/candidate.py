"""One point of a search space."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sfg_nas.config import Names, StudyConfig, override
from sfg_nas.errors import ConfigError, explain
from sfg_nas.files import parse_json

Choice = str | int | float | bool


@dataclass(frozen=True)
class Candidate(Mapping[str, Choice]):
    """A frozen mapping from dotted study keys to values; equal and hashed by content.

    Attributes:
        items_: The keys and values, sorted by key.
    """

    items_: tuple[tuple[str, Choice], ...] = ()

    @staticmethod
    def of(values: Mapping[str, Choice]) -> Candidate:
        """Return the candidate that holds these values.

        Args:
            values: Dotted study key to value.
        """
        return Candidate(tuple(sorted(values.items())))

    def __getitem__(self, key: str) -> Choice:
        return dict(self.items_)[key]

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self.items_))

    def __len__(self) -> int:
        return len(self.items_)

    def apply(self, study: StudyConfig, names: Names | None = None) -> StudyConfig:
        """Return the study of this trial: the given one with the candidate's values.

        Args:
            study: The study that is searched.
            names: The backbones, data sets and tasks that exist.

        Raises:
            ConfigError: If the values do not fit into the study.
        """
        return override(study, dict(self), names or Names())

    def to_json(self) -> str:
        """Return the candidate as JSON that `from_json` reads back."""
        return json.dumps(dict(self.items_), indent=1, allow_nan=False)

    @staticmethod
    def from_json(text: str, where: str = "candidate") -> Candidate:
        """Return the candidate that `to_json` wrote.

        Args:
            text: A JSON object of plain values.
            where: Where it comes from, for messages.

        Raises:
            ConfigError: If it is something else.
        """
        rule, do = "a JSON object of dotted keys and plain values is needed", "write it anew"
        values = parse_json(
            text,
            where=where,
            what="a candidate, a JSON object of plain values,",
            error=ConfigError,
        )
        if not isinstance(values, dict) or not all(isinstance(v, Choice) for v in values.values()):
            raise ConfigError(explain(where=where, rule=rule, found=repr(values)[:200], do=do))
        return Candidate.of(values)
