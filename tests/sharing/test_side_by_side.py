"""Heads of an attention are choices of their own: each is computed apart, from what its group may read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import sfg_nas
from sfg_nas.sharing import Supernet
from sfg_nas.sharing.side_by_side import is_repeated
from sfg_nas.sharing.units import Layout

HEADS, WIDTH = 4, 3
CHANNELS = HEADS * WIDTH
Attention = Callable[[Tensor, Tensor, Tensor], Tensor]  # of [N, H, L, D]


class Attending(nn.Module):
    """Queries, keys and values from layers of their own, and an attention over places with four heads."""

    def __init__(self, attend: Attention) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS, 3, stride=4, padding=1)
        self.query, self.key, self.value = (nn.Linear(CHANNELS, CHANNELS) for _ in range(3))
        self.out = nn.Linear(CHANNELS, 8)
        self.attend = attend

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        parts = (layer(x) for layer in (self.query, self.key, self.value))
        q, k, v = (t.unflatten(-1, (HEADS, WIDTH)).transpose(1, 2) for t in parts)
        return self.out(self.attend(q, k, v).transpose(1, 2).flatten(2)).mean(1)


class Joint(nn.Module):
    """One layer for queries, keys and values, cut in different ways."""

    def __init__(self, cut: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS, 3, stride=4, padding=1)
        self.norm, self.qkv = nn.LayerNorm(CHANNELS), nn.Linear(CHANNELS, 3 * CHANNELS)
        self.out = nn.Linear(CHANNELS, 8)
        self.cut = cut

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        y = functional.scaled_dot_product_attention(*self.cut(self.qkv(self.norm(x))))
        return self.out(y.transpose(1, 2).flatten(2)).mean(1)


class OfTorch(nn.Module):
    """PyTorch's own attention; its weights, averaged over heads, are dropped."""

    def __init__(self, *, need_weights: bool, first: bool = True) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS, 3, stride=4, padding=1)
        self.attention = nn.MultiheadAttention(CHANNELS, HEADS, batch_first=first)
        self.need, self.first = need_weights, first
        self.out = nn.Linear(CHANNELS, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2)
        x = x.transpose(1, 2) if self.first else x.permute(2, 0, 1)
        y, _ = self.attention(x, x, x, need_weights=self.need)
        return self.out(y).mean(1 if self.first else 0)


