"""The comparison: methods times seeds at the same budget, the test part opened once, and the files that tell of it."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from sfg_nas.compare import pages
from sfg_nas.compare.calls import python_call, remember
from sfg_nas.compare.check import check_methods, check_names, check_trial
from sfg_nas.compare.entrant import Entrant, Setting, run_of
from sfg_nas.compare.extras import EXTRA_REPORTS
from sfg_nas.compare.failures import failures, lost_rates
from sfg_nas.compare.job import Job, stored
from sfg_nas.compare.kept import kept
from sfg_nas.compare.methods import ALWAYS, chosen, expand, needs_search
from sfg_nas.compare.notes import GIVEN_WEIGHTS, without_equal_macs
from sfg_nas.compare.other_run import check_source
from sfg_nas.compare.plan import rates, seed_jobs, tuning_jobs
from sfg_nas.compare.pool import Place, Team, Workers
from sfg_nas.compare.results import comparisons, long, networks
from sfg_nas.compare.same import other_layers, same_networks
from sfg_nas.compare.verdict import verdict
from sfg_nas.data.checks import check_integer
from sfg_nas.errors import ConfigError, SfgNasError, TrainingError, explain, several
from sfg_nas.report import plot_comparison
from sfg_nas.study import (
    OwnBackbone,
    Progress,
    ProgressCallback,
    Run,
    RunFiles,
    Study,
    Trial,
    locked,
    training_only,
)
from sfg_nas.study.progress import silent
from sfg_nas.study.provenance import begin_run, software
from sfg_nas.training import write_atomically, write_text

ALONE = Workers()


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes:
        folder: The run directory, with `compare.csv`, `compare_paired.csv`, `compare.md`, `compare.tex` and
            `compare.svg`.
        networks: One row per network and way of predicting.
        paired: One row per question, method and metric, with intervals.
        verdict: Paragraphs.
        notes: What was left out, what failed, what to know of single methods.
    """

    folder: Path
    networks: pd.DataFrame
    paired: pd.DataFrame
    verdict: tuple[str, ...]
    notes: tuple[str, ...]


def compare(  # noqa: PLR0913 (the public face: each is a choice of its own)
    study: Study,
    methods: Sequence[str] | None = None,
    seeds: int | None = None,
    *,
    backbone: OwnBackbone | None = None,
    runs: str | Path = "runs",
    source: Run | None = None,
    command: str | None = None,
    workers: Workers = ALONE,
    device: str = "cpu",
    progress: ProgressCallback = silent,
) -> Comparison:
    """Train methods with several seeds at the same budget, score them on the test part, and say what follows.

    All methods of a seed see the same images in the same order and have the same epochs and as many learning rates to
    try, which validation decides about. The test part is opened once all trainings are done. What is there already
    with the same settings is not trained again; interrupted anywhere, the same call goes on. Methods that earlier calls
    trained with the same settings stay in the tables, and a note says which these are.

    Args:
        study: From `load_study`.
        methods: Names out of `METHODS`, with or without arguments; None for the study's, or else the usual ones.
        seeds: Trainings of each method; None for the study's number.
        backbone: A network of your own in place of the study's, see `load_study`.
        runs: The folder of run directories.
        source: A run whose trial is `found`; None for the study's own, which is searched first if need be.
        command: How to call this again, for the page; None: a call from Python.
        workers: Who trains; this process alone, or several.
        device: Where to train.
        progress: Called with each report.

    Returns:
        The frames, the verdict and where the files lie.

    Raises:
        ConfigError: If a method does not exist, or not for this network, or the run was begun with another study.
        TrainingError: If a reference cannot be trained, or a worker dies.
    """
    if seeds is not None:
        seeds = check_integer("compare: seeds", seeds, 1)
    study = study.using(backbone=backbone)
    section = study.config.compare
    named = methods if methods is not None else section.methods
    check_names(named)
    names = chosen(named)
    files = RunFiles(Path(runs) / study.config.name)
    if source is None and needs_search(names):
        check_trial(section.trial, study.config.search.trials, files)
    with locked(files.lock("begin")):
        begin_run(study, files)
    setting = Setting(study, files)
    team = Team(setting, Place(Path(runs), device), workers, progress)
    try:
        check_methods(setting, ALWAYS if named is None else names, team.entrant)
        if needs_search(names):
            if source is None:
                team.search()
            team.setting = setting = replace(setting, found=_found(setting, source))
        entrants, notes = _entrants(team, names)
        team.train(tuning_jobs(setting, entrants))
        notes += lost_rates(setting, entrants)
        jobs = seed_jobs(setting, entrants, seeds or section.seeds)
        team.train(jobs)
        begun = set(jobs)
        # Asked again, there are the twins of the methods that have learned their networks now.
        jobs = seed_jobs(setting, entrants, seeds or section.seeds)
        team.train([job for job in jobs if job not in begun])
        failures(team, jobs)
        team.test(jobs)
        notes += failures(team, jobs)
        _check_all_ended(team, jobs)
    finally:
        team.close()
    progress(Progress("compare", len(jobs), len(jobs), text="done"))
    with locked(files.lock("conclude")):  # two calls that end at once would mix their files
        return _conclude(team, jobs, notes, command or python_call(methods, seeds))


def _found(setting: Setting, source: Run | None) -> Trial:
    run = source or Run.load(setting.files.root)
    trial = _trial_of(run, setting.section.trial)
    if source is not None:
        check_source(trial, run, setting.study)
    return trial


