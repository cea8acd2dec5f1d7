"""What may vary in a study, checked against the study's schema, and asked for by Optuna's trials."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydantic import JsonValue

from sfg_nas.config import (
    Document,
    Names,
    Problem,
    StudyConfig,
    Value,
    check_study,
    config_error,
    describe,
    did_you_mean,
    find_file,
    parse_yaml,
    read_yaml,
)
from sfg_nas.errors import ConfigError
from sfg_nas.search_space.candidate import Candidate, Choice
from sfg_nas.search_space.checks import (
    check_fits,
    in_order,
    key_problems,
    parse_dimensions,
    value_at,
)
from sfg_nas.search_space.dimension import Dimension

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class SearchSpace:
    """Dotted study keys and what each may become; parents stand before their conditionals.

    Attributes:
        dimensions: Key and dimension, in the order in which a trial is asked.
        name: The file or words it came from, for messages.
    """

    dimensions: tuple[tuple[str, Dimension], ...]
    name: str = "search space"

    @staticmethod
    def from_yaml(path: str | Path) -> SearchSpace:
        """Return the space of a file, or of a shipped space's bare name.

        Args:
            path: A file, or a name such as `paper`.

        Raises:
            ConfigError: If the file is missing or anything in it is wrong; all of it at once.
        """
        found = path if isinstance(path, Path) else find_file("search_spaces", path)
        return SearchSpace.from_document(read_yaml(found))

    @staticmethod
    def from_mapping(
        entries: Mapping[str, Mapping[str, JsonValue]], *, name: str = "search.space"
    ) -> SearchSpace:
        """Return the space of entries that stand in a study or come from Python.

        Args:
            entries: Dotted key to its entry.
            name: What to call it in messages.

        Raises:
            ConfigError: If an entry is wrong; all of them at once.
        """
        value = {k: dict(e) if isinstance(e, Mapping) else e for k, e in entries.items()}
        return SearchSpace.from_document(Document(name=name, value=cast("Value", value)))

    @staticmethod
    def from_document(document: Document) -> SearchSpace:
        """Return the space of a YAML document that was read already.

        Args:
            document: Values and lines.

        Raises:
            ConfigError: If an entry is wrong; all of them at once.
        """
        if document.value is None:
            return SearchSpace((), name=document.name)
        if not isinstance(document.value, dict):
            rule, do = "a space maps dotted study keys to entries", "see search_spaces/paper.yaml"
            found = describe(document.value)
            raise config_error([Problem(document.name, rule, found, do)])
        dimensions, problems = parse_dimensions(document)
        problems += key_problems(document, dimensions)
        if problems:
            raise config_error(problems)
        return SearchSpace(tuple(in_order(document.name, dimensions)), name=document.name)

    @staticmethod
    def from_study(
        study: StudyConfig,
        names: Names | None = None,
        *,
        beside: Path | None = None,
        document: Document | None = None,
    ) -> SearchSpace:
        """Return a study's space, bound to it: checked in it, and without conditions that it decides.

        Args:
            study: A checked study.
            names: The backbones, data sets and tasks that exist.
            beside: The folder of the study file, where a relative space file is looked for first.
            document: The study file with its lines, for the messages.

        Raises:
            ConfigError: If the space is missing or wrong, or an end of a range is no legal value in this study.
        """
        entries = _entries(cast("Value", study.search.space), document, beside)
        space = SearchSpace.from_document(entries).bind(study)
        problems = check_fits(entries, space.dimensions, study, names or Names())
        if not problems:
            problems = space.misfits(study)
        if problems:
            raise config_error(problems)
        return space

    def bind(self, study: StudyConfig) -> SearchSpace:
        """Return the space with conditions on keys that do not vary decided by the study.

        Args:
            study: The study whose values decide.
        """
        bound: list[tuple[str, Dimension]] = []
        varying: set[str] = set()
        for key, dimension in self.dimensions:
            outside = dict(dimension.when)
            fixed = {name for name in outside if name not in dict(self.dimensions)}
            dropped = any(name not in varying for name in outside if name not in fixed)
            if dropped or any(value_at(study, name) not in outside[name] for name in fixed):
                continue
            left = {name: allowed for name, allowed in outside.items() if name not in fixed}
            bound.append((key, dimension.model_copy(update={"when": left})))
            varying.add(key)
        return SearchSpace(tuple(bound), name=self.name)

    def suggest(self, trial: optuna.Trial) -> Candidate:
        """Return the candidate that Optuna's sampler proposes for a trial.

        Args:
            trial: A running trial.

        Raises:
            ConfigError: If a condition is on a key that does not vary here (see `bind`).
        """
        values: dict[str, Choice] = {}
        for key, dimension in self.dimensions:
            unknown = [name for name in dimension.when if name not in dict(self.dimensions)]
            if unknown:
                rule = "a condition needs a key that varies, or a study that decides it"
                where, do = f"{self.name}: {key}.when", "call `bind(study)` first"
                raise config_error([Problem(where, rule, f"`{unknown[0]}`", do)])
            if dimension.active(values):
                values[key] = dimension.suggest(trial, key)
        return Candidate.of(values)

    def problems_of(self, candidate: Mapping[str, Choice]) -> list[Problem]:
        """Return why a candidate cannot be enqueued; an empty list if it can.

        A candidate may leave dimensions out: the sampler fills them in.

        Args:
            candidate: Dotted key to value.
        """
        problems: list[Problem] = []
        known = dict(self.dimensions)
        for key, value in candidate.items():
            where = f"{self.name}: candidate: {key}"
            if key not in known:
                do = did_you_mean(key, known, what="dimensions")
                problems.append(
                    Problem(where, "only keys of the space may stand here", f"`{key}`", do)
                )
            elif not known[key].contains(value):
                rule = f"{known[key].in_words()} is needed"
                problems.append(Problem(where, rule, describe(value), "change it"))
        return problems

    def misfits(self, study: StudyConfig) -> list[Problem]:
        """Return why the candidates that the study wants to try first cannot be tried.

        Args:
            study: The study that names them.
        """
        found = [p for candidate in study.search.enqueue for p in self.problems_of(candidate)]
        return [
            Problem(p.where.replace(self.name, "search.enqueue", 1), p.rule, p.found, p.do)
            for p in found
        ]

    def to_mapping(self) -> dict[str, dict[str, JsonValue]]:
        """Return plain entries that `from_mapping` reads back."""
        return {
            key: {
                "type": dimension.type,
                **dimension.model_dump(mode="json", exclude_defaults=True),
            }
            for key, dimension in self.dimensions
        }

    def to_json(self) -> str:
        """Return the space as JSON that `from_json` reads back."""
        return json.dumps(self.to_mapping(), indent=1, allow_nan=False)

    @staticmethod
    def from_json(text: str) -> SearchSpace:
        """Return the space that `to_json` wrote.

        Args:
            text: A JSON object (JSON is YAML).

        Raises:
            ConfigError: If an entry is wrong; all of them at once.
        """
        return SearchSpace.from_document(parse_yaml(text, name="search space"))

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self.dimensions))

    def __len__(self) -> int:
        return len(self.dimensions)


def _entries(spec: Value, document: Document | None, beside: Path | None) -> Document:
    """Return the space's own document: a file that the study names, or the entries that stand in it."""
    if isinstance(spec, str):
        return read_yaml(find_file("search_spaces", spec, beside=beside))
    written = document.part("search", "space") if document is not None else None
    if written is not None and written.value == spec:
        return written
    return Document(name="search.space", value=spec)


