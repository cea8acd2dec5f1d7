"""Other processes make the methods as this one does, whichever run `found` comes from."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pandas as pd
import pytest

from sfg_nas.compare import Setting, Workers, compare, pool
from sfg_nas.compare.job import Job
from sfg_nas.compare.pool import Place, Team, _loaded
from sfg_nas.errors import ConfigError
from sfg_nas.study import Clock, Progress, Run, Study, search
from sfg_nas.study.place import open_place
from sfg_nas.study.progress import silent

Make = Callable[..., Study]
APART = {
    "backbone.width": 4.0,
    "sharing.start": {"kind": "branched", "split": 0, "confidence": 0.99},
}
TOGETHER = {"backbone.width": 4.0, "sharing.start": {"kind": "near-shared", "confidence": 0.99}}


@pytest.mark.parametrize("searched", [False, True])
def test_several_processes_take_found_from_another_run(
    make_study: Make, tmp_path: Path, searched: bool
) -> None:
    other = search(make_study({"name": "other", "search.trials": 1, **APART}), runs=tmp_path)
    study = make_study({"compare.equal_macs": False, "search.trials": 1, **TOGETHER})
    if searched:  # a trial of the same number, whose network is another
        for runs in ("alone", "team"):
            own = search(study, runs=tmp_path / runs).best.architecture
            assert own.hash != other.best.architecture.hash
    methods = ["found", "hard-sharing-at-found", "random-allocation"]
    alone, team = (
        compare(study, methods, 1, runs=tmp_path / runs, source=other, workers=Workers(count))
        for runs, count in (("alone", 1), ("team", 2))
    )
    timeless = [name for name in alone.networks if name != "training_seconds"]
    pd.testing.assert_frame_equal(alone.networks[timeless], team.networks[timeless])
    hashes = team.networks.set_index("method")["architecture"]
    assert hashes["found"] == other.best.architecture.hash
    assert (tmp_path / "team/tiny/trials").exists() == searched
    assert Run.load(tmp_path / "other").best.number == 0


def test_a_worker_refuses_another_study_than_was_begun(make_study: Make) -> None:
    study, same = make_study(), make_study()
    meant = study.config, study.data.fingerprint
    assert _loaded(study, meant) is study
    assert _loaded(lambda: same, meant) is same
    changed = make_study({"training.batch_size": 3})
    other_data = replace(same, data=replace(same.data, fingerprint="other"))
    for other in (changed, other_data):
        with pytest.raises(ConfigError, match="files were changed meanwhile"):
            _loaded(lambda: other, meant)  # noqa: B023 (called at once)


def test_a_search_that_is_over_is_left_alone_whatever_its_storage_was(
    make_study: Make, tmp_path: Path
) -> None:
    study = make_study({"search.trials": 1})
    run = search(study, runs=tmp_path, storage=f"sqlite:///{tmp_path}/elsewhere.db")
    candidate = run.files.trial(0).candidate
    other = json.loads(candidate.read_text()) | {"sharing.lambda3": 0.125}
    candidate.write_text(json.dumps(other))  # as several workers may have proposed
    Team(Setting(study, run.files), Place(tmp_path, "cpu"), Workers(), silent).search()
    assert not run.files.database.exists()


def test_trials_that_another_process_runs_are_waited_for(make_study: Make, tmp_path: Path) -> None:
    study = make_study({"search.trials": 2})
    run = search(study, runs=tmp_path, trials=1)
    said: list[str] = []
    with open_place(study, tmp_path, None) as other, ExitStack() as busy:
        assert other.store.ask().number == 1
        busy.enter_context(other.locks.hold("trial-1"))

        def hear(report: Progress) -> None:
            said.append(report.text)
            if "elsewhere" in report.text:
                busy.close()  # the other process dies

        Team(Setting(study, run.files), Place(tmp_path, "cpu"), Workers(), hear).search()
    assert said.count("waiting for trial 1, which runs elsewhere") == 1
    assert [trial.number for trial in Run.load(run.path).complete] == [0, 1]


def test_what_an_earlier_call_trained_counts_as_done_before_it_is_come_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    behind = {"trained": 4, "running": 1, "waiting": 0}
    monkeypatch.setattr(pool, "_WATCH_SECONDS", 0.0)
    monkeypatch.setattr(pool, "_epochs_of", lambda job, _: behind[job.entrant])
    reports: list[Progress] = []
    setting = cast("Setting", SimpleNamespace(epochs=4))
    team = Team(setting, Place(Path(), "cpu"), Workers(1), reports.append)
    waiting: dict[Future[None], Job] = {Future(): Job(name, "own", 0, 1.0, 0.1) for name in behind}
    team._wait("train", waiting, 5, Clock())
    assert (reports[0].done, reports[0].epoch, reports[0].epochs) == (3, 1, 4)
    next(iter(waiting)).set_result(None)
    team._wait("train", waiting, 5, Clock())
    assert (reports[1].done, reports[1].text) == (3, "training trained (own), seed 0: done")
    team._wait("test", waiting, 5, Clock())
    assert len(reports) == 2
