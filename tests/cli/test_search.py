from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from sfg_nas.cli.search import INTERRUPTED, _no_control, _no_delta, resumable
from sfg_nas.report import retrained_verdict
from sfg_nas.study import Cluster, Run, Study, shares_everything

ROOT = Path(__file__).resolve().parents[2]


def test_search_again_changes_nothing(call: Callable, runs: Path, tmp_path: Path) -> None:
    before = Run.load(runs / "small").trials().to_json()
    again = ("search", runs / "small.yaml", "--runs", runs, "--device", "cpu")
    (tmp_path / "my data").mkdir()
    told = call(*again, "--data-root", tmp_path / "my data").err
    assert (
        f"next: sfg-nas retrain {runs / 'small'} --data-root '{tmp_path / 'my data'}'   (" in told
    )
    answer = call(*again, "--json")
    assert answer.code == 0
    said = json.loads(answer.out)
    assert said["counts"] == {"complete": 2}
    assert said["best"]["number"] in {0, 1}
    assert Run.load(runs / "small").trials().to_json() == before


def test_what_there_is_to_search_is_said_once(call: Callable, study: Path) -> None:
    options = ("--runs", study.parent / "runs", "--device", "cpu", "--set", "search.trials=1")
    begun = call("search", study, *options)
    assert begun.code == 0
    assert "references: network: 28 filters, 28 free choices of a group\n" in begun.err
    assert "little is left" not in begun.err
    assert "network:" not in call("search", study, *options).err


def test_status_by_name_and_by_path(call: Callable, runs: Path) -> None:
    by_name = call("status", "small", "--runs", runs)
    by_path = call("status", runs / "small")
    assert by_name == by_path
    assert by_name.code == 0
    assert "2 complete of 2 planned" in by_name.out
    assert "best: trial" in by_name.out
    said = json.loads(call("status", runs / "small", "--json").out)
    assert {"sharing.lambda2", "delta", "macs", "state"} <= set(said["trials"][0])
    assert set(said["pareto"]) <= {0, 1}


def test_another_study_of_the_same_name_is_refused(call: Callable, runs: Path) -> None:
    answer = call("search", runs / "small.yaml", "--runs", runs, "--set", "training.epochs=2")
    assert answer.code == 2
    assert "training.epochs: 1 -> 2" in answer.err


def test_retrain_puts_the_found_one_beside_others(call: Callable, runs: Path) -> None:
    answer = call("retrain", runs / "small", "--json", "--device", "cpu")
    assert answer.code == 0
    methods = {row["method"]: row for row in json.loads(answer.out)["table"]}
    assert {"found", "hard-sharing", "single-task"} <= set(methods)
    assert all(row["seeds"] == 2 for row in methods.values())
    plain = call("retrain", runs / "small", "--device", "cpu")
    assert " ± " in plain.out
    assert "delta of 0.01: 1 % better than single-task\n" in plain.out


def test_retrain_ends_with_what_follows(call: Callable, runs: Path) -> None:
    plain = call("retrain", runs / "small", "--device", "cpu")
    told = retrained_verdict(Run.load(runs / "small"))
    same = shares_everything(Run.load(runs / "small").best.architecture)
    few = "2 seeds cannot tell the found network from "
    expected = "the found network shares everything" if same else few
    assert told.headline.startswith(f"No verdict: {expected}")
    assert plain.out.endswith("\n".join(["", told.headline, *told.sentences, ""]))
    assert f"next: sfg-nas report {runs / 'small'}" in plain.err
    as_json = json.loads(call("retrain", runs / "small", "--device", "cpu", "--json").out)
    assert as_json["verdict"] == [told.headline, *told.sentences]


def test_a_control_that_there_is_not_is_said() -> None:
    whole = {"method": "hard-sharing", "relative_macs": 1.0}
    found = {"method": "found, warm", "relative_macs": 0.7}
    equal = {"method": "hard-sharing at equal MACs", "relative_macs": 0.71}
    assert _no_control([whole, found, equal]) == []
    (line,) = _no_control([whole, found])
    why = "no width of the network costs as much, or it runs at none but its own"
    assert line == f"no row of hard-sharing at equal MACs: {why}"
    (line,) = _no_control([whole, found | {"relative_macs": 0.99}])
    assert line.endswith("the found network costs as much")


