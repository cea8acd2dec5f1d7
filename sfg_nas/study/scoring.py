"""From a trained supernet to a fixed network, with the score on validation at every step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sfg_nas.allocation import Allocation
from sfg_nas.architecture import Architecture
from sfg_nas.config import DistillConfig
from sfg_nas.data import DataBundle, Examples
from sfg_nas.errors import ArchitectureError, TrainingError, explain
from sfg_nas.fixed import FixedNetwork, Stopwatch, build_network, choose, distill
from sfg_nas.sharing import Supernet
from sfg_nas.tasks import Task
from sfg_nas.training import (
    defined_scores,
    each_batch,
    evaluate,
    norm_state,
    recalibrate_norms,
    restore_norm_state,
)

EPOCH_BATCHES = 8
"""Training batches that the norms are recalibrated on for an epoch's validation score."""
TOLERANCE = 1e-3
"""Greatest difference, relative to the spread of the outputs, between the hard supernet and the fixed network."""


ARGMAX = DistillConfig()
"""The most probable group of every filter."""


class _Sampled(nn.Module):
    """A supernet that answers with the mean prediction over several draws of masks."""

    def __init__(self, supernet: Supernet, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.supernet, self.tasks = supernet, tuple(tasks)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        # how many draws, and whose statistics norms use, is the preset's
        batch = self.supernet.preset.batch_statistics
        drawn = self.supernet.predict(images, mode="sampled", batch_statistics=batch)
        return {task.name: task.mean_prediction(drawn[task.name]) for task in self.tasks}


@dataclass(frozen=True)
class Hardened:
    """What a trained supernet became.

    Attributes:
        allocation: One group for every filter.
        architecture: Distilled from it.
        network: The fixed network, with the supernet's weights.
        steps: Metrics on validation: `relaxed`, `sampled`, `hard` (norms as trained), `recalibrated`, `fixed`.
        choice: How the allocation was chosen: rule, score and bound, and what was measured for it.
        difference: Greatest difference between the outputs of the last two, relative to the outputs' spread.
    """

    allocation: Allocation
    architecture: Architecture
    network: FixedNetwork
    steps: dict[str, dict[str, float]]
    choice: dict[str, object]
    difference: float


def harden_and_score(
    supernet: Supernet,
    data: DataBundle,
    *,
    seed: int,
    how: DistillConfig = ARGMAX,
    before: Mapping[str, dict[str, float]] | None = None,
) -> Hardened:
    """Harden a supernet in place, recalibrate its norms, distil it, and score each step on validation.

    Args:
        supernet: Trained and relaxed; hardened afterwards.
        data: The data set; its test part stays closed.
        seed: Of the order of the recalibration's images.
        how: By what rule the allocation is chosen.
        before: The scores before hardening, where they are known already.

    Raises:
        ConfigError: If nothing fits the budget.
        TrainingError: If an output is not finite, or the fixed network does not equal the hard supernet.
        ArchitectureError: If the allocation leaves a task without a path from the image.
    """
    validation, tasks = data.validation, data.tasks
    steps = dict(before or {})
    if not steps:
        steps["relaxed"] = defined_scores(supernet, validation, tasks)
        steps["sampled"] = defined_scores(_Sampled(supernet, tasks), validation, tasks)
    allocation, choice = chosen(supernet, how)
    supernet.harden(allocation)
    steps["hard"] = defined_scores(supernet, validation, tasks)
    recalibrate_norms(supernet, data.train, seed=seed)
    steps["recalibrated"] = defined_scores(supernet, validation, tasks)
    architecture = distill(supernet).checked()
    network = build_network(architecture, weights=supernet)
    steps["fixed"] = defined_scores(network, validation, tasks)
    difference = _difference(supernet, network, validation, tasks)
    if not difference <= TOLERANCE:
        raise TrainingError(
            explain(
                where="the fixed network",
                rule="its outputs must be those of the hard supernet",
                found=f"a relative difference of {difference:.3g}",
                do="report this backbone; it is a defect of the distillation",
            )
        )
    return Hardened(allocation, architecture, network, steps, choice, difference)


def chosen(supernet: Supernet, how: DistillConfig) -> tuple[Allocation, dict[str, object]]:
    """Return the allocation that a rule chooses, and the record of the choice.

    Args:
        supernet: Relaxed.
        how: The rule.

    Raises:
        ConfigError: If nothing fits the budget, or the groups do not fit the rule.
    """
    device = supernet.assignments.filter_logits.device
    clock = Stopwatch(device=str(device))
    found = choose(
        supernet,
        how.rule,
        threshold=0.5 if how.threshold is None else how.threshold,
        budget=how.budget,
        cost=how.unit,
        granularity=how.granularity,
        clock=clock,
    )
    record: dict[str, object] = {
        "label": how.label,
        **how.model_dump(),
        "score": found.score,
        "bound": found.bound,
        "moved": found.moved,
    }
    if clock.record:
        record["measured"] = dict(clock.to_json())
    return found.allocation, record


def _difference(
    supernet: nn.Module, network: nn.Module, images: Examples, tasks: Sequence[Task]
) -> float:
    apart = dict.fromkeys((task.name for task in tasks), 0.0)
    largest = dict.fromkeys(apart, 0.0)
    both = zip(
        each_batch(supernet, images, tasks),
        each_batch(network, images, tasks),
        strict=True,
    )
    for (wanted, _), (found, _) in both:
        for name in apart:
            difference = float((wanted[name] - found[name]).abs().max())
            apart[name] = max(apart[name], math.inf if math.isnan(difference) else difference)
            largest[name] = max(largest[name], float(wanted[name].abs().max()))
    return max(apart[name] / (1.0 + largest[name]) for name in apart)


def score_epoch(
    supernet: Supernet,
    data: DataBundle,
    *,
    seed: int,
    how: DistillConfig = ARGMAX,
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the validation metrics that the supernet would have if it were hardened now, and its costs.

    The costs are `macs` and `params` of the fixed network; none where a task has lost its path from the image.

    The norms are recalibrated on a few batches; the supernet is left as it was found.

    Args:
        supernet: Relaxed.
        data: The data set.
        seed: Of the order of the recalibration's images.
        how: By what rule the allocation is chosen; a measured budget counts at the end only.
    """
    norms = norm_state(supernet)
    if how.unit == "microseconds":
        how = DistillConfig(granularity=how.granularity)
    supernet.harden(chosen(supernet, how)[0])
    try:
        recalibrate_norms(supernet, data.train, batches=EPOCH_BATCHES, seed=seed)
        return evaluate(supernet, data.validation, data.tasks), _costs(supernet)
    finally:
        supernet.relax()
        restore_norm_state(supernet, norms)


def _costs(supernet: Supernet) -> dict[str, float]:
    try:
        architecture = distill(supernet).checked()
    except ArchitectureError:
        return {}
    return {"macs": float(architecture.macs), "params": float(architecture.params)}


def probabilities(supernet: Supernet) -> dict[str, Tensor]:
    """Return p of each layer [F, G] on the CPU.

    Args:
        supernet: Any supernet.
    """
    with torch.no_grad():
        return {name: p.detach().float().cpu() for name, p in supernet.probabilities().items()}
