"""Masked weights: their gradients, however these are computed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sfg_nas.sharing.connections import masked

SHAPES = [(5, 4, 1, 1), (5, 4, 3, 3), (6, 3, 3), (3, 2, 3, 3, 3), (1, 1, 1, 2), (5, 4, 3, 1)]


def by_hand(weight: Tensor, allowed: Tensor) -> Tensor:
    return weight * allowed.view(*allowed.shape, *[1] * (weight.dim() - 2))


def sample(
    shape: tuple[int, ...], dtype: torch.dtype = torch.float
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(len(shape))
    weight, grad = (torch.randn(shape, generator=generator).to(dtype) for _ in range(2))
    return weight, torch.rand(shape[:2], generator=generator).to(dtype), grad


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float, torch.double, torch.bfloat16])
@pytest.mark.parametrize("needed", [(True, True), (True, False), (False, True)])
def test_gradients(shape: tuple[int, ...], dtype: torch.dtype, needed: tuple[bool, bool]) -> None:
    *values, grad = sample(shape, dtype)
    kept = grad.clone()
    results = []
    for function in (masked, by_hand):
        leaves = [v.clone().requires_grad_(n) for v, n in zip(values, needed, strict=True)]
        found = function(*leaves)
        found.backward(grad)
        results.append([found.detach(), *(leaf.grad for leaf in leaves)])
    assert torch.equal(grad, kept)  # who else holds it may read it
    for mine, expected in zip(*results, strict=True):
        assert (mine is None) == (expected is None)
        if expected is not None:
            torch.testing.assert_close(mine, expected)


def test_gradients_of_weights_with_channels_last() -> None:
    weight, allowed, grad = sample((6, 5, 3, 3))
    for last in ((True, True), (True, False), (False, True)):
        form = [torch.channels_last if yes else torch.contiguous_format for yes in last]
        leaves = [
            weight.clone(memory_format=form[0]).requires_grad_(),
            allowed.clone().requires_grad_(),
        ]
        masked(*leaves).backward(grad.clone(memory_format=form[1]))
        plain = [weight.clone().requires_grad_(), allowed.clone().requires_grad_()]
        by_hand(*plain).backward(grad)
        for mine, expected in zip(leaves, plain, strict=True):
            torch.testing.assert_close(mine.grad, expected.grad)


def test_gradients_of_gradients() -> None:
    weight, allowed, _ = sample((3, 2, 2, 2), torch.double)
    leaves = (weight.requires_grad_(), allowed.requires_grad_())
    assert torch.autograd.gradcheck(masked, leaves)
    assert torch.autograd.gradgradcheck(masked, leaves)