def check_whole_study(
    document: Document,
    overrides: Mapping[str, Value],
    names: Names,
    *,
    beside: Path | None = None,
) -> tuple[StudyConfig, SearchSpace]:
    """Return the checked study of a document and its space; the errors of both are reported together.

    Args:
        document: A study's values and lines.
        overrides: Dotted key to value.
        names: The backbones, data sets and tasks that exist.
        beside: The folder of the study file, where a relative space file is looked for first.

    Raises:
        ConfigError: If anything is wrong; its message has one line for each wrong thing.
    """
    try:
        study = check_study(document, overrides, names)
    except ConfigError as error:
        lines = [*str(error).splitlines(), *_space_errors(document, overrides, beside)]
        raise ConfigError("\n".join(dict.fromkeys(lines))) from error
    return study, SearchSpace.from_study(study, names, beside=beside, document=document)


def _space_errors(
    document: Document, overrides: Mapping[str, Value], beside: Path | None
) -> list[str]:
    """Return what is wrong with a space whatever the study around it says."""
    spec = overrides.get("search.space", document.part("search", "space").value)
    if not isinstance(spec, (str, dict)):
        return []  # missing, or of a type that the study's own check refuses
    try:
        SearchSpace.from_document(_entries(spec, document, beside))
    except ConfigError as error:
        return str(error).splitlines()
    return []


def resolve_space(study: StudyConfig, space: SearchSpace) -> StudyConfig:
    """Return the study with the space's entries inside it, so that it stands alone.

    Args:
        study: A checked study.
        space: Its space.
    """
    search = study.search.model_copy(update={"space": space.to_mapping()})
    return study.model_copy(update={"search": search})
