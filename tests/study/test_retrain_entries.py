"""Warm starts and teachers: both are the trial's hardened supernet, and asked for without one, refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sfg_nas.errors import ConfigError
from sfg_nas.fixed import distill
from sfg_nas.study import Run, Study, search
from sfg_nas.study.retrain_entries import make_entries, trained_supernet, variant_folders
from sfg_nas.training import evaluate

Make = Callable[..., Study]


@pytest.fixture
def searched(make_study: Make, tmp_path: Path) -> tuple[Study, Run]:
    study = make_study()
    return study, search(study, runs=tmp_path, trials=1)


def test_warm_weights_and_teacher_score_what_the_ledger_says(
    searched: tuple[Study, Run],
) -> None:
    study, run = searched
    how = study.config.retrain.model_copy(update={"init": "warm", "teacher": True})
    (entry,) = make_entries(study, run.best, (), how)
    assert entry.make_teacher is not None
    wanted = run.best.ledger.steps["recalibrated"]
    supernet = trained_supernet(study, run.best)
    for network in (supernet, entry.make(3), entry.make_teacher()):
        scores = evaluate(network, study.data.validation, study.tasks)
        assert scores["level/mae"] == pytest.approx(wanted["level/mae"], rel=1e-4)
        assert scores["bright/accuracy"] == pytest.approx(wanted["bright/accuracy"])


def test_a_teacher_without_a_warm_start_teaches_a_new_network(
    searched: tuple[Study, Run],
) -> None:
    study, run = searched
    how = study.config.retrain.model_copy(update={"teacher": True})
    (entry,) = make_entries(study, run.best, (), how)
    scores = evaluate(entry.make(0), study.data.validation, study.tasks)
    assert scores["level/mae"] != pytest.approx(run.best.ledger.steps["fixed"]["level/mae"])
    assert entry.folder in variant_folders(run.best.architecture.hash)


@pytest.mark.parametrize("changes", [{"init": "warm"}, {"teacher": True}])
def test_an_architecture_alone_has_no_supernet(
    searched: tuple[Study, Run], changes: dict[str, object]
) -> None:
    study, run = searched
    how = study.config.retrain.model_copy(update=changes)
    with pytest.raises(ConfigError, match="give the run"):
        make_entries(study, run.best.architecture, (), how)
    run.best.files.supernet.unlink()
    with pytest.raises(ConfigError, match="no such file"):
        make_entries(study, run.best, (), how)


def test_a_control_that_does_not_exist_is_said(make_study: Make) -> None:
    study = make_study()
    found = distill(study.make_supernet(study.config, seed=0))
    with pytest.raises(ConfigError, match=r"controls: .*found 'nope'; the controls here are sing"):
        make_entries(study, found, ["nope"], study.config.retrain)
