from __future__ import annotations

import pytest
import torch
from torch import nn

from sfg_nas.operations import Kind, canonical_name, run_operation, vocabulary

ATEN = torch.ops.aten


@pytest.mark.parametrize("name", sorted(vocabulary()))
def test_every_entry_is_an_operator_of_torch(name: str) -> None:
    operation = vocabulary()[name]
    assert operation.name == name
    assert canonical_name(operation.call) == name
    assert operation.arguments
    assert (operation.spatial > 0) == (
        operation.kind in (Kind.WINDOW, Kind.CONV, Kind.CONV_TRANSPOSE)
    )


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (ATEN.relu_.default, "relu"),
        (ATEN.add_.Tensor, "add.Tensor"),
        (ATEN.conv2d.padding, "conv2d.padding"),
        (ATEN.mean.dim, "mean.dim"),
    ],
)
def test_in_place_variants_lose_their_underscore(target: object, name: str) -> None:
    assert canonical_name(target) == name  # type: ignore[arg-type]


def test_running_fills_in_defaults_and_settings() -> None:
    x = torch.randn(2, 4, 6, 6)
    pool = vocabulary()["max_pool2d"]
    found = run_operation(pool, {"self": x}, {"kernel_size": [2, 2], "stride": [1, 1]})
    assert isinstance(found, torch.Tensor)
    assert torch.equal(found, nn.functional.max_pool2d(x, 2, 1))


def test_dropout_and_batch_norm_follow_the_mode() -> None:
    x = torch.randn(8, 3, 4, 4)
    dropout = vocabulary()["dropout"]
    assert run_operation(dropout, {"input": x}, {"p": 0.5, "train": False}) is x
    for always, training in ((False, True), (True, False)):
        given = {"p": 0.5, "train": always}
        dropped = run_operation(dropout, {"input": x}, given, training=training)
        assert isinstance(dropped, torch.Tensor)
        assert bool((dropped == 0).any())
    norm = nn.BatchNorm2d(3)
    tensors = {"running_mean": norm.running_mean, "running_var": norm.running_var, "input": x}
    given = {"training": False, "momentum": 0.1, "eps": 1e-5, "cudnn_enabled": True}
    plain = run_operation(vocabulary()["batch_norm"], tensors, given)  # type: ignore[arg-type]
    assert isinstance(plain, torch.Tensor)
    assert torch.allclose(plain, x, atol=1e-4)
    run = run_operation(vocabulary()["batch_norm"], tensors, given, training=True)  # type: ignore[arg-type]
    assert isinstance(run, torch.Tensor)
    assert float(run.mean(dim=(0, 2, 3)).detach().abs().max()) < 1e-5


def test_types_named_in_settings_are_torch_types() -> None:
    x = torch.randn(3)
    found = run_operation(vocabulary()["to.dtype"], {"self": x}, {"dtype": "torch.float64"})
    assert isinstance(found, torch.Tensor)
    assert found.dtype is torch.float64
