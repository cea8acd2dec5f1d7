"""A fixed network on images of another size than that of the example it was traced on.

A graph holds the sizes that `F.interpolate(x, size=y.shape[2:])`, `view` or `expand` took on the example. On other images
each is taken anew: where it is the size that a value had on the example, it becomes the size which that value has now.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from sfg_nas.architecture import Architecture, Node
from sfg_nas.errors import ArchitectureError, explain
from sfg_nas.operations import Setting

Shape = tuple[int, ...]

_SHAPE = {"reshape": "shape", "view": "size"}


def is_sized(operation: str, settings: Mapping[str, object]) -> bool:
    """Return whether an operation's settings hold sizes of the example.

    Args:
        operation: Its name in the vocabulary.
        settings: As the graph has them.
    """
    return is_resize(operation, settings) or operation in (*_SHAPE, "expand", "constant")


def is_resize(operation: str, settings: Mapping[str, object]) -> bool:
    """Return whether an operation brings a value to a size that is written in its settings."""
    return "upsample" in operation and isinstance(settings.get("output_size"), list)


def bound(architecture: Architecture) -> str:
    """Return in words why a graph holds for images of the example's size alone, or nothing.

    Args:
        architecture: Says what was found by trying; a number that is that of a value's places (a mean as
            `x.sum((2, 3)) / (h * w)`) cannot be told from one that is the same for all images, and is a reason, too.
    """
    nodes = {name: architecture.node(name) for name in architecture.in_order()}
    places = {math.prod(node["shape"][1:]) for node in nodes.values() if len(node["shape"]) > 2}
    for name, node in nodes.items():
        number = node["settings"].get("other")
        if node["op"] not in ("div.Tensor", "mul.Tensor") or not isinstance(number, int | float):
            continue
        if number and {number, round(1 / number)} & places - {1}:
            return f"node `{name}` takes the number of places of the example"
    return "a step has a number made from the size of the example" if architecture.one_size else ""


class Sizes:
    """What the sizes of the example have become in one pass, learned value by value."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._now: dict[Shape, Shape | None] = {}

    def note(self, node: Node, value: Tensor) -> Tensor:
        """Learn what became of the spatial size of a node's value, and return it.

        Args:
            node: With its shape on the example, without the batch.
            value: The value now, `[N, F, *spatial]`; a constant still has the size of the example.
        """
        built = tuple(node["shape"])
        if value.dim() != len(built) + 1 or len(built) < 2:
            return value
        if node["op"] == "constant" and node["axis"] == 1:  # the same at every place
            tail = _shape(self._became(built[1:]))
            flat = value.flatten(2)[..., :1]
            return flat.view(*flat.shape[:2], *[1] * len(tail)).expand(-1, -1, *tail)
        spatial = tuple(value.shape[2:])
        if self._now.setdefault(built[1:], spatial) != spatial:
            self._now[built[1:]] = None  # of two values that were alike, and no longer are
        return value

    def settings(
        self, operation: str, settings: Mapping[str, Setting], built: Shape, now: Shape
    ) -> dict[str, Setting]:
        """Return an operation's settings with the sizes of the example replaced by those of now.

        Args:
            operation: Its name in the vocabulary.
            settings: As the graph has them.
            built: Shape of its first operand on the example, without the batch.
            now: The same operand's shape now, without the batch.

        Raises:
            ValueError: A size may have become one thing or another.
        """
        changed = dict(settings)
        if is_resize(operation, settings):
            changed["output_size"] = self._became(_shape(settings["output_size"]))
        elif operation in _SHAPE:
            key = _SHAPE[operation]
            shape = _shape(settings[key])
            if shape[:1] == (-1,):
                changed[key] = [-1, *self._reshaped(shape[1:], built, now)]
        elif operation == "expand":
            size = _shape(settings["size"])
            whole = tuple(
                own if wanted == -1 else wanted
                for wanted, own in zip(size[1:], built, strict=False)
            )
            if len(size) == len(built) + 1 and len(size) > 2:
                tail = self._became(whole[1:])
                kept = (-1 if wanted == -1 else t for wanted, t in zip(size[2:], tail, strict=True))
                changed["size"] = [*size[:2], *kept]
        return changed

    def _became(self, size: Shape) -> list[Setting]:
        """Return what a spatial size is now; one that no value had stays as it is."""
        now = self._now.get(size, size)
        if now is None:
            raise ValueError(f"a size of {list(size)} may follow one value or another")
        return [*now]

    def _reshaped(self, target: Shape, built: Shape, now: Shape) -> list[Setting]:
        """Return the target of a reshape, without the batch, in which dimensions that were joined or split are as long as now."""
        result: list[Setting] = []
        for wanted, places in _blocks(target, built):
            before = [built[p] for p in places]
            after = [now[p] for p in places]
            longer = [i for i, size in enumerate(wanted) if size != 1]
            if before == after:
                result += wanted
            elif len(longer) == 1 or len(wanted) == 1:
                at = longer[0] if longer else 0
                result += [math.prod(after) if i == at else 1 for i in range(len(wanted))]
            else:
                split = self._became(wanted)
                if math.prod(_shape(split)) != math.prod(after):
                    raise ValueError(f"{before} is split into {list(wanted)}, and is {after} now")
                result += split
        return result


def _blocks(target: Shape, built: Shape) -> list[tuple[Shape, list[int]]]:
    """Return the parts of a reshape: lengths of its result and the places of the dimensions that they are made of."""
    blocks: list[tuple[Shape, list[int]]] = []
    place = start = 0
    while start < len(target):
        end = start + 1
        places: list[int] = []
        while place < len(built) and (
            not places or math.prod(built[p] for p in places) < math.prod(target[start:end])
        ):
            places.append(place)
            place += 1
            while end < len(target) and math.prod(target[start:end]) < math.prod(
                built[p] for p in places
            ):
                end += 1
        while place < len(built) and built[place] == 1 and end == len(target):
            places.append(place)
            place += 1
        blocks.append((target[start:end], places))
        start = end
    return blocks


def _shape(sizes: Setting) -> Shape:
    assert isinstance(sizes, list)
    return tuple(size for size in sizes if isinstance(size, int))


def unfit(built: Sequence[int], now: Sequence[int], found: str) -> ArchitectureError:
    """Return the error for images on which a network cannot run.

    Args:
        built: Shape of the example without the batch.
        now: Shape of an image.
        found: What went wrong.
    """
    return ArchitectureError(
        explain(
            where="network",
            rule=f"it was built from an example of {_times(built)}, and other sizes must fit all its steps",
            found=f"images of {_times(now)}: {found[:200]}",
            do="convert the network with an example of that size; the weights fit as they are",
        )
    )


def _times(shape: Sequence[int]) -> str:
    return " x ".join(str(size) for size in shape)
