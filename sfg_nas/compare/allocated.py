"""Entrants that are fixed networks of an allocation, learned or not, trained from scratch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

from sfg_nas.allocation import Allocation
from sfg_nas.architecture import Architecture
from sfg_nas.baselines import equal_shares, permuted, resized, shuffled, tree_split
from sfg_nas.compare.entrant import Entrant, Prepared, Setting
from sfg_nas.compare.plain import hard
from sfg_nas.config import StudyConfig
from sfg_nas.errors import ConfigError, explain
from sfg_nas.fixed import build_network, distill
from sfg_nas.sharing import Supernet
from sfg_nas.study import Study, Trial
from sfg_nas.study.equal_cost import CLOSE, fit_width
from sfg_nas.study.networks import scaled_by
from sfg_nas.training import SupervisedMethod, derive_seed

FOUND = "found"
_REMEMBERED = 64

Choose = Callable[[Supernet, int], Allocation]
"""Returns the allocation of a network, given as a supernet, for a seed."""


@dataclass(frozen=True)
class _Maker:
    """Turns allocations into architectures at any width."""

    study: Study
    config: StudyConfig
    choose: Choose

    def supernet(self, factor: float, seed: int = 0) -> Supernet:
        backbone = scaled_by(self.config.backbone, factor)
        config = self.config.model_copy(update={"backbone": backbone})
        return self.study.make_supernet(config, seed=seed)

    def architecture(self, factor: float, seed: int) -> Architecture:
        supernet = self.supernet(factor)
        return distill(supernet, self.choose(supernet, seed)).checked()


def allocated(
    setting: Setting,
    name: str,
    choose: Choose,
    config: StudyConfig | None = None,
    *,
    varies: bool = False,
) -> Entrant:
    """Return an entrant that is the fixed network of an allocation.

    Args:
        setting: The comparison.
        name: Of the method.
        choose: Returns the allocation of a network.
        config: The study at the point that the network is taken from; None for the study itself.
        varies: Whether the allocation depends on the seed.
    """
    study = setting.study
    maker = _Maker(study, config or study.config, choose)
    remembered = lru_cache(_REMEMBERED)(maker.architecture)

    def architecture(factor: float, seed: int) -> Architecture:
        return remembered(factor, derive_seed(seed, "allocation") if varies else 0)

    def prepare(factor: float, *, seed: int, learning_rate: float) -> Prepared:
        del learning_rate
        made = architecture(factor, seed)
        # The order of its filters is no part of a network, so weights drawn alike would make the same one again.
        words = ("weights", name) if varies else ("weights",)
        drawn = derive_seed(seed, *words)
        weights = maker.supernet(factor, drawn) if study.given_weights else None
        network = build_network(made, weights=weights, seed=drawn)
        return Prepared(SupervisedMethod(network, study.tasks), architecture=made)

    return Entrant(
        name, prepare, lambda factor, seed: architecture(factor, seed).macs, varies=varies
    )


def specialists(setting: Setting) -> StudyConfig:
    """Return the study with the paper's groups: one for each task and one of all."""
    config = setting.study.config
    sharing = config.sharing.model_copy(update={"groups": "specialists"})
    return config.model_copy(update={"sharing": sharing})


def constant_mask(setting: Setting, argument: str = "") -> Entrant:
    """Return fixed equal shares of the tasks and of all of them (Bragman et al. 2019, section 4)."""
    del argument
    return allocated(setting, "constant-mask", _equal, specialists(setting))


def thirds(setting: Setting, argument: str = "") -> Entrant:
    """Return fixed equal shares of the study's own groups."""
    del argument
    return allocated(setting, "thirds", _equal)


def _equal(supernet: Supernet, seed: int) -> Allocation:
    del seed
    return equal_shares(supernet)


def all_separate(setting: Setting, argument: str = "") -> Entrant:
    """Return a branch for each task from the image on, of the width of the backbone together."""
    del argument
    return allocated(
        setting, "all-separate", lambda net, _: tree_split(net, 0), specialists(setting)
    )


