from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from sfg_nas.training import write_json


def test_watching_ends_when_all_trials_have(call: Callable, runs: Path) -> None:
    answer = call("status", "small", "--runs", runs, "--watch")
    assert answer.code == 0
    assert answer.out.count("best: trial") == 1
    front = json.loads(call("status", "small", "--runs", runs, "--json").out)["pareto"]
    noun = "trial" if len(front) == 1 else "trials"
    assert f"Pareto front (delta, MACs): {noun} {', '.join(map(str, front))}\n" in answer.out
    assert "delta: mean relative gain over single-task networks; 0.01 is 1 % better\n" in answer.out
    assert "nearest to the best candidate" in answer.out
    assert "not said below 8 complete trials" in answer.out


def test_watching_shows_it_again_until_then(
    call: Callable, runs: Path, monkeypatch: object
) -> None:
    state = runs / "small/trials/1/state.json"
    before = state.read_text()
    write_json(state, {"state": "running"})
    looks = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            state.write_text(before)

    monkeypatch.setattr("sfg_nas.cli.status.time.sleep", sleep)  # type: ignore[attr-defined]
    answer = call("status", "small", "--runs", runs, "--watch", "--every", "0.5")
    assert looks == [0.5, 0.5]
    assert answer.out.count("1 complete, 1 running of 2 planned") == 2
    assert answer.out.count("2 complete of 2 planned") == 1
    said = json.loads(call("status", "small", "--runs", runs, "--json").out)
    assert any("95 % of its hypervolume" in sentence for sentence in said["words"])


def test_dimensions_whose_last_words_are_the_same_have_columns_of_their_own(
    call: Callable, study: Path, tmp_path: Path
) -> None:
    entry = {"type": "float", "low": 0.0, "high": 0.9}
    keys = ("sharing.warmup_epochs", "training.warmup_epochs", "training.learning_rate")
    space = dict.fromkeys(keys[:2], entry) | {keys[2]: entry | {"low": 0.001}}
    options = ["--set", f"search.space={json.dumps(space)}", "--set", "search.trials=1"]
    answer = call("search", study, "--runs", tmp_path, *options)
    assert answer.code == 0, answer.err
    columns = next(line for line in answer.out.splitlines() if line.startswith("number ")).split()
    assert sorted(columns[-3:]) == ["learning_rate", *keys[:2]]


def test_finals_are_shown_and_reported(call: Callable, study: Path, tmp_path: Path) -> None:
    changes = (
        "search.objectives=[advantage]",
        "search.finals.trials=2",
        "references.seeds=1",
        "sharing.start.kind=thirds",
    )
    options = [word for change in changes for word in ("--set", change)]
    answer = call("search", study, "--runs", tmp_path, *options)
    assert answer.code == 0, answer.err
    shown = [line for line in answer.out.splitlines() if line.startswith("finals (advantage")]
    assert len(shown) == 1
    assert "3 trainings from scratch" in shown[0]
    said = json.loads(call("status", "small", "--runs", tmp_path, "--json").out)
    scores = {one["trial"]: one for one in said["finals"]["finalists"]}
    winner = said["best"]["number"]
    assert shown[0].split("): ")[1].startswith(f"trial {winner} ")
    assert set(scores) == {0, 1}
    assert said["best"]["final"] == max(row["final"] for row in said["trials"])
    best = next(line for line in answer.out.splitlines() if line.startswith("best: "))
    assert f"advantage {said['best']['advantage']:+.4f} over hard sharing at its MACs" in best
    call("report", tmp_path / "small")
    page = (tmp_path / "small/report.html").read_text(encoding="utf-8")
    assert "Finals, each network trained from scratch with 3 seeds" in page
