"""Everything a network needs follows it to a device, and no pass makes tensors in another place.

A device without values (`meta`) stands for a GPU, so that this can be told without one.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sfg_nas.fixed import build_network, distill
from sfg_nas.sharing import Supernet, objective, random_allocation
from tests.conversions import pair
from tests.networks import CASES

DEVICE = torch.device("meta")
MAY_MIX = {
    "aten::_to_copy",
    "aten::copy_",
    "aten::index",
    "aten::index_put",
    "aten::_index_put_impl_",
}
"""What moves tensors, and what takes positions that lie on the CPU."""


SLOW = ("highresnet-2d", "unet-2d")
FORMS = [(name, "connections") for name in CASES if name not in SLOW]
FORMS += [(name, "streams") for name in ("dilated", "transposed", "norm-head", "residual-head")]


class OneDevice(TorchDispatchMode):
    """Refuses operations, backward ones too, over tensors of two devices, as a GPU does."""

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Run one operation."""
        leaves = tree_leaves((args, dict(kwargs or {})))
        found = {x.device for x in leaves if isinstance(x, Tensor) and x.dim() > 0}
        assert len(found) < 2 or func.name().split(".")[0] in MAY_MIX, f"{func} over {found}"
        return func(*args, **(kwargs or {}))


def step(supernet: Supernet, x: Tensor) -> None:
    """Run a pass forwards and backwards, with every term of the objective."""
    outputs = supernet(x)
    losses = {name: value.square().mean() for name, value in outputs.items()}
    value = objective(supernet, losses, examples=6, lambda1=0.1, lambda2=0.1, lambda3=0.1)
    value.total.backward()
    found = {p.grad.device for p in supernet.parameters() if p.grad is not None}
    assert {*found, *(value.device for value in outputs.values())} == {DEVICE}
    supernet.zero_grad()


@pytest.mark.parametrize(("name", "relaxation"), FORMS)
def test_a_supernet_works_wherever_it_is_put(name: str, relaxation: str) -> None:
    of = pair(name)
    supernet = copy.deepcopy(of.connections if relaxation == "connections" else of.streams)
    allocation = random_allocation(supernet, seed=1)
    supernet, x = supernet.to(DEVICE), of.x.to(DEVICE)
    with OneDevice():
        step(supernet.train(), x)
        step(supernet.harden(allocation).train(), x)
        with torch.no_grad():
            supernet.eval()(x)
            supernet.relax()
            drawn = supernet.predict(x, mode="sampled", draws=2)
    assert {found.device for found in drawn.values()} == {DEVICE}


@pytest.mark.parametrize("name", CASES)
def test_a_fixed_network_works_wherever_it_is_put(name: str) -> None:
    supernet = pair(name).connections
    allocation = random_allocation(supernet, seed=1)
    fixed = build_network(distill(supernet, allocation), weights=supernet).to(DEVICE)
    x = pair(name).x.to(DEVICE)
    with torch.no_grad():
        assert {value.device for value in fixed.eval()(x).values()} == {DEVICE}
    with OneDevice():
        sum(value.sum() for value in fixed.train()(x).values()).backward()
    assert {p.grad.device for p in fixed.parameters() if p.grad is not None} == {DEVICE}


def test_tensors_of_two_devices_are_refused() -> None:
    x = torch.empty(2, 3, device=DEVICE, requires_grad=True)
    with OneDevice():
        assert (x * torch.tensor(2.0)).device == DEVICE  # as a GPU takes single numbers
        with pytest.raises(AssertionError, match="over"):
            x @ torch.ones(3, 3)
        with pytest.raises(AssertionError, match="over"):
            x * torch.ones(2, 3)
