"""How many choices a network leaves, and what is said of the operations that tie filters."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sfg_nas import convert
from sfg_nas.sharing.choices import Choices, Tie
from tests.conversions import VARIANTS, Variant, label, pair
from tests.networks import pooled


class Spatial(nn.Module):
    """Spatial attention as in CBAM (Woo et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.conv(pooled))


class Residual(nn.Module):
    """A residual block."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.relu(self.conv(x))


def choices(*parts: nn.Module) -> Choices:
    backbone = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), *parts, nn.Conv2d(8, 6, 3), nn.ReLU())
    heads = {task: pooled(6)(1) for task in "ab"}
    return convert(backbone, heads, torch.zeros(2, 3, 12, 12)).wiring.choices


def test_a_chain_leaves_every_filter_free() -> None:
    found = choices()
    assert found == Choices(14, 14, ())
    assert str(found) == "14 filters, 14 free choices of a group"
    assert not found.few


def test_a_residual_block_ties_each_filter_to_another() -> None:
    found = choices(Residual(), Residual())
    assert found == Choices(30, 14, (Tie("2", "add.Tensor", 8), Tie("3", "add.Tensor", 8)))
    assert str(found) == (
        "30 filters, 14 free choices of a group; 16 fewer by add.Tensor in `2` and 1 more"
    )


def test_spatial_attention_runs_for_each_group() -> None:
    found = choices(Residual(), Spatial())
    assert (found.filters, found.free) == (8 + 8 + 6, 8 + 6)


def test_one_attention_called_twice_is_named_and_so_is_how_little_is_left() -> None:
    spatial = Spatial()
    found = choices(Residual(), spatial, spatial)
    assert (found.filters, found.free) == (8 + 8 + 1 + 6, 1 + 6)
    by = {tie.operation: tie for tie in found.ties}
    assert (by["mean.dim"].path, by["mean.dim"].fewer) == ("3", 7)
    assert not found.few
    few = Choices(100, 4, (Tie("", "mean.dim", 90), Tie("a", "softmax.int", 4), Tie("b", "x", 2)))
    assert few.few
    assert "90 fewer by mean.dim in the backbone's `forward`, 4 fewer by softmax.int" in str(few)
    many = Choices(100, 24, tuple(Tie("a", name, 2) for name in "uvwxyz"))
    assert str(many).endswith("2 fewer by w in `a`, 6 by others")


def test_zeros_beside_filters_are_no_choices() -> None:
    class Widened(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(8, 12, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x) + torch.cat([x, torch.zeros_like(x[:, :4])], 1)

    backbone = nn.Sequential(nn.Conv2d(3, 8, 3), Widened())
    heads = {task: pooled(12)(1) for task in "ab"}
    found = convert(backbone, heads, torch.zeros(2, 3, 12, 12)).wiring.choices
    assert found == Choices(20, 12, (Tie("1", "add.Tensor", 8),))


@pytest.mark.parametrize("variant", VARIANTS, ids=label)
def test_no_choice_goes_without_being_named(variant: Variant) -> None:
    wiring = pair(*variant).connections.wiring
    found = wiring.choices
    assert found.free == wiring.variables
    assert all(tie.fewer > 0 for tie in found.ties)
    searched = sum(len(rows) for rows in wiring.layers.values())
    assert found.filters >= searched
    fewer, lost = sum(tie.fewer for tie in found.ties), found.filters - searched
    # a layer one of whose filters is the image's leaves no choice for its others either
    assert fewer <= found.filters - found.free <= fewer + lost
