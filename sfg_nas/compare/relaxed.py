"""Entrants that are supernets: stochastic filter groups as trained, and masks at constant probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor, nn

from sfg_nas.baselines import ConstantProbabilities, resized
from sfg_nas.compare.entrant import Entrant, Prepared, Setting
from sfg_nas.compare.readings import expected, hard, monte_carlo, pass_macs
from sfg_nas.config import SharingConfig
from sfg_nas.errors import several
from sfg_nas.fixed import distill
from sfg_nas.sharing import Supernet
from sfg_nas.study.networks import scaled_by
from sfg_nas.study.settings import search_settings, warmup_within
from sfg_nas.training import ParameterGroup, SupernetMethod, SupervisedMethod, derive_seed


def _supernet_of(module: nn.Module) -> Supernet:
    inner = module.supernet if isinstance(module, ConstantProbabilities) else module
    assert isinstance(inner, Supernet)
    return inner


def corrected(setting: Setting, argument: str = "") -> Entrant:
    """Return stochastic filter groups, the supernet itself: the paper's model with the study's section `sharing`."""
    del argument
    sharing = setting.study.config.sharing
    own = sharing if sharing.preset == "corrected" else SharingConfig(groups=sharing.groups)
    return supernet(setting, "sfg-corrected", own)


def published(setting: Setting, argument: str = "") -> Entrant:
    """Return stochastic filter groups, the supernet itself, as the paper's published code has them."""
    del argument
    sharing = setting.study.config.sharing
    own = sharing
    if sharing.preset != "iccv2019":
        groups = sharing.model_dump(mode="json")["groups"]
        own = SharingConfig.model_validate({"preset": "iccv2019", "groups": groups})
    return supernet(setting, "sfg-iccv2019", own)


def supernet(setting: Setting, name: str, sharing: SharingConfig) -> Entrant:
    """Return an entrant that is a supernet, trained on its own objective for the epochs of all.

    Source: Bragman et al. 2019, sections 3.2 and 3.3.

    Args:
        setting: The comparison.
        name: Of the method.
        sharing: What the supernet has in place of the study's section.
    """
    config = setting.study.config.model_copy(update={"sharing": sharing})
    study = replace(setting.study, config=config)

    def prepare(factor: float, *, seed: int, learning_rate: float) -> Prepared:
        del learning_rate
        backbone = scaled_by(config.backbone, factor)
        training = config.training.model_copy(update={"epochs": setting.epochs})
        own = config.model_copy(update={"backbone": backbone, "training": training})
        made = study.make_supernet(own, seed=seed)
        examples = len(study.data.train)
        steps = setting.epochs * max(examples // training.batch_size, 1)
        method = SupernetMethod(made, study.tasks, search_settings(own, examples), steps=steps)
        readings = (hard(study, _supernet_of, seed), monte_carlo(study, _supernet_of, seed))
        return Prepared(method, readings)

    def learned_macs(module: nn.Module, factor: float) -> int:
        own = _supernet_of(module)
        backbone = scaled_by(config.backbone, factor)
        wider = study.make_supernet(config.model_copy(update={"backbone": backbone}), seed=0)
        return distill(wider, resized(wider, own.allocation(), own)).macs

    warmup, epochs = sharing.warmup_epochs, setting.epochs
    within = warmup_within(sharing, epochs)
    cut = {"warmup_epochs": within} if within < warmup else {}
    options = {"sharing": sharing.model_dump(mode="json"), "draws": setting.section.draws}
    shorter = (
        f"its warm-up of {warmup:g} epochs is cut to {within:g}, as it is trained for {epochs}; "
    )
    return Entrant(
        name,
        prepare,
        None,
        options=options | cut,
        learned_macs=learned_macs,
        note=(shorter if cut else "")
        + "at equal MACs it is trained anew at the width at which the hard network that it learned would cost as "
        "much; what it then learns costs what the table says, and has no row if that is more than a tenth off; "
        f"Monte-Carlo prediction costs {several(setting.section.draws, 'network')} or more, so it has none",
    )


class ConstantProbabilitiesMethod(SupervisedMethod):
    """Trains the weights below masks that are drawn anew in every step."""

    def __init__(self, network: ConstantProbabilities, tasks: Sequence[object]) -> None:
        """Keep the network.

        Args:
            network: The supernet with frozen assignments.
            tasks: The tasks, with their weights.
        """
        super().__init__(network, tasks)  # type: ignore[arg-type]
        self._masked = network

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """Return one group with all weights."""
        return [ParameterGroup("weights", self._masked.weight_parameters())]

    def state_tensors(self) -> dict[str, Tensor]:
        """Return the state of the random stream that the masks are drawn from."""
        return {"masks": self._masked.supernet.generator_state()}

    def load_state_tensors(self, state: Mapping[str, Tensor]) -> None:
        """Set the random stream of the masks."""
        self._masked.supernet.set_generator_state(state["masks"])


def constant_p(setting: Setting, argument: str = "") -> Entrant:
    """Return masks redrawn in every step at constant probabilities (Bragman et al. 2019, section 4)."""
    del argument
    study, section = setting.study, setting.section.constant_p

    def made(factor: float, seed: int) -> ConstantProbabilities:
        backbone = scaled_by(study.config.backbone, factor)
        start = study.config.sharing.start.model_copy(update={"kind": "thirds"})
        sharing = study.config.sharing.model_copy(
            update={
                "preset": "corrected",
                "start": start,
                "relaxation": "connections",
                "estimator": "straight-through",
                "hierarchical": False,
            }
        )
        config = study.config.model_copy(update={"backbone": backbone, "sharing": sharing})
        return ConstantProbabilities(study.make_supernet(config, seed=seed), section.probabilities)

    def prepare(factor: float, *, seed: int, learning_rate: float) -> Prepared:
        del learning_rate
        method = ConstantProbabilitiesMethod(made(factor, derive_seed(seed)), study.tasks)
        return Prepared(
            method, (expected(study, _supernet_of, seed), monte_carlo(study, _supernet_of, seed))
        )

    return Entrant(
        "constant-p",
        prepare,
        lambda factor, seed: pass_macs(made(factor, seed).supernet),
        options=section.model_dump(mode="json") | {"draws": setting.section.draws},
        note="all connections are computed, since any may be drawn: it saves no MACs",
    )
