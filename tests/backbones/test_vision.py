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
from sfg_nas.study import study as module
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
        ({"backbone": {"kind": "torchvision/resnet18", "width": 0.5}}, r"backbone\.width: .*one size"),
        ({"backbone": {"kind": "torchvision/resnet18", "depth": 3}}, r"backbone\.depth: .*one size"),
        (
            {"search": {"space": {"backbone.width": {"type": "float", "low": 0.5, "high": 1.0}}}},
            r"backbone\.width.*one size",
        ),
    ],
)  # fmt: skip
def test_one_size_is_all_there_is(
    changes: dict[str, object], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "vision_names", lambda: ("torchvision/resnet18",))
    with pytest.raises(ConfigError, match=text):
        load_study({**study("torchvision/resnet18"), **changes})  # type: ignore[dict-item]


def test_a_control_of_another_width_is_the_same_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that retraining and comparing say that there is none, instead of failing."""
    asked: list[tuple[float, int | None]] = []

    def build(kind: str, *, width: float, depth: int | None, **rest: object) -> nn.Module:
        del kind, rest
        asked.append((width, depth))
        return nn.Conv2d(1, 8, 3)

    monkeypatch.setattr(module, "build_backbone", build)
    monkeypatch.setattr(names, "vision_names", lambda: ("torchvision/resnet18",))
    made = load_study(
        {
            **study("torchvision/resnet18"),
            "data": {"kind": "digits", "size": 16, "train": 8, "validation": 4, "test": 4},
        }
    )
    assert equal_macs_backbone(made, 1000) is None
    assert set(asked) == {(1.0, None)}


@pytest.mark.skipif(not THERE, reason="torchvision is not installed")
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "vgg11_bn"])
def test_networks_end_in_features(name: str) -> None:
    network = build_backbone(f"torchvision/{name}", in_channels=1).eval()
    with torch.no_grad():
        features = network(torch.zeros(2, 1, 64, 64))
    assert features.shape[0] == 2
    assert features.shape[1] not in (10, 1000)
    for options in ({"width": 0.5}, {"depth": 3}):
        with pytest.raises(ConfigError, match="one size"):
            build_backbone(f"torchvision/{name}", **options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="did you mean `torchvision/resnet18`"):
        load_study_config(study("torchvision/resnet81"), names=known_names())  # type: ignore[arg-type]
