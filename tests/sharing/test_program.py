"""What is said of networks that cannot be exported, or hold an operation that cannot be followed."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sfg_nas import convert
from sfg_nas.errors import ConversionError
from tests.networks import Net, conv, pooled


class Choosing(nn.Module):
    """Lets the values of a tensor decide what is done."""

    def forward(self, x: Tensor) -> Tensor:
        if x.mean() > 0:
            x = 2 * x
        return x


class Counting(nn.Module):
    """Likewise, in a function that it calls, with a call behind it that is answered in another way."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.normalize(self.scaled(x))

    def scaled(self, x: Tensor) -> Tensor:
        return x / int(x.abs().sum())


class Spectrum(nn.Module):
    """Goes to frequencies."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.fft2(x).abs()


def refused(backbone: nn.Module, head: nn.Module | None = None) -> str:
    """Return why a network is refused."""
    heads = {"age": pooled(6)(1), "sex": nn.Sequential(head or nn.ReLU(), pooled(6)(1))}
    with pytest.raises(ConversionError) as caught:
        convert(backbone, heads, torch.randn(2, 3, 8, 8))
    return str(caught.value)


@pytest.mark.parametrize(
    ("part", "line"),
    [(Choosing(), "if x.mean() > 0:"), (Counting(), "return x / int(x.abs().sum())")],
    ids=["if", "int"],
)
def test_a_decision_by_values_is_shown_where_the_user_wrote_it(part: nn.Module, line: str) -> None:
    place = re.escape(f"at `{line}` (test_program.py, line ") + r"\d+\)"
    for message, module in (
        (refused(nn.Sequential(conv(3, 6), part)), "backbone.1"),
        (refused(Net(lambda net, x: net.part(x), part=nn.Sequential(conv(3, 6), part))), ""),
        (refused(conv(3, 6), part), "heads.sex.0"),
    ):
        assert "no value of a tensor may decide what `forward` does" in message
        assert re.search(place, message), message
        assert f"module `{module or 'backbone.part.1'}`" in message


def test_a_decision_in_the_backbone_itself_is_shown() -> None:
    backbone = Choosing()
    backbone.add_module("layer", conv(3, 6))
    message = refused(backbone)
    assert "module `backbone`" in message
    assert "at `if x.mean() > 0:` (test_program.py" in message


def test_what_to_do_about_an_unknown_operation_holds_for_backbones_and_heads() -> None:
    for message, module in (
        (refused(nn.Sequential(Spectrum(), conv(3, 6))), "backbone.0"),
        (refused(conv(3, 6), Spectrum()), "heads.sex.0"),
    ):
        assert f"module `{module}`" in message
        assert "operation `aten.fft_fft2.default`" in message
        assert "outside of the network: to the images before, or to the outputs behind" in message
