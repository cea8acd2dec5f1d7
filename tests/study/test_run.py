from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sfg_nas.errors import ConfigError, TrainingError
from sfg_nas.study import Ledger, Run, Study
from sfg_nas.study.layout import RunFiles
from sfg_nas.study.provenance import begin_run
from sfg_nas.training import write_json, write_text


@pytest.fixture
def run(make_study: Callable[..., Study], tmp_path: Path) -> Run:
    """Return a run with three complete trials, a failed and a running one, made by hand."""
    study = make_study()
    files = RunFiles(tmp_path / "tiny")
    begin_run(study, files)
    scores = [(0.1, 500), (0.3, 900), (0.1, 400)]
    for number, (delta, macs) in enumerate(scores):
        ledger = Ledger({"fixed": {"delta": delta}}, macs, 10, macs / 1000, 0.0, 1.5)
        write_json(files.trial(number).ledger, ledger.to_json())
        state = {"state": "complete", "values": [delta], "reason": ""}
        write_json(files.trial(number).state, state)
    write_json(files.trial(3).state, {"state": "failed", "values": [], "reason": "a loss"})
    write_json(files.trial(10).state, {"state": "running"})
    for number in (0, 1, 2, 3, 10):
        write_text(files.trial(number).candidate, json.dumps({"sharing.lambda3": number / 10}))
    return Run.load(files.root)


def test_best_and_front(run: Run) -> None:
    assert run.best.number == 1
    assert [trial.number for trial in run.pareto()] == [2, 1]
    assert run.trial(2).ledger.relative_macs == 0.4


def test_the_table_has_every_trial_in_order(run: Run) -> None:
    frame = run.trials()
    assert frame["number"].tolist() == [0, 1, 2, 3, 10]
    assert frame["state"].tolist()[-2:] == ["failed", "running"]
    assert frame["reason"].tolist()[3] == "a loss"
    assert frame["sharing.lambda3"].tolist() == [0.0, 0.1, 0.2, 0.3, 1.0]


def test_what_is_not_there_yet_is_empty(run: Run) -> None:
    assert run.references() is None
    assert run.epochs().empty
    assert run.probabilities().empty
    assert run.retrained().empty


def test_a_damaged_candidate_is_named_by_its_path(run: Run) -> None:
    path = run.files.trial(2).candidate
    path.write_text("{")
    with pytest.raises(ConfigError, match=re.escape(f"{path}: a candidate")):
        _ = run.all


def test_a_missing_trial_or_run_is_named(run: Run, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="the trials here are 0, 1, 2, 3, 10"):
        run.trial(4)
    with pytest.raises(ConfigError, match=r"study\.yaml is needed"):
        Run.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "a file without keys"),
        ("- 3\n", "a file without keys"),
        ("name: x\n", "at `data`: `data` is required; nothing"),
        ("{name: x, data: 3}\n", "at `data`: a mapping of keys is needed; 3"),
    ],
)
def test_a_damaged_study_is_named_where_it_is_read_and_where_it_goes_on(
    run: Run, make_study: Callable[..., Study], text: str, found: str
) -> None:
    run.files.study.write_text(text)
    words = f"{run.files.study}: the resolved study of a run is needed; found {found}; restore"
    with pytest.raises(ConfigError, match=re.escape(words)):
        Run.load(run.path)
    with pytest.raises(ConfigError, match=re.escape(words)):
        begin_run(make_study(), run.files)
