"""Networks of torchvision by name; without torchvision, one line that names the extra."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
from torch import nn

from sfg_nas.backbones import build_backbone
from sfg_nas.config import load_study_config
from sfg_nas.errors import ConfigError
from sfg_nas.study import known_names, load_study, names
from sfg_nas.study import own as module
from sfg_nas.study.controls import equal_macs_backbone

THERE = find_spec("torchvision") is not None


def study(kind: str) -> dict[str, object]:
    return {"name": "a", "data": {"kind": "digits"}, "backbone": {"kind": kind}}


@pytest.mark.skipif(THERE, reason="torchvision is installed")
def test_without_the_extra_it_is_named() -> None:
    with pytest.raises(ConfigError, match=r"sfg_nas\[vision\]"):
        build_backbone("torchvision/resnet18")
    with pytest.raises(ConfigError, match=r"backbone\.kind: `torchvision` must be .*\[vision\]"):
        load_study_config(study("torchvision/resnet18"), names=known_names())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"backbone": {"kind": "torchvision/resnet18", "depth": 3}}, r"backbone\.depth: .*one depth"),
        (
            {"search": {"space": {"backbone.depth": {"type": "int", "low": 1, "high": 2}}}},
            r"backbone\.depth.*one depth",
        ),
    ],
)  # fmt: skip
def test_one_depth_is_all_there_is(
    changes: dict[str, object], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "vision_names", lambda: ("torchvision/resnet18",))
    with pytest.raises(ConfigError, match=text):
        load_study({**study("torchvision/resnet18"), **changes})  # type: ignore[dict-item]


def test_a_control_of_another_width_is_the_same_network_scaled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[float, int | None]] = []

    def build(kind: str, *, width: float, depth: int | None, **rest: object) -> nn.Module:
        del kind, rest
        asked.append((width, depth))
        return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3))

    monkeypatch.setattr(module, "build_backbone", build)
    monkeypatch.setattr(names, "vision_names", lambda: ("torchvision/resnet18",))
    made = load_study(
        {
            **study("torchvision/resnet18"),
            "data": {"kind": "digits", "size": 16, "train": 8, "validation": 4, "test": 4},
        }
    )
    fitted = equal_macs_backbone(made, 50_000)  # of about 200,000
    assert fitted is not None
    assert fitted.width == pytest.approx(0.5, abs=0.1)
    assert set(asked) == {(1.0, None)}
    scaled = made.make_backbone(fitted)
    assert isinstance(scaled, nn.Sequential)
    assert scaled[0].out_channels == round(8 * fitted.width)


@pytest.mark.skipif(not THERE, reason="torchvision is not installed")
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "vgg11_bn"])
def test_networks_end_in_features(name: str) -> None:
    network = build_backbone(f"torchvision/{name}", in_channels=1).eval()
    with torch.no_grad():
        features = network(torch.zeros(2, 1, 64, 64))
    assert features.shape[0] == 2
    assert features.shape[1] not in (10, 1000)
    for options in ({"width": 0.5}, {"depth": 3}):
        with pytest.raises(ConfigError, match="at width 1 and without a depth"):
            build_backbone(f"torchvision/{name}", **options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="did you mean `torchvision/resnet18`"):
        load_study_config(study("torchvision/resnet81"), names=known_names())  # type: ignore[arg-type]
