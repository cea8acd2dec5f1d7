"""`init` and `validate`: study files, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfg_nas.cli.find import changes_of, ready_study, study_file
from sfg_nas.cli.options import Common, with_common
from sfg_nas.cli.output import json_result, note, result
from sfg_nas.errors import ConfigError, SfgNasError, explain

if TYPE_CHECKING:
    from sfg_nas.config import StudyConfig

SCHEMA_FILE = "study.schema.json"


@with_common("data_root")
def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to write.")] = Path(),
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="TABLE",
            help="A CSV or Parquet of your own: write a study for it, and say what its columns seem to be.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over what is there.")] = False,
    *,
    common: Common,
) -> None:
    """Write starter studies, search spaces and a JSON Schema for editors; or a study for your own table."""
    said: tuple[str, ...] = ()
    if source is None:
        planned = dict(_starter_files(folder))
    else:
        planned, said = _own_files(source, folder, common)
    there = [str(path) for path in planned if path.exists()]
    if there and not force:
        rule, do = "nothing is written over", "choose another folder, or give --force"
        raise ConfigError(explain(where=str(folder), rule=rule, found=", ".join(there), do=do))
    for path, text in planned.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if common.as_json:
        json_result({"written": [str(path) for path in planned], "guessed": said})
        return
    for line in said:
        note(line, common)
    for path in planned:
        result(str(path))
    first = next(iter(planned))
    note(f"next: sfg-nas validate {first} --show; then sfg-nas search {first}", common)


def _own_files(
    source: Path, folder: Path, common: Common
) -> tuple[dict[Path, str], tuple[str, ...]]:
    """Return the study of a table with its schema, and what was guessed."""
    from sfg_nas.study import draft_study

    if not source.is_file():
        rule, do = "a table that exists is needed", "check the path"
        raise ConfigError(explain(where="--from", rule=rule, found=str(source), do=do))
    draft = draft_study(source, folder, schema=SCHEMA_FILE, data_root=common.data_root)
    files = {folder / f"{draft.name}.yaml": draft.text, folder / SCHEMA_FILE: _schema()}
    return files, draft.said


def _starter_files(folder: Path) -> Iterator[tuple[Path, str]]:
    from sfg_nas.config import SCHEMA_LINE, shipped

    for path in shipped("studies").values():
        text = path.read_text(encoding="utf-8")
        own = [line for line in text.splitlines(keepends=True) if not line.startswith(SCHEMA_LINE)]
        line = f"{SCHEMA_LINE}../{SCHEMA_FILE}\n"
        yield folder / "studies" / path.name, line + "".join(own)
    for path in shipped("search_spaces").values():
        yield folder / "search_spaces" / path.name, path.read_text(encoding="utf-8")
    yield folder / SCHEMA_FILE, _schema()


def _schema() -> str:
    from sfg_nas.config import published_schema

    return published_schema()


@with_common("changes", "precision", "data_root", "cache")
def validate(
    study: Annotated[str, typer.Argument(help="A study file, or a shipped study's name.")],
    show: Annotated[bool, typer.Option("--show", help="Print the resolved study.")] = False,
    data: Annotated[bool, typer.Option("--data", help="Load its data too.")] = False,
    *,
    common: Common,
) -> None:
    """Check a study and its search space; all errors at once."""
    try:
        config = _checked(study, common, data=data)
    except SfgNasError as error:
        if common.as_json:
            json_result({"valid": False, "errors": str(error).splitlines()})
        raise
    if common.as_json:
        json_result({"valid": True, "study": config.model_dump(mode="json")})
    elif show:
        from sfg_nas.config import dump_study

        result(dump_study(config).rstrip())
    else:
        space = config.search.space
        result(
            f"{study}: valid: {config.search.trials} trials of {config.training.epochs} epochs, "
            f"{len(space)} dimensions, {config.backbone.kind} on {config.data.kind}"
        )


def _checked(study: str, common: Common, *, data: bool) -> StudyConfig:
    """Return the resolved study, the space's entries inside it."""
    from sfg_nas.search_space import check_whole_study, resolve_space
    from sfg_nas.study import known_names, read_study

    path, changes = study_file(study), changes_of(common)
    document, folder = read_study(path)
    names = known_names(folder, common.data_root)
    config, space = check_whole_study(document, changes, names, beside=folder)
    config = resolve_space(config, space)
    return ready_study(path, common, changes).config if data else config
