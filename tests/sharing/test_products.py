"""Products of activations and parameters in the midst of a `forward`: shared as the linear layers that they are."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sfg_nas import build_network, convert, distill, scale_width
from sfg_nas.sharing import random_allocation
from sfg_nas.sharing.recognise import recognise
from tests.conversions import allocations, everything_shared, pair_of
from tests.networks import Sample, pooled
from tests.properties import (
    everything_holds,
    foreign_gradients_are_zero,
    reading_rule_holds,
    run,
    same_outputs,
    shared_is_original,
    three_ways_equal,
)

CHANNELS, FILTERS, LAST = 8, 5, 6
Run = Callable[["Product", Tensor], Tensor]


class Product(nn.Module):
    """Has a weight and an offset; what it does with a map is told from outside."""

    def __init__(self, run: Run, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.4 * torch.randn(shape))
        self.offset = nn.Parameter(torch.randn(FILTERS))
        self.run = run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def einsum(equation: str) -> Run:
    return lambda net, x: torch.einsum(equation, x, net.weight)


def weight_first(net: Product, x: Tensor) -> Tensor:
    return torch.matmul(net.weight, x.flatten(2)).unflatten(2, x.shape[2:])


def implied(net: Product, x: Tensor) -> Tensor:
    """Rows of the result are named before its filters, and columns behind them."""
    return torch.einsum("o c, ...chw", [net.weight, x]).movedim(2, 1)


def dots(net: Product, x: Tensor) -> Tensor:
    return torch.einsum("oc,bc...->bo...", net.weight, x)


def tensordot(net: Product, x: Tensor) -> Tensor:
    return torch.tensordot(x, net.weight, ([1], [0])).permute(0, 3, 1, 2)


def tensordot_last(net: Product, x: Tensor) -> Tensor:
    return torch.tensordot(x.movedim(1, -1), net.weight, dims=1).movedim(-1, 1)


def at(net: Product, x: Tensor) -> Tensor:
    return (x.permute(0, 2, 3, 1) @ net.weight + net.offset).permute(0, 3, 1, 2)


def expanded(net: Product, x: Tensor) -> Tensor:
    n, _, h, w = x.shape
    return torch.bmm(net.weight.expand(n, -1, -1), x.flatten(2)).view(n, FILTERS, h, w)


def repeated(net: Product, x: Tensor) -> Tensor:
    weight = net.weight.unsqueeze(0).repeat(x.shape[0], 1, 1)
    return weight.bmm(x.flatten(2)).unflatten(2, x.shape[2:])


def flat(net: Product, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(-1, c)
    return torch.mm(rows, mat2=net.weight).view(n, h, w, FILTERS).permute(0, 3, 1, 2)


def added(net: Product, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    rows = torch.addmm(net.offset, x.permute(0, 2, 3, 1).reshape(-1, c), net.weight)
    return rows.view(n, h, w, FILTERS).permute(0, 3, 1, 2)


def of_convolution(net: Product, x: Tensor) -> Tensor:
    return torch.einsum("bchw,oc->bohw", x, net.weight[:, :, 0, 0])


def unfolded(net: Product, x: Tensor) -> Tensor:
    """As a convolution of three pixels may be written."""
    places = functional.unfold(x, 3, padding=1)
    return (net.weight.flatten(1) @ places).unflatten(2, x.shape[2:])


def two_dimensions(net: Product, x: Tensor) -> Tensor:
    return torch.einsum("bcyx,hdc->bhdyx", x, net.weight).flatten(1, 2)


READ, MADE = (FILTERS, CHANNELS), (CHANNELS, FILTERS)
FORMS: dict[str, tuple[Run, tuple[int, ...]]] = {
    "einsum": (einsum("bchw,oc->bohw"), READ),
    "einsum, turned": (einsum("bchw,co->bohw"), MADE),
    "einsum, as many filters as channels": (einsum("bchw,co->bohw"), (CHANNELS, CHANNELS)),
    "einsum, the result implied": (implied, READ),
    "einsum, dots": (dots, READ),
    "einsum, two dimensions": (two_dimensions, (2, 3, CHANNELS)),
    "matmul, the weight first": (weight_first, READ),
    "matmul, the weight last": (at, MADE),
    "tensordot": (tensordot, MADE),
    "tensordot, last": (tensordot_last, MADE),
    "bmm, expanded": (expanded, READ),
    "bmm, repeated": (repeated, READ),
    "mm": (flat, MADE),
    "addmm": (added, MADE),
    "the weight of a convolution": (of_convolution, (FILTERS, CHANNELS, 1, 1)),
    "unfolded": (unfolded, (FILTERS, CHANNELS, 3, 3)),
}


def sample(name: str, tasks: str = "abc") -> Sample:
    """Return a network in which a product stands between two convolutions."""
    form, shape = FORMS[name]
    torch.manual_seed(1)
    product = Product(form, *shape)
    filters = product(torch.zeros(1, CHANNELS, 2, 2)).shape[1]
    backbone = nn.Sequential(
        nn.Conv2d(3, CHANNELS, 3, padding=1),
        nn.GELU(),
        product,
        nn.GELU(),
        nn.Conv2d(filters, LAST, 3, padding=1),
    )
    heads = {task: pooled(LAST)(i + 1) for i, task in enumerate(tasks)}
    groups = "lattice" if len(tasks) > 2 else "specialists"
    return Sample(backbone, heads, torch.randn(3, 3, 6, 6), groups)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("tasks", ["ab", "abc"])
def test_all_filters_are_free_and_all_three_forms_agree(name: str, tasks: str) -> None:
    given = sample(name, tasks)
    both = pair_of(given)
    wiring = both.connections.wiring
    filters = given.backbone.get_submodule("4").in_channels
    assert wiring.variables == CHANNELS + filters + LAST
    assert len(wiring.layers) == 3
    everything_holds(both, allocations(both.connections))


def gradient_of_other_filters(name: str) -> Tensor:
    """Return the gradient of task `a` for filters of `b` in the weight of a product, and in the layer before."""
    given = sample(name, "ab")
    net = convert(given.backbone, given.heads, given.x)
    allocation = random_allocation(net, seed=2)
    net.harden(allocation)(given.x)["a"].square().sum().backward()
    parameters = dict(net.network.named_parameters())
    [key] = [key for key in parameters if key.startswith("backbone.2.") and "weight" in key]
    before = next(key for key in parameters if key.startswith("backbone.0.") and "weight" in key)
    owners = {layer: torch.tensor(row) for layer, row in allocation.layers.items()}
    product = next(layer for layer in owners if layer.startswith("2"))
    other = net.groups.sets.index(frozenset({1}))
    made, read = owners[product] == other, owners["0"] == other
    assert made.any()
    assert read.any()
    weight = parameters[key].grad
    assert weight is not None
    turned = weight.shape[0] == CHANNELS
    rows, columns = (weight.T, weight) if turned else (weight, weight.T)
    assert rows[~made][:, ~read].any()
    first = parameters[before].grad
    assert first is not None
    return torch.cat([rows[made].flatten(), columns[read].flatten(), first[read].flatten()])


@pytest.mark.parametrize("name", ["einsum", "einsum, turned", "bmm, expanded", "addmm"])
def test_a_task_neither_reads_nor_trains_filters_of_another(name: str) -> None:
    assert not gradient_of_other_filters(name).any()


@pytest.mark.parametrize("name", FORMS)
def test_networks_can_be_made_narrower_and_wider(name: str) -> None:
    given = sample(name)
    for width, share in ((0.5, 0.5), (2.0, 2.0)):
        scaled = scale_width(given.backbone, width, given.x)
        assert scaled(given.x).shape[1] == share * LAST
        sizes = sorted(scaled.get_parameter("2.weight").shape)
        assert sizes != sorted(given.backbone.get_parameter("2.weight").shape)


def test_a_wider_network_with_its_weights_gives_the_same() -> None:
    given = sample("einsum, turned")
    wide = scale_width(given.backbone, 2.0, given.x, keep_weights=True)
    with torch.no_grad():
        difference = (wide(given.x)[:, ::2] - given.backbone(given.x)).abs().max()
    assert float(difference) < 0.2  # noise on doubled filters


@pytest.mark.parametrize("name", ["einsum", "einsum, turned"])
def test_the_weight_is_decayed_as_those_of_other_layers_are(name: str) -> None:
    given = sample(name)
    net = convert(given.backbone, given.heads, given.x)
    weights = (given.backbone.get_parameter(f"{i}.weight") for i in (0, 2, 4))
    torch.testing.assert_close(net.weight_penalty(), sum(w.square().sum() for w in weights))


class Between(nn.Module):
    """A network with two convolutions, and between them what is told from outside."""

    def __init__(self, run: Callable[[Between, Tensor], Tensor], **parts: Tensor) -> None:
        super().__init__()
        self.first, self.second = conv(3, CHANNELS), conv(CHANNELS, LAST)
        self.run = run
        for name, value in parts.items():
            if isinstance(value, nn.Parameter):
                self.register_parameter(name, value)
            else:
                self.register_buffer(name, value)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(functional.gelu(self.run(self, functional.gelu(self.first(x)))))


def conv(channels: int, filters: int) -> nn.Conv2d:
    return nn.Conv2d(channels, filters, 3, padding=1)


def gram(_: Between, x: Tensor) -> Tensor:
    """Return a product of activations with each other."""
    rows = x.flatten(2)
    return (rows @ rows.transpose(1, 2) @ rows).view_as(x) / 100


def held(_: Between, x: Tensor) -> Tensor:
    """Return a product with activations that have no gradients."""
    rows = x.flatten(2)
    with torch.no_grad():
        others = rows @ rows.transpose(1, 2)
    return (others @ rows + rows @ (rows > 0).float().transpose(1, 2) @ rows).view_as(x) / 100


def turned_by_a_constant(net: Between, x: Tensor) -> Tensor:
    return torch.einsum("bchw,oc->bohw", x, net.basis)


def by_group(net: Between, x: Tensor) -> Tensor:
    """Return a product with one weight for each half of the channels."""
    return torch.einsum("bgchw,goc->bgohw", x.unflatten(1, (2, -1)), net.weight).flatten(1, 2)


def over_places(net: Between, x: Tensor) -> Tensor:
    return (x.flatten(2) @ net.places).view_as(x)


def over_columns(net: Between, x: Tensor) -> Tensor:
    return torch.einsum("bchw,wv->bchv", x, net.side)


def over_rows(net: Between, x: Tensor) -> Tensor:
    return torch.einsum("bchw,hv->bcvw", x, net.side)


def over_all(net: Between, x: Tensor) -> Tensor:
    """Return one number for each row of each filter."""
    return torch.einsum("bchw,chwkv->bkv", x, net.whole).unsqueeze(-1)


def mixed(net: Between, x: Tensor) -> Tensor:
    """Return a product with a weight of which each filter depends on all."""
    return torch.einsum("bchw,co->bohw", x, net.wide.softmax(1))[:, :CHANNELS]


OTHERS: dict[str, Callable[[], Between]] = {
    "of activations": lambda: Between(gram),
    "held": lambda: Between(held),
    "with a constant": lambda: Between(
        turned_by_a_constant, basis=torch.linalg.qr(torch.randn(CHANNELS, CHANNELS))[0]
    ),
    "by group": lambda: Between(by_group, weight=nn.Parameter(torch.randn(2, 4, 4))),
    "over places": lambda: Between(over_places, places=nn.Parameter(0.2 * torch.randn(36, 36))),
    "over columns": lambda: Between(over_columns, side=nn.Parameter(torch.randn(6, 6))),
    "over rows": lambda: Between(over_rows, side=nn.Parameter(torch.randn(6, 6))),
    "over all": lambda: Between(
        over_all, whole=nn.Parameter(0.1 * torch.randn(CHANNELS, 6, 6, CHANNELS, 2))
    ),
    "mixed": lambda: Between(mixed, wide=nn.Parameter(torch.randn(CHANNELS, 2 * CHANNELS))),
}


OVER_PLACES = ("over places", "over columns", "over rows")


@pytest.mark.parametrize("name", OTHERS)
def test_other_products_tie_what_they_mix(name: str) -> None:
    torch.manual_seed(1)
    backbone = OTHERS[name]()
    heads = {task: pooled(LAST)(i + 1) for i, task in enumerate("abc")}
    both = pair_of(Sample(backbone, heads, torch.randn(3, 3, 6, 6), "lattice"))
    rows = set(both.connections.wiring.layers["first"].tolist())
    if name in OVER_PLACES:
        assert len(rows) == CHANNELS
    elif name not in ("mixed", "over all"):
        assert rows == {0}
    shared_is_original(both)
    for allocation in allocations(both.connections).values():
        three_ways_equal(both, allocation)
    reading_rule_holds(both.connections, allocations(both.connections)["random"], both.x)
    foreign_gradients_are_zero(both.connections, allocations(both.connections)["random"], both.x)


def test_filters_that_depend_on_each_other_are_of_one_group() -> None:
    torch.manual_seed(1)
    heads = {task: pooled(LAST)(i + 1) for i, task in enumerate("ab")}
    net = convert(OTHERS["mixed"](), heads, torch.randn(3, 3, 6, 6))
    assert len(set(net.wiring.layers["linear"].tolist())) == 1


class Twice(nn.Module):
    """A part called in between has a product of its own, of parameters alone; then follows one of activations."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = conv(3, CHANNELS), conv(FILTERS, LAST)
        self.low = Low()

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        weight = self.low()
        return self.second(functional.gelu(torch.einsum("bchw,oc->bohw", x, weight)))


