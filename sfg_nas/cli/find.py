"""From what the user typed to a study, a run, an architecture or a device; and what to say if there is none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sfg_nas.cli.options import Common
from sfg_nas.cli.output import note
from sfg_nas.cli.watch import decoding
from sfg_nas.errors import ConfigError, explain

if TYPE_CHECKING:
    from sfg_nas.architecture import Architecture
    from sfg_nas.config import StudyConfig, Value
    from sfg_nas.study import Run, Study, Trial

STUDY_FILE = "study.yaml"
SMOKE = "-smoke"


def study_file(study: str) -> Path:
    """Return the file of a study: a path, or a shipped study's bare name.

    Args:
        study: What the user typed.

    Raises:
        ConfigError: If there is none.
    """
    from sfg_nas.config import find_file

    path = Path(study)
    return path if path.exists() else find_file("studies", study)


def changes_of(common: Common) -> dict[str, Value]:
    """Return the values that options put in place of the study's.

    Args:
        common: The shared options.

    Raises:
        ConfigError: If a `--set` is wrong.
    """
    from sfg_nas.config import parse_overrides

    changes = parse_overrides(common.changes)
    if common.precision is not None:
        changes["training.precision"] = common.precision
    return changes


def smoke_changes(
    path: Path, changes: Mapping[str, Value], data_root: Path | None
) -> dict[str, Value]:
    """Return the changes that make a study as small as it can be, under a name of its own.

    Args:
        path: The study file.
        changes: Other changes.
        data_root: The folder that holds the data sets.

    Raises:
        ConfigError: If the study is wrong.
    """
    from sfg_nas.config import check_study, smoke_overrides
    from sfg_nas.study import known_names, read_study

    document, folder = read_study(path)
    study = check_study(document, changes, known_names(folder, data_root))
    return {**changes, **smoke_overrides(study), "name": f"{study.name}{SMOKE}"}


def ready_study(path: Path, common: Common, changes: Mapping[str, Value]) -> Study:
    """Return a study with its data loaded; the data's warnings are written as notes.

    Args:
        path: The study file.
        common: The shared options.
        changes: Dotted keys and values in place of the file's.

    Raises:
        ConfigError: If the study is wrong.
        DataError: If its data is.
    """
    from sfg_nas.study import load_study

    if common.data_root is not None and not common.data_root.is_dir():
        raise ConfigError(
            explain(
                where="--data-root",
                rule="a folder that exists is needed",
                found=str(common.data_root),
                do="check the path, or SFG_NAS_DATA",
            )
        )
    with decoding(common) as progress:
        study = load_study(
            path, changes, data_root=common.data_root, cache=common.cache, progress=progress
        )
    for warning in study.data.warnings:
        note(f"warning: {warning}", common)
    return study


def warn_if_slow(study: Study, common: Common, device: str) -> None:
    """Write a note if the study's precision, or the one asked for, is slower than `32` on this processor.

    Args:
        study: Which has a precision.
        common: The shared options, which may have another.
        device: Where it is trained.
    """
    from sfg_nas.training import slow_precision

    reason = slow_precision(common.precision or study.config.training.precision, device)
    if reason:
        note(f"warning: training.precision: {reason}; `--precision 32` trains faster here", common)


def find_run(run: str | Path, common: Common) -> Path | None:
    """Return the folder of a run, a path or a name below `--runs`, None if there is none.

    Args:
        run: What the user typed.
        common: The shared options.
    """
    folders = (Path(run), common.runs / run)
    return next((folder for folder in folders if (folder / STUDY_FILE).is_file()), None)


def run_folder(run: str, common: Common) -> Path:
    """Return the folder of a run: a path, or a name below `--runs`.

    Args:
        run: What the user typed.
        common: The shared options.

    Raises:
        ConfigError: If there is none.
    """
    found_run = find_run(run, common)
    if found_run is not None:
        return found_run
    known = sorted(path.parent.name for path in common.runs.glob(f"*/{STUDY_FILE}"))
    listed = f"the runs in {common.runs} are {', '.join(known)}" if known else ""
    do = listed or "start one with `sfg-nas search`, or give --runs"
    found = "no study.yaml in it" if Path(run).exists() else "no such folder"
    rule = "a run's folder, or its name, is needed"
    raise ConfigError(explain(where=run, rule=rule, found=found, do=do))


def open_run(run: str, common: Common) -> Run:
    """Return a run by path or name.

    Args:
        run: What the user typed.
        common: The shared options.

    Raises:
        ConfigError: If there is none.
    """
    from sfg_nas.study import Run

    return Run.load(run_folder(run, common))


def is_architecture(path: str) -> bool:
    """Return whether the user typed an architecture's file rather than a run.

    Args:
        path: What the user typed.
    """
    return Path(path).suffix in {".json", ".graphml"}


def open_architecture(path: str) -> Architecture:
    """Return the architecture in a JSON or GraphML file.

    Args:
        path: What the user typed.

    Raises:
        ConfigError: If there is no such file.
        ArchitectureError: If it holds something else.
    """
    from sfg_nas.architecture import Architecture

    file = Path(path)
    if not file.is_file():
        rule, do = "an architecture's file is needed", "check the path"
        raise ConfigError(explain(where=path, rule=rule, found="no such file", do=do))
    return Architecture.load(file)


def choose_trials(run: Run, which: str, *, one: bool = False) -> list[Trial]:
    """Return complete trials of a run: the best, one by number, or the Pareto front.

    Args:
        run: The run.
        which: `best`, `pareto` or a number.
        one: Whether one is needed, so that `pareto` is none of the choices.

    Raises:
        ConfigError: If there is no such complete trial.
        TrainingError: If no trial is complete.
    """
    if which == "best":
        return [run.best]
    if which == "pareto" and not one:
        return run.pareto()
    trials = {str(trial.number): trial for trial in run.all}
    chosen = trials.get(which)
    if chosen is not None and chosen.state == "complete":
        return [chosen]
    known = ", ".join(str(trial.number) for trial in run.complete)
    front = "`best`, `pareto` or the number of a complete trial is needed"
    single = "one trial is needed, `best` or the number of a complete one"
    raise ConfigError(
        explain(
            where="--trial",
            rule=single if one else front,
            found=repr(which) if chosen is None else f"{which}, which is {chosen.state}",
            do=f"the complete trials here are {known}" if known else "none is complete yet",
        )
    )


def device_of(common: Common) -> str:
    """Return the device to compute on.

    Args:
        common: The shared options.

    Raises:
        ConfigError: If the one asked for is not there.
    """
    import torch

    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if common.device == "auto":
        return next(name for name, available in there.items() if available)
    if not there[common.device]:
        raise ConfigError(
            explain(
                where="--device",
                rule="a device that this machine has is needed",
                found=common.device,
                do=f"the devices here are {', '.join(n for n, ok in there.items() if ok)}",
            )
        )
    return common.device


def same_name(run: Run) -> StudyConfig:
    """Return a run's study; work on a run is found again by its folder's name.

    Args:
        run: The run.

    Raises:
        ConfigError: If the folder was renamed.
    """
    if run.path.resolve().name != run.name:
        raise ConfigError(
            explain(
                where=str(run.path),
                rule="a run's folder bears the study's name",
                found=f"the study `{run.name}`",
                do=f"rename the folder to {run.name}",
            )
        )
    return run.config
