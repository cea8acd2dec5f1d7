"""What makes two architectures equal: their graph, whatever its trained parameters start from."""

from __future__ import annotations

import networkx as nx

from sfg_nas.architecture.files import graph_to_json


def structure_of(graph: nx.DiGraph[str]) -> str:
    """Return canonical JSON text of a graph without the values that trained parameters start from."""
    bare: nx.DiGraph[str] = graph.copy()
    for _, node in bare.nodes(data=True):
        node["params"] = {
            label: {k: v for k, v in record.items() if k != "fill" or not record["trained"]}
            for label, record in node["params"].items()
        }
    return graph_to_json(bare, indent=None)
