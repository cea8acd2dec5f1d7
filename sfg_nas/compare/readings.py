"""How predictions are read out of a trained supernet: hard and distilled, by expectation, or Monte-Carlo."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from sfg_nas.allocation import Allocation
from sfg_nas.compare.entrant import Reading
from sfg_nas.fixed import build_network, distill
from sfg_nas.sharing import Supernet
from sfg_nas.study import Study
from sfg_nas.study.networks import macs_of
from sfg_nas.tasks import Task
from sfg_nas.training import derive_seed, norm_state, recalibrate_norms, restore_norm_state

_BATCHES = 8
"""Batches on which the norms of a draw are measured."""
HARD, EXPECTED, MONTE_CARLO = "hard", "expected", "Monte-Carlo"


class MonteCarlo(nn.Module):
    """Answers with the mean prediction over several draws of masks, norms by the statistics of the batch.

    Source: Bragman et al. 2019, section 3.3 (the predictive distribution is approximated by samples of the masks).
    """

    def __init__(self, supernet: Supernet, tasks: Sequence[Task], *, draws: int, seed: int) -> None:
        """Keep the supernet.

        Args:
            supernet: Relaxed.
            tasks: The tasks.
            draws: Masks for each batch.
            seed: Of the masks.
        """
        super().__init__()
        self.supernet, self._tasks, self._draws = supernet, tuple(tasks), draws
        self._state = torch.tensor([seed, 0], dtype=torch.int64)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the output of each task for images [N, C, H, W]; every call draws the same masks."""
        kept = self.supernet.generator_state()
        self.supernet.set_generator_state(self._state)
        try:
            drawn = self.supernet.predict(
                images, mode="sampled", draws=self._draws, batch_statistics=True
            )
        finally:
            self.supernet.set_generator_state(kept)
        return {task.name: task.mean_prediction(drawn[task.name]) for task in self._tasks}


class Draws(nn.Module):
    """Answers with the mean prediction of several hard networks, drawn from the probabilities of a supernet.

    Source: Bragman et al. 2019, section 3.3 (samples of the masks). Ours: each has its own statistics of norms.
    """

    def __init__(self, supernet: Supernet, study: Study, *, draws: int, seed: int) -> None:
        """Draw the networks and recalibrate their norms on training images.

        Args:
            supernet: Relaxed; it is left as it was.
            study: The study.
            draws: Networks.
            seed: Of the masks and of the order of the images.
        """
        super().__init__()
        self.supernet, self._tasks = supernet, study.tasks
        self._drawn: list[tuple[Allocation, dict[str, Tensor]]] = []
        noise, norms = supernet.generator_state(), norm_state(supernet)
        supernet.set_generator_state(torch.tensor([seed, 0], dtype=torch.int64))
        try:
            for _ in range(draws):
                allocation = _draw(supernet)
                supernet.harden(allocation)
                recalibrate_norms(supernet, study.data.train, batches=_BATCHES, seed=seed)
                self._drawn.append((allocation, norm_state(supernet)))
        finally:
            supernet.relax()
            supernet.set_generator_state(noise)
            restore_norm_state(supernet, norms)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the output of each task for images [N, C, H, W]."""
        kept, found = norm_state(self.supernet), []
        try:
            for allocation, norms in self._drawn:
                restore_norm_state(self.supernet.harden(allocation), norms)
                found.append(self.supernet(images))
        finally:
            restore_norm_state(self.supernet.relax(), kept)
        return {
            task.name: task.mean_prediction(torch.stack([outputs[task.name] for outputs in found]))
            for task in self._tasks
        }


def _draw(supernet: Supernet) -> Allocation:
    """Return an allocation drawn from the probabilities (the greatest of perturbed logits is such a draw)."""
    table = supernet.assignments.sample().detach()
    rows = table[: supernet.wiring.variables, : len(supernet.groups)]
    return supernet.wiring.allocation(rows.argmax(1).cpu())


class Frozen(nn.Module):
    """A network with norms of its own, which are put in place while it answers."""

    def __init__(self, network: nn.Module, norms: dict[str, Tensor]) -> None:
        """Keep both.

        Args:
            network: Any.
            norms: Its running statistics, as `norm_state` gives them.
        """
        super().__init__()
        self.network, self._norms = network, norms

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the output of each task for images [N, C, H, W]."""
        kept = norm_state(self.network)
        restore_norm_state(self.network, self._norms)
        try:
            outputs: dict[str, Tensor] = self.network(images)
        finally:
            restore_norm_state(self.network, kept)
        return outputs


def hard(study: Study, inner: Callable[[nn.Module], Supernet], seed: int) -> Reading:
    """Return the reading by the most probable allocation, with recalibrated norms, as a compact network.

    Args:
        study: The study.
        inner: Gives the supernet in what was trained.
        seed: Of the order of the images that the norms are recalibrated on.
    """

    def read(module: nn.Module) -> nn.Module:
        supernet = inner(module)
        kept = norm_state(supernet)
        supernet.harden(supernet.allocation())
        try:
            recalibrate_norms(supernet, study.data.train, seed=derive_seed(seed, "norms"))
            return build_network(distill(supernet).checked(), weights=supernet)
        finally:
            supernet.relax()
            restore_norm_state(supernet, kept)

    return Reading(HARD, read)


def pass_macs(supernet: Supernet) -> int:
    """Return the MACs of a supernet's pass for one example: all connections, and gates once for each group.

    Args:
        supernet: In the connection form; its masks are made once for a batch and are not counted.
    """
    wiring = supernet.wiring
    again = (macs * (len(wiring.owners(name)) - 1) for name, macs in wiring.copies.items())
    return supernet.shared_macs + sum(again)


def expected(study: Study, inner: Callable[[nn.Module], Supernet], seed: int) -> Reading:
    """Return the reading by the expectation: connections weighted by their probabilities, norms recalibrated so.

    Args:
        study: The study.
        inner: Gives the supernet in what was trained.
        seed: Of the order of the images that the norms are recalibrated on.
    """

    def read(module: nn.Module) -> nn.Module:
        kept = norm_state(module)
        try:
            recalibrate_norms(module, study.data.train, seed=derive_seed(seed, "norms"))
            return Frozen(module, norm_state(module))
        finally:
            restore_norm_state(module, kept)

    return Reading(EXPECTED, read, lambda module: pass_macs(inner(module)))


def monte_carlo(study: Study, inner: Callable[[nn.Module], Supernet], seed: int) -> Reading:
    """Return the reading by the mean over draws of masks.

    Each draw is a network of its own and has norms of its own, recalibrated; those of training are a mixture that fits
    none of them. The published code's preset takes the statistics of the batch instead.

    Args:
        study: The study.
        inner: Gives the supernet in what was trained.
        seed: Of the masks.
    """
    draws = study.config.compare.draws

    def read(module: nn.Module) -> nn.Module:
        own, supernet = derive_seed(seed, "draws"), inner(module)
        if supernet.preset.batch_statistics:
            return MonteCarlo(supernet, study.tasks, draws=draws, seed=own)
        return Draws(supernet, study, draws=draws, seed=own)

    def macs(module: nn.Module) -> int:
        supernet = inner(module)
        # The masks are made once for a batch; the stream form has more than one convolution in a layer.
        streams = supernet.relaxation == "streams"
        return draws * (macs_of(supernet, study) if streams else pass_macs(supernet))

    return Reading(MONTE_CARLO, read, macs)
