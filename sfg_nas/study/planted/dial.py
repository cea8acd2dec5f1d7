"""Learned filters against the relatedness dial: how much is shared, and how good the found network is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from sfg_nas.architecture import Architecture
from sfg_nas.data import Location
from sfg_nas.fixed import build_network, distill
from sfg_nas.sharing import random_allocation
from sfg_nas.study.bundles import as_configured, load_bundle
from sfg_nas.study.planted.allocations import at_equal_macs, oracle_allocation, shared_fraction
from sfg_nas.study.planted.bank import searched, truth_of
from sfg_nas.study.settings import training_settings
from sfg_nas.study.study import Study
from sfg_nas.tasks import relative_gain
from sfg_nas.training import (
    SupervisedMethod,
    derive_seed,
    evaluate,
    fit,
    make_fabric,
    recalibrate_norms,
)

DIAL = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Settings of the relatedness dial."""


def again(study: Study, *, seed: int, **dials: float) -> Study:
    """Return the study on planted data of another seed, and perhaps with other dials.

    Args:
        study: A study whose data set is `planted`.
        seed: Of factors and images.
        dials: Options of the data set in place of the study's, such as `relatedness`.
    """
    data = study.config.data
    section = type(data).model_validate(data.model_dump() | dials | {"seed": seed})
    config = study.config.model_copy(update={"data": section})
    bundle = load_bundle(config, Location())
    return replace(study, config=config, data=as_configured(bundle, config))


def score_dial(study: Study, relatedness: float, *, seed: int) -> dict[str, float]:
    """Return how much one search shares at a setting of the dial, and where its network stands.

    The found network is retrained from scratch, beside networks of a random allocation and of the
    oracle's, widened or narrowed to cost as much, on validation.

    Args:
        study: A study whose data set is `planted`.
        relatedness: The setting.
        seed: Of data, search and retraining.

    Returns:
        `shared` (see `shared_fraction`), `macs` relative to all shared, `macs_random` and
        `macs_oracle` likewise (`shared` alone where a task has lost its path), and the gains of `found` and `oracle` over `random` (mean relative
        gain of the tasks' main metrics; positive is better).
    """
    here = again(study, seed=seed, relatedness=relatedness)
    truth = truth_of(here)
    supernet = searched(here, seed=seed)
    found = distill(supernet, supernet.allocation())
    if found.lint():  # some task lost its path from the image: there is no network to retrain
        return {"shared": shared_fraction(supernet)}
    random = at_equal_macs(here, lambda net: random_allocation(net, seed), found.macs)
    oracle = at_equal_macs(here, lambda net: oracle_allocation(net, truth), found.macs)
    values = {
        name: retrained(here, architecture, seed)
        for name, architecture in (("found", found), ("random", random), ("oracle", oracle))
    }
    return {
        "shared": shared_fraction(supernet),
        "macs": found.macs / supernet.shared_macs,
        "macs_random": random.macs / supernet.shared_macs,
        "macs_oracle": oracle.macs / supernet.shared_macs,
        "found": relative_gain(values["found"], values["random"], here.tasks),
        "oracle": relative_gain(values["oracle"], values["random"], here.tasks),
    }


def retrained(study: Study, architecture: Architecture, seed: int) -> dict[str, float]:
    """Return the metrics on validation of an architecture that is trained from scratch.

    Args:
        study: Its retraining settings and its data.
        architecture: The network.
        seed: Of weights and the order of the data.
    """
    config = study.config
    how = config.retrain
    settings = training_settings(
        config.training, config.data.augment, epochs=how.epochs, learning_rate=how.learning_rate
    )
    network = build_network(architecture, seed=derive_seed(seed, "weights"))
    fabric = make_fabric("cpu", precision=config.training.precision)
    method = SupervisedMethod(network, study.tasks)
    fit(method, study.data.train, settings, fabric=fabric, seed=derive_seed(seed, "data"))
    recalibrate_norms(network, study.data.train, seed=derive_seed(seed, "norms"))
    return evaluate(network, study.data.validation, study.tasks)


def position(gains: pd.DataFrame) -> float:
    """Return where the found networks stand between random (0) and oracle (1), over all rows.

    Args:
        gains: Columns `found` and `oracle`, gains over random.
    """
    return float(gains["found"].mean() / gains["oracle"].mean())


def spearman(rows: pd.DataFrame) -> float:
    """Return the rank correlation of the dial with the shared fraction, the mean over seeds.

    Args:
        rows: Columns `relatedness` and `shared`, one row for each setting and seed.
    """
    mean = rows.groupby("relatedness")["shared"].mean()
    if mean.nunique() < 2:
        return float("nan")
    return float(np.corrcoef(mean.index.to_series().rank(), mean.rank())[0, 1])
