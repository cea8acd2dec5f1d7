from __future__ import annotations

from pathlib import Path

import pytest

from sfg_nas.config import (
    Names,
    SharingConfig,
    StudyConfig,
    load_study_config,
    override,
    parse_overrides,
    problems_of_override,
)
from sfg_nas.errors import ConfigError

NAMES = Names(
    backbones=("vgg11", "resnet10"),
    datasets={"digits": ("overlap", "train"), "utkface": ("split",)},
    tasks={"digits": ("left", "right", "sum")},
    augmentations=("flip", "crop"),
    aggregators=("UPGrad",),
    compared=lambda raw: [(("compare", "trial"), "no", "7", "none")] if "compare" in raw else [],
)
GOOD = """\
name: small
data: {kind: digits, overlap: 0.5}
backbone:
  kind: vgg11
  width: 0.25
training:
  epochs: 3
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "s.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def complaints(path: Path, *pairs: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_study_config(path, parse_overrides(pairs), NAMES)
    return [line.replace(str(path), "s.yaml") for line in str(caught.value).splitlines()]


def test_a_good_study_has_its_values_and_the_defaults(tmp_path: Path) -> None:
    study = load_study_config(written(tmp_path, GOOD), {}, NAMES)
    assert (study.name, study.training.epochs, study.backbone.width) == ("small", 3, 0.25)
    assert study.data.options == {"overlap": 0.5}
    assert study.retrain.seeds == 3
    assert study.sharing.groups == "specialists"


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("width: 0.25", "widht: 0.25", ["s.yaml:5: backbone.widht", "did you mean `width`"]),
        (
            "  epochs: 3",
            "  epochs: three",
            ["s.yaml:7: training.epochs", "whole number", "'three'"],
        ),
        ("  epochs: 3", "  epochs: '3'", ["whole number", "remove the quotes"]),
        ("  epochs: 3", "  epochs: 3.5", ["whole number"]),
        ("  epochs: 3", "  epochs: true", ["whole number", "true (true/false)"]),
        ("  epochs: 3", "  epochs:", ["whole number", "nothing (null)"]),
        ("  epochs: 3", "  epochs: [3]", ["whole number", "a list of 1"]),
        ("  epochs: 3", "  epochs: 0", ["above 0", "found 0"]),
        ("training:\n  epochs: 3", "training: fast", ["s.yaml:6: training", "a mapping of keys"]),
        ("width: 0.25", "width: .nan", ["finite"]),
        ("width: 0.25", "width: -1", ["s.yaml:5: backbone.width", "above 0"]),
        ("width: 0.25", "depth: 0", ["s.yaml:5: backbone.depth", "above 0"]),
        (
            "kind: vgg11",
            "kind: vgg12",
            ["s.yaml:4: backbone.kind", "did you mean `vgg11`", "resnet10"],
        ),
        (
            "kind: digits",
            "kind: digit",
            ["s.yaml:2: data.kind", "did you mean `digits`", "utkface"],
        ),
        ("overlap: 0.5", "overlp: 0.5", ["s.yaml:2: data.overlp", "did you mean `overlap`"]),
        ("overlap: 0.5", "augment: [flop]", ["data.augment.0", "did you mean `flip`"]),
        ("overlap: 0.5", "fraction: 1.5", ["data.fraction", "at most 1"]),
        ("name: small", "name: ../up", ["s.yaml:1: name", "text like"]),
        ("name: small\n", "", ["`name` is required"]),
        ("training:", "tasks: {lft: }\ntraining:", ["s.yaml:6: tasks.lft", "did you mean `left`"]),
        ("training:", "tasks: {}\ntraining:", ["at least one task"]),
        ("training:", "epochs: 3\ntraining:", ["did you mean `training.epochs`"]),
        (
            "training:",
            "sharing: {temperature: {start: 1, end: 2}}\ntraining:",
            [
                "s.yaml:6: sharing.temperature.end",
                "`0 < end <= start` must hold",
                "end=2",
                "start=1",
            ],
        ),
        (
            "training:",
            "sharing: {start: {proportions: [0.5, 0.4]}}\ntraining:",
            ["sharing.start.proportions", "sum to 1"],
        ),
        (
            "training:",
            "sharing: {groups: [[left, lef], all]}\ntraining:",
            ["groups.0.1", "did you mean"],
        ),
        ("overlap: 0.5", "size: [16]", ["data.size", "[height, width]", "[16]"]),
        ("overlap: 0.5", "size: big", ["data.size", "a whole number of pixels"]),
        ("overlap: 0.5", "size: 100000", ["data.size", "at most 8,192 a side", "found 100000"]),
        ("training:", "sharing: {groups: [[left]]}\ntraining:", ["each task", "right, sum"]),
        (
            "training:",
            "sharing: {groups: [all, [left, right], [sum, right, left]]}\ntraining:",
            ["s.yaml:6: sharing.groups.2: groups must differ"],
        ),
        (
            "training:",
            "sharing: {groups: pairs}\ntraining:",
            ["s.yaml:6: sharing.groups", "lattice"],
        ),
        ("training:", "sharing: {relaxation: stream}\ntraining:", ["'connections' or 'streams'"]),
        ("  epochs: 3", "  epochs: 3\n  warmup_epochs: 3", ["training.warmup_epochs", "epochs=3"]),
        (
            "training:",
            "sharing: {warmup_epochs: 3}\ntraining:",
            ["s.yaml:6: sharing.warmup_epochs", "< training.epochs", "3 of 3"],
        ),
        ("training:", "sharing: {soft_share: 2}\ntraining:", ["soft_share", "at most 1"]),
        ("training:", "sharing: {estimator: hard}\ntraining:", ["'soft-first' or 'mixed'"]),
        (
            "training:",
            "search: {objectives: [error, macs], pruner: {kind: median}}\ntraining:",
            ["search.pruner.kind", "one objective only"],
        ),
        (
            "training:",
            "search: {objectives: [error, error]}\ntraining:",
            ["each objective stands once"],
        ),
        ("training:", "search: {trials: 0}\ntraining:", ["search.trials", "above 0"]),
        (
            "  epochs: 3",
            "  weighting: torchjd:UpGrad",
            ["s.yaml:7: training.weighting", "an aggregator", "did you mean `UPGrad`"],
        ),
        (
            "  epochs: 3",
            "  weighting: torchjd:UPGrad\nretrain: {precision: 16-mixed}",
            ["s.yaml:8: retrain.precision", "torchjd:UPGrad", "take 32 or bf16-mixed"],
        ),
        ("training:", "compare: {trial: 7}\ntraining:", ["s.yaml:6: compare.trial: no; found 7"]),
    ],
)
def test_each_wrong_thing_has_its_message(
    tmp_path: Path, old: str, new: str, parts: list[str]
) -> None:
    assert old in GOOD
    (line,) = complaints(written(tmp_path, GOOD.replace(old, new)))
    for part in parts:
        assert part in line


def test_all_errors_come_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("0.25", "wide").replace("vgg11", "vgg").replace("  epochs", "  epoch")
    lines = complaints(written(tmp_path, text), "retrain.seeds=0", "data.seed=-1")
    starts = {line.split(": ")[0] + ": " + line.split(": ")[1].split(";")[0] for line in lines}
    assert len(lines) == 5
    assert {"s.yaml:5: backbone.width", "s.yaml:7: training.epoch"} <= starts
    assert any(line.startswith("--set retrain.seeds") for line in lines)


@pytest.mark.parametrize(
    ("text", "part"),
    [("", "an empty file"), ("- a\n- b", "a list of 2"), ("3", "found 3"), ("# only", "an empty")],
)
def test_what_is_no_study(tmp_path: Path, text: str, part: str) -> None:
    (line,) = complaints(written(tmp_path, text))
    assert part in line
    assert "sfg-nas init" in line


def test_overrides_are_yaml_and_win(tmp_path: Path) -> None:
    pairs = ["training.epochs=7", "sharing.groups=[[left, right], all]", "training.clip=1e-1"]
    pairs += ["sharing.temperature={start: 2, end: 1e-1}", "data.overlap=0.25"]
    study = load_study_config(written(tmp_path, GOOD), parse_overrides(pairs), NAMES)
    assert study.training.epochs == 7
    assert study.sharing.groups == (("left", "right"), "all")
    assert study.sharing.temperature.start == 2
    assert study.training.clip == 0.1
    assert study.data.options == {"overlap": 0.25}


def test_overrides_reach_below_keys_with_dots(tmp_path: Path) -> None:
    space = "search: {space: {sharing.lambda3: {type: float, low: 0.1, high: 0.3}}}\n"
    pairs = ["search.space.sharing.lambda3.low=0.2", "sharing.lambda3=0.25"]
    study = load_study_config(written(tmp_path, GOOD + space), parse_overrides(pairs), NAMES)
    wanted = {"type": "float", "low": 0.2, "high": 0.3}
    assert study.search.space == {"sharing.lambda3": wanted}
    assert study.sharing.lambda3 == 0.25


@pytest.mark.parametrize(
    ("pair", "part"),
    [
        ("training.epochs", "`key=value` must be given"),
        ("=3", "`key=value` must be given"),
        ("a..b=3", "`key=value` must be given"),
        ("training.epochs=[1", "the value must be YAML"),
        ("training.epochs=!!python/name:os.system", "the value must be YAML"),
        ("training.epochs=x", "whole number"),
        ("training.epoch=3", "did you mean `epochs`"),
        ("name.first=3", "only keys of sections"),
    ],
)
def test_wrong_overrides(tmp_path: Path, pair: str, part: str) -> None:
    lines = complaints(written(tmp_path, GOOD), pair)
    assert len(lines) == 1
    assert lines[0].startswith(f"--set {pair.split('=')[0]}")
    assert part in lines[0]


def test_a_key_is_set_once(tmp_path: Path) -> None:
    (line,) = complaints(written(tmp_path, GOOD), "training.epochs=1", "training.epochs=2")
    assert "set once" in line


def test_override_returns_a_new_study(tmp_path: Path) -> None:
    study = load_study_config(written(tmp_path, GOOD), {}, NAMES)
    other = override(study, {"backbone.depth": 4})
    assert (study.backbone.depth, other.backbone.depth) == (None, 4)
    with pytest.raises(ConfigError, match=r"^candidate: backbone\.depth: a value above 0"):
        override(study, {"backbone.depth": 0})
    (problem,) = problems_of_override(study, {"sharing.temperature.end": 9.0})
    assert problem.where == "candidate: sharing.temperature.end"


def test_a_study_cannot_be_changed_in_place() -> None:
    source = {"name": "a", "data": {"kind": "digits"}, "backbone": {"kind": "vgg11"}}
    study = load_study_config(source)
    assert isinstance(study, StudyConfig)
    with pytest.raises(ValueError, match="frozen"):
        study.training.epochs = 3  # type: ignore[misc]
    assert source == {"name": "a", "data": {"kind": "digits"}, "backbone": {"kind": "vgg11"}}


def test_a_preset_fills_in_what_is_not_given() -> None:
    chosen = SharingConfig.model_validate(
        {
            "preset": "iccv2019",
            "lambda2": 0.5,
            "temperature": {"start": 0.5},
            "start": {"kind": "vertices"},
        }
    )
    assert (chosen.relaxation, chosen.lambda1, chosen.lambda2) == ("streams", 5e-4, 0.5)
    assert chosen.temperature.model_dump() == {
        "shape": "exponential", "start": 0.5, "end": 0.05, "rate": 1e-4,
    }  # fmt: skip
    assert (chosen.start.kind, chosen.start.confidence) == ("vertices", 0.99)
    plain = SharingConfig.model_validate({"preset": "corrected"})
    assert plain == SharingConfig()
    assert SharingConfig.model_validate(chosen.model_dump()) == chosen


def test_a_preset_of_streams_refuses_connections(tmp_path: Path) -> None:
    sharing = "sharing: {preset: iccv2019, relaxation: connections}\ntraining:"
    (line,) = complaints(written(tmp_path, GOOD.replace("training:", sharing)))
    assert "s.yaml:6: sharing.relaxation" in line
    assert "stream form only" in line


def test_only_a_regression_chooses_its_likelihood(tmp_path: Path) -> None:
    text = """\
name: small
data:
  kind: table
  tasks: {age: {kind: regression, column: a}, sex: {kind: classification, column: s}}
tasks:
  age: {likelihood: rmse}
  sex: {likelihood: laplace}
backbone: {kind: vgg11}
"""
    path = tmp_path / "s.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_study_config(path, {}, Names())
    assert str(caught.value).splitlines() == [
        f"{path}:7: tasks.sex.likelihood: a classification has one likelihood; only a regression "
        "may choose; found 'laplace' (text); leave it out"
    ]
    path.write_text(text.replace("laplace", "auto"), encoding="utf-8")
    study = load_study_config(path, {}, Names())
    assert study.tasks is not None
    assert study.tasks["age"].likelihood == "rmse"


def test_what_is_given_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(GOOD, encoding="utf-8")
    given = {"search.finals": {"trials": 3, "seeds": 2}, "search.finals.seeds": 5}
    study = load_study_config(tmp_path / "study.yaml", given)
    assert study.search.finals.seeds == 5
    assert given == {"search.finals": {"trials": 3, "seeds": 2}, "search.finals.seeds": 5}
