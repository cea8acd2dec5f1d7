"""A network of one size at other widths in a study: one plan for each kind of network, and it travels."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sfg_nas.compare import compare
from sfg_nas.compare.job import EQUAL
from sfg_nas.errors import ConversionError
from sfg_nas.sharing import WidthPlan
from sfg_nas.study import load_study, retrain, search
from sfg_nas.study.controls import EQUAL_MACS, equal_macs_backbone
from sfg_nas.study.widths import Widths
from tests.study.conftest import CONTENT, make_data


class Small(nn.Module):
    """A residual block between two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.inner = nn.Conv2d(8, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 12, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        return self.last(x + self.inner(x).relu()).relu()


class Written(nn.Module):
    """A number of channels stands in its `forward`."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.first(x).view(-1, 4, 2, 6, 6).amax(2)


def content(**changes: object) -> dict[str, Any]:
    own: dict[str, Any] = {**CONTENT, "backbone": {"kind": "mine"}}
    own["search"] = {"trials": 2, "space": {}}
    own["training"] = {"epochs": 1, "batch_size": 32}
    own["retrain"] = {"seeds": 1, "epochs": 1}
    return own | changes


def test_one_plan_for_each_kind_of_network(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    of = WidthPlan.of

    def counted(backbone: nn.Module, example: Tensor) -> WidthPlan:
        made.append(1)
        return of(backbone, example)

    monkeypatch.setattr(WidthPlan, "of", counted)
    widths = Widths()
    for width in (0.5, 0.75, 2.0):
        assert (
            widths.scaled(Small(), width, (1, 6, 6))(torch.zeros(2, 1, 6, 6)).shape[1] == 12 * width
        )
    assert len(made) == 1
    widths.scaled(nn.Conv2d(1, 4, 1), 0.5, (1, 6, 6))
    assert len(made) == 2
    again = pickle.loads(pickle.dumps(widths))  # noqa: S301 - our own
    again.scaled(Small(), 0.5, (1, 6, 6))
    assert len(made) == 3


@pytest.mark.parametrize("given", [Small(), Small])
def test_a_study_of_another_width(given: nn.Module | type[nn.Module]) -> None:
    study = load_study(
        content(backbone={"kind": "mine", "width": 0.5}), backbone=given, data=make_data()
    )
    made = study.make_backbone(study.config.backbone)
    assert isinstance(made, Small)
    assert (made.first.out_channels, made.inner.out_channels, made.last.out_channels) == (4, 4, 6)
    full = study.make_backbone(study.config.backbone.model_copy(update={"width": 1.0}))
    assert isinstance(full, Small)
    assert full.last.out_channels == 12


def test_a_function_of_the_section_makes_its_own_width() -> None:
    study = load_study(
        content(backbone={"kind": "mine", "width": 0.5}),
        backbone=lambda _section, _shape: Small(),
        data=make_data(),
    )
    made = study.make_backbone(study.config.backbone)
    assert isinstance(made, Small)
    assert made.last.out_channels == 12


def test_search_retrain_and_compare_with_a_module(tmp_path: Path) -> None:
    own = content()
    own["search"]["space"] = {"backbone.width": {"type": "float", "low": 0.4, "high": 0.8}}
    own["compare"] = {"methods": ["hard-sharing", "single-task", "thirds"], "seeds": 2}
    study = load_study(own, backbone=Small(), data=make_data())
    run = search(study, runs=tmp_path)
    widths = run.trials()["backbone.width"]
    assert widths.nunique() == 2
    assert (run.trials()["relative_macs"] < 0.8).all()
    table = retrain(study, run.best, runs=tmp_path)
    assert table.loc[EQUAL_MACS, "macs"] == pytest.approx(table.loc["found", "macs"], rel=0.1)
    networks = compare(study, runs=tmp_path).networks
    equal = networks[networks["scale"] == EQUAL]
    assert set(equal["method"]) == {"hard-sharing", "single-task", "thirds"}
    assert ((equal["macs"] / equal["macs"].iloc[0] - 1).abs() < 0.1).all()


def test_one_that_does_not_run_at_another_width(tmp_path: Path) -> None:
    study = load_study(content(), backbone=Written(), data=make_data())
    assert equal_macs_backbone(study, 1000) is None
    own = content(compare={"methods": ["hard-sharing", "single-task"], "seeds": 2})
    study = load_study(own, backbone=Written(), data=make_data())
    notes = compare(study, runs=tmp_path).notes
    assert any(
        "single-task: no row at equal MACs: scale_width: `Written`" in note for note in notes
    )
    again = compare(replace(study), runs=tmp_path).notes  # from the file
    assert again == notes
    own = content(backbone={"kind": "mine", "width": 0.5})
    with pytest.raises(ConversionError, match="scale_width: `Written`"):
        search(load_study(own, backbone=Written(), data=make_data()), runs=tmp_path / "other")


def test_a_network_of_other_channels_is_said() -> None:
    with pytest.raises(ConversionError, match="it must run on the study's images, 3x8x8; found"):
        Widths().scaled(nn.Sequential(nn.Conv2d(1, 4, 3)), 0.5, (3, 8, 8))
