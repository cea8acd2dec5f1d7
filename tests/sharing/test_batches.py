"""What a network does with the size of the batch is right for every batch, or refused."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sfg_nas import build_network, convert, distill, random_allocation
from sfg_nas.errors import ConversionError
from tests.networks import Net, conv
from tests.properties import same_outputs

Change = Callable[[Tensor], Tensor]
NEAR = 5e-6


def changed(change: Change) -> nn.Module:
    """Return two convolutions with a function of the features between them."""
    return Net(
        lambda net, x: net.last(change(net.first(x).relu())), first=conv(3, 8), last=conv(8, 4)
    )


def heads() -> dict[str, nn.Module]:
    return {task: nn.Conv2d(4, 2, 1) for task in ("a", "b")}


def copies(x: Tensor, count: int = 2) -> Tensor:
    """Return a batch of several views of each example, all firsts, then all seconds."""
    return torch.cat([x.roll(k, 3) * (k + 1) for k in range(count)])


def first_and_rest(x: Tensor) -> Tensor:
    y = copies(x, 3)
    return y[: len(x)] + y[len(x) :].view(2, *x.shape).amax(0)


FOLLOWED: dict[str, Change] = {
    "slices": lambda x: copies(x)[: x.shape[0]] * copies(x)[x.shape[0] :].sigmoid(),
    "slices of size()": lambda x: copies(x, 3)[x.size(0) : 2 * x.size(0)],
    "several copies": lambda x: copies(x, 4)[x.shape[0] : 3 * x.shape[0]].view(2, *x.shape).sum(0),
    "from the end": lambda x: copies(x)[-x.shape[0] :],
    "narrow": lambda x: copies(x, 3).narrow(0, x.shape[0], x.shape[0]),
    "split": lambda x: copies(x).split(x.shape[0])[1] + x,
    "split in sizes": lambda x: copies(x, 3).split([x.shape[0]] * 3)[2] + x,
    "uneven split": lambda x: (
        copies(x, 3).split([x.shape[0], 2 * x.shape[0]])[1].view(2, *x.shape).prod(0)
    ),
    "even sections": lambda x: copies(x).tensor_split(2)[1] + x,
    "chunk": lambda x: copies(x).chunk(2)[1] + x,
    "narrow of all": lambda x: x.narrow(0, 0, x.shape[0]) * 2,
    "whole": lambda x: x[: x.shape[0]] * 2,
    "later axis": lambda x: (
        torch.cat([x, x.tanh()]).transpose(0, 1)[:, x.shape[0] :].transpose(0, 1)
    ),
    "constants": lambda x: x * x.new_ones(x.shape[0], 1, 1, 1) + torch.zeros(x.shape[0], 8, 1, 1),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_whole_batches_are_followed_for_every_size(name: str) -> None:
    torch.manual_seed(0)
    network, own = changed(FOLLOWED[name]).eval(), heads()
    supernet = convert(network, own, torch.randn(3, 3, 8, 8)).eval()
    allocation = random_allocation(supernet, seed=1)
    architecture = distill(supernet, allocation)
    assert architecture.lint() == []
    fixed = build_network(architecture, weights=supernet).eval()
    supernet.harden(allocation)
    with torch.no_grad():
        for count in (1, 2, 3, 5):
            x = torch.randn(count, 3, 8, 8)
            same_outputs(fixed(x), supernet(x), f"a batch of {count}", tolerance=NEAR)


REFUSED: dict[str, tuple[Change, str]] = {
    "division": (lambda x: x / x.shape[0], "div.Tensor with the size of the batch"),
    "a constant": (
        lambda x: x * torch.scalar_tensor(x.shape[0]),
        "scalar_tensor.default with the size of the batch",
    ),
    "power": (lambda x: x.abs() ** (1 / x.shape[0]), "with the size of the batch as a number"),
    "roll": (lambda x: copies(x).roll(x.shape[0], 0)[: x.shape[0]], "roll.default"),
    "all but one": (lambda x: x[1:].sum(0, keepdim=True) + x, "for every size of the batch"),
    "last": (lambda x: x[x.shape[0] - 1 :] + x, "slice.Tensor, which mixes"),
    "every second": (lambda x: copies(x)[::2], "slice.Tensor, which mixes"),
    "channels": (lambda x: x + x[:, : x.shape[0]].mean(1, keepdim=True), "slice.Tensor with"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_uses_of_its_size_are_refused(name: str) -> None:
    change, operation = REFUSED[name]
    with pytest.raises(ConversionError) as error:
        convert(changed(change), heads(), torch.randn(2, 3, 8, 8))
    assert operation in str(error.value)


def test_frames_that_are_shifted_in_time() -> None:
    """A temporal shift (Lin et al. 2019) writes slices of channels and frames into zeros."""

    def run(net: Net, x: Tensor) -> Tensor:
        count, _, frames = x.shape[:3]
        y = net.first(x.transpose(1, 2).flatten(0, 1)).relu()
        y = y.view(count, frames, *y.shape[1:])
        shifted = torch.zeros_like(y)
        shifted[:, :-1, :2] = y[:, 1:, :2]
        shifted[:, 1:, 2:4] = y[:, :-1, 2:4]
        shifted[:, :, 4:] = y[:, :, 4:]
        y = net.last(shifted.flatten(0, 1)).relu()
        return y.view(count, frames, *y.shape[1:]).mean(1)

    torch.manual_seed(0)
    own = {task: nn.Conv2d(8, 2, 1) for task in ("a", "b")}
    network = Net(run, first=conv(3, 8), last=conv(8, 8)).eval()
    supernet = convert(network, own, torch.randn(2, 3, 4, 8, 8)).eval()
    allocation = random_allocation(supernet, seed=0)
    architecture = distill(supernet, allocation)
    assert architecture.lint() == []
    fixed = build_network(architecture, weights=supernet).eval()
    x = torch.randn(3, 3, 4, 8, 8)
    same_outputs(fixed(x), supernet.harden(allocation)(x), "fixed", tolerance=NEAR)


def test_learned_queries_of_an_attention_are_those_of_all_examples() -> None:
    """Also where all of its heads have the same, zeros, while it is converted."""

    def run(net: Net, x: Tensor) -> Tensor:
        tokens = net.first(x).flatten(2).transpose(1, 2)
        found, _ = net.attention(net.queries.expand(len(x), -1, -1), tokens, tokens)
        return net.last(found.transpose(1, 2).unsqueeze(-1))

    for draw in (torch.zeros, torch.randn):
        torch.manual_seed(0)
        attention = nn.MultiheadAttention(8, 2, batch_first=True)
        backbone = Net(run, first=conv(3, 8), attention=attention, last=nn.Conv2d(8, 4, 1))
        backbone.queries = nn.Parameter(draw(1, 3, 8))
        supernet = convert(backbone, heads(), torch.zeros(2, 3, 4, 4)).eval()
        with torch.no_grad():
            for parameter in supernet.network.parameters():
                parameter.add_(torch.randn_like(parameter))
        allocation = random_allocation(supernet, seed=0)
        network = build_network(distill(supernet, allocation), weights=supernet).eval()
        x = torch.randn(5, 3, 4, 4)
        same_outputs(network(x), supernet.harden(allocation)(x), "fixed network")
