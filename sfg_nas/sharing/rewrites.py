"""Operators that are written in other ones, so that few rules follow them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import fx

from sfg_nas.operations import Setting, canonical_name
from sfg_nas.sharing.exported import (
    arguments_of,
    free_axis,
    integer,
    path_of,
    refusal,
    setting_of,
    shape_of,
)
from sfg_nas.sharing.marks import DETACHED, MARK
from sfg_nas.sharing.record import Record


def _glu(record: Record, node: fx.Node) -> str:
    """Write `glu` as the product of one half and the sigmoid of the other."""
    source = record.names[node.all_input_nodes[0].name]
    dim = dict(arguments_of(node)).get("dim", -1)
    path, shape = path_of(node), shape_of(node)
    axis = int(dim) % len(shape)  # type: ignore[call-overload]
    size = shape[axis]
    halves = []
    for half in range(2):
        settings: dict[str, Setting] = {"dim": axis, "start": half * size, "length": size}
        halves.append(record.step(path, "narrow", {"self": (source,)}, shape, settings=settings))
    gate = record.step(path, "sigmoid", {"self": (halves[1],)}, shape)
    return record.step(path, "mul.Tensor", {"self": (halves[0],), "other": (gate,)}, shape)


def _index(record: Record, node: fx.Node) -> str:
    """Write indexing along one dimension by known numbers as `index_select`."""
    given, indices = node.args[:2]
    assert isinstance(given, fx.Node)
    assert isinstance(indices, list | tuple)
    used = [(dim, i) for dim, i in enumerate(indices) if isinstance(i, fx.Node)]
    if len(used) != 1 or used[0][1].name not in record.statics or given.name not in record.names:
        raise refusal(path_of(node), f"{node.target} by several indices or by activations")
    dim, index = used[0]
    value = record.value(index.name)
    if value.dim() != 1:
        raise refusal(path_of(node), f"{node.target} by an index of {value.dim()} dimensions")
    places = (
        value.nonzero().reshape(-1) if not value.is_floating_point() and _is_mask(index) else value
    )
    settings: dict[str, Setting] = {"dim": dim, "index": [int(i) for i in places]}
    operands = {"self": (record.names[given.name],)}
    return record.step(path_of(node), "index_select", operands, shape_of(node), settings=settings)


def _is_mask(index: fx.Node) -> bool:
    return str(index.meta["val"].dtype) in ("torch.bool", "torch.uint8")


def _copy(record: Record, node: fx.Node) -> str:
    """Write a copy over other values as what is copied: the values before do not matter."""
    written, source = node.args[:2]
    assert isinstance(source, fx.Node)
    shape, path = shape_of(node), path_of(node)
    if source.name not in record.names:
        assert isinstance(written, fx.Node)
        operands = {"self": (record.names[written.name],)}
        return record.step(path, "copy", operands, shape, statics={"src": source.name})
    operands = {"self": (record.names[source.name],)}
    free = free_axis(node) or 0
    settings: dict[str, Setting] = {"size": [-1 if d == free else n for d, n in enumerate(shape)]}
    return record.step(path, "expand", operands, shape, settings=settings, free=free)


def _zeros(record: Record, node: fx.Node) -> str:
    """Write zeros in the shape of something as zeros that are nobody's."""
    return record.step(path_of(node), "constant", {}, shape_of(node), free=free_axis(node) or 0)


def _full_like(record: Record, node: fx.Node) -> str:
    """Write a number in the shape of something as zeros that are nobody's, plus the number."""
    path, shape, free = path_of(node), shape_of(node), free_axis(node) or 0
    settings = {"other": setting_of(dict(arguments_of(node))["fill_value"])}
    operands = {"self": (_zeros(record, node),)}
    return record.step(path, "add.Scalar", operands, shape, settings=settings, free=free)


