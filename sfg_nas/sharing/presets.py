"""Which model of stochastic filter groups: the paper's as stated, or what its published code does."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import nn

from sfg_nas.errors import ConfigError, explain

PresetName = Literal["corrected", "iccv2019"]
_ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Hardswish)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True)
class Preset:
    """How the model behaves where the paper and its code differ; `docs/iccv2019.md` has the table.

    Attributes:
        name: Its name in `PRESETS`.
        logarithm: Whether log p are the logits of the sampler (the model), or p itself (the code).
        table: How free numbers become p: `softmax`, or `softplus` divided by the row's sum.
        streams_only: Whether it exists in the stream form alone.
        mask_first: Whether a stream is masked before activation and norm, so that a masked channel
            leaves the norm as its beta and the streams are added; while relaxed only.
        activation_first: Whether each activation stands before its norm.
        mean_terms: Whether lambda1 weighs the mean over filter banks of half the squared norm, and
            lambda2 the sum over layers of the mean entropy, both beside the mean loss; else the sums
            of the paper's equation 6, divided by the number of examples.
        batch_statistics: Whether sampled predictions use the batch's own statistics in norms.
        draws: Masks for a sampled prediction.
        confidence: Of a start that is given by its kind alone.
    """

    name: PresetName
    logarithm: bool = True
    table: Literal["softmax", "softplus"] = "softmax"
    streams_only: bool = False
    mask_first: bool = False
    activation_first: bool = False
    mean_terms: bool = False
    batch_statistics: bool = False
    draws: int = 5
    confidence: float = 0.9


PRESETS: MappingProxyType[str, Preset] = MappingProxyType(
    {
        "corrected": Preset("corrected"),
        "iccv2019": Preset(
            "iccv2019",
            logarithm=False,
            table="softplus",
            streams_only=True,
            mask_first=True,
            activation_first=True,
            mean_terms=True,
            batch_statistics=True,
            draws=100,
            confidence=0.99,
        ),
    }
)
"""Presets by the name that a study file gives them."""


def preset_of(name: str, relaxation: str | None = None) -> Preset:
    """Return a preset by name.

    Args:
        name: A name of `PRESETS`.
        relaxation: The form it is to be used with; None for its own.

    Raises:
        ConfigError: It does not exist, or not in that form.
    """
    if name not in PRESETS:
        rule = f"one of {', '.join(PRESETS)} is needed"
        raise ConfigError(explain(where="preset", rule=rule, found=repr(name), do="choose one"))
    preset = PRESETS[name]
    if preset.streams_only and relaxation not in (None, "streams"):
        rule, do = f"the preset {name} exists in the stream form only", "leave relaxation out"
        found = f"relaxation {relaxation!r}"
        raise ConfigError(explain(where="preset", rule=rule, found=found, do=do))
    return preset


def activation_first(module: nn.Module) -> nn.Module:
    """Put each activation before the batch norm that it follows directly in an `nn.Sequential`.

    Done in place, and again without effect. Networks that call norm and activation in a `forward` of
    their own keep their order.

    Args:
        module: The network.

    Returns:
        The same module.
    """
    for part in module.modules():
        if not isinstance(part, nn.Sequential):
            continue
        members = list(part)
        for place in range(len(members) - 1):
            first, second = members[place : place + 2]
            before = members[place - 1] if place else None
            if (
                isinstance(first, _NORMS)
                and isinstance(second, _ACTIVATIONS)
                and not isinstance(before, _ACTIVATIONS)
            ):
                members[place : place + 2] = second, first
        for place, member in enumerate(members):
            part[place] = member
    return module


def free_numbers(start: torch.Tensor, table: str) -> torch.Tensor:
    """Return the free numbers that give probabilities `[V, G]`, all above 0.

    Args:
        start: Probabilities, rows summing to 1.
        table: `softmax` or `softplus`.
    """
    return start.log() if table == "softmax" else start.expm1().log()
