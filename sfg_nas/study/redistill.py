"""Another choice of an allocation from a trial's supernet, with a ledger of its own."""

from __future__ import annotations

import time
from dataclasses import replace

from sfg_nas.config import DistillConfig
from sfg_nas.errors import ConfigError, explain
from sfg_nas.study.layout import locked
from sfg_nas.study.run import Run
from sfg_nas.study.scoring import harden_and_score
from sfg_nas.study.study import Study
from sfg_nas.study.trial import write_hardened
from sfg_nas.study.trial_reader import Trial
from sfg_nas.training import derive_seed, load_module, restore_norm_state
from sfg_nas.weights import read_tensors


def redistill(study: Study, run: Run, trial: Trial, how: DistillConfig, *, device: str) -> Trial:
    """Return a complete trial as another rule chooses from its supernet; made once, then read.

    Its files lie below the trial's, in `distilled/<rule>`: allocation, architecture, weights, and the ledger with the
    score on validation before and after hardening, after recalibration, and later after retraining.

    Args:
        study: The run's study.
        run: The run.
        trial: A complete trial of it.
        how: The other rule.
        device: Where to compute.

    Raises:
        ConfigError: If the trial's files are gone, or nothing fits the budget.
        ArchitectureError: If a file is damaged.
    """
    if how == study.at(trial.candidate).distill:
        return trial
    files = trial.files.distilled(how.label)
    with locked(run.files.lock(f"distill-{trial.number}-{how.label}")):
        if not files.ledger.is_file():
            _make(study, run, trial, how, device)
    return replace(trial, files=files)


def _make(study: Study, run: Run, trial: Trial, how: DistillConfig, device: str) -> None:
    start = time.perf_counter()
    files = trial.files.distilled(how.label)
    references = run.references()
    for path in (trial.files.supernet, trial.files.norms, run.files.references):
        if not path.is_file():
            rule, do = "what the search left behind is needed", "restore the file, or search again"
            raise ConfigError(explain(where=str(path), rule=rule, found="no such file", do=do))
    assert references is not None
    supernet = study.make_supernet(study.at(trial.candidate), seed=0)
    load_module(trial.files.supernet, supernet)
    norms, _ = read_tensors(trial.files.norms)
    restore_norm_state(supernet, norms)
    before = {step: _plain(trial.ledger.steps[step]) for step in ("relaxed", "sampled")}
    seed = derive_seed(study.config.search.seed, "trial", trial.number)
    hardened = harden_and_score(
        supernet.to(device),
        study.data,
        seed=derive_seed(seed, "norms"),
        how=how,
        before=before,
    )
    files.root.mkdir(parents=True, exist_ok=True)
    write_hardened(study, files, supernet, hardened, references, start=start)


def _plain(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if name != "delta"}