class Low(nn.Module):
    """Makes a weight of low rank."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = (
            nn.Parameter(torch.randn(2, CHANNELS)),
            nn.Parameter(torch.randn(FILTERS, 2)),
        )

    def forward(self) -> Tensor:
        return self.up @ self.down


def test_calls_of_parts_are_not_taken_for_own_ones() -> None:
    torch.manual_seed(1)
    backbone, x = Twice(), torch.randn(3, 3, 6, 6)
    expected = backbone(x)
    network = copy.deepcopy(backbone)
    assert recognise(network, x) == [""]
    torch.testing.assert_close(network(x), expected)
    heads = {task: pooled(LAST)(i + 1) for i, task in enumerate("ab")}
    both = pair_of(Sample(backbone, heads, x, "specialists"))
    assert len(set(both.connections.wiring.layers["first"].tolist())) == CHANNELS
    for allocation in allocations(both.connections).values():
        three_ways_equal(both, allocation)
    supernet = both.connections.harden(everything_shared(both.connections))
    same_outputs(run(supernet, x), run(both.original, x), "the user's network")


def test_values_that_are_not_finite_do_not_cross_a_mask() -> None:
    given = sample("einsum, turned", "ab")
    net = convert(given.backbone, given.heads, given.x).eval()
    allocation = random_allocation(net, seed=2)
    net.harden(allocation)
    other = net.groups.sets.index(frozenset({1}))
    before = net(given.x)["a"].detach()
    with torch.no_grad():
        for i, group in enumerate(allocation.layers["0"]):
            if group == other:
                net.get_parameter("network.backbone.0.parametrizations.weight.original")[i] = 1e38
    after = net(given.x)
    assert not after["b"].isfinite().all()
    torch.testing.assert_close(after["a"], before)
    fixed = build_network(distill(net, allocation), weights=net).eval()
    torch.testing.assert_close(fixed(given.x)["a"], before)


@pytest.mark.parametrize(("name", "told"), [("of activations", False), ("over columns", True)])
def test_gradients_are_followed_only_where_a_product_may_be_meant(name: str, told: bool) -> None:
    backbone, enabled = OTHERS[name](), []
    inner = backbone.run

    def run(net: Between, x: Tensor) -> Tensor:
        enabled.append(torch.is_grad_enabled())
        return inner(net, x)

    backbone.run = run
    recognise(backbone, torch.randn(2, 3, 6, 6))
    assert any(enabled) is told
