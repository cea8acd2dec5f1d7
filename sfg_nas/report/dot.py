"""An architecture as text for Graphviz (https://graphviz.org/doc/info/lang.html)."""

from __future__ import annotations

from collections.abc import Mapping

from sfg_nas.architecture import Architecture
from sfg_nas.report.palette import group_colour, group_name, ink_on, stripes
from sfg_nas.report.sketch import Block, sketch

_SHAPES = {"input": "box", "filters": "box", "join": "circle", "output": "box"}


def to_dot(architecture: Architecture, *, every_operation: bool = False) -> str:
    """Return an architecture in the DOT language, from left to right.

    Args:
        architecture: What to write.
        every_operation: Whether norms, activations and the like are nodes of their own; otherwise
            they are counted to the layer before them, as in the drawing.
    """
    lines = [
        "digraph architecture {",
        "  rankdir=LR;",
        '  node [fontname="Helvetica", fontsize=11, style=filled];',
        '  edge [color="#8a929b", fontname="Helvetica", fontsize=9];',
        *(_operations(architecture) if every_operation else _layers(architecture)),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _layers(architecture: Architecture) -> list[str]:
    drawn = sketch(architecture)
    lines = [_node(name, _of_block(b, architecture)) for name, b in drawn.blocks.items()]
    most = max(block.channels for block in drawn.blocks.values())
    return lines + [_edge(f.source, f.target, f.channels, most) for f in drawn.flows]


def _of_block(block: Block, architecture: Architecture) -> dict[str, str]:
    text = {
        "input": "input",
        "join": block.label,
        "output": block.label,
        "filters": f"{block.layer}\n{block.label}, {block.channels} filters",
    }[block.kind]
    tip = f"{block.layer}: {group_name(block.group, architecture.tasks)}"
    look = _look(block.group, architecture)
    if block.kind in ("input", "join"):
        look = {"fillcolor": "white", "color": look["fillcolor"].partition(":")[0]}
    if block.kind == "output":
        look["style"] = "filled,rounded"
    return {"label": text, "shape": _SHAPES[block.kind], "tooltip": tip, **look}


def _operations(architecture: Architecture) -> list[str]:
    lines = []
    for name in architecture.in_order():
        node = architecture.node(name)
        shape = "×".join(str(size) for size in node["shape"])
        group = tuple(task for task in architecture.tasks if task in node["group"])
        text = f"{node['layer']}\n{node['op']} {shape}"
        look = _look(group or architecture.tasks, architecture)
        lines.append(_node(name, {"label": text, "shape": "box", **look}))
    edges = [(u, v, int(d["channels"])) for u, v, d in architecture.graph.edges(data=True)]
    most = max((channels for _, _, channels in edges), default=1)
    return lines + [_edge(u, v, channels, most) for u, v, channels in edges]


def _look(group: tuple[str, ...], architecture: Architecture) -> dict[str, str]:
    colours = stripes(group, architecture.tasks)
    return {
        "fillcolor": ":".join(colours),  # several colours make a gradient
        "fontcolor": ink_on(group_colour(group, architecture.tasks)),
    }


def _node(name: str, attributes: Mapping[str, str]) -> str:
    inside = ", ".join(f"{key}={_quoted(value)}" for key, value in attributes.items())
    return f"  {_quoted(name)} [{inside}];"


def _edge(source: str, target: str, channels: int, most: int) -> str:
    width = 0.6 + 4.4 * channels / max(1, most)
    ends = f"{_quoted(source)} -> {_quoted(target)}"
    return f'  {ends} [label="{channels}", penwidth={width:.2f}];'


def _quoted(text: str) -> str:
    inside = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{inside}"'
