"""The objective of the search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from sfg_nas.errors import ConfigError, explain
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

    Raises:
        ConfigError: A loss or a weight is of no task of the supernet, or there is no example.
    """
    weights = weights or {}
    _check(supernet, {"losses": losses, "weights": weights}, examples)
    likelihood = sum(weights.get(task, 1.0) * loss for task, loss in losses.items())
    assert not isinstance(likelihood, int)
    penalty = supernet.weight_penalty() if lambda1 else likelihood.new_zeros(())
    entropy = supernet.entropy()
    cost = supernet.expected_cost()
    share = 1 if supernet.preset.mean_terms else examples
    total = likelihood + (lambda1 * penalty - lambda2 * entropy) / share + lambda3 * cost
    return Objective(total, dict(losses), penalty, entropy, cost)


def _check(supernet: Supernet, given: Mapping[str, Mapping[str, object]], examples: int) -> None:
    tasks = supernet.groups.tasks
    for where, named in given.items():
        unknown = [name for name in named if name not in tasks]
        if unknown:
            rule, do = f"tasks of {', '.join(tasks)} are needed", "correct the name"
            text = explain(where=f"objective: {where}", rule=rule, found=repr(unknown[0]), do=do)
            raise ConfigError(text)
    if not examples >= 1:
        rule, do = "`examples >= 1` must hold", "pass the number of training examples"
        found = repr(examples)
        raise ConfigError(explain(where="objective: examples", rule=rule, found=found, do=do))
