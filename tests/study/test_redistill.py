"""Other choices of an allocation from one supernet, each with its ledger, in the run directory and in tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sfg_nas.config import DistillConfig
from sfg_nas.errors import ConfigError
from sfg_nas.fixed import build_network
from sfg_nas.study import Run, Study, redistill, retrain, search
from sfg_nas.training import evaluate, load_module, load_tensors

Make = Callable[..., Study]
CHOICES = (
    DistillConfig(granularity="layers"),
    DistillConfig(rule="threshold", threshold=0.9, granularity="blocks"),
    DistillConfig(rule="budget", budget=0.7),
    DistillConfig(rule="budget", budget=1.0, unit="microseconds", granularity="layers"),
)


@pytest.fixture
def searched(make_study: Make, tmp_path: Path) -> tuple[Study, Run]:
    study = make_study()
    return study, search(study, runs=tmp_path, trials=1)


def test_each_choice_has_its_ledger(searched: tuple[Study, Run], tmp_path: Path) -> None:
    study, run = searched
    trial = run.best
    own = redistill(study, run, trial, DistillConfig(), device="cpu")
    assert own.files == trial.files
    assert own.choice == "filters-argmax"
    for how in CHOICES:
        other = redistill(study, run, trial, how, device="cpu")
        assert other.files.root == trial.files.root / "distilled" / how.label
        assert other.choice == how.label
        steps = other.ledger.steps
        assert list(steps) == ["relaxed", "sampled", "hard", "recalibrated", "fixed"]
        assert steps["relaxed"] == trial.ledger.steps["relaxed"]
        assert other.ledger.choice["bound"] >= other.ledger.choice["score"]  # type: ignore[operator]
        assert ("measured" in other.ledger.choice) == (how.unit == "microseconds")
        network = build_network(other.architecture)
        load_module(other.files.network, network)
        scores = evaluate(network, study.data.validation, study.tasks)
        assert steps["fixed"] == pytest.approx(scores | {"delta": steps["fixed"]["delta"]})
        if how.budget == 0.7:
            assert other.ledger.relative_macs <= 0.7
        assert redistill(study, run, trial, how, device="cpu").ledger == other.ledger
    assert {choice.choice for choice in Run.load(run.path).choices} == {
        "filters-argmax",
        *(how.label for how in CHOICES),
    }

    shared = redistill(study, run, trial, CHOICES[1], device="cpu")
    retrain(study, shared, 1, runs=tmp_path, controls=())
    frame = Run.load(run.path).ledgers()
    mine = frame[frame["choice"] == shared.choice].set_index("step")
    assert list(mine.index) == [*shared.ledger.steps, "retrained"]
    assert mine.loc["retrained", "delta"] == mine.loc["retrained", "delta"]
    assert set(frame["trial"]) == {trial.number}


def test_a_redone_choice_equals_the_searchs_own(make_study: Make, tmp_path: Path) -> None:
    """The norms that were kept give the same score after hardening, bit for bit."""
    first = make_study({"distill.granularity": "layers"})
    own = search(first, runs=tmp_path / "own", trials=1)
    study = make_study()
    run = search(study, runs=tmp_path / "other", trials=1)
    other = redistill(study, run, run.best, DistillConfig(granularity="layers"), device="cpu")
    assert other.ledger.steps == own.best.ledger.steps
    assert other.architecture == own.best.architecture
    assert own.best.choice == "layers-argmax"
    for name in ("supernet", "network"):
        mine, theirs = (load_tensors(getattr(t.files, name)).tensors for t in (other, own.best))
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(value, theirs[key]) for key, value in mine.items())


def test_warm_weights_are_those_of_the_choice_and_what_is_missing_is_said(
    searched: tuple[Study, Run], tmp_path: Path
) -> None:
    study, run = searched
    other = redistill(study, run, run.best, CHOICES[1], device="cpu")
    how = study.config.retrain.model_copy(
        update={"init": "warm", "teacher": True, "epochs": 1, "learning_rate": 1e-30}
    )
    retrain(study, other, 1, runs=tmp_path, controls=(), how=how)
    folder = run.path / "retrained" / f"{other.architecture.hash}-warm-teacher" / "0"
    network, stored = build_network(other.architecture), build_network(other.architecture)
    load_module(folder / "network.safetensors", network)
    load_module(other.files.network, stored)
    for (name, value), wanted in zip(network.named_parameters(), stored.parameters(), strict=True):
        assert torch.allclose(value, wanted), name

    with pytest.raises(ConfigError, match="costs at most"):
        redistill(study, run, run.best, DistillConfig(rule="budget", budget=1e-6), device="cpu")
    run.best.files.norms.unlink()
    with pytest.raises(ConfigError, match=r"norms\.safetensors"):
        redistill(study, run, run.best, CHOICES[0], device="cpu")
