"""`search` and `retrain`: the outer loop and what it found."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sfg_nas.cli.distill import Distill, distill_changes, redistilled, refuse_choices
from sfg_nas.cli.find import (
    changes_of,
    choose_trials,
    device_of,
    is_architecture,
    open_architecture,
    open_run,
    ready_study,
    same_name,
    smoke_changes,
    study_file,
    warn_if_slow,
)
from sfg_nas.cli.options import Common, Found, number, whole, with_common
from sfg_nas.cli.output import cell, json_result, note, quoted, result, table
from sfg_nas.cli.status import show_run
from sfg_nas.cli.watch import watching
from sfg_nas.errors import ConfigError, explain, without_password

if TYPE_CHECKING:
    from sfg_nas.architecture import Architecture
    from sfg_nas.config import RetrainConfig
    from sfg_nas.study import Run, Study, Trial

INTERRUPTED = 130


@with_common("changes", "device", "precision", "data_root", "cache", "runs")
def search(  # noqa: PLR0913 - a command: its options
    study: Annotated[str, typer.Argument(help="A study file, or a shipped study's name.")],
    trials: Annotated[
        int | None,
        typer.Option(
            parser=whole("--trials", 1),
            metavar="INT",
            help="Trials over all calls, instead of the study's.",
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            parser=whole("--workers", 1),
            metavar="INT",
            help="Processes that share the trials, threads and GPUs.",
        ),
    ] = 1,
    storage: Annotated[
        str | None,
        typer.Option(help="postgresql://... where workers on any machine meet; default: a file."),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS]", help="Run trials on a Ray cluster; without ADDRESS one is started."
        ),
    ] = None,
    cpus: Annotated[
        float,
        typer.Option(
            parser=number("--cpus", 0.1), metavar="FLOAT", help="CPUs per trial (with --ray)."
        ),
    ] = 1.0,
    gpus: Annotated[
        float,
        typer.Option(
            parser=number("--gpus", 0), metavar="FLOAT", help="GPUs per trial (with --ray)."
        ),
    ] = 0.0,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN", help="Try what this other run found first."),
    ] = None,
    distill: Distill = None,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="As small as can be, to see that all of it runs.")
    ] = False,
    *,
    common: Common,
) -> None:
    """Run a study, or the rest of it; an interrupted one goes on where it stopped."""
    path, changes = study_file(study), changes_of(common) | distill_changes(distill)
    with resumable():
        if smoke:
            changes = smoke_changes(path, changes, common.data_root)
        device = device_of(common)
        ready = ready_study(path, common, changes)
        warn_if_slow(ready, common, device)
        from sfg_nas.study import Cluster
        from sfg_nas.study import search as run_search

        given = workers if workers > 1 else None

        with watching(common) as progress:
            run = run_search(
                ready,
                runs=common.runs,
                trials=trials,
                device=device,
                storage=storage,
                workers=workers,
                source=None if source is None else open_run(source, common),
                ray=None if ray is None else Cluster(ray, cpus, gpus, given),
                progress=progress,
            )
    best = run.best
    show_run(run, common)
    data = "" if common.data_root is None else f" --data-root {quoted(common.data_root)}"
    note(f"next: sfg-nas retrain {quoted(run.path)}{data}   (trial {best.number})", common)
    note(f"      sfg-nas export {quoted(run.path)} --to {quoted(run.path / 'export')}", common)


@with_common("changes", "device", "precision", "data_root", "cache", "runs")
def retrain(
    found: Found,
    study: Annotated[
        str | None, typer.Option(help="The study, for an architecture's file.")
    ] = None,
    trial: Annotated[str, typer.Option(help="best, or the number of a complete trial.")] = "best",
    seeds: Annotated[
        int | None,
        typer.Option(
            parser=whole("--seeds", 1),
            metavar="INT",
            help="Trainings of each network, instead of the study's.",
        ),
    ] = None,
    init: Annotated[
        Literal["scratch", "warm"] | None,
        typer.Option(help="New weights, or the supernet's, instead of the study's."),
    ] = None,
    teacher: Annotated[
        bool, typer.Option("--teacher", help="Learn from the trial's supernet, too.")
    ] = False,
    distill: Distill = None,
    *,
    common: Common,
) -> None:
    """Train the best architecture beside hard sharing and single-task networks, and say what follows.

    Opens the test part. What was trained already is not trained again.
    """
    run: Run | None = None
    if is_architecture(found):
        refuse_choices(trial, distill, found)
        architecture: Architecture | Trial = open_architecture(found)
        path = _study_of_file(study, found)
    else:
        run = open_run(found, common)
        name = same_name(run).name
        if study is not None and study_file(study).resolve() != run.files.study.resolve():
            rule, do = "a run brings its own study", "remove --study"
            raise ConfigError(explain(where="--study", rule=rule, found=study, do=do))
        (chosen,) = choose_trials(run, trial, one=True)
        if distill is not None:
            with resumable():
                (chosen,) = redistilled(run, [chosen], distill, common)
        architecture, path = chosen, run.files.study
        common = replace(common, runs=run.path.parent)
        note(f"retraining trial {chosen.number} of {name}", common)
    with resumable():
        device = device_of(common)
        # The run keeps its own precision: only this training has another one.
        ready = ready_study(path, common, changes_of(replace(common, precision=None)))
        warn_if_slow(ready, common, device)
        how = _how(ready, common, init, teacher=teacher)
        from sfg_nas.study import retrain as run_retrain
        from sfg_nas.study.table import records

        with watching(common) as progress:
            frame = run_retrain(
                ready,
                architecture,
                seeds,
                runs=common.runs,
                how=how,
                device=device,
                progress=progress,
            )
    _show_retrained(records(frame.reset_index()), ready, run, common)


def _show_retrained(
    rows: list[dict[str, object]], ready: Study, run: Run | None, common: Common
) -> None:
    """Write the table of a retraining, what follows from it (of a run's), and where it lies."""
    from sfg_nas.report import retrained_verdict
    from sfg_nas.study import training_only

    folder = common.runs / ready.config.name / "retrained"
    told = None if run is None else retrained_verdict(run)
    verdict = [] if told is None else [told.headline, *told.sentences]
    if common.as_json:
        json_result({"table": rows, "folder": str(folder), "verdict": verdict})
        return
    what = "on the test part, mean ± standard deviation over seeds"
    what += (
        "; delta of 0.01: 1 % better than single-task"
        if any("delta" in row for row in rows)
        else ""
    )
    table(_with_spread(rows), title=f"{ready.config.name}: {what}")
    for line in verdict:
        result(line)
    if any(row["seeds"] == 1 for row in rows):
        note("single seed: a difference may be chance", common)
    for line in [*_no_control(rows), *_no_delta(rows), *training_only(ready)]:
        note(line, common)
    note(f"networks and tables: {folder}", common)
    if run is not None:
        path = quoted(run.path)
        note(f"next: sfg-nas report {path}; sfg-nas predict {path} FILES...", common)


def _no_control(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """Return why hard sharing at equal MACs is not in the table; nothing if it is."""
    from sfg_nas.study import EQUAL_MACS

    costs = {str(row["method"]): float(str(row["relative_macs"])) for row in rows}
    if EQUAL_MACS in costs:
        return []
    same = any(abs(cost - 1) < 0.02 for name, cost in costs.items() if name.startswith("found"))
    why = (
        "the found network costs as much"
        if same
        else "no width of the network costs as much, or it runs at none but its own"
    )
    return [f"no row of {EQUAL_MACS}: {why}"]


def _no_delta(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """Return why no Δ is in the table; nothing if it is."""
    alone = [row for row in rows if row["method"] == "single-task" and "delta" not in row]
    if not alone:
        return []
    zero = [key for row in alone for key, value in row.items() if _is_metric(key) and value == 0]
    return [f"no Δ: it is relative to the single-task networks, and their {', '.join(zero)} is 0"]


def _is_metric(key: str) -> bool:
    return "/" in key and not key.endswith(" sd")


@contextmanager
def resumable() -> Iterator[None]:
    """Turn Ctrl-C into a line that says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        command = " ".join(quoted(without_password(part)) for part in ["sfg-nas", *sys.argv[1:]])
        note(f"\ninterrupted; nothing that was finished is lost. To go on: {command}")
        raise typer.Exit(INTERRUPTED) from None


def _how(study: Study, common: Common, init: str | None, *, teacher: bool) -> RetrainConfig:
    """Return the study's section on retraining with what the options put in its place."""
    section = study.config.retrain
    given: dict[str, object] = {"init": init, "teacher": teacher or None}
    given["precision"] = common.precision
    return section.model_copy(update={k: v for k, v in given.items() if v is not None})


def _study_of_file(study: str | None, architecture: str) -> Path:
    """Return the study for an architecture's file: the one given, or that of the run it lies in."""
    if study is not None:
        return study_file(study)
    for folder in Path(architecture).resolve().parents:
        if (folder / "study.yaml").is_file():
            return folder / "study.yaml"
    rule, do = "an architecture that lies in no run needs its study", "give --study"
    raise ConfigError(explain(where=architecture, rule=rule, found="none", do=do))


def _with_spread(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return the rows with each metric and its spread in one cell."""
    shown: list[dict[str, object]] = []
    for row in rows:
        cells: dict[str, object] = {}
        for key, value in row.items():
            spread = row.get(f"{key} sd")
            if key.endswith(" sd"):
                continue
            with_spread = isinstance(value, float) and isinstance(spread, float)
            cells[key] = f"{cell(value, key)} ± {spread:.2g}" if with_spread else value
        shown.append(cells)
    return shown
