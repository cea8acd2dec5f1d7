"""One reason is said once, with its seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from sfg_nas.compare import Setting, Workers, compare
from sfg_nas.compare.failures import failures, lost_rates
from sfg_nas.compare.job import EQUAL, OWN, Job, identity
from sfg_nas.compare.plan import tuning_jobs
from sfg_nas.compare.pool import Place, Team
from sfg_nas.errors import TrainingError
from sfg_nas.study import RunFiles, Study
from sfg_nas.study.progress import silent
from sfg_nas.training import write_json

Make = Callable[..., Study]
Fail = Callable[..., list[Job]]


@pytest.fixture
def team(make_study: Make, tmp_path: Path) -> Team:
    setting = Setting(make_study(), RunFiles(tmp_path / "tiny"))
    return Team(setting, Place(tmp_path, "cpu"), Workers(), silent)


@pytest.fixture
def fail(team: Team) -> Fail:
    """Return a function that leaves the reasons of a method's seeds."""

    def leave(name: str, reasons: Sequence[str], scale: str = OWN) -> list[Job]:
        jobs = [Job(name, scale, seed, 1.0, 0.01) for seed in range(len(reasons))]
        for job, reason in zip(jobs, reasons, strict=True):
            if reason:
                own = identity(job, team.entrant(name), team.setting)
                write_json(
                    job.folder(team.setting) / "failed.json", {"identity": own, "reason": reason}
                )
        return jobs

    return leave


def test_seeds_of_one_reason_stand_in_one_line(team: Team, fail: Fail) -> None:
    jobs = fail("nddr", ["", "it broke", "it broke", "it bent"])
    jobs += fail("nddr", ["it broke"], EQUAL) + fail("constant-mask", ["", ""])
    assert failures(team, jobs) == [
        "nddr (own), seeds 1, 2 failed: it broke",
        "nddr (own), seed 3 failed: it bent",
        "nddr (equal-macs), seed 0 failed: it broke",
    ]


def test_reasons_that_differ_in_numbers_are_one(team: Team, fail: Fail) -> None:
    jobs = fail("nddr", ["step 4: a loss", "step 17: a loss", "step 3: an output"])
    assert failures(team, jobs) == [
        "nddr (own), seeds 0, 1 failed, the first of them: step 4: a loss",
        "nddr (own), seed 2 failed: step 3: an output",
    ]


def test_learning_rates_that_failed_are_named(make_study: Make, tmp_path: Path) -> None:
    study = make_study({"compare.tuning_trials": 3, "training.learning_rate": 0.01})
    setting = Setting(study, RunFiles(tmp_path / "tiny"))
    entrant = Team(setting, Place(tmp_path, "cpu"), Workers(), silent).entrant("nddr")
    assert lost_rates(setting, [entrant]) == []
    jobs = tuning_jobs(setting, [entrant])
    for count, words in ((1, ""), (3, "; it has 0.01, which was not chosen")):
        for job in jobs[-count:]:
            own = identity(job, entrant, setting)
            content = {"identity": own, "reason": "it broke"}
            write_json(job.folder(setting) / "failed.json", content)
        rates = ", ".join(f"{job.learning_rate:g}" for job in jobs[-count:])
        assert lost_rates(setting, [entrant]) == [
            f"nddr: tuning failed at {rates}: it broke{words}"
        ]


def test_references_that_fail_end_it_and_only_they_are_named(team: Team, fail: Fail) -> None:
    jobs = fail("single-task", ["it broke"] * 3) + fail("nddr", ["it bent"])
    with pytest.raises(TrainingError) as caught:
        failures(team, jobs)
    words = "compare: the references must be trained; found single-task (own), seeds 0, 1, 2 failed: it broke; mend"
    assert str(caught.value).startswith(words)
    assert "bent" not in str(caught.value)
    twin = fail("hard-sharing", ["it broke"], EQUAL)  # at equal MACs it is no reference
    assert failures(team, twin) == ["hard-sharing (equal-macs), seed 0 failed: it broke"]


def test_a_comparison_says_a_reference_once(make_study: Make, tmp_path: Path) -> None:
    study = make_study({"compare.equal_macs": False, "compare.learning_rate": 1e30})
    with pytest.raises(TrainingError) as caught:
        compare(study, [], 2, runs=tmp_path)
    assert str(caught.value).count("every loss must be finite") == 2  # one for each reference
    assert "single-task (own), seeds 0, 1 failed" in str(caught.value)
