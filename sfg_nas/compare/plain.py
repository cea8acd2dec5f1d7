"""Entrants that are plain networks: single-task, hard sharing at any width, Cross-Stitch, NDDR."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import nn

from sfg_nas.baselines import CrossStitchNetwork, cross_stitch, hard_sharing, nddr, single_task
from sfg_nas.compare.entrant import Entrant, Prepared, Setting
from sfg_nas.config import CrossStitchConfig, NDDRConfig
from sfg_nas.study import Study
from sfg_nas.study.networks import macs_of, scaled_by
from sfg_nas.tasks import Task
from sfg_nas.training import ParameterGroup, SupervisedMethod, derive_seed, fenced_random_state

SINGLE_TASK, HARD_SHARING = "single-task", "hard-sharing"


def single(setting: Setting, argument: str = "") -> Entrant:
    """Return one network for each task, without the weights of tasks that compete."""
    del argument
    tasks = tuple(replace(task, weight=1.0) for task in setting.study.tasks)
    return plain(setting, SINGLE_TASK, single_task, tasks)


def hard(setting: Setting, argument: str = "") -> Entrant:
    """Return one trunk for all tasks (Caruana 1997)."""
    del argument
    return plain(setting, HARD_SHARING, hard_sharing, setting.study.tasks)


def scaled(setting: Setting, argument: str) -> Entrant:
    """Return hard sharing at a factor on its width."""
    entrant = plain(setting, f"{HARD_SHARING}-scaled-{argument}", hard_sharing, setting.study.tasks)
    return replace(entrant, own_factor=float(argument))


def plain(
    setting: Setting,
    name: str,
    make: Callable[[Callable[[], nn.Module], Sequence[Task], Sequence[int]], nn.Module],
    tasks: Sequence[Task],
) -> Entrant:
    """Return an entrant that is one plain network.

    Args:
        setting: The comparison.
        name: Of the method.
        make: Makes the network from (backbone factory, tasks, image shape).
        tasks: The tasks with their weights.
    """
    study = setting.study

    def network(factor: float, seed: int) -> nn.Module:
        config = scaled_by(study.config.backbone, factor)
        with fenced_random_state(derive_seed(seed, "weights")):
            return make(lambda: study.make_backbone(config), tasks, study.data.image_shape)

    def prepare(factor: float, *, seed: int, learning_rate: float) -> Prepared:
        del learning_rate
        return Prepared(SupervisedMethod(network(factor, seed), tasks))

    return Entrant(name, prepare, lambda factor, seed: macs_of(network(factor, seed), study))


class CrossStitchMethod(SupervisedMethod):
    """Trains columns and units, the units with a rate and a decay of their own.

    Source: Misra et al. 2016, sections 4.1 and 5 (units learn faster than the weights; columns begin as single-task
    networks, which `pretrain` does inside the same budget of epochs).
    """

    def __init__(
        self,
        network: CrossStitchNetwork,
        tasks: Sequence[Task],
        *,
        unit_rate: float,
        pretrain: float,
        unit_decay: float | None = 0.0,
    ) -> None:
        """Keep the network.

        Args:
            network: Columns and units.
            tasks: The tasks, with their weights.
            unit_rate: Learning rate of the units.
            pretrain: Share of the steps in which the columns do not meet.
            unit_decay: Weight decay of the units; None for the weights' own.
        """
        super().__init__(network, tasks)
        self._stitches, self._unit_rate, self._pretrain = network, unit_rate, pretrain
        self._unit_decay = unit_decay
        self.before_step(0.0)

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """Return the weights, and the units with their own rate."""
        units = list(self._stitches.units.parameters())
        own = {id(parameter) for parameter in units}
        weights = [p for p in self._stitches.parameters() if id(p) not in own]
        return [
            ParameterGroup("weights", weights),
            ParameterGroup(
                "units", units, learning_rate=self._unit_rate, weight_decay=self._unit_decay
            ),
        ]

    def before_step(self, progress: float) -> None:
        """Let the columns meet once the share of single-task training is over."""
        self._stitches.stitched = progress >= self._pretrain - 1e-9


def stitched(setting: Setting, argument: str = "") -> Entrant:
    """Return Cross-Stitch networks (Misra et al. 2016)."""
    del argument
    note = "the units' products (one per channel, pixel and pair of tasks) are not in the MACs"
    entrant = columns(setting, "cross-stitch", cross_stitch, setting.section.cross_stitch, 0.0)
    return replace(entrant, note=note)


def fused(setting: Setting, argument: str = "") -> Entrant:
    """Return NDDR-CNN (Gao et al. 2019): columns fused by 1x1 convolutions."""
    del argument
    # The paper's fusions have the weights' own decay, unlike the units of Cross-Stitch.
    return columns(setting, "nddr", nddr, setting.section.nddr, None)


def columns(
    setting: Setting,
    name: str,
    make: Callable[..., CrossStitchNetwork],
    section: CrossStitchConfig | NDDRConfig,
    decay: float | None,
) -> Entrant:
    """Return an entrant that has a column for each task, and units where they meet.

    Args:
        setting: The comparison.
        name: Of the method.
        make: Makes the network from (backbone factory, tasks, image shape, alpha).
        section: The method's options.
        decay: Weight decay of the units; None for the weights' own.
    """
    study = setting.study

    def network(factor: float, seed: int) -> CrossStitchNetwork:
        config = scaled_by(study.config.backbone, factor)
        with fenced_random_state(derive_seed(seed, "weights")):
            return make(
                lambda: study.make_backbone(config),
                study.tasks,
                study.data.image_shape,
                alpha=section.alpha,
            )

    def prepare(factor: float, *, seed: int, learning_rate: float) -> Prepared:
        method = CrossStitchMethod(
            network(factor, seed),
            study.tasks,
            unit_rate=section.rate * learning_rate,
            unit_decay=decay,
            pretrain=section.pretrain,
        )
        return Prepared(method)

    return Entrant(
        name,
        prepare,
        lambda factor, seed: macs_of(network(factor, seed), study),
        options=section.model_dump(mode="json"),
    )


def study_macs(study: Study) -> int:
    """Return what hard sharing costs with the study's own backbone.

    Args:
        study: The study.
    """
    with fenced_random_state(0):
        network = hard_sharing(
            lambda: study.make_backbone(study.config.backbone), study.tasks, study.data.image_shape
        )
    return macs_of(network, study)
