"""What TensorBoard reads is what the epochs' tables say, also after interruptions and from other machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sfg_nas.study import Progress, Run, Study, search
from sfg_nas.study.courier import SharedFolder
from sfg_nas.study.place import open_place

Make = Callable[..., Study]


def assert_told(run: Run, number: int) -> None:
    """Compare the events of a trial with its table."""
    events = EventAccumulator(str(run.files.scalars(number)))
    events.Reload()
    table = pd.read_csv(run.all[number].files.metrics)
    names = set(table.columns) - {"epoch", "step"}
    assert set(events.Tags()["scalars"]) == {n for n in names if table[n].notna().any()}
    for name in ("loss", "loss/bright", "score", "temperature", "validation/level/mae"):
        found = [(event.step, event.value) for event in events.Scalars(name)]
        assert [step for step, _ in found] == table["epoch"].tolist()
        assert [value for _, value in found] == pytest.approx(table[name].tolist(), rel=1e-6)


def test_each_epoch_is_told_once_however_often_it_was_interrupted(
    make_study: Make, tmp_path: Path
) -> None:
    def progress(report: Progress) -> None:
        if report.epoch in stops:
            stops.remove(report.epoch)
            raise KeyboardInterrupt

    stops = [1, 2]
    study = make_study({"training.epochs": 3})
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            search(study, runs=tmp_path, trials=2, progress=progress)
    run = search(study, runs=tmp_path, trials=2)
    assert [len(list(run.files.scalars(n).iterdir())) for n in range(2)] == [1, 1]
    for number in range(2):
        assert_told(run, number)


@dataclass(frozen=True)
class FromElsewhere(SharedFolder):
    """Brings the state of a trial that ended elsewhere; its other files are here already."""

    def fetch(self, path: Path) -> None:
        (path / "hidden").rename(path / "state.json")


def test_trials_that_come_home_are_told_too(make_study: Make, tmp_path: Path) -> None:
    study = make_study()
    run = search(study, runs=tmp_path, trials=1)
    for file in run.files.scalars(0).iterdir():
        file.unlink()
    state = run.files.trial(0).state
    state.rename(state.with_name("hidden"))
    with open_place(study, tmp_path, None) as place:
        replace(place, courier=FromElsewhere()).fetch_ended()
    assert_told(run, 0)


def test_without_the_extra_there_are_none(
    make_study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sfg_nas.study.scalars.is_installed", lambda: False)
    run = search(make_study(), runs=tmp_path, trials=1)
    assert not run.files.scalars(0).parent.exists()
