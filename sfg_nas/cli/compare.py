"""`compare`: methods side by side, and the verdict."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from sfg_nas.cli.find import (
    changes_of,
    device_of,
    open_run,
    ready_study,
    smoke_changes,
    study_file,
    warn_if_slow,
)
from sfg_nas.cli.options import Common, whole, with_common
from sfg_nas.cli.output import json_result, note, quoted, result
from sfg_nas.cli.search import resumable
from sfg_nas.cli.watch import watching


@with_common("changes", "device", "precision", "data_root", "cache", "runs")
def compare(
    study: Annotated[str, typer.Argument(help="A study file, or a shipped study's name.")],
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Instead of the study's (see `sfg-nas list baselines`); single-task and hard-sharing always take part.",
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            parser=whole("--seeds", 1),
            metavar="INT",
            help="Trainings of each method, instead of the study's.",
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            parser=whole("--workers", 1), metavar="INT", help="Processes that train at a time."
        ),
    ] = 1,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="RUN",
            help="The run that `found` is taken from, instead of this study's own.",
        ),
    ] = None,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="As small as can be, to see that all of it runs.")
    ] = False,
    *,
    common: Common,
) -> None:
    """Train baselines, controls and found networks at the same budget, and say what follows.

    Opens the test part once, at the end. An interrupted comparison goes on where it stopped. Methods that an
    earlier call trained with the same settings stay in the tables.
    """
    path, changes = study_file(study), changes_of(common)
    with resumable():
        if smoke:
            changes = smoke_changes(path, changes, common.data_root)
        device = device_of(common)
        ready = ready_study(path, common, changes)
        warn_if_slow(ready, common, device)
        from sfg_nas.compare import Workers
        from sfg_nas.compare import compare as run_compare
        from sfg_nas.study import load_again

        reload = partial(
            load_again,
            ready.config,
            ready.space,
            ready.folder,
            data_root=common.data_root,
            cache=common.cache,
        )
        with watching(common) as progress:
            found = run_compare(
                ready,
                None if methods is None else [name.strip() for name in methods.split(",")],
                seeds,
                runs=common.runs,
                source=None if source is None else open_run(source, common),
                command=_given(study, methods, seeds, workers, source, smoke, common),
                workers=Workers(workers, reload),
                device=device,
                progress=progress,
            )
    if common.as_json:
        from sfg_nas.study.table import records

        json_result(
            {
                "folder": str(found.folder),
                "networks": records(found.networks),
                "paired": records(found.paired),
                "verdict": list(found.verdict),
                "notes": list(found.notes),
            }
        )
        return
    result((found.folder / "compare.md").read_text(encoding="utf-8").rstrip())
    note(f"files: {found.folder}/compare.csv, compare_paired.csv, .md, .tex, .svg", common)
    note(f"next: sfg-nas report {quoted(found.folder)}", common)


def _given(
    study: str,
    methods: str | None,
    seeds: int | None,
    workers: int,
    source: str | None,
    smoke: bool,
    common: Common,
) -> str:
    """Return the call as it was typed, without folders of this machine."""
    words = ["sfg-nas", "compare", _portable(study)]
    words += [] if methods is None else ["--methods", methods]
    words += [] if seeds is None else ["--seeds", str(seeds)]
    words += [] if workers == 1 else ["--workers", str(workers)]
    words += [] if source is None else ["--from", _portable(source)]
    words += ["--smoke"] if smoke else []
    words += [word for change in common.changes for word in ("--set", change)]
    words += [] if common.device == "auto" else ["--device", common.device]
    words += [] if common.precision is None else ["--precision", common.precision]
    words += [] if common.data_root is None else ["--data-root", "DIR"]
    runs = common.runs
    words += [] if runs == Common.runs else ["--runs", "RUNS" if runs.is_absolute() else str(runs)]
    return shlex.join(words)


def _portable(path: str) -> str:
    """Return a path that was typed; of an absolute one the name."""
    return Path(path).name if Path(path).is_absolute() else path
