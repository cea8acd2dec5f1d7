"""A network whose examples reach each other is refused, by module and operation; all others pass."""

from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sfg_nas import convert
from sfg_nas.errors import ConversionError
from sfg_nas.sharing import examples
from tests.conversions import everything_shared
from tests.networks import Net, conv
from tests.properties import same_outputs

Change = Callable[[Tensor], Tensor]
NEAR = 5e-6


def changed(change: Change) -> nn.Module:
    """Return two convolutions with a module between them that runs a function of the features."""
    return nn.Sequential(
        OrderedDict(first=conv(3, 8), middle=Net(lambda _, x: change(x)), last=conv(8, 4))
    )


def heads() -> dict[str, nn.Module]:
    return {task: nn.Conv2d(4, 2, 1) for task in ("a", "b")}


def attended(x: Tensor) -> Tensor:
    """Attend with the axes of batch and places mistaken for one another, as a fused kernel hides."""
    tokens = x.flatten(2).permute(2, 0, 1)  # the kernel takes the second axis for the tokens
    return functional.scaled_dot_product_attention(tokens, tokens, tokens).permute(
        1, 2, 0
    ).unflatten(2, x.shape[2:])  # fmt: skip


MIXING: dict[str, tuple[Change, str]] = {
    "mean": (lambda x: x - x.mean(0, keepdim=True), "mean.dim"),
    "mean of all": (lambda x: x - x.mean(), "mean.default"),
    "deviation": (lambda x: x / x.std((0, 2, 3), keepdim=True), "std."),
    "softmax": (lambda x: x.softmax(0), "softmax.int"),
    "cumulative": (lambda x: x.cumsum(0), "cumsum"),
    "order": (lambda x: x.sort(0)[0], "sort"),
    "flip": (lambda x: x.flip(0), "flip"),
    "roll": (lambda x: x.roll(1, 0), "roll"),
    "roll of all": (lambda x: x.roll(1), "roll"),
    "first": (lambda x: x + x[0], "select.int"),
    "product": (lambda x: (x.flatten(1) @ x.flatten(1).t() @ x.flatten(1)).view_as(x), "matmul"),
    "attention": (attended, "scaled_dot_product_attention"),
    "places": (lambda x: x.reshape(8, -1, 8, 8).transpose(0, 1), "conv2d"),
}


@pytest.mark.parametrize("name", MIXING)
def test_what_mixes_examples_is_refused(name: str) -> None:
    change, operation = MIXING[name]
    torch.manual_seed(0)
    with pytest.raises(ConversionError, match="mixes the examples of a batch") as error:
        convert(changed(change), heads(), torch.randn(2, 3, 8, 8))
    assert operation in str(error.value)
    assert "`backbone." in str(error.value)


@pytest.mark.parametrize("zeros", ["factor", "mix.in_proj_weight"])
def test_what_begins_with_zeros_is_tried_as_if_it_had_learned(zeros: str) -> None:
    def run(net: Net, x: Tensor) -> Tensor:
        tokens = net.first(x).flatten(2).transpose(1, 2)  # examples first: their axis is mistaken
        mixed, _ = net.mix(tokens, tokens, tokens, need_weights=False)
        tokens = tokens + net.factor * mixed
        return net.last(tokens.transpose(1, 2).unflatten(2, x.shape[2:]))

    backbone = Net(run, first=conv(3, 8), mix=nn.MultiheadAttention(8, 2), last=conv(8, 4))
    backbone.factor = nn.Parameter(torch.ones(1))
    with torch.no_grad():
        backbone.get_parameter(zeros).zero_()
    with pytest.raises(ConversionError, match="mixes the examples of a batch") as error:
        convert(backbone, heads(), torch.randn(2, 3, 4, 4))
    assert "module `backbone.mix`" in str(error.value)
    assert not backbone.get_parameter(zeros).any()


