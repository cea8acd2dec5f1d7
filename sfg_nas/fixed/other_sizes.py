"""Whether the graph of a network holds for images of other sizes than the example, found by trying.

A `forward` may make a number from the size of its images: `F.avg_pool2d(x, x.shape[2:])`, a crop of `h // 2` rows, a
divisor `h * w - 1`. A trace has the number of the example, and nothing tells it from one that is the same for all images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from sfg_nas.architecture import Architecture
from sfg_nas.errors import ArchitectureError
from sfg_nas.fixed.build import build_network
from sfg_nas.sharing.copies import copied
from sfg_nas.sharing.supernet import Supernet

_LONGEST_STEP = {1: 32, 2: 32, 3: 16}
"""Most places that a side is longer than another, by the number of spatial dimensions."""
_NEAR = 1e-4
_TIMES = 20.0
"""By how much more than on the example outputs may differ."""
_FOUND: WeakKeyDictionary[Supernet, bool] = WeakKeyDictionary()


def has_one_size(supernet: Supernet, distilled: Callable[[Tensor], Architecture]) -> bool:
    """Return whether fixed networks would compute something else than a supernet from images of another size.

    Tried once for each supernet, in evaluation mode and with everything shared where its groups allow that. Sizes on
    which the user's network cannot run say nothing.

    Args:
        supernet: Is left as it was.
        distilled: Returns the architecture of the groups of all variables `[V]`.
    """
    if supernet not in _FOUND:
        _FOUND[supernet] = _try(_as_written(supernet), distilled)
    return _FOUND[supernet]


def _try(supernet: Supernet, distilled: Callable[[Tensor], Architecture]) -> bool:
    shape = supernet.wiring.network.ops[0].shape[1:]
    other = another_size(shape)
    with _hardened(supernet) as hard, torch.random.fork_rng(devices=[]):
        network = build_network(distilled(hard), weights=supernet).eval()
        try:
            wanted = [_outputs(supernet, _images(supernet, size)) for size in (shape, other)]
        except Exception:  # noqa: BLE001 - whatever a user's `forward` makes of another size
            return False
        try:
            with torch.no_grad():
                found = [network(_images(supernet, size)) for size in (shape, other)]
        except (
            ArchitectureError
        ):  # a step does not fit there, and might fit yet another size by chance
            return True
    at_example, elsewhere = (_difference(a, b) for a, b in zip(wanted, found, strict=True))
    return elsewhere > _NEAR + _TIMES * at_example


def _as_written(supernet: Supernet) -> Supernet:
    """Return a supernet that runs the user's own `forward`: a stream runs the trace, with the numbers of the example."""
    if supernet.relaxation != "streams":
        return supernet
    network = copied(supernet.network)
    return Supernet(network, supernet.wiring, supernet.assignments, relaxation="connections")


def another_size(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a larger image `[C, *spatial]` whose sides can be halved as often, up to a limit, and are not alike.

    Args:
        shape: Of the example without the batch.
    """
    limit = _LONGEST_STEP.get(len(shape) - 1, 16)
    steps = [min(side & -side, limit) for side in shape[1:]]  # the powers of two that divide
    return (
        shape[0],
        *(n + (i + 1) * s for i, (n, s) in enumerate(zip(shape[1:], steps, strict=True))),
    )


@contextmanager
def _hardened(supernet: Supernet) -> Iterator[Tensor]:
    """Harden a supernet for a while and yield the groups of its variables `[V]`."""
    assignments, groups = supernet.assignments, supernet.groups
    before = assignments.hard
    if groups.everyone in groups.sets:
        hard = torch.full((supernet.wiring.variables,), groups.sets.index(groups.everyone))
    else:
        hard = supernet.wiring.variables_of(supernet.allocation())
    assignments.hard = hard
    try:
        yield hard
    finally:
        assignments.hard = before


def _images(supernet: Supernet, shape: tuple[int, ...]) -> Tensor:
    """Return one image of a shape, of the supernet's type and on its device."""
    generator = torch.Generator().manual_seed(0)
    like = next(p for p in supernet.parameters() if p.is_floating_point())
    return torch.rand(1, *shape, generator=generator).to(like)


def _outputs(supernet: Supernet, x: Tensor) -> dict[str, Tensor]:
    return {task: value[0] for task, value in supernet.predict(x).items()}


def _difference(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> float:
    """Return the largest difference as a share of the largest output, infinite where shapes differ."""
    worst = 0.0
    for task, value in wanted.items():
        mine, yours = value.double(), found[task].double()
        if mine.shape != yours.shape:
            return float("inf")
        apart = (mine - yours)[mine.isfinite() & yours.isfinite()].abs()
        scale = float(mine[mine.isfinite()].abs().amax()) if mine.isfinite().any() else 0.0
        if apart.numel() and float(apart.max()) > 0:
            worst = max(worst, float(apart.max()) / max(scale, torch.finfo(torch.float32).tiny))
    return worst
