from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from sfg_nas.config import (
    Document,
    Names,
    StudyConfig,
    load_study_config,
    override,
    read_yaml,
    shipped,
)
from sfg_nas.errors import ConfigError
from sfg_nas.search_space import (
    Candidate,
    SearchSpace,
    check_whole_study,
    known_good,
    resolve_space,
    searchable_keys,
)

SHAPE, START, END = (f"sharing.temperature.{name}" for name in ("shape", "start", "end"))
ENTRIES = {
    END: {"type": "float", "low": 0.05, "high": 0.5, "log": True, "when": {SHAPE: ["linear"]}},
    SHAPE: {"type": "categorical", "choices": ["constant", "linear"]},
    "backbone.depth": {"type": "int", "low": 4, "high": 8, "step": 2},
}


def a_study(**sections: object) -> StudyConfig:
    base = {"name": "a", "data": {"kind": "digits"}, "backbone": {"kind": "vgg11"}}
    return load_study_config({**base, **sections})  # type: ignore[arg-type]


def complaints(entries: dict[str, object]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        SearchSpace.from_mapping(entries)  # type: ignore[arg-type]
    return str(caught.value).splitlines()


def test_parents_come_before_their_conditionals() -> None:
    assert list(SearchSpace.from_mapping(ENTRIES)) == [SHAPE, "backbone.depth", END]


def test_suggestions_lie_in_their_ranges_and_keep_to_conditions() -> None:
    space = SearchSpace.from_mapping(ENTRIES)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = [space.suggest(study.ask()) for _ in range(60)]
    assert {c["backbone.depth"] for c in seen} == {4, 6, 8}
    assert {c[SHAPE] for c in seen} == {"constant", "linear"}
    assert all((END in c) == (c[SHAPE] == "linear") for c in seen)
    ends = [float(c[END]) for c in seen if END in c]
    assert 0.05 <= min(ends) < 0.1
    assert 0.3 < max(ends) <= 0.5
    for candidate in seen:
        assert candidate.apply(a_study()).backbone.depth == candidate["backbone.depth"]


def test_a_condition_on_a_fixed_key_is_decided_by_the_study() -> None:
    space = SearchSpace.from_mapping({END: ENTRIES[END]})
    linear = a_study(sharing={"temperature": {"shape": "linear"}})
    constant = a_study(sharing={"temperature": {"shape": "constant"}})
    assert list(space.bind(linear)) == [END]
    assert list(space.bind(constant)) == []
    with pytest.raises(ConfigError, match="bind"):
        space.suggest(optuna.create_study().ask())


def test_what_is_written_is_read_back() -> None:
    for path in shipped("search_spaces").values():
        space = SearchSpace.from_yaml(path)
        assert len(space) > 0
        assert SearchSpace.from_json(space.to_json()).dimensions == space.dimensions
        assert SearchSpace.from_mapping(space.to_mapping()).dimensions == space.dimensions


@pytest.mark.parametrize("name", sorted(shipped("search_spaces")))
@pytest.mark.parametrize("study", sorted(shipped("studies")))
def test_shipped_spaces_fit_shipped_studies(name: str, study: str) -> None:
    config = override(load_study_config(shipped("studies")[study]), {"search.space": name})
    space = SearchSpace.from_study(config)
    resolved = resolve_space(config, space)
    assert SearchSpace.from_study(resolved).dimensions == space.dimensions


@pytest.mark.parametrize("study", sorted(shipped("studies")))
def test_shipped_studies_have_a_space_that_fits(study: str) -> None:
    assert len(SearchSpace.from_study(load_study_config(shipped("studies")[study]))) >= 1


def test_the_known_good_candidate_keeps_to_conditions() -> None:
    entries = {**ENTRIES, END: {**ENTRIES[END], "first": 0.1}}
    choice = {"type": "categorical", "choices": ["constant", "linear"]}
    assert known_good(SearchSpace.from_mapping(entries).dimensions) == {}
    for shape, wanted in (("constant", {}), ("linear", {END: 0.1})):
        entries[SHAPE] = {**choice, "first": shape}
        found = known_good(SearchSpace.from_mapping(entries).dimensions)
        assert found == {SHAPE: shape, **wanted}


@pytest.mark.parametrize("name", sorted(shipped("search_spaces")))
def test_shipped_spaces_know_a_good_candidate(name: str) -> None:
    config = override(load_study_config(shipped("studies")["digits"]), {"search.space": name})
    space = SearchSpace.from_study(config)
    candidate = known_good(space.dimensions)
    assert len(candidate) >= 4
    assert space.problems_of(candidate) == []
    assert Candidate.of(candidate).apply(config) != config


def test_full_has_all_the_dimensions() -> None:
    expected = {
        START, END, SHAPE, "sharing.lambda1", "sharing.lambda2", "sharing.lambda3",
        "training.learning_rate", "training.allocation_learning_rate", "backbone.depth",
        "backbone.width", "sharing.start.kind",
    }  # fmt: skip
    assert expected <= set(SearchSpace.from_yaml("full"))


@pytest.mark.parametrize(
    ("key", "entry", "parts"),
    [
        (
            "sharing.lamda1",
            {"type": "float", "low": 0, "high": 1},
            ["did you mean `sharing.lambda1`"],
        ),
        ("search.trials", {"type": "int", "low": 1, "high": 2}, ["belongs to the whole study"]),
        ("backbone.depth", {"type": "int", "low": 0, "high": 4}, ["backbone.depth.low", "above 0"]),
        ("backbone.depth", {"type": "int", "low": 1.5, "high": 4}, ["whole numbers"]),
        ("backbone.depth", {"type": "float", "low": 1.5, "high": 4}, ["whole number is needed"]),
        ("backbone.width", {"type": "float", "low": 1, "high": 0.5}, ["`low <= high`"]),
        ("backbone.width", {"type": "float", "low": 0.5, "high": 1, "step": 0}, ["`step > 0`"]),
        ("backbone.width", {"type": "float", "low": "1", "high": 2}, ["backbone.width.low"]),
        ("backbone.width", {"type": "float", "low": 1}, ["needs `high`"]),
        ("backbone.width", {"type": "flot", "low": 1, "high": 2}, ["'float'"]),
        ("backbone.width", {"low": 1, "high": 2}, ["`type` is required"]),
        (
            "backbone.width",
            {"type": "float", "low": 1, "high": 2, "setp": 1},
            ["did you mean `step`"],
        ),
        ("sharing.lambda2", {"type": "float", "low": -1, "high": 1, "log": True}, ["`low > 0`"]),
        (
            "sharing.lambda1",
            {"type": "float", "low": 1, "high": 2, "log": True, "step": 1},
            ["no `step`"],
        ),
        ("sharing.estimator", {"type": "categorical", "choices": ["hard"]}, ["straight-through"]),
        ("sharing.estimator", {"type": "categorical"}, ["needs `choices`"]),
        (
            "backbone.width",
            {"type": "float", "low": 1, "high": 2, "first": 3.0},
            ["`first` must be possible", "3.0 beside 1.0, 2.0"],
        ),
        (
            "training.batch_size",
            {"type": "int", "low": 8, "high": 17, "step": 4},
            ["training.batch_size.high", "whole steps above `low`", "high=17, step=4"],
        ),
        (
            "training.batch_size",
            {"type": "int", "low": 8, "high": 16, "step": 4, "first": 10},
            ["`first` must be possible", "10 beside 8, 16 in steps of 4"],
        ),
        ("sharing.estimator", {"type": "categorical", "choices": []}, ["at least 1"]),
        ("sharing.estimator", {"type": "categorical", "choices": ["soft", "soft"]}, ["once"]),
        (
            "sharing.estimator",
            {"type": "categorical", "choices": ["soft"], "low": 1},
            ["has no range"],
        ),
        ("backbone.width", 3, ["backbone.width"]),
        (
            END,
            {"type": "float", "low": 0.1, "high": 0.2, "when": {"shape": ["x"]}},
            ["another study key"],
        ),
        (END, {"type": "float", "low": 0.1, "high": 0.2, "when": {SHAPE: ["x"]}}, ["'linear'"]),
    ],
)
def test_each_wrong_entry_has_its_message(key: str, entry: object, parts: list[str]) -> None:
    lines = complaints({key: entry})
    for part in parts:
        assert part in lines[0]


def test_all_wrong_entries_come_at_once(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(
        "backbone.depth: {type: int, low: 0, high: 4}\n"
        "sharing.lamda1: {type: float, low: 0, high: 1}\n"
        "backbone.width: {type: float, low: 2}\n"
    )
    with pytest.raises(ConfigError) as caught:
        SearchSpace.from_yaml(path)
    lines = str(caught.value).splitlines()
    assert [any(f"space.yaml:{n}:" in line for line in lines) for n in (1, 2, 3)] == [True] * 3


def test_conditions_in_a_circle_are_refused() -> None:
    entries = {
        SHAPE: {
            "type": "categorical",
            "choices": ["linear"],
            "when": {"sharing.hierarchical": [True]},
        },
        "sharing.hierarchical": {
            "type": "categorical",
            "choices": [True],
            "when": {SHAPE: ["linear"]},
        },
    }
    assert "circle" in complaints(entries)[0]  # type: ignore[arg-type]


def test_two_ranges_whose_ends_do_not_fit_are_refused() -> None:
    space = {
        START: {"type": "float", "low": 0.3, "high": 2.0},
        END: {"type": "float", "low": 0.1, "high": 0.5},
    }
    with pytest.raises(ConfigError, match=r"end <= start.*end=0\.5, start=0\.3"):
        SearchSpace.from_study(a_study(search={"space": space}))


def test_a_range_that_meets_a_fixed_value_wrongly_is_refused() -> None:
    space = {END: {"type": "float", "low": 0.1, "high": 2.0}}
    with pytest.raises(ConfigError, match=r"found end=2\.0, start=1\.0"):
        SearchSpace.from_study(a_study(search={"space": space}))


def test_steps_are_counted_as_fractions_are_rounded() -> None:
    # In binary fractions 0.7 - 0.1 is not six times 0.1.
    for high, step, between in ((0.7, 0.1, 0.65), (1.9, 0.3, 1.75)):
        entry = {"type": "float", "low": 0.1, "high": high, "step": step, "first": 0.1 + step}
        space = SearchSpace.from_mapping({"backbone.width": entry})
        assert space.problems_of({"backbone.width": high}) == []
        assert space.problems_of({"backbone.width": between}) != []


def test_candidates_to_try_first_are_checked() -> None:
    def study(candidate: dict[str, object]) -> StudyConfig:
        return a_study(search={"space": ENTRIES, "enqueue": [candidate]})

    assert len(SearchSpace.from_study(study({"backbone.depth": 4}))) == 3
    for candidate, part in [
        ({"backbone.dept": 4}, "did you mean `backbone.depth`"),
        ({"backbone.depth": 10}, "from 4 to 8"),
        ({"backbone.depth": 5}, "from 4 to 8 in steps of 2"),
        ({SHAPE: "cosine"}, "one of constant, linear"),
    ]:
        with pytest.raises(ConfigError, match=part):
            SearchSpace.from_study(study(candidate))


def test_an_enqueued_candidate_is_what_the_next_trial_suggests() -> None:
    space = SearchSpace.from_mapping(ENTRIES)
    wanted = Candidate.of({SHAPE: "linear", END: 0.1, "backbone.depth": 6})
    study = optuna.create_study()
    study.enqueue_trial(dict(wanted))
    assert space.suggest(study.ask()) == wanted


def test_names_of_a_missing_or_strange_space(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean `paper`"):
        SearchSpace.from_yaml("papr")
    strange = tmp_path / "s.yaml"
    strange.write_text("- a\n")
    with pytest.raises(ConfigError, match="maps dotted study keys"):
        SearchSpace.from_yaml(strange)


def test_what_may_vary_does_not_change_what_trials_are_compared_on() -> None:
    keys = searchable_keys()
    assert "training.learning_rate" in keys
    assert not [k for k in keys if k.startswith(("search.", "retrain.", "references.", "name"))]


@pytest.mark.parametrize("key", ["data.fraction", "data.seed", "compare.draws", "sharing.preset"])
def test_what_trials_could_not_follow_may_not_vary(key: str) -> None:
    """Data are loaded once, comparisons come later, and references have the study's own preset."""
    (complaint,) = complaints({key: {"type": "float", "low": 0.5, "high": 1.0}})
    assert "this key belongs to the whole study" in complaint


def test_a_condition_may_name_a_key_of_the_whole_study() -> None:
    entry = {"type": "float", "low": 0.0, "high": 1.0, "when": {"sharing.preset": ["iccv2019"]}}
    space = SearchSpace.from_mapping({"sharing.lambda2": entry})
    assert list(space.bind(a_study())) == []
    assert list(space.bind(a_study(sharing={"preset": "iccv2019"}))) == ["sharing.lambda2"]


def test_a_study_and_its_space_report_their_errors_together(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "name: bad\n"
        "data: {kind: digits}\n"
        "backbone: {kind: vgg11, depth: 0}\n"
        "search:\n"
        "  space:\n"
        "    backbone.width: {type: float, low: 1.0, high: 0.5}\n"
        "    sharing.lamda3: {type: float, low: 0.0, high: 0.5}\n"
    )
    with pytest.raises(ConfigError) as caught:
        check_whole_study(read_yaml(file), {}, Names())
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"{file}:3: backbone.depth")
    assert lines[1].startswith(f"{file}:6: search.space.backbone.width.high")
    assert lines[2].startswith(f"{file}:7: search.space.sharing.lamda3")
    assert "did you mean `sharing.lambda3`?" in lines[2]


def test_a_space_that_an_override_names_is_checked_beside_a_wrong_study(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("backbone.width: {type: float, low: 1.0, high: 0.5}\n")
    document = Document("study", {"name": "a", "data": {"kind": "digits"}})
    changes = {"search.space": "mine.yaml"}
    with pytest.raises(ConfigError) as caught:
        check_whole_study(document, changes, Names(), beside=tmp_path)  # type: ignore[arg-type]
    missing, wrong = str(caught.value).splitlines()
    assert missing.startswith("study: backbone")
    assert "mine.yaml:1: backbone.width.high" in wrong
