"""What is wrong with a comparison is said before anything is searched or trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from sfg_nas.compare import Setting, check_methods, compare, findings
from sfg_nas.compare.check import check_names, check_trial
from sfg_nas.config import Value
from sfg_nas.errors import ConfigError
from sfg_nas.study import RunFiles, Study
from sfg_nas.training import write_json
from tests.study.runs import make_run

Make = Callable[..., Study]


@pytest.mark.parametrize(
    ("section", "paths"),
    [
        ({}, []),
        ({"methods": ["found", "tree-split-2", "hard-sharing-scaled-0.5"], "trial": 19}, []),
        ({"methods": ["found", "fund", "nddr-2"]}, ["methods.1", "methods.2"]),
        ({"methods": ["tree-split-1.5", "hard-sharing-scaled-0"]}, ["methods.0", "methods.1"]),
        ({"methods": ["hard-sharing-scaled-1e3", "tree-split-\u00b2"]}, ["methods.0", "methods.1"]),
        ({"trial": 20}, ["trial"]),
        ({"trial": "20", "methods": ["random-allocation"]}, ["trial"]),
        ({"trial": "bset"}, ["trial"]),
        ({"trial": 20, "methods": ["constant-mask"]}, []),  # nothing of it is looked at
        ({"methods": 3, "trial": [1]}, []),  # their types are others' concern
        ({"methods": [1, ["found"]]}, []),
        (["found"], []),
    ],
)
def test_findings(section: Value, paths: list[str]) -> None:
    raw: Mapping[str, Value] = {"compare": section, "search": {"trials": 20}}
    found = [".".join(map(str, path[1:])) for path, *_ in findings(raw)]
    assert found == paths


def test_findings_say_what_to_do() -> None:
    named: Mapping[str, Value] = {"compare": {"methods": ["tree-split-x", "fund"], "trial": 150}}
    (split, name) = findings(named)
    assert "behind `tree-split-` must stand the number of layers that are shared" in split[1]
    assert name[3] == "did you mean `found`?"
    (trial,) = findings({"compare": {"trial": 150}})
    assert trial[2] == "150, of a search with trials 0 to 19"
    assert "raise search.trials" in trial[3]


def test_a_run_may_have_more_trials_than_its_study_asks_for(
    make_study: Make, tmp_path: Path
) -> None:
    make_run(make_study({}), tmp_path, 5)  # with `--trials 5`
    raw: Mapping[str, Value] = {"name": "tiny", "search": {"trials": 3}}
    for trial, known in ((4, True), (5, False)):
        compared: Mapping[str, Value] = {**raw, "compare": {"trial": trial}}
        assert [*findings(compared)]
        assert bool([*findings(compared, tmp_path)]) is not known


def test_all_names_are_checked_at_once() -> None:
    check_names(None)
    check_names(["found", "tree-split-1"])
    with pytest.raises(ConfigError) as caught:
        check_names(["fund", "found", "cross-stich"])
    first, second = str(caught.value).splitlines()
    assert "found `fund`; did you mean `found`?" in first
    assert "did you mean `cross-stitch`?" in second


def test_one_name_is_no_list_of_its_letters() -> None:
    with pytest.raises(
        ConfigError, match=r"compare: methods: a list .* found 'found'; write \['found'\]"
    ):
        check_names("found")


def test_a_trial_is_there_or_may_come(make_study: Make, tmp_path: Path) -> None:
    study = make_study()
    files = RunFiles(tmp_path / "tiny")
    check_trial("best", 3, files)
    check_trial(2, 3, files)
    with pytest.raises(ConfigError, match=r"found 3, of a search with trials 0 to 2; give `best`"):
        check_trial(3, 3, files)
    make_run(study, tmp_path, 5)  # with `--trials 5`
    check_trial("4", 3, files)
    write_json(files.trial(1).state, {"state": "failed", "values": [], "reason": "a loss"})
    with pytest.raises(
        ConfigError, match=r"found 1, which is failed; the complete trials are 0, 2"
    ):
        check_trial(1, 3, files)


def test_networks_that_do_not_exist_are_named_at_once(make_study: Make, tmp_path: Path) -> None:
    setting = Setting(make_study(), RunFiles(tmp_path))
    check_methods(setting, ["found", "tree-split", "constant-mask", "hard-sharing-scaled"])
    with pytest.raises(ConfigError) as caught:
        check_methods(setting, ["tree-split-9", "found", "tree-split-7"])
    assert [line.split(":")[1] for line in str(caught.value).splitlines()] == [
        " tree-split-9",
        " tree-split-7",
    ]


@pytest.mark.parametrize("seeds", [-1, 2.7])
def test_a_number_of_seeds_below_one_or_a_fraction_is_refused(
    make_study: Make, tmp_path: Path, seeds: int
) -> None:
    words = rf"compare: seeds: an integer of at least 1.*found {seeds}"
    with pytest.raises(ConfigError, match=words):
        compare(make_study(), ["nddr"], seeds, runs=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("methods", "changes", "words"),
    [
        (["found", "tree-split-9"], {}, r"compare\.methods: tree-split-9: .*searchable layers"),
        (["found"], {"compare.trial": 99}, r"compare\.trial: .*found 99"),
        (["found", "tree-split-1.5"], {}, "a whole one; found `tree-split-1.5`"),
    ],
)
def test_a_comparison_refuses_it_before_it_searches(
    make_study: Make, tmp_path: Path, methods: list[str], changes: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        compare(make_study(changes), methods, 1, runs=tmp_path)
    assert not (tmp_path / "tiny" / "references.json").exists()
    assert not (tmp_path / "tiny" / "trials").exists()