APART: dict[str, Change] = {
    "channels": lambda x: x - x.mean(1, keepdim=True),
    "two views": lambda x: torch.cat([x, x.flip(3)]).chunk(2)[1],
    "windows": lambda x: x.unfold(2, 4, 4).permute(0, 2, 1, 4, 3).reshape(-1, 8, 4, 8).reshape(
        -1, 2, 8, 4, 8
    ).permute(0, 2, 1, 3, 4).reshape(-1, 8, 8, 8),
    "batch second": lambda x: functional.scaled_dot_product_attention(
        *[x.flatten(2).permute(2, 0, 1).transpose(0, 1)] * 3
    ).transpose(1, 2).unflatten(2, (8, 8)),
    "last": lambda x: x + x[:, :, -1:],
    "greatest": lambda x: x + x.topk(1)[0] + x.sort()[0].median(-1, keepdim=True)[0],
    "whole": lambda x: x[:] * 2,
}  # fmt: skip


@pytest.mark.parametrize("name", APART)
def test_what_keeps_examples_apart_is_taken(name: str) -> None:
    torch.manual_seed(0)
    network, x = changed(APART[name]), torch.randn(3, 3, 8, 8)
    own = heads()
    supernet = convert(network, own, x).eval()
    found = supernet.harden(everything_shared(supernet)).eval()(x)
    same_outputs(
        found, {task: head(network(x)) for task, head in own.items()}, "all shared", tolerance=NEAR
    )


def test_a_norm_of_the_batch_alone_is_meant() -> None:
    norm = nn.BatchNorm2d(8, track_running_stats=False)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), norm, nn.Conv2d(8, 4, 3))
    x = torch.randn(4, 3, 8, 8)
    found = convert(network, heads(), x).eval()(x)
    assert set(found) == {"a", "b"}


def test_networks_of_whole_numbers_are_not_tried() -> None:
    network = nn.Sequential(nn.Embedding(5, 3), nn.LayerNorm(3))
    traced = convert(changed(torch.relu), heads(), torch.randn(2, 3, 8, 8)).wiring.network
    whole = torch.zeros(2, 4, dtype=torch.long)
    examples.check_examples_are_apart(None, traced, network, whole)  # type: ignore[arg-type]


def test_a_reach_that_no_axis_gives_away_is_found() -> None:
    def change(x: Tensor) -> Tensor:
        earlier = x.reshape(len(x.flatten(1)) * 8, 64)[:-8]  # all but the last example
        return x + functional.pad(earlier, (0, 0, 8, 0)).reshape(x.shape)

    torch.manual_seed(0)
    with pytest.raises(ConversionError, match="mixes the examples of a batch") as error:
        convert(changed(change), heads(), torch.randn(2, 3, 8, 8))
    assert "module `backbone.middle`" in str(error.value)


def over_its_spread(x: Tensor) -> Tensor:
    """Standardise each image, which is no number where an image has one value."""
    return (x - x.mean((1, 2, 3), keepdim=True)) / x.std((1, 2, 3), keepdim=True)


@pytest.mark.parametrize(
    ("before", "example"),
    [
        (over_its_spread, torch.zeros(2, 3, 8, 8)),
        (torch.log, torch.rand(2, 3, 8, 8)),
        (torch.sqrt, torch.zeros(2, 3, 8, 8)),
        (torch.log, -torch.ones(2, 3, 8, 8)),
    ],
)
def test_a_network_that_gives_no_numbers_for_some_images(before: Change, example: Tensor) -> None:
    backbone = nn.Sequential(Net(lambda _, x: before(x)), conv(3, 8), nn.ReLU(), conv(8, 4))
    net = convert(backbone, heads(), example)
    x = torch.rand(3, 3, 8, 8) + 0.1
    original = {task: head(backbone(x)) for task, head in heads().items()}
    assert set(net.eval().harden(everything_shared(net))(x)) == set(original)


def test_one_that_mixes_examples_is_found_there_too() -> None:
    backbone = nn.Sequential(
        Net(lambda _, x: torch.log(x)), conv(3, 8), Net(lambda _, x: attended(x)), conv(8, 4)
    )
    with pytest.raises(ConversionError, match="mixes the examples of a batch"):
        convert(backbone, heads(), torch.rand(2, 3, 8, 8))


@pytest.mark.parametrize("wrap", [lambda y: (y, y), lambda y: {"out": y}, lambda y: [y]])
def test_a_head_that_gives_several_things_is_refused(wrap: Callable[[Tensor], object]) -> None:
    several = {
        task: Net(lambda net, x: wrap(net.last(x)), last=head) for task, head in heads().items()
    }
    with pytest.raises(ConversionError, match="every head must return one tensor"):
        convert(conv(3, 4), several, torch.rand(2, 3, 8, 8))
