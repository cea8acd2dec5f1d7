"""Modules that are stochastic depth, found by trying, and put into a trace as the dropout of examples that they are.

Stochastic depth (Huang et al. 2016) leaves a residual branch out at random, for each example by itself, and scales what
stays. A trace in evaluation mode does not show it, so that a network built from the trace would train without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sfg_nas.sharing.copies import copied
from sfg_nas.sharing.handmade import is_own_leaf
from sfg_nas.sharing.marks import mark

_EXAMPLES = 4096
_TOLERANCE = 1e-4
_LEAST = 1e-5
"""A probability below is none."""
_DEVIATIONS = 6.0
"""By how much the dropped share may differ from the probability, in standard deviations."""


@dataclass
class MarkedDepth:
    """The forward pass of a module that is stochastic depth, in a network that is traced.

    Attributes:
        probability: Of leaving an example out.
    """

    probability: float

    def __call__(self, x: Tensor) -> Tensor:
        """Return the input `[N, ...]`, with a mark."""
        marked: Tensor = mark(x, "stochastic_depth", self.probability)
        return marked


def show_stochastic_depth(network: nn.Module) -> Mapping[str, float]:
    """Put marks in the place of modules that are stochastic depth, in a network that is going to be traced.

    What is recognised: a module without parts or parameters that takes one tensor, gives it back in evaluation mode,
    and in training drops each example by itself and divides the others by the probability of staying.

    Args:
        network: Is changed: such modules get another `forward`, which draws nothing.

    Returns:
        The probability of dropping by the paths of these modules.
    """
    found: dict[str, float] = {}
    for path, module in network.named_modules():
        if _may_drop(module):
            probability = _probability(copied(module))
            if probability is not None:
                module.forward = MarkedDepth(probability)
                found[path] = probability
    return found


def _may_drop(module: nn.Module) -> bool:
    own = (*module.parameters(), *module.buffers())
    return is_own_leaf(module) and not own


@torch.no_grad()
def _probability(module: nn.Module) -> float | None:
    """Return the probability with which a module drops an example, None if that is not what it does."""
    x = torch.rand(_EXAMPLES, 2, 2, 2, generator=torch.Generator().manual_seed(0)) + 0.5
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            if not torch.equal(module.eval()(x.clone()), x):
                return None
            draws = [module.train()(x.clone()) for _ in range(2)]
        except Exception:  # noqa: BLE001 - stochastic depth would run
            return None
    scales = [scale for y in draws if (scale := _scale_of_examples(x, y)) is not None]
    if len(scales) < len(draws):
        return None
    largest = float(torch.stack(scales).max())
    probability = round(1 - 1 / largest, 6) if largest > 1 else 0.0
    if probability < _LEAST or not all(_is_drawn(scale, probability) for scale in scales):
        return None
    one, other = (scale != 0 for scale in scales)
    return None if not one.all() and torch.equal(one, other) else probability


def _scale_of_examples(x: Tensor, y: object) -> Tensor | None:
    """Return the number by which each example is multiplied `[N]`, None if it is not one number."""
    if not isinstance(y, Tensor) or y.shape != x.shape:
        return None
    ratio = (y / x).flatten(1)
    scale = ratio[:, 0]
    return scale if torch.allclose(ratio, scale[:, None], rtol=_TOLERANCE, atol=0.0) else None


def _is_drawn(scale: Tensor, probability: float) -> bool:
    """Return whether examples are dropped with a probability, and scaled by what stays otherwise."""
    kept = scale != 0
    stays = torch.full_like(scale, 1 / (1 - probability)) * kept
    expected = _EXAMPLES * probability
    room = _DEVIATIONS * (expected * (1 - probability)) ** 0.5 + 1
    return torch.allclose(scale, stays, rtol=_TOLERANCE, atol=0.0) and bool(
        abs(float((~kept).sum()) - expected) <= room
    )
