"""Logits of coins: what kinds that answer with several yes-or-no questions share."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def masked_cross_entropy(logits: Tensor, wanted: Tensor, known: Tensor) -> Tensor:
    """Return the negative log-likelihood of each coin, 0 where it is not known.

    Args:
        logits: Any shape.
        wanted: 0 or 1, same shape.
        known: Same shape.
    """
    terms = functional.binary_cross_entropy_with_logits(
        logits, wanted.to(logits.dtype), reduction="none"
    )
    return torch.where(known, terms, 0.0)


def mean_logits(drawn: Tensor) -> Tensor:
    """Return the logits of the mean probability of K draws [K, ...].

    Args:
        drawn: Logits.
    """
    yes = functional.logsigmoid(drawn).logsumexp(0)
    no = functional.logsigmoid(-drawn).logsumexp(0)
    return yes - no


def divergence(output: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """Return the Kullback-Leibler divergence (nats) of softened coins, averaged, times the squared temperature.

    Source: Hinton et al. 2015, section 2, for two classes.

    Args:
        output: Logits of the trained network, any shape.
        wanted: Logits of the teacher.
        temperature: Above 0.
    """
    log = functional.logsigmoid
    own, other = output / temperature, wanted / temperature
    yes = log(other).exp() * (log(other) - log(own))
    no = log(-other).exp() * (log(-other) - log(-own))
    return temperature**2 * (yes + no).mean()