def _trial_of(run: Run, which: str | int) -> Trial:
    if str(which) == "best":
        return run.best
    found = [trial for trial in run.complete if str(trial.number) == str(which)]
    if not found:
        known = ", ".join(str(trial.number) for trial in run.complete) or "none yet"
        rule = "`best` or the number of a complete trial is needed"
        do = f"the complete trials are {known}"
        raise ConfigError(explain(where="compare.trial", rule=rule, found=repr(which), do=do))
    return found[0]


def _entrants(team: Team, names: Sequence[str]) -> tuple[list[Entrant], list[str]]:
    """Return the methods, and a note on each that cannot be made.

    Those that were asked for and need no search have been checked before; what only the found network shows
    must not cost the others their comparison.

    Args:
        team: Makes them.
        names: Their names.
    """
    entrants: list[Entrant] = []
    notes: list[str] = []
    for name in expand(team.setting, names):
        try:
            entrant = team.entrant(name)
            if entrant.macs is not None and not entrant.varies:
                entrant.macs(entrant.own_factor, 0)
        except SfgNasError as error:
            if name in ALWAYS:
                raise
            notes.append(f"{name} is left out: {error}")
            continue
        entrants.append(entrant)
        if entrant.note:
            notes.append(f"{name}: {entrant.note}")
    return entrants, notes


def _check_all_ended(team: Team, jobs: Sequence[Job]) -> None:
    """Refuse to conclude where a training left neither scores on test nor a reason: a worker made another one, say."""
    for job in jobs:
        method = team.entrant(job.entrant)
        if not any(stored(job, method, team.setting, end) for end in ("test", "failed")):
            rule = "every training leaves scores on test, or the reason why it has none"
            found = f"neither from {job.entrant} ({job.scale}), seed {job.seed}"
            do = "call compare again"
            raise TrainingError(explain(where="compare", rule=rule, found=found, do=do))


def _conclude(team: Team, jobs: Sequence[Job], notes: Sequence[str], command: str) -> Comparison:
    setting = team.setting
    study, folder = setting.study, setting.files.root
    names = {job.entrant for job in jobs}
    earlier = kept(setting, names, len({job.seed for job in jobs}))
    frame = networks(setting, jobs, team.entrant, earlier.rows)
    notes = [
        *notes,
        *earlier.notes,
        *same_networks(frame),
        *other_layers(frame),
        *without_equal_macs(setting, jobs, team.entrant),
    ]
    notes += [GIVEN_WEIGHTS] if study.given_weights else []
    notes += training_only(study)
    paired = comparisons(frame, study.tasks)
    said = verdict(paired, tolerance=setting.section.tolerance)
    extra = EXTRA_REPORTS.get(study.config.data.kind)
    words = pages.Words(
        study.config.name,
        _facts(setting, jobs, frame),
        notes,
        said,
        () if extra is None else (extra(study, setting.files, frame),),
        remember(setting.files, command, names, earlier.methods, setting.section),
    )
    write_text(folder / "compare.csv", long(frame).to_csv(index=False))
    write_text(folder / "compare_paired.csv", paired.to_csv(index=False))
    write_text(folder / "compare.md", pages.markdown(words, frame, paired, study.tasks))
    write_text(folder / "compare.tex", pages.latex(words, frame, paired, study.tasks))
    figure = plot_comparison(frame, study.tasks)
    write_atomically(folder / "compare.svg", lambda path: figure.savefig(path, format="svg"))
    return Comparison(folder, frame, paired, tuple(said), tuple(notes))


def _facts(setting: Setting, jobs: Sequence[Job], frame: pd.DataFrame) -> list[str]:
    """Return what a reader must know of how the numbers came about."""
    study, section = setting.study, setting.section
    done = len(frame[["method", "scale", "seed"]].drop_duplicates())
    seeds = len({job.seed for job in jobs})
    tried = rates(setting)
    facts = [
        f"Data: {study.data.name}, {len(study.data.train):,} training, {len(study.data.validation):,} validation, "
        f"{several(len(study.data.test), 'test image')} of shape {'x'.join(map(str, study.data.image_shape))}; "
        "validation decides, test is opened once at the end.",
        f"Network: {study.config.backbone.kind}, width {study.config.backbone.width:g}; "
        f"{several(setting.epochs, 'epoch')} for every method, the same order of images for every method of a seed.",
        f"Learning rate: {_rate_words(tried)}",
        f"{'Single seed' if seeds == 1 else f'{seeds} seeds'}; {several(done, 'row')}; "
        f"{software(setting.files)}, {platform.machine()}.",
    ]
    if setting.found is not None:
        run = run_of(setting.found)
        finals = run.finals
        held = "" if finals is None else f" after finals between {len(finals.finalists)} of them"
        whose = "" if run.name == study.config.name else f" of the run {run.name}"
        facts.append(
            f"`found` is trial {setting.found.number} of {several(len(run.complete), 'complete one')}{whose}, chosen on validation{held}: a "
            "search that the other methods did not have."
        )
    flat = frame["flatness"].dropna()
    if len(flat):
        facts.append(
            "How flat the curves are: over the last quarter of the epochs the validation score (1 is perfect) rose by "
            f"{flat.median():.4f} in the median and by at most {flat.max():.4f}. Training seconds include that scoring."
        )
    if section.tuning_trials == 1:
        facts.append("No method's learning rate was tuned.")
    return facts


def _rate_words(tried: Sequence[float]) -> str:
    if len(tried) == 1:
        return f"{tried[0]:g} for all."
    listed = ", ".join(f"{rate:g}" for rate in tried)
    return f"chosen on validation among {listed} by each method, with a seed of its own."
