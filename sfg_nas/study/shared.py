"""Whether a found network is hard sharing itself, so that what differs between the two is chance."""

from __future__ import annotations

from sfg_nas.architecture import Architecture
from sfg_nas.baselines import tree_split
from sfg_nas.fixed import distill
from sfg_nas.study.study import Study

_HEADS = "heads."


def all_shared(study: Study) -> Architecture:
    """Return the architecture of hard sharing with a study's own backbone.

    Args:
        study: The study.
    """
    sharing = study.config.sharing.model_copy(update={"groups": "specialists"})
    config = study.config.model_copy(update={"sharing": sharing})
    supernet = study.make_supernet(config, seed=0)
    return distill(supernet, tree_split(supernet, len(supernet.wiring.layers)))


def shares_everything(architecture: Architecture) -> bool:
    """Return whether every layer with parameters, but for the heads, belongs to all tasks.

    Args:
        architecture: Of a fixed network.
    """
    everyone = set(architecture.tasks)
    return all(set(group) == everyone for _, group in _trained(architecture))


def trunk(architecture: Architecture) -> set[str]:
    """Return the layers with parameters, but for the heads.

    Args:
        architecture: Of a fixed network.
    """
    return {layer for layer, _ in _trained(architecture)}


def _trained(architecture: Architecture) -> list[tuple[str, list[str]]]:
    """Return layer and group of each node with parameters that are not a head's."""
    nodes = [architecture.node(name) for name in architecture.graph]
    return [
        (node["layer"], list(node["group"]))
        for node in nodes
        if any(p["key"] and not p["key"].startswith(_HEADS) for p in node["params"].values())
    ]