def test_why_there_is_no_delta() -> None:
    row = {"method": "single-task", "a/dice": 0.0, "a/dice sd": 0.0, "b/mae": 1.0, "b/mae sd": 0.0}
    found = {"method": "found", "a/dice": 0.1, "b/mae": 0.0}
    (line,) = _no_delta([row, found])
    assert line == "no Δ: it is relative to the single-task networks, and their a/dice is 0"
    assert _no_delta([row | {"delta": 0.0}, found | {"delta": 0.1}]) == []
    assert _no_delta([found]) == []


def test_retrain_with_a_teacher_in_half_precision(
    call: Callable, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = (runs / "small/study.yaml").read_text()
    options = ["--teacher", "--init", "warm", "--seeds", "1", "--precision", "bf16-mixed"]
    monkeypatch.setattr(
        "sfg_nas.training.slow_precision", lambda name, device: f"{name} on {device}"
    )
    answer = call("retrain", runs / "small", *options, "--json", "--device", "cpu")
    assert answer.code == 0
    assert "warning: training.precision: bf16-mixed on cpu; `--precision 32`" in answer.err
    methods = {row["method"] for row in json.loads(answer.out)["table"]}
    assert "found, warm, with teacher" in methods
    assert (runs / "small/study.yaml").read_text() == study
    file = runs / "small/trials/0/architecture.json"
    answer = call("retrain", file, "--teacher", "--device", "cpu")
    assert answer.code == 2
    assert "give the run" in answer.err


def test_retrain_an_architecture_file(call: Callable, runs: Path) -> None:
    file = runs / "small/trials/0/architecture.json"
    answer = call("retrain", file, "--runs", runs, "--seeds", "1", "--device", "cpu")
    assert answer.code == 0
    assert "found" in answer.out
    assert "single seed" in answer.err


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["status", "nothing"], "the runs in"),
        (["status", "."], "no study.yaml in it"),
        (["retrain", "nothing"], "no such folder"),
        (["retrain", "small", "--trial", "99"], "the complete trials here are 0, 1"),
        (["retrain", "small", "--trial", "pareto"], "one trial is needed"),
        (["retrain", "small", "--trial", "pareto"], "found 'pareto'; the complete trials here are"),
        (["retrain", "nothing.json"], "no such file"),
        (["retrain", "small.yaml"], "a run's folder"),
        (["retrain", "small", "--study", "digits"], "brings its own study"),
        (["retrain", "small", "--init", "hot"], "--init"),
    ],
)
def test_bad_arguments(call: Callable, runs: Path, arguments: list[str], part: str) -> None:
    answer = call(*arguments, "--runs", runs)
    assert answer.code == 2
    assert part in answer.err
    assert "Traceback" not in answer.err


def test_a_loss_that_is_not_finite_fails_the_trial_with_its_reason(
    call: Callable, study: Path
) -> None:
    runs = study.parent / "runs"
    text = study.read_text().replace("retrain:", "    training.learning_rate: " + RATES)
    study.write_text(text + "retrain: {seeds: 1}\n")
    answer = call("search", study, "--runs", runs, "--device", "cpu")
    assert answer.code == 1
    assert "Traceback" not in answer.err
    said = json.loads(call("status", runs / "small", "--json").out)
    assert said["counts"] == {"failed": 2}
    assert all("finite" in trial["reason"] for trial in said["trials"])
    assert "finite" in call("status", runs / "small").out


RATES = "{type: float, low: 1.0e+30, high: 1.0e+32}\nreferences: {epochs: 1}\n# "


