"""What a node of an architecture holds."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class Parameter(TypedDict):
    """What a node needs to know of one of its tensors, apart from the weights themselves."""

    key: str | None  # name in the user's network; None if computed from several
    shape: list[int]
    axis: int | None  # the axis that follows the node's channels
    trained: bool
    fill: float  # where training from scratch starts
    frozen: NotRequired[bool]  # a parameter or a running statistic that training leaves as it is
    # of the start: a filter bank's as a multiple of PyTorch's own, else the deviation
    spread: NotRequired[float]
    values: list[float] | list[bool] | None  # all values of a constant, which is not trained


class Node(TypedDict):
    """Attributes of a node; shapes leave the batch out."""

    op: str
    layer: str
    group: list[str]
    channels: list[int]
    axis: int | None
    shape: list[int]
    settings: dict[str, object]
    operands: list[str]
    params: dict[str, Parameter]
    item: int | None
    order: int
    repeats: int


def parameter(*, key: str | None, shape: list[int], axis: int | None, trained: bool) -> Parameter:
    """Return a node's record of one of its tensors, to be completed with its start."""
    return Parameter(key=key, shape=list(shape), axis=axis, trained=trained, fill=0.0, values=None)
