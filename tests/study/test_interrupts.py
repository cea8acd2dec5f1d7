"""Processes that this one starts leave Ctrl-C to it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from sfg_nas.compare.entrant import Setting
from sfg_nas.compare.job import OWN, Job
from sfg_nas.compare.pool import Place, Team, Workers
from sfg_nas.study import Study
from sfg_nas.study.interrupts import unheard_by_children
from sfg_nas.study.layout import RunFiles
from sfg_nas.study.progress import silent
from sfg_nas.study.workers import Errand, _Crew

Make = Callable[..., Study]


def hears_ctrl_c(pid: int | None) -> bool:
    """Return whether a process that only just began does not block Ctrl-C."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    (blocked,) = (line.split()[1] for line in lines if line.startswith("SigBlk:"))
    return not int(blocked, 16) & (1 << (signal.SIGINT - 1))


def test_it_is_heard_afterwards() -> None:
    heard: list[str] = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append("heard"))
    try:
        with unheard_by_children():
            signal.raise_signal(signal.SIGINT)
            heard.append("begun")
        assert heard == ["begun", "heard"]
    finally:
        signal.signal(signal.SIGINT, before)


def test_workers_of_a_search_leave_it_to_who_started_them(make_study: Make) -> None:
    crew = _Crew(Errand(make_study(), Path("runs"), "cpu", None, 9), 2, None, silent)  # type: ignore[arg-type]
    crew.start()
    heard = [hears_ctrl_c(member.process.pid) for member in crew.members]
    crew.dismiss()
    assert heard == [False, False]


def test_workers_of_a_comparison_leave_it_to_who_started_them(
    make_study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = Team(
        Setting(make_study(), RunFiles(tmp_path / "tiny")),
        Place(tmp_path, "cpu"),
        Workers(2),
        silent,
    )
    heard: list[bool] = []

    def look(*_: object) -> None:
        assert team._pool is not None
        heard.extend(hears_ctrl_c(process.pid) for process in team._pool._processes.values())
        raise KeyboardInterrupt

    monkeypatch.setattr(team, "_wait", look)
    with pytest.raises(KeyboardInterrupt):
        team.train([Job("single-task", OWN, seed, 1.0, 0.01) for seed in range(2)])
    team.close()
    assert heard == [False, False]
