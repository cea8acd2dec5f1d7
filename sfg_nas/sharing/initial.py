"""Where the values of a network stood before any training, so that a fixed network can start there from scratch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from sfg_nas.operations import BANKS, NORMS
from sfg_nas.sharing.traced import TracedNetwork, TracedOp, is_kind

_LEAST = 0.1
"""A spread that is no further from PyTorch's own than this share, or than chance explains, is PyTorch's own."""


@dataclass(frozen=True)
class Initial:
    """Means and standard deviations of what operations use, before the search.

    Attributes:
        means: By static key.
        spreads: Likewise.
        trained: Whether the network has been trained already, so that its values are no start.
    """

    means: Mapping[str, float]
    spreads: Mapping[str, float]
    trained: bool

    @classmethod
    def of(cls, network: TracedNetwork, values: Mapping[str, Tensor]) -> Initial:
        """Return where the values of a network stand.

        Args:
            network: Its operations.
            values: What they use, by static key.
        """
        means: dict[str, float] = {}
        spreads: dict[str, float] = {}
        # one at a time: in double precision all would be twice the network
        for key, value in values.items():
            if value.numel():
                numbers = value.detach().double()
                means[key] = float(numbers.mean())
                spreads[key] = float(numbers.std(correction=0))
        tracked = {op.statics["running_mean"] for op in network.ops if "running_mean" in op.statics}
        return cls(means, spreads, any(bool(values[key].any()) for key in tracked))

    def fill(self, op: TracedOp, argument: str, values: Mapping[str, Tensor]) -> float:
        """Return the number that a tensor of an operation starts around.

        Args:
            op: The operation.
            argument: As what it uses the tensor.
            values: What operations use, by static key, for the sizes.
        """
        key = op.statics[argument]
        mean, same = self.means.get(key, 0.0), self.spreads.get(key) == 0
        if is_kind(op, *BANKS):
            return mean if argument == "bias" and same and not self.trained else 0.0
        if is_kind(op, *NORMS) and argument in ("weight", "bias"):
            return mean if same and not self.trained else float(argument == "weight")
        chance = 3 * self.spreads.get(key, 0.0) / math.sqrt(max(values[key].numel(), 1))
        return mean if self.trained or abs(mean) > chance else 0.0

    def spread(self, op: TracedOp, argument: str, values: Mapping[str, Tensor]) -> float | None:
        """Return how widely a tensor is drawn: of a filter bank as a multiple of what PyTorch does, else the deviation.

        PyTorch draws weights and biases evenly between -b and b, b = 1 / sqrt(fan-in) (He et al. 2015
        with a = sqrt(5); `torch.nn.modules.conv`), a deviation of b / sqrt(3).

        Args:
            op: The operation.
            argument: As what it uses the tensor.
            values: What operations use, by static key, for the sizes.

        Returns:
            The multiple, or None where it is 1 or nothing can be told; the deviation (of learned places, queries or
            products), or None for a constant.
        """
        key = op.statics[argument]
        if self.trained or key not in self.spreads or not values[key].is_floating_point():
            return None
        if not is_kind(op, *BANKS):
            drawn = self.spreads[key] if not is_kind(op, *NORMS) else 0.0
            return float(f"{drawn:.2g}") if drawn else None
        weight = values[op.statics["weight"]]
        own = 1 / math.sqrt(3 * max(math.prod(weight.shape[1:]), 1))
        multiple = self.spreads[key] / own
        chance = max(_LEAST, 3 / math.sqrt(values[key].numel()))
        constant = multiple == 0 and values[key].numel() > 1
        return None if abs(multiple - 1) < chance and not constant else float(f"{multiple:.2g}")
