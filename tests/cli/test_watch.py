from __future__ import annotations

import pytest

from sfg_nas.cli.options import Common
from sfg_nas.cli.watch import watching
from sfg_nas.study import Progress


def test_plain_lines_for_what_ended_and_few_for_epochs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with watching(Common()) as report:
        report(Progress("search", 0, 2, 1, 3, values={"loss": 0.5, "other": 1.0}))
        report(Progress("search", 0, 2, 2, 3))
        report(Progress("search", 1, 2, text="trial 0: complete"))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[-1] == "[1/2] search: trial 0: complete"
    assert len(said.err.splitlines()) <= 2


def test_the_state_of_all_workers_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    counts = {"complete": 3, "running": 2, "failed": 1}
    with watching(Common()) as report:
        report(
            Progress("search", 4, 9, 3, 8, counts=counts, best=0.0123, seconds_left=3723, workers=2)
        )
    said = capsys.readouterr().err
    assert "epochs 3 of 8 in 2 workers" in said
    assert "3 done, 2 running, 0 pruned, 1 failed; best 0.0123; about 1:02:03 left" in said


@pytest.mark.parametrize("terminal", [False, True])
def test_the_time_that_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    with watching(Common()) as report:
        report(Progress("compare", 1, 4, 3, 8, seconds_left=75.0, workers=2))
    said = capsys.readouterr().err
    assert "about 1:15 left" in said
    assert ("epochs (2 workers)" if terminal else "epochs 3 of 8 in 2 workers") in said


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with watching(Common(quiet=True)) as report:
        report(Progress("search", 1, 2, text="trial 0: complete"))
    assert capsys.readouterr().err == ""


def test_bars_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with watching(Common()) as report:
        report(Progress("search", 0, 2, 1, 3, values={"loss": 0.5}))
        report(Progress("search", 1, 2, text="trial 0: complete [x]"))
        report(Progress("retrain", 1, 2, text="found, seed 0"))
    assert "trial 0: complete [x]" in capsys.readouterr().err


def test_on_eighty_columns_nothing_is_cut_short(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    counts = {"complete": 13, "running": 2, "pruned": 11, "failed": 1}
    values = {"loss": 0.123456, "score": -0.54321}
    with watching(Common()) as report:
        report(
            Progress(
                "search", 25, 100, 11, 20, values=values, counts=counts,
                best=-0.25919, seconds_left=4000, workers=2,
            )
        )  # fmt: skip
    said = capsys.readouterr().err
    assert "…" not in said
    line = "13 done, 2 running, 11 pruned, 1 failed; best -0.25919; about 1:06:40 left"
    assert all(part in said for part in ("25/100", "11/20", "loss 0.1235", "score -0.5432", line))
