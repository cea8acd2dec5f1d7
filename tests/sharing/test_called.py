"""Which modules one pass of a network calls once, from one tensor to another."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sfg_nas.sharing.called import called_once


class _Doubled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2


def _add(values: Tensor) -> None:
    values.add_(1)


def test_hooks_that_change_what_a_module_is_given_or_gives_are_heard() -> None:
    network = nn.Sequential(*[_Doubled() for _ in range(7)])
    seen: list[Tensor] = []
    network[0].register_forward_hook(lambda _, given, result: seen.extend((*given, result)))
    network[1].register_forward_pre_hook(lambda _, given: (given[0] + 1,))
    network[2].register_forward_pre_hook(lambda _, given: _add(given[0]))
    network[3].register_forward_hook(lambda _module, _given, result: result * result.mean())
    network[4].register_forward_hook(lambda _module, _given, result: _add(result))
    network[5].register_forward_hook(lambda _module, given, _result: _add(given[0]))
    assert called_once(network, torch.ones(2, 1)) == {"", "0", "6"}
    assert seen