@pytest.mark.slow
@pytest.mark.parametrize("heard", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_says_how_to_go_on_and_the_same_call_does(
    study: Path, heard: signal.Signals
) -> None:
    study.write_text(study.read_text().replace("epochs: 1", "epochs: 30"))
    runs = study.parent / "runs"
    # A process that was started in the background may have been told to ignore Ctrl-C.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from sfg_nas.cli import main; main()"
    command = [sys.executable, "-c", code]
    command += ["search", str(study), "--runs", str(runs), "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    metrics, started = runs / "small/trials/0/metrics.csv", time.monotonic()
    while process.poll() is None and not metrics.exists() and time.monotonic() - started < 120:
        time.sleep(0.05)
    process.send_signal(heard)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"sfg-nas search {study} --runs {runs}" in err
    assert "Traceback" not in err
    again = [*command, "--trials", "1"]
    done = subprocess.run(again, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 complete" in done.stdout


def test_ctrl_c_shows_no_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = "postgresql://me:s3cr/e@t@host/x"
    monkeypatch.setattr("sys.argv", ["sfg-nas", "search", "a b.yaml", "--storage", address])
    with pytest.raises(typer.Exit) as stop, resumable():
        raise KeyboardInterrupt
    assert stop.value.exit_code == INTERRUPTED
    said = capsys.readouterr().err
    assert said.endswith("sfg-nas search 'a b.yaml' --storage postgresql://me:PASSWORD@host/x\n")


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--ray"], Cluster("local", 1.0, 0.0, None)),
        (["--ray", "auto", "--cpus", "4", "--gpus", "0.5"], Cluster("auto", 4.0, 0.5, None)),
        (["--ray", "ray://head:10001", "--workers", "3"], Cluster("ray://head:10001", trials=3)),
        (["--workers", "3"], None),
    ],
)
def test_where_trials_run(
    call: Callable,
    runs: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    wanted: Cluster | None,
) -> None:
    seen: dict[str, Any] = {}

    def record(study: Study, **how: object) -> Run:
        seen.update(how)
        return Run.load(runs / study.config.name)

    monkeypatch.setattr("sfg_nas.study.search", record)
    answer = call("search", runs / "small.yaml", "--runs", runs, "--device", "cpu", *options)
    assert answer.code == 0
    assert seen["ray"] == wanted
    assert seen["workers"] == (3 if "--workers" in options else 1)


def test_another_run_is_where_the_search_begins(call: Callable, study: Path, runs: Path) -> None:
    study.write_text(study.read_text().replace("name: small", "name: after"))
    where = ["--runs", study.parent / "runs", "--device", "cpu", "--trials", "1"]
    answer = call("search", study, *where, "--from", runs / "small")
    assert answer.code == 0
    (first,) = Run.load(study.parent / "runs/after").all
    assert first.candidate == Run.load(runs / "small").best.candidate
    answer = call("search", study, *where, "--from", runs / "nothing")
    assert answer.code == 2
    assert "nothing" in answer.err


@pytest.mark.ci
@pytest.mark.xdist_group("ray")
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_is_started_and_asked_for_no_more_than_it_has(
    call: Callable, study: Path
) -> None:
    where = ["--runs", study.parent / "runs", "--device", "cpu"]
    answer = call("search", study, *where, "--ray", "--cpus", "1000")
    assert answer.code == 2
    assert "room for one trial" in answer.err
    answer = call("search", study, *where, "--ray", "--workers", "2")
    assert answer.code == 0
    assert "2 complete of 2 planned" in answer.out


def test_smoke_runs_beside_the_real_run(call: Callable, study: Path) -> None:
    runs = study.parent / "runs"
    answer = call("search", study, "--smoke", "--runs", runs, "-q", "--device", "cpu")
    assert answer.code == 0
    assert answer.err == ""
    assert (runs / "small-smoke").is_dir()


def test_a_trial_that_failed_is_said_where_it_is_asked_for(
    call: Callable, runs: Path, tmp_path: Path
) -> None:
    shutil.copytree(runs / "small", tmp_path / "small")
    state = {"state": "failed", "values": [], "reason": "a loss"}
    (tmp_path / "small/trials/1/state.json").write_text(json.dumps(state), encoding="utf-8")
    answer = call("retrain", tmp_path / "small", "--trial", "1")
    assert answer.code == 2
    assert "found 1, which is failed; the complete trials here are 0\n" in answer.err
