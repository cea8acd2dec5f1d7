"""Predictions of a supernet: with one allocation, or over many draws of masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from sfg_nas.cost import in_mode


class Predictions(dict[str, Tensor]):
    """Task to outputs of K passes, `[K, N, ...]`, with what they say together.

    K is 1 but for Monte-Carlo over masks (Bragman et al. 2019, section 3.3, after Gal & Ghahramani
    2016): each pass draws its own masks, and the passes differ as much as the sharing is undecided.
    """

    def mean(self, task: str) -> Tensor:
        """Return the mean output over the passes, `[N, ...]`."""
        return self[task].mean(0)

    def spread(self, task: str) -> Tensor:
        """Return the standard deviation of the outputs over the passes (divisor K), `[N, ...]`."""
        return self[task].std(0, correction=0)

    def distribution(self, task: str) -> Tensor:
        """Return the class probabilities averaged over the passes, `[N, C, ...]`.

        Args:
            task: A classification whose outputs are logits `[K, N, C, ...]`.
        """
        return self[task].softmax(2).mean(0)

    def distribution_spread(self, task: str) -> Tensor:
        """Return the standard deviation of the class probabilities over the passes, `[N, C, ...]`."""
        return self[task].softmax(2).std(0, correction=0)

    def votes(self, task: str) -> Tensor:
        """Return the share of passes that put each class first, `[N, C, ...]`; its argmax is the mode.

        Args:
            task: A classification whose outputs are logits `[K, N, C, ...]`.
        """
        first = self[task].argmax(2, keepdim=True)
        return torch.zeros_like(self[task]).scatter_(2, first, 1.0).mean(0)


def passes(
    network: nn.Module,
    run: Callable[[Tensor], dict[str, Tensor]],
    tables: Iterator[Tensor],
    *,
    batch_statistics: bool,
) -> Predictions:
    """Return the outputs of one pass for each table of masks; the network is left as it was found.

    Args:
        network: The supernet.
        run: Returns every task's output under a table.
        tables: Masks `[V + E, E]`.
        batch_statistics: Whether it runs in training mode, so that norms use the batch's statistics
            (and dropout is on).
    """
    with torch.no_grad(), _untouched(network, batch_statistics):
        outputs = [run(table) for table in tables]
    return Predictions({task: torch.stack([o[task] for o in outputs]) for task in outputs[0]})


@contextmanager
def _untouched(network: nn.Module, training: bool) -> Iterator[None]:
    kept = {name: value.clone() for name, value in network.named_buffers()} if training else {}
    try:
        with in_mode(network, training=training):
            yield
    finally:
        buffers = dict(network.named_buffers())
        for name, value in kept.items():
            buffers[name].copy_(value)
