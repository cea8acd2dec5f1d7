from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sfg_nas.sharing.norms import affine, norm_eps, read_norm

X = torch.randn(3, 6, 4, 4, generator=torch.Generator().manual_seed(0))
ONE_SEGMENT = torch.ones(6, 1)


def test_everything_shared_is_the_plain_norm() -> None:
    ones = torch.ones(1, 6)
    for count in (1, 2, 3):
        index = torch.arange(6) * count // 6
        segments = nn.functional.one_hot(index, count).float()
        found = read_norm(
            X, axis=1, over=(2, 3), segments=segments, readers=ones, own=ones.T, eps=1e-5
        )
        assert torch.allclose(found, nn.functional.group_norm(X, count), atol=1e-5)
    last = X.movedim(1, -1)
    found = read_norm(
        last, axis=3, over=(), segments=ONE_SEGMENT, readers=ones, own=ones.T, eps=1e-5
    )
    assert torch.allclose(found, nn.functional.layer_norm(last, [6]), atol=1e-5)


def test_each_channel_is_normalised_by_what_its_owner_reads() -> None:
    owner = torch.tensor([0, 0, 1, 1, 2, 2])
    own = nn.functional.one_hot(owner, 3).float()
    reads = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    found = read_norm(
        X, axis=1, over=(2, 3), segments=ONE_SEGMENT, readers=reads @ own.T, own=own, eps=1e-5
    )
    for group, read in ((0, [0, 1, 4, 5]), (1, [2, 3, 4, 5]), (2, [4, 5])):
        expected = nn.functional.group_norm(X[:, read], 1)
        mine = [read.index(c) for c in torch.nonzero(owner == group).reshape(-1).tolist()]
        assert torch.allclose(found[:, owner == group], expected[:, mine], atol=1e-5)


@pytest.mark.parametrize("over", [(), (2, 3)])
def test_root_mean_squares_are_of_what_the_owner_reads(over: tuple[int, ...]) -> None:
    owner = torch.tensor([0, 0, 1, 1, 2, 2])
    own = nn.functional.one_hot(owner, 3).float()
    reads = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    found = read_norm(
        X + 1,
        axis=1,
        over=over,
        segments=ONE_SEGMENT,
        readers=reads @ own.T,
        own=own,
        eps=1e-3,
        centred=False,
    )
    for group, read in ((0, [0, 1, 4, 5]), (1, [2, 3, 4, 5]), (2, [4, 5])):
        seen = X[:, read] + 1
        shape = [len(read), *(X.shape[d] for d in over)]
        if over:
            expected = nn.functional.rms_norm(seen, shape, eps=1e-3)
        else:
            expected = nn.functional.rms_norm(seen.movedim(1, -1), shape, eps=1e-3).movedim(-1, 1)
        mine = [read.index(c) for c in torch.nonzero(owner == group).reshape(-1).tolist()]
        assert torch.allclose(found[:, owner == group], expected[:, mine], atol=1e-5)


def test_without_a_number_the_precision_is_added() -> None:
    assert norm_eps(1, torch.float) == 1.0
    for dtype in (torch.float, torch.double):
        x = torch.full((1, 4), 1e-6, dtype=dtype)
        by_hand = x * (x.square().mean(1, keepdim=True) + norm_eps(None, dtype)).rsqrt()
        assert torch.allclose(by_hand, nn.functional.rms_norm(x, [4]))


def test_half_precision_adds_that_of_32_bits() -> None:
    x = torch.full((1, 4), 1e-3, dtype=torch.bfloat16)
    assert norm_eps(None, x.dtype) == torch.finfo(torch.float).eps
    by_hand = x * (x.square().mean(1, keepdim=True) + norm_eps(None, x.dtype)).rsqrt()
    assert torch.allclose(by_hand, nn.functional.rms_norm(x, [4]), rtol=1e-2)


def test_large_means_do_not_cancel() -> None:
    ones = torch.ones(1, 6)
    found = read_norm(
        X + 1000.0, axis=1, over=(2, 3), segments=ONE_SEGMENT, readers=ones, own=ones.T, eps=1e-5
    )
    assert torch.allclose(found, nn.functional.group_norm(X, 1), atol=2e-3)


@pytest.mark.parametrize("over", [(), (2, 3)])
@pytest.mark.parametrize("segments", [1, 2])
def test_channels_that_hardly_vary_far_from_the_others_keep_their_digits(
    over: tuple[int, ...], segments: int
) -> None:
    owner = torch.tensor([0, 0, 1, 1, 1, 0])
    own = nn.functional.one_hot(owner, 2).float()
    x = torch.where(owner.view(-1, 1, 1) == 1, 30 + 1e-2 * X, X)
    index = torch.arange(6) * segments // 6
    found = read_norm(
        x,
        axis=1,
        over=over,
        segments=nn.functional.one_hot(index, segments).float(),
        readers=own.T,
        own=own,
        eps=1e-12,
    )
    for group in (0, 1):
        for segment in range(segments):
            mine = (owner == group) & (index == segment)
            seen = x[:, mine].double()
            dims = (1, *over)
            apart = seen - seen.mean(dims, keepdim=True)
            expected = apart * (apart.square().mean(dims, keepdim=True) + 1e-12).rsqrt()
            # numbers near 30 have steps of 2e-6 in single precision, their squares of 6e-5
            torch.testing.assert_close(found[:, mine].double(), expected, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("over", [(), (2, 3)])
def test_with_care_who_does_not_read_it_has_the_same_numbers(over: tuple[int, ...]) -> None:
    own = nn.functional.one_hot(torch.tensor([0, 0, 1, 1, 2, 2]), 3).float()
    reads = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    x = X + torch.tensor([0.0, 0.0, 50.0, 50.0, 0.0, 0.0]).view(-1, 1, 1)

    def run(x: Tensor, *, careful: bool) -> Tensor:
        return read_norm(
            x, axis=1, over=over, segments=ONE_SEGMENT, readers=reads @ own.T, own=own, eps=1e-5,
            careful=careful,
        )  # fmt: skip

    plain = run(x, careful=False)
    assert torch.equal(run(x, careful=True), plain)
    for value in (float("inf"), float("nan"), 1e30, -7.0):
        changed = x.clone()
        changed[:, 2] = value
        found = run(changed, careful=True)
        assert torch.equal(found[:, [0, 1, 4, 5]], plain[:, [0, 1, 4, 5]])
        assert found[:, [2, 3]].isfinite().all() == (value == -7.0)


def test_affine_maps_along_an_axis_or_broadcast() -> None:
    weight, bias = torch.randn(6), torch.randn(6)
    expected = X * weight.view(6, 1, 1) + bias.view(6, 1, 1)
    assert torch.allclose(affine(X, weight, bias, 1), expected)
    last = X.movedim(1, -1)
    assert torch.allclose(affine(last, weight, bias, None), last * weight + bias)
    assert affine(X, None, None, 1) is X
