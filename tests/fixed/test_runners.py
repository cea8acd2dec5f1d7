"""What computes single nodes."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

from sfg_nas.fixed.runners import Function, Layer, first
from sfg_nas.operations import vocabulary


def test_a_layer_reads_the_parts_of_its_operand_side_by_side() -> None:
    layer = Layer(nn.Linear(3, 2), operand=1, axis=-1)
    parts = [torch.randn(4, 1), torch.randn(4, 2)]
    found = layer([[torch.zeros(4, 9)], parts], False)
    assert torch.equal(found, layer.module(torch.cat(parts, -1)))


def test_an_operation_gets_its_operands_by_name_and_its_settings() -> None:
    divide = Function(vocabulary()["div.Tensor"], ("self",), None, {"other": 4.0}, False, None)
    assert divide([[torch.tensor([8.0])]], False).tolist() == [2.0]
    chunk = Function(vocabulary()["chunk"], ("self",), 1, {"chunks": 2, "dim": 0}, False, None)
    assert chunk([[torch.arange(4)]], False).tolist() == [2, 3]


def test_an_operation_follows_the_training_flag() -> None:
    drop = Function(
        vocabulary()["dropout"], ("input",), None, {"p": 1.0, "train": False}, False, None
    )
    ones = torch.ones(8)
    assert torch.equal(drop([[ones]], False), ones)
    assert torch.equal(drop([[ones]], True), torch.zeros(8))


def test_a_copy_runs_its_own_module() -> None:
    layer = Layer(nn.Linear(1, 1), 0, -1)
    copy = deepcopy(layer)
    with torch.no_grad():
        copy.module.weight.zero_()  # type: ignore[union-attr,operator]
    x = torch.ones(1, 1)
    assert not torch.equal(layer([[x]], False), copy([[x]], False))
    assert first([[x]], False) is x
