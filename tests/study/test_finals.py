"""The finals: who takes part, what decides, and that neither a kill nor the number of workers changes it."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from sfg_nas.config import StudyConfig
from sfg_nas.study import Cluster, Progress, Run, Study, is_searched, load_study, retrain, search
from sfg_nas.study.finals import conclude, entered, trainings
from sfg_nas.study.layout import RunFiles
from sfg_nas.study.networks import hard_network, macs_of
from tests.study.test_ray_workers import CONTENT as RAY

Make = Callable[..., Study]
CHANGES: dict[str, Any] = {
    "search.trials": 5,
    "search.finals": {"trials": 3, "seeds": 2},
    "search.objectives": ["advantage"],
    "references.widths": [0.5, 1.0, 2.0],
    "references.seeds": 1,
    "backbone.width": 4.0,  # so that some width of hard sharing costs as much as any network
    "sharing.start": {"kind": "thirds"},  # so that trials find different networks
}


def scores_of(run: Run) -> dict[str, dict[str, Any]]:
    """Return the content of every training's file but its times."""
    found = {}
    for path in sorted(run.files.final_work.glob("*/*/metrics.json")):
        content = json.loads(path.read_text())
        times = ("seconds", "training_seconds")
        found[str(path.relative_to(run.path))] = {
            key: value for key, value in content.items() if key not in times
        }
    return found


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Run:
    from tests.study.conftest import CONTENT, make_data, two_layers

    content = json.loads(json.dumps(CONTENT))
    del content["search"]["space"]["training.learning_rate"]
    study = load_study(content, CHANGES, backbone=two_layers, data=make_data())
    return search(study, runs=tmp_path_factory.mktemp("held"))


def test_the_best_is_who_won_and_scores_are_those_of_the_files(held: Run) -> None:
    finals, references = held.finals, held.references()
    assert finals is not None
    assert references is not None
    assert len(finals.finalists) == 3
    assert not finals.failed
    tasks = _tasks(held)
    for one in finals.finalists:
        trial = held.trial(one.trial)
        assert one.architecture == trial.architecture.hash
        for seed, delta in enumerate(one.deltas):
            stored = json.loads(
                (held.files.final_work / one.architecture / str(seed) / "metrics.json").read_text()
            )
            assert stored["macs"] == trial.ledger.macs == one.macs
            assert delta == pytest.approx(references.delta(stored["validation"], tasks))
        assert one.score == pytest.approx(
            fmean(a - b for a, b in zip(one.deltas, one.beside, strict=True))
        )
        assert one.expected == pytest.approx(line_of_hard_sharing(held, one.macs), abs=1e-9)
    winner = max(finals.finalists, key=lambda one: one.score)
    assert held.best.number == winner.trial
    column = held.trials().set_index("number")["final"]
    assert column.dropna().to_dict() == {one.trial: one.score for one in finals.finalists}
    assert f"trial {winner.trial}" in finals.in_words().split(",")[0]


def line_of_hard_sharing(run: Run, macs: int) -> float:
    """Return Δ at a cost on the line of least squares through hard sharing's trainings in the finals."""
    references, found = run.references(), []
    assert references is not None
    for path in run.files.final_work.glob("hard-sharing-*/*/metrics.json"):
        stored = json.loads(path.read_text())
        delta = references.delta(stored["validation"], _tasks(run))
        found.append((math.log(stored["macs"]), delta))
    costs, deltas = zip(*found, strict=True)
    slope, height = np.polyfit(costs, deltas, 1)
    return float(slope * math.log(macs) + height)


def _tasks(run: Run) -> Any:  # noqa: ANN401
    from tests.study.conftest import make_data

    del run
    return make_data().tasks


def test_those_with_the_best_scores_take_part_once_for_each_network(
    held: Run, make_study: Make
) -> None:
    study = make_study(CHANGES)
    found = entered(study, held)
    numbers = [one.trial.number for one in found]
    ranked = sorted(held.complete, key=lambda trial: (-held.score(trial), trial.ledger.macs))
    hashes = [trial.architecture.hash for trial in ranked]
    first = [trial for i, trial in enumerate(ranked) if hashes.index(hashes[i]) == i]
    assert numbers == [trial.number for trial in first[:3]]
    more = replace(study, config=_with(study.config, trials=99))
    assert len(entered(more, held)) == len(set(hashes))
    assert entered(replace(study, config=_with(study.config, trials=0)), held) == []


