"""Divisions by a length in the midst of a `forward`: found, and shared as norms are."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sfg_nas import convert, scale_width
from sfg_nas.sharing.recognise import recognise
from tests.conversions import allocations, everything_shared, pair_of
from tests.networks import Sample, pooled
from tests.properties import everything_holds, shared_is_original, three_ways_equal

CHANNELS, LAST = 8, 6


class Body(nn.Module):
    """Two convolutions; what is between and behind them is told by subclasses."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, CHANNELS, 3, padding=1)
        self.second = nn.Conv2d(CHANNELS, LAST, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class Inline(Body):
    """As by hand in a forward: at each place, over the channels."""

    def forward(self, x: Tensor) -> Tensor:
        x = 3 * functional.normalize(functional.gelu(self.first(x)))
        return functional.normalize(functional.gelu(self.second(x)), p=2, dim=1, eps=1e-6)


class Last(Body):
    """With the channels last in between, and a part that calls for another by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.part = Inner()

    def forward(self, x: Tensor) -> Tensor:
        x = self.part(functional.gelu(self.first(x)))
        x = functional.normalize(x.permute(0, 2, 3, 1), 2, -1).permute(0, 3, 1, 2)
        return functional.gelu(self.second(x))


class Inner(nn.Module):
    """A part that does more than to divide."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.normalize(x, dim=-3) + 0.5


class Embedding(Body):
    """As face recognition has it: the features of an image have length one."""

    def forward(self, x: Tensor) -> Tensor:
        x = functional.gelu(self.second(functional.gelu(self.first(x))))
        return functional.normalize(x.mean((2, 3)))


class Twice(Body):
    """One part, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.part = Inner()

    def forward(self, x: Tensor) -> Tensor:
        x = self.part(functional.gelu(self.first(x)))
        return self.part(functional.gelu(self.second(x)))


class Cosine(Body):
    """Weights of length one first, then activations, then a part that does so itself."""

    def __init__(self) -> None:
        super().__init__()
        del self.second
        self.first = nn.Conv2d(3, CHANNELS, 3, bias=False)
        self.part = CosineInner()

    def forward(self, x: Tensor) -> Tensor:
        weight = functional.normalize(self.first.weight.flatten(1)).view_as(self.first.weight)
        x = functional.gelu(functional.conv2d(x, weight, padding=1)) + 0.1
        return self.part(functional.normalize(x))


class CosineInner(nn.Module):
    """A product of vectors of length one, as in losses with margins."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(LAST, CHANNELS))

    def forward(self, x: Tensor) -> Tensor:
        x = functional.normalize(x.movedim(1, -1), dim=-1)
        return functional.linear(x, functional.normalize(self.weight)).movedim(-1, 1)


def sample(body: Callable[[], nn.Module]) -> Sample:
    """Return a network with three heads."""
    torch.manual_seed(1)
    backbone = body()
    flat = isinstance(backbone, Embedding)
    heads = {
        t: nn.Linear(LAST, i + 1) if flat else pooled(LAST)(i + 1) for i, t in enumerate("abc")
    }
    return Sample(backbone, heads, torch.randn(3, 3, 8, 8), "lattice")


BODIES = (Inline, Last, Embedding, Twice, Cosine)


@pytest.mark.parametrize("body", BODIES)
def test_filters_before_it_are_free_and_all_three_forms_agree(
    body: Callable[[], nn.Module],
) -> None:
    both = pair_of(sample(body))
    assert both.connections.wiring.variables == CHANNELS + LAST
    everything_holds(both, allocations(both.connections))


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        (Inline, [""]),
        (Last, ["part", ""]),
        (Embedding, [""]),
        (Twice, ["part"]),
        (Cosine, ["part", ""]),
    ],
)
def test_it_is_found_where_it_is_called(body: Callable[[], nn.Module], paths: list[str]) -> None:
    network = sample(body).backbone
    x = torch.randn(2, 3, 8, 8)
    before = network(x)
    assert recognise(network, x) == paths
    torch.testing.assert_close(network(x), before)


@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e5])
def test_short_and_long_vectors_have_length_one(scale: float) -> None:
    given = sample(Embedding)
    with torch.no_grad():
        given.backbone.get_parameter("second.weight").mul_(scale)
        given.backbone.get_parameter("second.bias").zero_()
    net = convert(given.backbone, given.heads, given.x, groups="lattice").eval()
    features = given.backbone(given.x)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(3))
    outputs = net.harden(everything_shared(net))(given.x)
    for task, head in given.heads.items():
        torch.testing.assert_close(outputs[task], head(features), rtol=1e-5, atol=1e-5)


class Other(Body):
    """Lengths along other axes, other norms, and one of a part that is not called."""

    def forward(self, x: Tensor) -> Tensor:
        x = functional.normalize(self.first(x), dim=(2, 3))
        x = functional.normalize(x, dim=-1)  # along a row of places
        return functional.normalize(self.second(x), p=1.0)


def test_other_lengths_are_what_they_were() -> None:
    given = sample(Other)
    both = pair_of(given)
    assert (
        both.connections.wiring.variables == CHANNELS + 1
    )  # a norm that is no such mixes channels
    for allocation in allocations(both.connections).values():
        three_ways_equal(both, allocation)
    shared_is_original(both)


def test_the_users_modules_stay_as_they_are_and_copies_run_their_own() -> None:
    given = sample(Inline)
    net = convert(given.backbone, given.heads, given.x, groups=given.groups).eval()
    assert not any("forward" in vars(module) for module in given.backbone.modules())
    twin = copy.deepcopy(net)
    with torch.no_grad():
        twin.get_parameter("network.backbone.second.bias").add_(1.0)
    assert not torch.allclose(net(given.x)["a"], twin(given.x)["a"])


@pytest.mark.parametrize("body", BODIES)
def test_the_network_can_be_made_narrower(body: Callable[[], nn.Module]) -> None:
    x = torch.randn(2, 3, 8, 8)
    narrow = scale_width(sample(body).backbone, 0.5, x)
    assert narrow(x).shape[:2] == (2, 3)
    assert all(value.shape[0] in (3, 4) for value in narrow.parameters())


def test_a_network_that_does_not_run_is_for_the_trace_to_refuse() -> None:
    assert recognise(sample(Inline).backbone, torch.zeros(2, 4, 8, 8)) == []
