"""A found network of another run is refused where the networks differ, with the settings that make them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from sfg_nas.compare import compare
from sfg_nas.compare.other_run import check_source
from sfg_nas.config import BackboneConfig
from sfg_nas.errors import ConfigError
from sfg_nas.study import Run, Study, load_study, search

Make = Callable[..., Study]

PLANTED: dict[str, Any] = {
    "name": "searched",
    "data": {"kind": "planted", "train": 32, "validation": 16, "test": 16, "size": 12},
    "backbone": {"kind": "vgg11", "width": 0.0625, "depth": 2},
    "training": {"epochs": 1, "batch_size": 16},
    "search": {"trials": 1, "space": {"sharing.lambda3": {"type": "float", "low": 0, "high": 1}}},
}


@pytest.fixture
def run(make_study: Make, tmp_path: Path) -> Run:
    """Return a run of one trial, of width 4."""
    return search(make_study({"name": "searched", "backbone.width": 4.0}), runs=tmp_path, trials=1)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"backbone.width": 2.0}, "found backbone.width 4.0 there, 2.0 here; give a run"),
        (
            {"sharing.groups": [["level"], ["bright"], "all"], "backbone.width": 2.0},
            r"backbone.width 4.0 there, 2.0 here; sharing.groups specialists there, .*'level'.* here;",
        ),
    ],
)
def test_settings_that_differ_are_named(
    make_study: Make, tmp_path: Path, run: Run, changes: dict[str, object], found: str
) -> None:
    study = make_study(changes)
    words = rf"trial 0 of .*searched: its network must be that of tiny.*{found}.*in line with"
    with pytest.raises(ConfigError, match=words):
        compare(study, ["found"], 1, runs=tmp_path, source=run)
    assert not (tmp_path / "tiny" / "compared").exists()


def test_a_depth_a_kind_and_a_size_that_differ_are_named(tmp_path: Path) -> None:
    run = search(load_study(PLANTED), runs=tmp_path)
    for key, value, words in (
        ("backbone.depth", 3, r"found backbone\.depth 2 there, 3 here;"),
        ("backbone.kind", "resnet18", r"found backbone\.kind vgg11 there, resnet18 here;"),
        ("data.size", 16, r"found images of shape 3x12x12 there, 3x16x16 here;"),
    ):
        with pytest.raises(ConfigError, match=words):
            check_source(run.best, run, load_study(PLANTED, {"name": "other", key: value}))


def test_what_the_other_run_searched_over_is_no_difference(
    make_study: Make, tmp_path: Path, run: Run
) -> None:
    del run
    space = {"backbone.width": {"type": "categorical", "choices": [2.0]}}
    other = make_study({"name": "widths", "backbone.width": 4.0, "search.space": space})
    searched = search(other, runs=tmp_path, trials=1)
    study = make_study({"compare.equal_macs": False})
    found = compare(study, ["found"], 1, runs=tmp_path, source=searched)
    row = found.networks.set_index("method").loc["found"]
    assert row["macs"] == searched.best.architecture.macs


def test_settings_that_differ_and_make_the_same_network_are_none(
    make_study: Make, run: Run
) -> None:
    study = make_study({"backbone.width": 4.0, "backbone.depth": 2, "backbone.kind": "any-word"})
    check_source(run.best, run, study)


def test_networks_that_differ_in_code_are_told_apart_by_their_layers(
    make_study: Make, run: Run
) -> None:
    def longer(config: BackboneConfig, image_shape: Sequence[int]) -> nn.Module:
        del config
        layers = [nn.Conv2d(image_shape[0], 24, 3), nn.ReLU(), nn.Conv2d(24, 24, 3), nn.ReLU()]
        return nn.Sequential(*layers)

    study = replace(make_study({"backbone.width": 4.0}), backbone=longer)
    words = r"found filters of layer `3`: 48 there, none here; filters of layer `2`: none there, 24"
    with pytest.raises(ConfigError, match=words):
        check_source(run.best, run, study)


def test_tasks_in_another_order_are_said_to_make_other_groups(make_study: Make, run: Run) -> None:
    study = make_study({"backbone.width": 4.0, "tasks": {"level": {}, "bright": {}}})
    assert [task.name for task in study.tasks] == ["level", "bright"]
    with pytest.raises(ConfigError, match=r"groups bright, level, bright\+level there, level"):
        check_source(run.best, run, study)