def _with(config: StudyConfig, **changes: int) -> StudyConfig:
    finals = config.search.finals.model_copy(update=changes)
    return config.model_copy(update={"search": config.search.model_copy(update={"finals": finals})})


def test_hard_sharing_is_trained_at_each_finalists_cost(held: Run, make_study: Make) -> None:
    study = make_study(CHANGES)
    for one in entered(study, held):
        assert [final.seed for final in one.beside] == [0, 1]
        words = f"hard sharing at the MACs of trial {one.trial.number}, seed 0"
        assert str(one.beside[0]) == words
        section = one.beside[0].hard
        assert section is not None
        cost = macs_of(hard_network(study, section, seed=0), study)
        assert cost == pytest.approx(one.trial.ledger.macs, rel=0.1)


def test_where_hard_sharing_failed_a_line_through_its_other_trainings_stands_in(
    held: Run, make_study: Make, tmp_path: Path
) -> None:
    shutil.copytree(held.path, tmp_path / "tiny")
    run, study = Run.load(tmp_path / "tiny"), make_study(CHANGES)
    references = run.references()
    assert references is not None
    lost = entered(study, run)[0]
    job = lost.beside[0].job(study, run.files)
    job.metrics.unlink()
    finals = conclude(study, run, entered(study, run), references)
    assert run.finals == finals
    first = finals.finalists[0]
    assert first.trial == lost.trial.number
    assert first.beside == ()
    assert first.expected == pytest.approx(line_of_hard_sharing(run, first.macs), abs=1e-9)
    assert first.score == pytest.approx(fmean(first.deltas) - first.expected)
    others = [one for one in finals.finalists[1:] if one.macs != first.macs]
    assert others
    assert all(len(one.beside) == 2 for one in others)


def test_nothing_of_the_test_part_is_opened(held: Run) -> None:
    contents = scores_of(held)
    assert len(contents) >= 6
    for content in contents.values():
        assert "validation" in content
        assert "test" not in content
    assert not list(held.files.final_work.rglob("*.safetensors"))


def test_its_weights_are_not_those_of_retraining(
    held: Run, make_study: Make, tmp_path: Path
) -> None:
    # Else the winner's luck on its seeds would be found again, and taken for merit.
    study = make_study(CHANGES)
    retrain(study, held.best, 1, runs=tmp_path, controls=())
    (path,) = (tmp_path / "tiny/retrained").glob("*/0/metrics.json")
    retrained = json.loads(path.read_text())
    final = scores_of(held)[f"finals/{held.best.architecture.hash}/0/metrics.json"]
    assert retrained["validation"] != final["validation"]


def test_a_killed_one_goes_on_and_ends_the_same(
    held: Run, make_study: Make, tmp_path: Path
) -> None:
    class KilledError(Exception):
        pass

    study = make_study(CHANGES)
    for moment in (1, 4, 7):

        def die(report: Progress, moment: int = moment) -> None:
            if report.stage == "finals" and report.epoch and report.done == moment:
                raise KilledError

        with pytest.raises(KilledError):
            search(study, runs=tmp_path, progress=die)
        assert Run.load(tmp_path / "tiny").finals is None
    seen: list[Progress] = []
    run = search(study, runs=tmp_path, progress=seen.append)
    assert min(report.done for report in seen if report.stage == "finals" and report.epoch) == 7
    assert scores_of(run) == scores_of(held)
    assert run.finals == held.finals
    assert not list(run.path.rglob("checkpoint*"))


@pytest.mark.slow
def test_whether_a_search_is_over_is_told_by_its_files(held: Run, make_study: Make) -> None:
    study = make_study(CHANGES)
    assert is_searched(study, held.files)
    assert is_searched(replace(study, config=_with(study.config, trials=0)), held.files)
    for changes in (
        {"search.trials": 6},
        {"search.finals.seeds": 1},
        {"search.finals.seeds": 3},
        {"search.finals.trials": 2},
        {"retrain.epochs": 2},
    ):
        assert not is_searched(make_study({**CHANGES, **changes}), held.files), changes