def of_channels(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention over the channels of each head, as in XCiT and Restormer."""
    weights = functional.normalize(q, dim=-2).transpose(-2, -1) @ functional.normalize(k, dim=-2)
    return v @ weights.softmax(-1)


def by_matmul(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.transpose(-2, -1) / WIDTH**0.5).softmax(-1) @ v


def by_einsum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = torch.einsum("nhid,nhjd->nhij", q, k).softmax(-1)
    return torch.einsum("nhij,nhjd->nhid", weights, v)


def by_bmm(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v, shape = q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1), q.shape
    return torch.bmm(torch.bmm(q, k.transpose(1, 2)).softmax(-1), v).view(shape)


def heads_outside(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Heads before examples in one dimension."""
    q, k, v, shape = (
        *(t.transpose(0, 1).flatten(0, 1) for t in (q, k, v)),
        q.transpose(0, 1).shape,
    )
    y = torch.bmm(torch.bmm(q, k.transpose(1, 2)).softmax(-1), v)
    return y.view(HEADS, -1, *shape[2:]).transpose(0, 1)


def by_places(t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = t.unflatten(-1, (3, HEADS, WIDTH)).permute(2, 0, 3, 1, 4).unbind(0)
    return q, k, v


def by_chunks(t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = (p.unflatten(-1, (HEADS, WIDTH)).transpose(1, 2) for p in t.chunk(3, -1))
    return q, k, v


def by_heads(t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = t.unflatten(-1, (HEADS, 3 * WIDTH)).transpose(1, 2).chunk(3, -1)
    return q, k, v


APART: dict[str, Callable[[], nn.Module]] = {
    "sdpa": lambda: Attending(functional.scaled_dot_product_attention),
    "matmul": lambda: Attending(by_matmul),
    "einsum": lambda: Attending(by_einsum),
    "bmm": lambda: Attending(by_bmm),
    "channels": lambda: Attending(of_channels),
    "places": lambda: Joint(by_places),
    "chunks": lambda: Joint(by_chunks),
    "heads": lambda: Joint(by_heads),
    "torch": lambda: OfTorch(need_weights=False),
    "torch, weights": lambda: OfTorch(need_weights=True),
    "torch, places first": lambda: OfTorch(need_weights=False, first=False),
}


def converted(build: Callable[[], nn.Module], tasks: int = 2, **options: object) -> Supernet:
    torch.manual_seed(0)
    heads = {f"t{i}": nn.Linear(8, 1) for i in range(tasks)}
    groups = "lattice" if tasks > 2 else "specialists"
    backbone = build()
    example = torch.randn(2, 3, 12, 12)
    return sfg_nas.convert(backbone, heads, example, groups=groups, **options)  # type: ignore[arg-type]


def compared(supernet: Supernet, seeds: int = 4) -> None:
    """Compare a supernet with fixed networks, on a batch of another size."""
    x = torch.randn(3, 3, 12, 12) * 3
    for seed in range(seeds):
        allocation = sfg_nas.random_allocation(supernet, seed)
        architecture = sfg_nas.distill(supernet, allocation).checked()
        network = sfg_nas.build_network(architecture, weights=supernet).eval()
        wanted = supernet.harden(allocation).eval()(x)
        for task, value in network(x).items():
            torch.testing.assert_close(value, wanted[task], atol=1e-5, rtol=1e-4)
    supernet.relax()


@pytest.mark.parametrize("tasks", [2, 3])
@pytest.mark.parametrize("name", APART)
def test_each_head_chooses_for_itself(name: str, tasks: int) -> None:
    supernet = converted(APART[name], tasks)
    outer = 8 + CHANNELS  # the stem's filters and the last layer's
    if name.startswith("torch"):
        outer += CHANNELS  # and those of the layer after the heads
    assert supernet.wiring.variables == outer + HEADS
    compared(supernet)


@pytest.mark.parametrize("name", APART)
def test_a_head_reads_only_what_its_group_may_read(name: str) -> None:
    supernet = converted(APART[name])
    supernet.harden(sfg_nas.random_allocation(supernet, seed=3)).eval()
    x = torch.randn(2, 3, 12, 12)
    groups, layers = supernet.groups, supernet.wiring.layers
    owners = supernet.assignments.hard
    assert owners is not None
    weights = {
        n: p for n, p in supernet.network.named_parameters() if "stem" in n and "weight" in n
    }
    (stem,) = weights.values()
    for index, task in enumerate(supernet.tasks):
        supernet.zero_grad()
        supernet(x)[task].sum().backward()
        assert stem.grad is not None
        for row, gradient in zip(owners[layers["stem"]].tolist(), stem.grad, strict=True):
            if index not in groups.sets[row]:
                assert not gradient.any()


@pytest.mark.parametrize("name", APART)
def test_both_forms_are_the_same(name: str) -> None:
    connections, streams = converted(APART[name]), converted(APART[name], relaxation="streams")
    x = torch.randn(3, 3, 12, 12)
    for seed in range(2):
        allocation = sfg_nas.random_allocation(connections, seed)
        wanted = connections.harden(allocation).eval()(x)
        for task, value in streams.harden(allocation).eval()(x).items():
            torch.testing.assert_close(value, wanted[task], atol=1e-5, rtol=1e-4)


def test_heads_outside_the_examples_stay_together() -> None:
    supernet = converted(lambda: Attending(heads_outside))
    assert supernet.wiring.variables == CHANNELS + 8 + 1
    compared(supernet)


def test_several_heads_that_read_one_stay_together() -> None:
    def grouped(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return functional.scaled_dot_product_attention(q, k[:, :2], v[:, :2], enable_gqa=True)

    supernet = converted(lambda: Attending(grouped))
    assert len(set(supernet.wiring.layers["query"].tolist())) == 1
    compared(supernet)


def test_a_mask_of_the_activations_is_for_all_heads() -> None:
    def masked(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        mask = q.mean((1, 3))[:, None, None, :]
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    compared(converted(lambda: Attending(masked)))


def test_repeated_means_the_same_channels_for_each_example() -> None:
    assert is_repeated(Layout(torch.tensor([0, 1, 0, 1])[:, None], (4, 3)), 0)
    assert not is_repeated(Layout(torch.tensor([0, 0, 1, 1])[:, None], (4, 3)), 0)
    assert not is_repeated(Layout(torch.tensor([0, 1, 0])[None], (1, 3)), 1)
