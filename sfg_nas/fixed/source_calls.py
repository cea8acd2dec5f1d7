"""What a node computes, as a Python expression that a person would write."""

from __future__ import annotations

from collections.abc import Mapping

from sfg_nas.architecture import Node
from sfg_nas.fixed.source_text import literal
from sfg_nas.operations import Kind, vocabulary

_FUNCTIONAL = frozenset(
    [
        "relu",
        "relu6",
        "leaky_relu",
        "gelu",
        "silu",
        "mish",
        "hardswish",
        "hardsigmoid",
        "softplus",
        "prelu",
        "selu",
        "celu",
        "max_pool1d",
        "max_pool2d",
        "max_pool3d",
        "avg_pool1d",
        "avg_pool2d",
        "avg_pool3d",
        "adaptive_avg_pool1d",
        "adaptive_avg_pool2d",
        "adaptive_avg_pool3d",
        "pixel_shuffle",
        "pixel_unshuffle",
    ]
)
_DROPOUT = {"dropout": "dropout", "feature_dropout": "dropout2d", "alpha_dropout": "alpha_dropout"}
_INFIX = {
    "add.Tensor": "+", "add.Scalar": "+", "sub.Tensor": "-", "sub.Scalar": "-",
    "mul.Tensor": "*", "mul.Scalar": "*", "div.Tensor": "/", "div.Scalar": "/",
}  # fmt: skip
_METHODS = {
    "flatten.using_ints": "flatten", "permute": "permute", "transpose.int": "transpose",
    "reshape": "reshape", "view": "reshape", "unsqueeze": "unsqueeze", "squeeze.dim": "squeeze",
    "sigmoid": "sigmoid", "tanh": "tanh", "exp": "exp", "sqrt": "sqrt", "rsqrt": "rsqrt",
    "square": "square", "abs": "abs", "neg": "neg", "mean.dim": "mean", "sum.dim_IntList": "sum",
    "amax": "amax", "amin": "amin", "select.int": "select", "chunk": "chunk", "expand": "expand",
    "detach": "detach",
}  # fmt: skip
_LISTS = ("cat", "concat", "stack", "hstack")


def expression(node: Node, operands: Mapping[str, list[str]], tensors: Mapping[str, str]) -> str:
    """Return the expression of a node without a layer of its own.

    Args:
        node: The node.
        operands: Argument name to the variables that are read.
        tensors: Argument name to the expressions of its parameters and constants.
    """
    given: dict[str, str] = {
        name: f"[{', '.join(found)}]" if node["op"] in _LISTS else found[0]
        for name, found in operands.items()
    }
    given.update(tensors)
    called = _call(node, given, _settings(node))
    return called if node["item"] is None else f"{called}[{node['item']}]"


def joined(variables: list[str], axis: int) -> str:
    """Return what reads several variables as one tensor."""
    if len(variables) == 1:
        return variables[0]
    return f"torch.cat([{', '.join(variables)}], {axis})"


def _settings(node: Node) -> dict[str, object]:
    """Return the settings that the operator takes, without those that are its defaults."""
    found: dict[str, object] = {}
    for argument in vocabulary()[node["op"]].call._schema.arguments:
        if argument.name not in node["settings"]:
            continue
        value = node["settings"][argument.name]
        if not argument.has_default_value() or value != argument.default_value:
            found[argument.name] = value
    return found


def _call(node: Node, given: dict[str, str], settings: dict[str, object]) -> str:
    name = node["op"]
    order = [a.name for a in vocabulary()[name].call._schema.arguments]
    inputs = [given[a] for a in order if a in given]
    if name in _DROPOUT and vocabulary()[name].kind is Kind.POINTWISE:
        kind = _DROPOUT[name]
        if kind == "dropout2d" and len(node["shape"]) != 3:
            kind = "dropout3d" if len(node["shape"]) == 4 else "feature_alpha_dropout"
        if kind != "feature_alpha_dropout":
            p = literal(settings.get("p", 0.5))
            return f"F.{kind}({inputs[0]}, {p}, {_mode(settings.get('train'))})"
    if name in _INFIX and not set(settings) - {"other"} and order[0] in given:
        other = given.get("other") or literal(settings["other"])
        return f"{given[order[0]]} {_INFIX[name]} {other}"
    keywords = "".join(f", {key}={literal(value)}" for key, value in settings.items())
    if name in ("cat", "concat"):
        return f"torch.cat({inputs[0]}{keywords})"
    if name in _FUNCTIONAL:
        return f"F.{name}({', '.join(inputs)}{keywords})"
    if name in _METHODS and len(inputs) == 1:
        first = order[1] if len(order) > 1 else ""
        return f"{inputs[0]}.{_METHODS[name]}({_plain(settings, first)})"
    return _operator(node, given, settings)


def _mode(always: object) -> str:
    """Return the mode that an operation runs in: its network's, or training where it is always on."""
    return "True" if always is True else "self.training"


def _plain(settings: dict[str, object], first: str) -> str:
    """Return settings as arguments; the first of all stands without its name if it is alone."""
    if list(settings) == [first]:
        return literal(settings[first])
    return ", ".join(f"{key}={literal(value)}" for key, value in settings.items())


def _operator(node: Node, given: dict[str, str], settings: dict[str, object]) -> str:
    """Return the call of the ATen operator itself, which every operation has."""
    packet, _, overload = node["op"].partition(".")
    arguments: list[str] = []
    named = False
    for argument in vocabulary()[node["op"]].call._schema.arguments:
        key = argument.name
        value = given.get(key)
        if value is None and key in ("train", "training"):
            value = _mode(settings.get(key))
        elif value is None and key in settings:
            value = literal(settings[key])
        elif value is None and not argument.has_default_value():
            value = "None"
        if value is None:
            named = True  # a default was left out: what follows needs its name
            continue
        arguments.append(f"{key}={value}" if named or argument.kwarg_only else value)
    return f"torch.ops.aten.{packet}.{overload or 'default'}({', '.join(arguments)})"
