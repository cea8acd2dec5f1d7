"""What makes two architectures equal: their graph, whatever its nodes are called and trained parameters start from."""

from __future__ import annotations

import networkx as nx

from sfg_nas.architecture.files import graph_to_json
from sfg_nas.architecture.form import ONE_SIZE

_START = ("fill", "spread")


def structure_of(graph: nx.DiGraph[str]) -> str:
    """Return canonical JSON text of a graph, the same for all graphs that build the same network.

    Left out are the names of nodes (a node is known by its layer and group), the order of tasks in a
    group and of slots in an edge, the values that trained parameters start from, and what is known of
    other sizes of images.
    """
    place = {task: i for i, task in enumerate(graph.graph["tasks"])}
    bare: nx.DiGraph[str] = nx.relabel_nodes(graph, _labels(graph, place), copy=True)
    bare.graph.pop(ONE_SIZE, None)
    for _, node in bare.nodes(data=True):
        node["group"] = sorted(node["group"], key=lambda task: place.get(task, len(place)))
        node["params"] = {
            label: {k: v for k, v in record.items() if k not in _START or not record["trained"]}
            for label, record in node["params"].items()
        }
    for _, _, edge in bare.edges(data=True):
        edge["slots"] = sorted(edge["slots"])
    return graph_to_json(bare, indent=None)


def _labels(graph: nx.DiGraph[str], place: dict[str, int]) -> dict[str, str]:
    """Return a name for each node that says its layer and group; none if these do not tell them apart."""
    found = {}
    for name, node in graph.nodes(data=True):
        group = sorted(node["group"], key=lambda task: place.get(task, len(place)))
        found[name] = f"{node['layer']}@{'+'.join(group)}"
    return found if len(set(found.values())) == len(found) else {}