def test_two_workers_come_to_the_same(held: Run, make_study: Make, tmp_path: Path) -> None:
    # Two workers propose other trials, so they begin from those of one.
    shutil.copytree(held.path, tmp_path / "tiny", ignore=shutil.ignore_patterns("finals*"))
    assert Run.load(tmp_path / "tiny").finals is None
    two = search(make_study(CHANGES), runs=tmp_path, workers=2)
    assert scores_of(two) == scores_of(held)
    assert two.finals == held.finals


def test_finals_can_be_added_to_a_search_that_is_over_and_taken_back(
    make_study: Make, tmp_path: Path
) -> None:
    study = make_study({**CHANGES, "search.objectives": ["delta"]})
    without = replace(study, config=_with(study.config, trials=0))
    run = search(without, runs=tmp_path)
    assert run.finals is None
    assert not run.files.finals.exists()
    own = run.best.number
    epochs = run.epochs()
    run = search(study, runs=tmp_path)
    assert run.epochs().equals(epochs)  # no trial was run again
    assert run.finals is not None
    assert all(one.beside == () and one.expected is None for one in run.finals.finalists)
    assert run.best.number == max(run.finals.finalists, key=lambda one: one.score).trial
    assert search(without, runs=tmp_path).best.number == own


def test_more_trials_bring_new_finalists_and_train_nobody_twice(
    make_study: Make, tmp_path: Path
) -> None:
    study = make_study(CHANGES)
    run = search(study, runs=tmp_path, trials=3)
    times = {path: path.stat().st_mtime_ns for path in run.files.final_work.rglob("metrics.json")}
    run = search(study, runs=tmp_path, trials=8)
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert run.finals is not None
    assert {one.trial for one in run.finals.finalists} == {
        one.trial.number for one in entered(study, run)
    }
    assert all(job.is_done() for _, job in trainings(study, run, entered(study, run)))


def test_a_training_that_fails_takes_its_network_out(make_study: Make, tmp_path: Path) -> None:
    study = make_study({**CHANGES, "retrain.learning_rate": 1e30})
    run = search(study, runs=tmp_path)
    finals = run.finals
    assert finals is not None
    assert finals.finalists == ()
    assert len(finals.failed) == 3
    assert all("loss" in reason for reason in finals.failed.values())
    assert "failed" in finals.in_words()
    assert run.score(run.best) == max(run.score(trial) for trial in run.complete)
    assert not list(run.path.rglob("checkpoint*"))
    # With other settings, which a run may change, they are trained anew.
    run = search(make_study({**CHANGES, "retrain.learning_rate": 1e-2}), runs=tmp_path)
    assert run.finals is not None
    assert len(run.finals.finalists) == 3
    assert run.finals.failed == {}


def test_one_that_was_interrupted_begins_anew_with_other_settings(
    make_study: Make, tmp_path: Path
) -> None:
    small = {"search.trials": 1, "search.finals": {"trials": 1, "seeds": 1}}

    def die(report: Progress) -> None:
        if report.stage == "finals" and report.epoch:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(make_study({**small, "retrain.epochs": 2}), runs=tmp_path, progress=die)
    assert len(list(tmp_path.rglob("checkpoint*"))) == 1
    finals = search(make_study({**small, "retrain.epochs": 3}), runs=tmp_path).finals
    assert finals is not None
    assert finals.failed == {}
    assert len(finals.finalists) == 1
    assert not list(tmp_path.rglob("checkpoint*"))


@pytest.mark.ci
@pytest.mark.xdist_group("ray")
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_finals_on_a_cluster_equal_those_here(tmp_path: Path) -> None:
    changes = {"training.epochs": 2, "search.finals": {"trials": 2, "seeds": 2}}
    study = load_study(RAY, {**changes, "sharing.start": {"kind": "thirds"}})
    there = search(study, runs=tmp_path / "ray", ray=Cluster(trials=2))
    here = search(study, runs=tmp_path / "here")
    assert there.finals == here.finals
    assert there.finals is not None
    assert scores_of(there) == scores_of(here)
    assert not list(RunFiles(there.path).root.rglob("checkpoint*"))
