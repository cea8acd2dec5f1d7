from __future__ import annotations

import numpy as np
import pytest
import torch

from sfg_nas.errors import (
    ConfigError,
    OutOfMemoryError,
    TrainingError,
    enough_memory,
    is_out_of_memory,
    shaped,
    within,
)


def test_a_shape_is_written_with_its_sizes() -> None:
    assert shaped((3, 48, 64)) == shaped(torch.zeros(3, 48, 64).shape) == "3x48x64"


def test_where_it_happened_stands_before_the_message() -> None:
    with (
        pytest.raises(TrainingError, match=r"^retrain: found, seed 0: epoch 2: a loss$") as caught,
        within("retrain: found, seed 0"),
        within("epoch 2"),
    ):
        raise TrainingError("a loss")
    assert isinstance(caught.value.__cause__, TrainingError)


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(ConfigError, match=r"^a key$"), within("retrain"):
        raise ConfigError("a key")


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_too_little_memory_is_told_from_mistakes(error: Exception, lacks: bool) -> None:
    assert is_out_of_memory(error) is lacks
    wanted = OutOfMemoryError if lacks else type(error)
    with pytest.raises(wanted) as caught, enough_memory("training"):
        raise error
    if lacks:
        assert "lower training.batch_size" in str(caught.value)


def test_what_torch_and_numpy_say_is_known() -> None:
    words = r"^export: .*found too little \(.*; a smaller"
    for ask in (torch.empty, np.empty):
        with (
            pytest.raises(OutOfMemoryError, match=words),
            enough_memory("export", "a smaller one"),
        ):
            ask(10**15)