def _pad(record: Record, node: fx.Node) -> str:
    """Write padding of channels and places as one step after the other."""
    given = dict(arguments_of(node))
    pad, source = setting_of(given["pad"]), given["self"]
    assert isinstance(pad, list)
    assert isinstance(source, fx.Node)
    shape, path, free = shape_of(node), path_of(node), free_axis(node) or 0
    rest: dict[str, Setting] = {k: setting_of(given[k]) for k in ("mode", "value") if k in given}
    first = 2 * (len(shape) - 2)  # pairs are listed from the last dimension on
    places = [0 if i // 2 == first // 2 else n for i, n in enumerate(pad)]
    channels = [n if i // 2 == first // 2 else 0 for i, n in enumerate(pad)]
    name = canonical_name(node.target)  # type: ignore[arg-type]
    if not any(places) or not any(channels):
        operands = {"self": (record.names[source.name],)}
        return record.step(path, name, operands, shape, settings={"pad": pad, **rest}, free=free)
    between = (shape[0], shape_of(source)[1], *shape[2:])
    operands = {"self": (record.names[source.name],)}
    settings: dict[str, Setting] = {"pad": [*places], **rest}
    inner = record.step(path, name, operands, between, settings=settings, free=free)
    settings = {"pad": [*channels], **rest}
    return record.step(path, name, {"self": (inner,)}, shape, settings=settings, free=free)


def _select_scatter(record: Record, node: fx.Node) -> str:
    """Write values over one place of a dimension as values over a slice of length one."""
    given = dict(arguments_of(node))
    written, source, dim, index = (given[k] for k in ("self", "src", "dim", "index"))
    assert isinstance(written, fx.Node)
    assert isinstance(source, fx.Node)
    path, shape = path_of(node), shape_of(node)
    axis, place = int(dim) % len(shape), int(index)  # type: ignore[call-overload]
    thin = [*shape[:axis], 1, *shape[axis + 1 :]]
    values = _activation(record, node, source)
    free = free_axis(node) or 0
    src = record.step(
        path, "unsqueeze", {"self": (values,)}, tuple(thin), settings={"dim": axis}, free=free
    )
    place += shape[axis] if place < 0 else 0
    settings: dict[str, Setting] = {"dim": axis, "start": place, "end": place + 1}
    operands = {"self": (_activation(record, node, written),), "src": (src,)}
    return record.step(path, "slice_scatter", operands, shape, settings=settings, free=free)


def _activation(record: Record, node: fx.Node, value: fx.Node) -> str:
    return record.names.get(value.name) or record.activation(node, value.name)


def _batch_norm(record: Record, node: fx.Node) -> str:
    """Write the batch norm of a functional graph, with three results, as the one it came from."""
    given = dict(arguments_of(node))
    names = ("weight", "bias", "running_mean", "running_var")
    found = ((name, given.get(name)) for name in names)
    statics = {name: record.same(value.name) for name, value in found if isinstance(value, fx.Node)}
    if not set(statics.values()) <= set(record.statics):
        raise refusal(path_of(node), f"{node.target} with weights computed from activations")
    source = given["input"]
    assert isinstance(source, fx.Node)
    settings = {name: setting_of(given[name]) for name in ("momentum", "eps")}
    shape = tuple(integer(size) for size in node.meta["val"][0].shape)
    operands = {"input": (record.names[source.name],)}
    settings["momentum"] = record.momentum(path_of(node), settings["momentum"])
    settings |= {"training": "running_mean" not in statics, "cudnn_enabled": False}
    return record.step(
        path_of(node), "batch_norm", operands, shape, statics=statics, settings=settings
    )


def _mark(record: Record, node: fx.Node) -> str:
    """Write a mark as what it stands for: a step without a gradient, or dropout; examples are dropped whole as the one feature of each."""
    source, kind, probability = node.args
    assert isinstance(source, fx.Node)
    path, shape, free = path_of(node), shape_of(node), free_axis(node) or 0
    name = record.names[source.name]

    def drop(name: str, kind: str, shape: tuple[int, ...], free: int) -> str:
        settings = {"p": setting_of(probability)}
        return record.step(path, kind, {"input": (name,)}, shape, settings=settings, free=free)

    if kind == DETACHED:
        return record.step(path, DETACHED, {"self": (name,)}, shape, free=free)
    if kind != "stochastic_depth":
        return drop(name, str(kind), shape, free)
    apart, dim, behind = (shape[0], 1, *shape[1:]), {"dim": 1}, free + (free > 0)
    name = record.step(path, "unsqueeze", {"self": (name,)}, apart, settings=dim, free=behind)
    name = drop(name, "feature_dropout", apart, behind)
    return record.step(path, "squeeze.dim", {"self": (name,)}, shape, settings=dim, free=free)


REWRITES: Mapping[str, Callable[[Record, fx.Node], str]] = {
    "glu": _glu,
    "index.Tensor": _index,
    "copy": _copy,
    MARK: _mark,
    "zeros_like": _zeros,
    "full_like": _full_like,
    "pad": _pad,
    "constant_pad_nd": _pad,
    "select_scatter": _select_scatter,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "_native_batch_norm_legit.no_stats": _batch_norm,
}
