"""Constant p: masks redrawn in every step at probabilities that are not learned."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sfg_nas.errors import ConfigError, explain
from sfg_nas.sharing import Supernet


class ConstantProbabilities(nn.Module):
    """A supernet whose assignments stay where they are put; only its weights are trained.

    In training every forward pass draws new masks. In evaluation it predicts by the expectation: each connection is
    weighted by the probability that it is there, as dropout's usual rule does, which is exact for one layer without
    activation and an approximation beyond. `Supernet.predict` with `mode="sampled"` gives Monte-Carlo predictions.

    Source: Bragman et al. 2019, section 4 (constant p: masks sampled, probabilities not learned).

    Attributes:
        supernet: The relaxed network.
    """

    def __init__(self, supernet: Supernet, probabilities: Sequence[float] | None = None) -> None:
        """Set and freeze the probabilities.

        Args:
            supernet: Taken over; its assignments are changed.
            probabilities: Of each group, in the order of the groups, summing to 1; None for equal ones.

        Raises:
            ConfigError: If there are not as many probabilities as groups.
        """
        super().__init__()
        groups = len(supernet.groups)
        chosen = list(probabilities) if probabilities is not None else [1 / groups] * groups
        if len(chosen) != groups:
            raise ConfigError(
                explain(
                    where="compare.constant_p.probabilities",
                    rule=f"one for each of the {groups} groups {list(supernet.groups.names)}",
                    found=f"{chosen}",
                    do="write as many, or null",
                )
            )
        self.supernet = supernet
        logits = torch.tensor(chosen).clamp_min(1e-8).log()
        with torch.no_grad():
            supernet.assignments.filter_logits.copy_(
                logits.expand_as(supernet.assignments.filter_logits)
            )
        supernet.assignments.requires_grad_(False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the output of each task for images [N, C, H, W]: masks drawn in training, expected otherwise."""
        outputs: dict[str, Tensor] = self.supernet(images)
        return outputs

    def weight_parameters(self) -> list[nn.Parameter]:
        """Return all that is trained."""
        return self.supernet.weight_parameters()
