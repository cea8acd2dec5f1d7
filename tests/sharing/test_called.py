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


class _Trained(nn.Module):
    """Does something else in training."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what, self.norm = what, nn.BatchNorm1d(1)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        y = self.norm(x)
        if self.training and self.what == "keeps":
            self.seen.add_(x.mean())
        if self.training and self.what == "counts":
            self.seen.add_(1)
        return (y, y) if self.training and self.what == "gives two" else y


class _Several(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(
            {w: _Trained(w) for w in ("keeps", "counts", "gives two", "twice", "left out")}
        )

    def forward(self, x: Tensor) -> Tensor:
        for name, part in self.parts.items():
            times = {"twice": 2, "left out": 0}.get(name, 1) if self.training else 1
            for _ in range(times):
                y = part(x)
                x = x + (y if isinstance(y, Tensor) else y[0])
        return x


def test_modules_that_keep_or_give_something_else_in_training_are_heard() -> None:
    network = nn.Sequential(_Several())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = called_once(network, torch.ones(2, 1))
    assert {path.rpartition(".")[2] for path in found if path.count(".") == 2} == {
        "counts",
        "left out",
    }
    assert found.isdisjoint({"", "0"})  # for what is in them
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


class _Pair(nn.Module):
    """Calls a module, and maybe a part of it before."""

    def __init__(self, *, part_first: bool) -> None:
        super().__init__()
        self.part_first, self.module = part_first, nn.Sequential(_Doubled(), _Doubled())

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.module
        return self.module(second(x)) if self.part_first else first(self.module(x))


def test_modules_of_which_others_call_a_part_are_heard() -> None:
    for part_first in (False, True):
        found = called_once(_Pair(part_first=part_first), torch.ones(2, 1))
        assert found == {"", f"module.{int(not part_first)}"}
