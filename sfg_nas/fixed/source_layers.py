"""The constructor call of a node's layer, as source."""

from __future__ import annotations

from typing import cast

from torch import nn

from sfg_nas.architecture import Architecture, Node
from sfg_nas.fixed.layers import is_held, make_bank, make_channel_norm
from sfg_nas.fixed.source_text import literal
from sfg_nas.operations import BANKS, Kind, is_centred, vocabulary

_OPTIONS = ("stride", "padding", "output_padding", "dilation", "groups")
_DEFAULTS = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1, "groups": 1}


def kind_of(node: Node) -> Kind | None:
    """Return the kind of a node's operation, None for those that are no ATen operators."""
    found = vocabulary().get(node["op"])
    return found.kind if found else None


def constructor(architecture: Architecture, name: str) -> str | None:
    """Return the call that makes a node's layer, None if it has none."""
    node = architecture.node(name)
    kind = kind_of(node)
    if node["op"] == "constant":
        axis = node["axis"] if node["axis"] is not None else 1
        trained = "bias" in node["params"]
        return f"Constant({literal(node['shape'])}, axis={axis}, trained={trained})"
    if node["op"] == "select":
        positions = cast("list[int]", node["settings"]["positions"])
        return None if contiguous(positions) else f"Select({literal(positions)}, {node['axis']})"
    if kind in BANKS:
        trained = node["params"]["weight"]["values"] is None
        return bank(node) if trained else f"kept({bank(node)})"
    if kind is Kind.CHANNEL_NORM:
        return channel_norm(node)
    if kind is Kind.MIXING_NORM and "over" in node["settings"]:
        return read_norm(architecture, name)
    return None


def contiguous(positions: list[int]) -> bool:
    """Return whether positions are a slice."""
    return bool(positions) and positions == list(range(positions[0], positions[-1] + 1))


def bank(node: Node) -> str:
    """Return the call that makes a convolution or a linear layer."""
    shape = node["params"]["weight"]["shape"]
    operation = vocabulary()[node["op"]]
    bias = "" if "bias" in node["params"] else ", bias=False"
    if operation.kind is Kind.LINEAR:
        return f"nn.Linear({shape[1]}, {shape[0]}{bias})"
    built = make_bank(_without_weights(node), operation)
    assert isinstance(built, nn.modules.conv._ConvNd)
    transposed = operation.kind is Kind.CONV_TRANSPOSE
    groups = built.groups
    inputs, filters = (shape[0], shape[1] * groups) if transposed else (shape[1] * groups, shape[0])
    given = [str(inputs), str(filters), _size(shape[2:])]
    for option in _OPTIONS:
        value = getattr(built, option)
        if isinstance(value, tuple):
            value = list(value)
        if value not in (_DEFAULTS[option], [_DEFAULTS[option]] * operation.spatial):
            given.append(f"{option}={literal(value) if isinstance(value, str) else _size(value)}")
    return f"nn.{type(built).__name__}({', '.join(given)}{bias})"


def _without_weights(node: Node) -> Node:
    """Return a node that makes the same layer with as few weights as can be."""
    weight = node["params"]["weight"]
    groups = node["settings"].get("groups", 1)
    assert isinstance(groups, int)
    small = [groups, 1, *[1] * (len(weight["shape"]) - 2)]
    return {**node, "params": {"weight": {**weight, "shape": small}}}


def _size(value: object) -> str:
    if isinstance(value, list) and len(set(value)) == 1:
        return str(value[0])
    return literal(tuple(value)) if isinstance(value, list) else literal(value)


def channel_norm(node: Node) -> str:
    """Return the call that makes a batch or instance norm."""
    built = make_channel_norm(node)
    dims = max(len(node["shape"]) - 1, 1)
    instance = node["op"] == "instance_norm"
    kind = f"nn.{'InstanceNorm' if instance else 'BatchNorm'}{dims}d"
    if is_held(node) and not instance:
        kind = "HeldNorm"
    given = [str(built.num_features)]
    if built.eps != 1e-5:
        given.append(f"eps={literal(built.eps)}")
    if built.momentum != 0.1:
        given.append(f"momentum={literal(built.momentum)}")
    for option, default in (("affine", not instance), ("track_running_stats", not instance)):
        if getattr(built, option) is not default:
            given.append(f"{option}={not default}")
    return f"{kind}({', '.join(given)})"


def read_norm(architecture: Architecture, name: str) -> str:
    """Return the call that makes a norm over all that may be read."""
    node = architecture.node(name)
    settings = node["settings"]
    count, total = cast(int, settings["norm_groups"]), cast(int, settings["of_channels"])
    sources = architecture.sources(name)[1]
    read = [c for source in sources for c in architecture.node(source)["channels"]]
    places = [read.index(c) for c in node["channels"]]
    segments = [c * count // total for c in read]
    given = [literal(segments), str(count), literal(places), f"axis={settings['axis']}"]
    over = tuple(cast("list[int]", settings["over"]))
    given += [f"over={literal(over) if over else '()'}", f"eps={literal(settings['eps'])}"]
    for label, record in node["params"].items():
        if label in ("weight", "bias"):
            given.append(f"{label}={literal(record['shape'])}")
    if node["op"] == "group_norm" and node["params"]:
        after = len(node["shape"]) - cast(int, settings["axis"])
        given.append(f"view={literal([-1] + [1] * after)}")
    if not is_centred(node["op"]):
        given.append("centred=False")
    return f"ReadNorm({', '.join(given)})"
