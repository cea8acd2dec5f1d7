"""The outer loop: Optuna proposes, a trial is run, its end is told; whatever is interrupted goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sfg_nas.data import DataBundle, OwnData
from sfg_nas.data.checks import check_integer
from sfg_nas.errors import ArchitectureError, explain
from sfg_nas.sharing import Choices
from sfg_nas.study.finals import conclude, entered, is_over, trainings
from sfg_nas.study.hard_curve import check_curve
from sfg_nas.study.layout import RunFiles
from sfg_nas.study.locks import LostLockError
from sfg_nas.study.own import OwnBackbone
from sfg_nas.study.place import Place, open_place
from sfg_nas.study.progress import Progress, ProgressCallback, silent
from sfg_nas.study.ray_elsewhere import Cluster
from sfg_nas.study.ray_workers import run_on_ray
from sfg_nas.study.references import References, ensure_references
from sfg_nas.study.run import Run
from sfg_nas.study.storage import STORAGE_ERRORS, lost
from sfg_nas.study.study import Study, as_study
from sfg_nas.study.transfer import transfer
from sfg_nas.study.workers import Errand, run_workers, work
from sfg_nas.training import History

_LOG = logging.getLogger(__name__)


def search(  # noqa: PLR0913 (the public face: each is a choice of its own)
    study: Study | str | Path,
    *,
    backbone: OwnBackbone | None = None,
    data: DataBundle | OwnData | None = None,
    runs: str | Path = "runs",
    trials: int | None = None,
    device: str = "cpu",
    storage: str | None = None,
    workers: int = 1,
    source: Run | None = None,
    ray: Cluster | None = None,
    progress: ProgressCallback = silent,
) -> Run:
    """Run a study, or the rest of it, and return its run.

    Interrupted anywhere, the same call goes on where it stopped. On one worker the finished study equals one that was
    not interrupted.

    Args:
        study: From `load_study`, or a study file.
        backbone: A network of your own in place of the study's, see `load_study`.
        data: A data set of your own in place of the study's, see `load_study`.
        runs: The folder of run directories.
        trials: How many trials there shall be over all calls, however they end; None for the study's number.
        device: Where to train.
        storage: `postgresql://...` where workers on several machines meet; None for the run's own SQLite file.
        workers: Processes on this machine that take trials; they divide its threads, and its GPUs in turn.
        source: Another run, whose best candidates are tried first, with assignments near its allocations.
        ray: A Ray cluster that trials run on, in place of workers here.
        progress: Called with each report.

    Raises:
        ConfigError: If a number is wrong, the run was begun with another study, the storage cannot be opened, or the study's own values
            do not make a network.
        ConversionError: If the backbone cannot be made searchable.
        TrainingError: If the single-task references cannot be trained, or the storage is lost.
        ArchitectureError: If the folders of all complete trials are gone.
    """
    if trials is not None:
        trials = check_integer("search: trials", trials, 1)
    workers = check_integer("search: workers", workers, 1)
    study, runs = as_study(study, backbone, data), Path(runs)
    total = trials or study.config.search.trials
    network = ""
    if not RunFiles(runs / study.config.name).study.exists():
        choices = check_networks(study)  # said before anything is written or trained
        network = f"network: {choices}"
        if choices.few:
            _LOG.warning("%s: little is left to search for: %s", study.config.name, choices)
    try:
        with open_place(study, runs, storage) as place:
            if source is not None:
                transfer(place, study.space, source)
            references = _references(study, place, device, network, progress)
            errand = Errand(study, runs, device, storage, total)

            def send_out(errand: Errand) -> None:
                if ray is not None:
                    run_on_ray(errand, ray, references, progress)
                elif workers > 1:
                    run_workers(errand, workers, place, progress)
                else:
                    work(errand, place, progress)

            send_out(errand)
            place.fetch_ended()
            _check_folders(place)
            if study.config.search.finals.trials:
                _finals(errand, place, references, send_out, progress)
    except (LostLockError, *STORAGE_ERRORS) as error:
        raise lost(study.config.name, error) from error
    return Run.load(place.files.root)


def search_to_the_end(
    study: Study,
    *,
    runs: Path,
    device: str = "cpu",
    workers: int = 1,
    progress: ProgressCallback = silent,
) -> None:
    """Search in the run's own file until no trial runs: not here, nor in another process of this machine.

    `search` leaves the last trials to whoever runs them; the best of a run is known once these have ended, too.

    Args:
        study: The study.
        runs: The folder of run directories.
        device: Where to train.
        workers: Processes on this machine that take trials.
        progress: Called with each report.
    """
    while True:
        search(study, runs=runs, device=device, workers=workers, progress=progress)
        with open_place(study, runs, None) as place:
            counts, running = place.store.counts(), place.store.running()
            if not running:
                return
            text = f"waiting for trial {running[0]}, which runs elsewhere"
            total = sum(counts.values())
            progress(Progress("search", total - len(running), total, text=text))
            with place.locks.hold(f"trial-{running[0]}"):
                pass  # its holder has ended it, or died: then the next round goes on with it


def check_networks(study: Study) -> Choices:
    """Return what the network of a study's own values leaves to search for; what these cannot build, no trial can.

    Args:
        study: The study.

    Raises:
        ConfigError: If its values do not make a network, or hard sharing costs the same at all widths that it names.
        ConversionError: If the backbone cannot be made searchable.
    """
    choices = study.make_supernet(study.config, seed=0).wiring.choices
    check_curve(study)
    return choices


def is_searched(study: Study, files: RunFiles) -> bool:
    """Return whether all trials of a study have ended, and its finals, by their files: whatever storage they met in.

    Args:
        study: The study.
        files: Of its run, which was begun.
    """
    run = Run.load(files.root)
    ended = [trial for trial in run.all if trial.state != "running"]
    return len(ended) >= study.config.search.trials and _had_finals(study, run)


def _had_finals(study: Study, run: Run) -> bool:
    """Return whether a run had the finals that its study asks for; also if it asks for none."""
    section, finals = study.config.search.finals, run.finals
    if not section.trials:
        return True
    if finals is None:
        return False
    everyone = entered(study, run)
    told = {str(one.trial) for one in finals.finalists} | set(finals.failed)
    if told != {str(one.trial.number) for one in everyone}:
        return False
    alike = finals.seeds in (0, section.seeds)
    return alike and all(is_over(job) for _, job in trainings(study, run, everyone))


def _check_folders(place: Place) -> None:
    """Refuse a run whose complete trials, by its storage, have no folders: to search on would not bring them back."""
    complete = place.store.counts()["complete"]
    if complete and not Run.load(place.files.root).complete:
        raise ArchitectureError(
            explain(
                where=str(place.files.trials),
                rule="each complete trial of the run's storage has its folder here",
                found=f"none of {complete}",
                do="restore them, or give the study another name to search anew",
            )
        )


def _finals(
    errand: Errand,
    place: Place,
    references: References,
    send_out: Callable[[Errand], None],
    progress: ProgressCallback,
) -> None:
    """Hold the finals, unless trials still run elsewhere: then whoever ends the last of them does."""
    run = Run.load(place.files.root)
    running = place.store.counts()["running"]
    if running:
        which = "1 trial which runs" if running == 1 else f"{running} trials which run"
        text = f"left to the worker that ends the last of {which} elsewhere"
        progress(Progress("finals", 0, 1, text=text))
        return
    if not run.complete:
        return
    send_out(replace(errand, finals=True))
    with place.locks.hold("finals"):
        everyone = entered(errand.study, run)
        result = conclude(errand.study, run, everyone, references)
        place.courier.send(place.files.finals)
    total = len(trainings(errand.study, run, everyone))
    progress(Progress("finals", total, total, text=result.in_words()))


def _references(
    study: Study, place: Place, device: str, network: str, progress: ProgressCallback
) -> References:
    """Return the references, trained if there are none; the first report says what network is searched."""
    epochs = study.config.references.epochs or study.config.training.epochs

    def say(history: History, done: int, total: int) -> None:
        text = network if done == 0 and len(history.rows) == 1 else ""
        progress(Progress("references", done, total, text=text).after(history.rows, epochs))

    return ensure_references(
        study,
        place.files,
        device=device,
        on_epoch=say,
        locks=place.locks,
        courier=place.courier,
    )
