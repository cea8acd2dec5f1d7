"""`init` and `validate`: study files, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sfg_nas.cli.find import changes_of, ready_study, study_file
from sfg_nas.cli.options import Common, with_common
from sfg_nas.cli.output import json_result, note, quoted, result, table
from sfg_nas.errors import ConfigError, SfgNasError, explain, several

if TYPE_CHECKING:
    from torch import Tensor

    from sfg_nas.config import Finding, StudyConfig, Value
    from sfg_nas.study import Study
    from sfg_nas.tasks import Task

MOST_CLASSES = 12
"""Classes that `validate --data` counts one by one."""
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
    first = quoted(next(iter(planned)))
    look = "--show" if source is None else "--data"
    note(f"next: sfg-nas validate {first} {look}; then sfg-nas search {first}", common)


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
    data: Annotated[
        bool,
        typer.Option(
            "--data",
            help="Load its data too, and say what it holds; make its network, and those that `compare` names.",
        ),
    ] = False,
    *,
    common: Common,
) -> None:
    """Check a study, its search space and what it compares; all errors at once."""
    try:
        config, loaded = _checked(study, common, data=data)
    except SfgNasError as error:
        if common.as_json:
            json_result({"valid": False, "errors": str(error).splitlines()})
        raise
    if common.as_json:
        found = {} if loaded is None else {"data": _what_it_holds(loaded)}
        json_result({"valid": True, "study": config.model_dump(mode="json"), **found})
    elif show:
        from sfg_nas.config import dump_study

        result(dump_study(config).rstrip())
    else:
        space = config.search.space
        result(
            f"{study}: valid: {several(config.search.trials, 'trial')} of "
            f"{several(config.training.epochs, 'epoch')}, {several(len(space), 'dimension')}, "
            f"{config.backbone.kind} on {config.data.kind}"
        )
        if loaded is not None:
            _show_data(_what_it_holds(loaded))


def _what_it_holds(study: Study) -> dict[str, Any]:
    """Return the sizes of the parts, and for each task how many images (subjects) of each have a label, and which."""
    from sfg_nas.data import Patches

    parts = {name: getattr(study.data, name) for name in ("train", "validation", "test")}
    volumes = {name: part for name, part in parts.items() if isinstance(part, Patches)}
    tasks = []
    for task in study.tasks:
        row: dict[str, object] = {"task": task.name, "kind": task.kind}
        for name, part in parts.items():
            if hasattr(part, "targets"):
                row[name] = int(task.labelled(part.targets[task.name]).sum())
            elif name in volumes:  # they give their targets patch by patch
                row[name] = volumes[name].subjects_with(task.name)
        if hasattr(parts["train"], "targets"):
            row["labels to train on"] = _values(task, parts["train"].targets[task.name])
        tasks.append(row)
    found: dict[str, Any] = {"parts": {name: len(part) for name, part in parts.items()}}
    if volumes:
        found["subjects"] = {name: len(part.subjects) for name, part in volumes.items()}
    return found | {"image_shape": list(study.data.image_shape), "tasks": tasks}


def _values(task: Task, targets: Tensor) -> str:
    """Return how often each class stands there, or the range of a number; nothing for other kinds."""
    if targets.dim() != 1:
        return ""
    known = targets[task.labelled(targets)]
    if not targets.dtype.is_floating_point:
        counts = known.bincount(minlength=task.outputs).tolist()
        names = task.classes or tuple(map(str, range(len(counts))))
        text = ", ".join(f"{n} {c}" for n, c in zip(names, counts, strict=False))
        return text if len(counts) <= MOST_CLASSES else f"{min(counts)} to {max(counts)} of a class"
    unit = f" {task.unit}" if task.unit else ""
    return f"{known.min():.4g} to {known.max():.4g}{unit}, mean {known.mean():.4g}"


def _show_data(found: dict[str, Any]) -> None:
    def sizes(key: str) -> str:
        return ", ".join(f"{count} {name}" for name, count in found[key].items())

    shape = " x ".join(map(str, found["image_shape"]))
    if "subjects" in found:
        result(f"subjects: {sizes('subjects')}")
        result(f"patches: {sizes('parts')}; shape {shape}")
        table(found["tasks"], title="subjects with labels:")
    else:
        result(f"images: {sizes('parts')}; shape {shape}")
        table(found["tasks"], title="images with a label:")


def _checked(study: str, common: Common, *, data: bool) -> tuple[StudyConfig, Study | None]:
    """Return the resolved study, the space's entries inside it, and with its data if that is asked for."""
    from sfg_nas.search_space import check_whole_study, resolve_space
    from sfg_nas.study import check_networks, known_names, read_study

    path, changes = study_file(study), changes_of(common)
    document, folder = read_study(path)
    names = replace(known_names(folder, common.data_root), compared=partial(_compared, common.runs))
    config, space = check_whole_study(document, changes, names, beside=folder)
    config = resolve_space(config, space)
    if not data:
        return config, None
    ready = ready_study(path, common, changes)
    if config.compare.methods is None or document.part("search").value is not None:
        check_networks(ready)  # what is only compared need not be searchable
    if config.compare.methods is not None:
        from sfg_nas.compare import Setting, check_methods
        from sfg_nas.study import RunFiles

        check_methods(Setting(ready, RunFiles(common.runs / config.name)), config.compare.methods)
    return ready.config, ready


def _compared(runs: Path, raw: Mapping[str, Value]) -> Iterable[Finding]:
    """Return what is wrong with the section `compare`, if there is one."""
    if "compare" not in raw:
        return ()
    from sfg_nas.compare import (
        findings,  # with all that draws and counts, which others need not wait for
    )

    return findings(raw, runs)
