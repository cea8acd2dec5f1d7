"""From a study file to a study: names, overrides, tasks, and supernets that depend on the seed only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sfg_nas.errors import ConfigError
from sfg_nas.study import Study, load_study, retrain, search

Make = Callable[..., Study]


def test_all_errors_at_once_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("name: s\ndata: {kind: digitz}\nbackbone: {kind: vgg12}\n")
    with pytest.raises(ConfigError) as caught:
        load_study(path)
    assert "did you mean `digits`" in str(caught.value)
    assert "did you mean `vgg1" in str(caught.value)


def test_tasks_are_chosen_and_weighted(make_study: Make) -> None:
    study = make_study({"tasks": {"level": {"weight": 2.0}}})
    assert [(task.name, task.weight) for task in study.tasks] == [("level", 2.0)]


def test_the_study_decides_likelihood_and_normalisation(make_study: Make) -> None:
    tasks = {"level": {"likelihood": "rmse"}, "bright": {}}
    study = make_study({"tasks": tasks, "data.normalisation": "image"})
    assert [task.likelihood for task in study.tasks] == ["rmse", "categorical"]
    images, _ = next(iter(study.data.test.batches(24)))
    assert images.mean((1, 2, 3)).abs().max() < 1e-5
    plain = make_study({"data.normalisation": "dataset"})
    images, _ = next(iter(plain.data.test.batches(24)))
    assert images.mean((1, 2, 3)).abs().max() > 0.1


def test_a_supernet_depends_on_its_seed_only(make_study: Make) -> None:
    study = make_study()
    images = torch.randn(4, 1, 6, 6)
    torch.manual_seed(0)
    one = study.make_supernet(study.config, seed=1)(images)
    torch.manual_seed(9)
    same = study.make_supernet(study.config, seed=1)(images)
    other = study.make_supernet(study.config, seed=2)(images)
    assert torch.equal(one["level"], same["level"])
    assert not torch.equal(one["level"], other["level"])


def test_a_runs_own_study_file_loads_again(make_study: Make, tmp_path: Path) -> None:
    study = make_study()
    run = search(study, runs=tmp_path, trials=1)
    again = load_study(run.files.study, backbone=study.backbone, data=study.data)
    assert again.config == study.config
    assert search(again, runs=tmp_path, trials=1).trials().equals(run.trials())


def test_the_published_code_as_a_preset_runs_from_search_to_retraining(
    make_study: Make, tmp_path: Path
) -> None:
    study = make_study(
        {"sharing.preset": "iccv2019", "search.space": {}, "sharing.start.confidence": 0.6}
    )
    kinds = [type(part).__name__ for part in study.make_backbone(study.config.backbone)]
    assert kinds == ["Conv2d", "ReLU", "BatchNorm2d"] * 2
    supernet = study.make_supernet(study.config, seed=0)
    assert (supernet.preset.name, supernet.relaxation) == ("iccv2019", "streams")
    run = search(study, runs=tmp_path, trials=1)
    (trial,) = run.complete
    assert set(trial.ledger.steps) >= {"relaxed", "sampled", "recalibrated", "fixed"}
    rows = retrain(study, trial, 1, runs=tmp_path, controls=["hard-sharing"])
    assert sorted(rows.index) == ["found", "hard-sharing"]


@pytest.mark.parametrize("relaxation", ["connections", "streams"])
def test_layers_before_branch_from_stay_shared(make_study: Make, relaxation: str) -> None:
    changes = {"sharing.branch_from": 1, "sharing.start.kind": "thirds"}
    study = make_study({**changes, "sharing.relaxation": relaxation})
    supernet = study.make_supernet(study.config, seed=0)
    first, second = supernet.probabilities().values()
    everyone = supernet.groups.sets.index(frozenset({0, 1}))
    assert first[:, everyone].tolist() == [1.0] * len(first)
    assert second[:, everyone].max() < 0.4
    deep = make_study({"sharing.branch_from": 3})
    with pytest.raises(ConfigError, match=r"branch_from <= 2"):
        deep.make_supernet(deep.config, seed=0)
    apart = make_study({**changes, "sharing.groups": [["bright"], ["level"]]})
    with pytest.raises(ConfigError, match="a group of all tasks"):
        apart.make_supernet(apart.config, seed=0)
    published = make_study({**changes, "sharing.preset": "iccv2019"})
    with pytest.raises(ConfigError, match="no layer stays shared"):
        published.make_supernet(published.config, seed=0)
