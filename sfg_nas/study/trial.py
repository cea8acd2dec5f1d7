"""One trial: train a supernet, harden it, distil it, measure it, and leave all of it on disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sfg_nas.config import StudyConfig
from sfg_nas.sharing import Supernet
from sfg_nas.study.layout import TrialFiles
from sfg_nas.study.recorder import Recorder
from sfg_nas.study.references import References
from sfg_nas.study.scoring import Hardened, harden_and_score, score_epoch
from sfg_nas.study.settings import search_settings, training_settings
from sfg_nas.study.stored import read_ledger
from sfg_nas.study.study import Study
from sfg_nas.training import (
    History,
    SupernetMethod,
    derive_seed,
    fit,
    make_fabric,
    norm_state,
    save_module,
    weighted,
    write_atomically,
    write_json,
)
from sfg_nas.weights import save_weights, write_tensors

RECALIBRATION_BATCH = 256

OnEpoch = Callable[[History], None]
"""Called after each epoch; raises to stop the trial."""


@dataclass(frozen=True)
class Ledger:
    """The scores of a trial, step by step.

    Attributes:
        steps: Step to metrics on validation, `delta` among them.
        macs: Multiply-accumulates of the fixed network for one image.
        params: Its parameters.
        relative_macs: Its MACs over those of hard sharing with the study's own backbone.
        difference: Between the outputs of the hard supernet and the fixed network.
        seconds: Time of training and scoring, over all sittings.
        choice: Rule, granularity and bound by which the allocation was chosen, and the times measured for it.
        retrained: Mean metrics of the retrained network on validation, or None as long as it is not retrained.
    """

    steps: dict[str, dict[str, float]]
    macs: int
    params: int
    relative_macs: float
    difference: float
    seconds: float
    retrained: dict[str, float] | None = None
    choice: dict[str, object] = field(default_factory=dict)

    @property
    def delta(self) -> float:
        """Return Δ of the fixed network."""
        return self.steps["fixed"]["delta"]

    def to_json(self) -> dict[str, object]:
        """Return the content of `ledger.json`."""
        return dict(vars(self))

    @classmethod
    def load(cls, files: TrialFiles) -> Ledger:
        """Return the ledger of a finished trial.

        Args:
            files: The trial's files.

        Raises:
            ArchitectureError: If the file is missing or damaged.
        """
        return cls(**read_ledger(files.ledger))  # type: ignore[arg-type]


def run_trial(
    study: Study,
    config: StudyConfig,
    files: TrialFiles,
    *,
    seed: int,
    references: References,
    device: str,
    on_epoch: OnEpoch,
) -> Ledger:
    """Run a trial, or the rest of it, and return its ledger.

    All files are in place, the ledger last, when this returns.

    Args:
        study: The study.
        config: Its configuration at the trial's candidate.
        files: Where the trial's files lie.
        seed: Of the trial's weights, masks and data order.
        references: What Δ is measured against.
        device: Where to train.
        on_epoch: Called after each epoch; raises to stop the trial.

    Raises:
        SfgNasError: If the candidate cannot be built or trained.
    """
    if files.ledger.exists():
        return Ledger.load(files)
    supernet = study.make_supernet(config, seed=seed)
    history = _train(study, config, files, supernet, seed, references, device, on_epoch)
    start = time.perf_counter()
    write_atomically(files.norms, lambda part: write_tensors(part, norm_state(supernet), {}))
    hardened = harden_and_score(
        supernet,
        study.data,
        seed=derive_seed(seed, "norms"),
        how=config.distill,
    )
    trained = sum(row["seconds"] for row in history.rows)
    return write_hardened(study, files, supernet, hardened, references, start=start - trained)


def _train(
    study: Study,
    config: StudyConfig,
    files: TrialFiles,
    supernet: Supernet,
    seed: int,
    references: References,
    device: str,
    on_epoch: OnEpoch,
) -> History:
    data = study.data
    settings = training_settings(config.training, config.data.augment)
    method = weighted(
        SupernetMethod(
            supernet,
            study.tasks,
            search_settings(config, len(data.train)),
            steps=settings.epochs * max(len(data.train) // settings.batch_size, 1),
        ),
        study.tasks,
        config.training.weighting,
    )
    recorder = Recorder(files, supernet)

    def validate() -> dict[str, float]:
        values, costs = score_epoch(
            supernet,
            data,
            seed=derive_seed(seed, "norms"),
            how=config.distill,
        )
        row = {f"validation/{name}": value for name, value in values.items()}
        return row | costs | {"score": references.delta(values, study.tasks)}

    def keep(history: History) -> None:
        recorder(history)
        on_epoch(history)

    return fit(
        method,
        data.train,
        settings,
        fabric=make_fabric(device, precision=config.training.precision),
        seed=derive_seed(seed, "data"),
        validate=validate,
        checkpoint=files.checkpoint,
        on_epoch=keep,
    )


def write_hardened(
    study: Study,
    files: TrialFiles,
    supernet: Supernet,
    hardened: Hardened,
    references: References,
    *,
    start: float,
) -> Ledger:
    """Write what a supernet became, the ledger last, and return the ledger.

    Args:
        study: The study.
        files: Where it goes.
        supernet: Hardened, with recalibrated norms.
        hardened: From `harden_and_score`.
        references: What Δ is measured against.
        start: When the work began, by `time.perf_counter`.
    """
    steps = {
        step: values | {"delta": references.delta(values, study.tasks)}
        for step, values in hardened.steps.items()
    }
    architecture = hardened.architecture
    hardened.allocation.save(files.allocation)
    architecture.save(files.architecture)
    save_module(files.supernet, supernet)
    save_weights(files.network, hardened.network)
    ledger = Ledger(
        steps=steps,
        macs=architecture.macs,
        params=architecture.params,
        relative_macs=architecture.macs / references.hard_sharing_macs,
        difference=hardened.difference,
        seconds=time.perf_counter() - start,
        choice=hardened.choice,
    )
    write_json(files.ledger, ledger.to_json())
    return ledger
