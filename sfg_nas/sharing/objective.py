"""The objective of the search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from sfg_nas.sharing.supernet import Supernet


@dataclass(frozen=True)
class Objective:
    """The value to minimise and its parts, all scalars with gradient.

    Attributes:
        total: The value to minimise.
        losses: Each task's mean negative log-likelihood, unweighted.
        penalty: What lambda1 weighs (sum of squared weights); not computed, and 0, where that is 0.
        entropy: What lambda2 weighs (sum of the entropies of p in nats).
        cost: E[MACs] / MACs(all shared).
    """

    total: Tensor
    losses: Mapping[str, Tensor]
    penalty: Tensor
    entropy: Tensor
    cost: Tensor


def objective(
    supernet: Supernet,
    losses: Mapping[str, Tensor],
    *,
    examples: int,
    lambda1: float = 0.0,
    lambda2: float = 0.0,
    lambda3: float = 0.0,
    weights: Mapping[str, float] | None = None,
) -> Objective:
    """Return the search objective, divided by the number of examples.

    Bragman et al. 2019, equation 6: L = -(N/M) sum log p(y|x, W) + lambda1 sum ||W||^2
    - lambda2 sum H(p). It is divided by N here, so that a learning rate means the same on any data
    set; a positive lambda2 keeps assignments undecided, a negative one makes them decide. The
    term lambda3 * E[MACs] / MACs(all shared) is ours and is not divided by N.

    The preset `iccv2019` weighs means instead, beside the mean loss: lambda1 the mean over filter
    banks of ||W||^2 / 2, lambda2 the sum over layers of the mean entropy of their filters.

    Args:
        supernet: The supernet whose outputs gave the losses.
        losses: Each task's mean negative log-likelihood over the batch, a scalar.
        examples: N, the number of training examples.
        lambda1: Weight of the squared weights.
        lambda2: Weight of the entropy, of either sign.
        lambda3: Weight of the expected relative cost.
        weights: Weight of each task's loss, 1 where missing.
    """
    weights = weights or {}
    likelihood = sum(weights.get(task, 1.0) * loss for task, loss in losses.items())
    assert not isinstance(likelihood, int)
    penalty = supernet.weight_penalty() if lambda1 else likelihood.new_zeros(())
    entropy = supernet.entropy()
    cost = supernet.expected_cost()
    share = 1 if supernet.preset.mean_terms else examples
    total = likelihood + (lambda1 * penalty - lambda2 * entropy) / share + lambda3 * cost
    return Objective(total, dict(losses), penalty, entropy, cost)