def branched(setting: Setting, argument: str) -> Entrant:
    """Return the classic branched network, shared before one layer (Vandenhende et al. 2019)."""
    split = int(argument)
    name = f"tree-split-{split}"
    return allocated(setting, name, lambda net, _: tree_split(net, split), specialists(setting))


def splits(setting: Setting) -> list[str]:
    """Return every layer at which a branched network may begin to branch, but for the first."""
    config = specialists(setting)
    layers = setting.study.make_supernet(config, seed=0).wiring.layers
    return [str(split) for split in range(1, len(layers))]


def found(setting: Setting, argument: str = "") -> Entrant:
    """Return the architecture that the search found, retrained from scratch."""
    del argument
    trial = needed_trial(setting)
    entrant = _like(setting, trial, FOUND, lambda net, allocation, _: _same(net, allocation))
    return replace(entrant, options={"architecture": trial.architecture.hash})


def random_allocation(setting: Setting, argument: str = "") -> Entrant:
    """Return the found counts of filters in every layer, given to filters at random with every seed."""
    del argument
    trial = needed_trial(setting)
    entrant = _like(setting, trial, "random-allocation", permuted, varies=True)
    return replace(
        entrant,
        options={"architecture": trial.architecture.hash},
        note="in a plain chain of convolutions the found network up to the order of its filters, so that its "
        "difference to `found` is chance",
    )


def shuffled_allocation(setting: Setting, argument: str = "") -> Entrant:
    """Return the found shares of groups, given to layers at random with every seed."""
    del argument
    trial = needed_trial(setting)
    entrant = _like(setting, trial, "shuffled-allocation", shuffled, varies=True)
    return replace(entrant, options={"architecture": trial.architecture.hash})


def needed_trial(setting: Setting) -> Trial:
    """Return the trial whose architecture is `found`.

    Raises:
        ConfigError: If nothing was searched.
    """
    if setting.found is None:
        rule, do = "a complete trial is needed", "search first"
        raise ConfigError(explain(where="compare: found", rule=rule, found="none", do=do))
    return setting.found


def _same(supernet: Supernet, allocation: Allocation) -> Allocation:
    del supernet
    return allocation


def _like(
    setting: Setting,
    trial: Trial,
    name: str,
    change: Callable[[Supernet, Allocation, int], Allocation],
    *,
    varies: bool = False,
) -> Entrant:
    """Return an entrant whose allocation is made from a trial's, carried over to the network's width."""
    study = setting.study
    config = study.at(trial.candidate)

    def own() -> Supernet:
        return study.make_supernet(config, seed=0)

    remembered = lru_cache(1)(own)

    def choose(supernet: Supernet, seed: int) -> Allocation:
        allocation = trial.allocation
        counts = {path: len(rows) for path, rows in supernet.wiring.layers.items()}
        if counts != {path: len(owners) for path, owners in allocation.layers.items()}:
            allocation = resized(supernet, allocation, remembered())
        return change(supernet, allocation, seed)

    return allocated(setting, name, choose, config, varies=varies)


def hard_at_found(setting: Setting, argument: str = "") -> Entrant:
    """Return hard sharing, narrowed or widened to what the found network costs."""
    macs = needed_trial(setting).architecture.macs
    entrant = hard(setting, argument)
    assert entrant.macs is not None
    cost = entrant.macs
    fit = fit_width(lambda factor: cost(factor, 0), macs)
    if fit is None:
        rule, do = "some width must cost as much as the found network", "leave it out"
        where, given = "compare: hard-sharing-at-found", f"none near {macs:,} MACs"
        raise ConfigError(explain(where=where, rule=rule, found=given, do=do))
    share = fit.macs / macs
    far = f"costs {share:.2f} of what the found network costs: no width comes nearer"
    return replace(
        entrant,
        name="hard-sharing-at-found",
        own_factor=fit.factor,
        options={"factor": fit.factor},
        note="" if abs(share - 1) < CLOSE else far,
    )
