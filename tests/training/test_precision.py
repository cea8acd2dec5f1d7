"""Precisions that a processor computes in a roundabout way are found by measuring."""

import pytest
import torch

from sfg_nas.training import precision, slow_precision


@pytest.mark.parametrize(("name", "device"), [("32", "cpu"), ("64", "cpu"), ("bf16-mixed", "cuda")])
def test_only_mixed_precisions_on_a_processor_are_measured(
    name: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_ratio", lambda *_: 100.0)
    assert slow_precision(name, device) == ""


@pytest.mark.parametrize(("ratio", "slow"), [(0.6, False), (1.4, False), (11.0, True)])
def test_what_is_slower_is_said_with_the_measured_ratio(
    ratio: float, slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_ratio", lambda *_: ratio)
    said = slow_precision("bf16-mixed", "cpu")
    assert bool(said) == slow
    if slow:
        assert said.startswith("bf16-mixed takes 11.0 times as long as 32")


def test_the_ratio_is_that_of_the_least_times(monkeypatch: pytest.MonkeyPatch) -> None:
    warm_up, busy = [0.0, 0.5] * 2, [0.0, 9.0, 0.0, 99.0]  # plain and mixed
    ticks = iter([*warm_up, *busy, 0.0, 1.0, 0.0, 5.0, *busy, *busy])
    monkeypatch.setattr(precision.time, "perf_counter", lambda: next(ticks))
    precision._ratio.cache_clear()
    try:
        assert precision._ratio("bf16-mixed", 1) == 5.0
    finally:
        precision._ratio.cache_clear()


def test_measuring_leaves_random_numbers_alone() -> None:
    precision._ratio.cache_clear()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    assert precision._ratio("bf16-mixed", 1) > 0
    assert torch.equal(torch.rand(2), expected)
