"""The finals of a search: the best trials' networks are trained from scratch, several times, and validation decides.

A trial's own score is that of one training, of a network that shared its weights with all it might have become. Trials
often differ by less than such scores do from seed to seed, so that the best of many is largely luck (Li & Talwalkar
2019; Yu et al. 2020). The finals spend the trainings where they tell most: on the few that may be the best.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from sfg_nas.architecture import Architecture
from sfg_nas.config import BackboneConfig
from sfg_nas.search_space import Candidate
from sfg_nas.study.controls import fitted_backbone
from sfg_nas.study.finalists import Finalist, Finals
from sfg_nas.study.hard_curve import ADVANTAGE, HardSharingCurve, HardSharingPoint
from sfg_nas.study.jobs import TrainingJob
from sfg_nas.study.layout import RunFiles
from sfg_nas.study.place import Place
from sfg_nas.study.progress import Clock, Progress, ProgressCallback
from sfg_nas.study.references import References
from sfg_nas.study.retrain_entries import equal_macs_entry, found_entry
from sfg_nas.study.run import Run
from sfg_nas.study.stored import Check, is_text, read_metrics, read_object
from sfg_nas.study.study import Study
from sfg_nas.study.trial_reader import Trial
from sfg_nas.study.worker import FAILURES, reason_of
from sfg_nas.training import History, write_json

FAILED = "failed.json"
"""The file that says why a training failed."""


@dataclass(frozen=True)
class Final:
    """One training of the finals, as it can be sent to another process or machine.

    Attributes:
        trial: The finalist.
        architecture: Its network's.
        candidate: Of the trial that found it.
        seed: Number of the training, from 0.
        hard: The backbone of hard sharing that is trained beside the finalist; None for the finalist itself.
    """

    trial: int
    architecture: Architecture
    candidate: Candidate
    seed: int
    hard: BackboneConfig | None = None

    def __str__(self) -> str:
        """Return what is trained, in words."""
        beside = "hard sharing at the MACs of " if self.hard is not None else ""
        return f"{beside}trial {self.trial}, seed {self.seed}"

    def job(self, study: Study, files: RunFiles) -> TrainingJob:
        """Return the training.

        Args:
            study: The study.
            files: Of the run.
        """
        if self.hard is not None:
            entry = equal_macs_entry(study, self.hard)
        else:
            entry = found_entry(study, self.architecture, self.candidate)
        folder = files.final_work / entry.folder / str(self.seed)
        how = study.config.retrain
        return TrainingJob(study, how, entry, self.seed, folder, stage="finals")


Train = Callable[[Final, TrainingJob, Callable[[History], None]], None]
"""Does a training, here or elsewhere; its files are in place when it returns."""


@dataclass(frozen=True)
class FinalsWorker:
    """One worker in the finals.

    Attributes:
        study: The study.
        place: Where it meets the other workers.
        device: Where to train.
        progress: Called with each report.
        train: Does a training; None for this process.
    """

    study: Study
    place: Place
    device: str
    progress: ProgressCallback
    train: Train | None = None

    def work(self) -> None:
        """Do what no other worker does, then wait for them, and do what they left.

        Raises:
            LostLockError: If the connection to the storage was lost.
        """
        run = Run.load(self.place.files.root)
        todo = trainings(self.study, run, entered(self.study, run))
        clock = Clock()
        for wait in (False, True):
            for final, job in todo:
                if is_over(job):
                    continue
                done = sum(is_over(other) for _, other in todo)
                left = clock.seconds_left(done, len(todo))
                report = Progress("finals", done, len(todo), seconds_left=left)
                name = f"finals-{job.entry.folder}-{job.seed}"
                with self.place.locks.hold(name, wait=wait) as held:
                    if held:
                        self._do(final, job, report)

    def _do(self, final: Final, job: TrainingJob, report: Progress) -> None:
        courier = self.place.courier
        courier.fetch(job.folder)
        if is_over(job):
            return
        self.progress(replace(report, text=str(final)))

        def on_epoch(history: History) -> None:
            self.place.locks.check()
            courier.send(job.folder)
            self.progress(report.after(history.rows, job.settings.epochs))

        try:
            job.forget_other()  # the study's section `retrain` may have changed since
            if self.train is None:
                job.train(self.device, on_epoch)
            else:
                self.train(final, job, on_epoch)
        except FAILURES as error:
            content = {"reason": reason_of(error), "settings": _settings(job)}
            write_json(job.folder / FAILED, content)
        job.checkpoint.unlink(missing_ok=True)  # also one that came home from a cluster
        courier.send(job.folder)
        courier.drop(job.checkpoint)


@dataclass(frozen=True)
class Entered:
    """A trial that takes part.

    Attributes:
        trial: The trial.
        own: Its network's trainings, by seed.
        beside: Those of hard sharing at its MACs; none where that is not asked or does not exist.
    """

    trial: Trial
    own: tuple[Final, ...]
    beside: tuple[Final, ...]


def entered(study: Study, run: Run) -> list[Entered]:
    """Return who takes part in the finals, by their trials' own scores; nobody if the study has none.

    Of trials that found the same network the best one takes part.

    Args:
        study: The study.
        run: Its run, whose trials have ended.
    """
    ranked = sorted(run.complete, key=lambda trial: (-run.score(trial), trial.ledger.macs))
    different: dict[str, Trial] = {}
    for trial in ranked:
        different.setdefault(trial.architecture.hash, trial)
    chosen = list(different.values())[: study.config.search.finals.trials]
    return [_entered(study, trial) for trial in chosen]


def _entered(study: Study, trial: Trial) -> Entered:
    wanted = ADVANTAGE in study.config.search.objectives
    hard = fitted_backbone(study, trial.architecture.macs) if wanted else None
    seeds = range(study.config.search.finals.seeds)
    own = [Final(trial.number, trial.architecture, trial.candidate, seed) for seed in seeds]
    beside = [replace(final, hard=hard) for final in own if hard is not None]
    return Entered(trial, tuple(own), tuple(beside))


def trainings(
    study: Study, run: Run, everyone: Sequence[Entered]
) -> list[tuple[Final, TrainingJob]]:
    """Return every training of the finals once, the first seed of all first.

    Args:
        study: The study.
        run: Its run.
        everyone: Who takes part.
    """
    different: dict[Path, tuple[Final, TrainingJob]] = {}
    finals = [final for one in everyone for final in (*one.own, *one.beside)]
    for final in sorted(finals, key=lambda final: final.seed):
        job = final.job(study, run.files)
        different.setdefault(job.folder, (final, job))
    return list(different.values())


def conclude(study: Study, run: Run, everyone: Sequence[Entered], references: References) -> Finals:
    """Write what the finals came to, and return it.

    Args:
        study: The study.
        run: Its run, all of whose finals are trained.
        everyone: Who took part.
        references: What Δ is measured against.
    """
    found: list[Finalist] = []
    failed: dict[str, str] = {}
    epochs = study.config.retrain.epochs or study.config.training.epochs
    curve = _curve(study, run, everyone, references)
    for one in everyone:
        own = [final.job(study, run.files) for final in one.own]
        beside = [final.job(study, run.files) for final in one.beside]
        reasons = [reason for job in own if (reason := _why_failed(job)) is not None]
        if reasons:
            failed[str(one.trial.number)] = reasons[0]
            continue
        # Without hard sharing's trainings, all of them, a line through the others' has to do.
        paired = all(job.is_done() for job in beside)
        macs = one.trial.ledger.macs
        found.append(
            Finalist(
                trial=one.trial.number,
                architecture=one.trial.architecture.hash,
                macs=macs,
                deltas=tuple(_delta(job, references) for job in own),
                beside=tuple(_delta(job, references) for job in beside) if paired else (),
                expected=None if curve is None else curve.delta(macs),
            )
        )
    result = Finals(epochs, tuple(found), failed)
    result.save(run.files)
    return result


def _curve(
    study: Study, run: Run, everyone: Sequence[Entered], references: References
) -> HardSharingCurve | None:
    """Return hard sharing's Δ at any cost: by the finals' own trainings, or, of one cost only, by the references'."""
    jobs = {
        job.folder: job
        for one in everyone
        for final in one.beside
        if (job := final.job(study, run.files)).is_done()
    }
    points = []
    for job in jobs.values():
        stored = read_metrics(job.metrics, parts=job.parts)
        macs, values = cast("int", stored["macs"]), cast("dict[str, float]", stored["validation"])
        points.append(HardSharingPoint(1.0, job.seed, macs, _delta(job, references), values))
    if len({point.macs for point in points}) > 1:
        return HardSharingCurve(tuple(points))
    return references.hard_sharing


def _delta(job: TrainingJob, references: References) -> float:
    stored = read_metrics(job.metrics, parts=job.parts)["validation"]
    return references.delta(cast("dict[str, float]", stored), job.study.tasks)


def _settings(job: TrainingJob) -> str:
    """Return what a failed training was asked for; with other settings it is tried again."""
    return json.dumps(job.identity(), sort_keys=True)


def _why_failed(job: TrainingJob) -> str | None:
    """Return why a training failed with the present settings, or None if it did not."""
    path = job.folder / FAILED
    if not path.exists():
        return None
    keys: dict[str, Check] = {"reason": is_text, "settings": is_text}
    content = read_object(path, what="why a training failed", keys=keys)
    return str(content["reason"]) if content["settings"] == _settings(job) else None


def is_over(job: TrainingJob) -> bool:
    """Return whether a training of the finals is done, or failed, with the present settings."""
    return job.is_done() or _why_failed(job) is not None
