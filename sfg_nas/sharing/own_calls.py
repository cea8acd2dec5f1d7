"""Calls that modules make in the midst of a `forward`, run as other functions that give the same and that masks reach.

Whether a call is meant depends on what it is given: activations, or what is computed from parameters alone. That is
found by running the network a few times on a few examples; from then on the n-th own call of a module is answered as found.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import torch
from torch import Tensor, nn

from sfg_nas.sharing.copies import copied
from sfg_nas.sharing.intercept import Calls, Inside, parts_of

_EXAMPLES = 2
_NOISE = 1e-3
"""What is added to parameters in the last run, so that what is computed from them is known by its change."""


class Role(Enum):
    """What a tensor is computed from."""

    IMAGE = "image"  # and maybe parameters
    PARAMETERS = "parameters"
    NOTHING = "nothing"  # of these: a constant


class Call(Protocol):
    """A call of a function of torch that can be answered in another way."""

    @property
    def tensors(self) -> Sequence[Tensor]:
        """What the function is given, as far as it matters."""
        ...

    def plan(self, roles: Sequence[Role]) -> object:
        """Return what `run` has to know, None if this call stays as it is.

        Args:
            roles: Of `tensors`.
        """
        ...

    def run(self, plan: object) -> object:
        """Return what the function gives, in another way; None if that is not possible here.

        Args:
            plan: Of the same call for other examples.
        """
        ...


@dataclass(frozen=True)
class Family:
    """Functions whose calls may be answered in another way.

    Attributes:
        functions: Of torch.
        read: Returns the call for a function, its arguments by place and by name; None for what is none of the family.
    """

    functions: Collection[object]
    read: Callable[[object, Sequence[object], Mapping[str, object]], Call | None]


class _Heard(Calls):
    """Hears the calls of some families, and hands them on."""

    def __init__(self, families: Sequence[Family]) -> None:
        super().__init__()
        self.readers = {
            function: family.read for family in families for function in family.functions
        }

    def hear(self, call: Call | None) -> None:
        """Take note of a call."""
        raise NotImplementedError

    def answer(
        self, function: Callable[..., object], args: Sequence[object], keywords: dict[str, object]
    ) -> object:
        if function in self.readers:
            self.hear(self.readers[function](function, args, keywords))
        return function(*args, **keywords)


class _Sums(_Heard):
    """Notes the sum of each tensor of each call."""

    def __init__(self, families: Sequence[Family]) -> None:
        super().__init__(families)
        self.found: list[list[str]] = []

    def hear(self, call: Call | None) -> None:
        self.found.append([_sum(tensor) for tensor in call.tensors] if call else [])


def _sum(tensor: Tensor) -> str:
    return float(tensor.detach().double().sum()).hex()  # equal, too, if it is no number


class _Plans(_Heard):
    """Makes a plan for each call of each module.

    Attributes:
        found: The plans of each module's own calls, of all its forward passes.
    """

    def __init__(self, families: Sequence[Family], first: _Sums, second: _Sums) -> None:
        """Take over the sums that all calls had with other parameters, for two images."""
        super().__init__(families)
        self.sums = zip(first.found, second.found, strict=True)
        self.running: list[tuple[str, list[object]]] = []
        self.found: dict[str, list[tuple[object, ...]]] = {}

    def hear(self, call: Call | None) -> None:
        first, second = next(self.sums)
        plan: object = None
        if call is not None:
            told = zip(call.tensors, first, second, strict=True)
            plan = call.plan([_role(tensor, *sums) for tensor, *sums in told])
        self.running[-1][1].append(plan)

    def begin(self, path: str) -> Callable[..., None]:
        """Return a hook before a module runs."""

        def hook(*_: object) -> None:
            self.running.append((path, []))

        return hook

    def end(self, *_: object) -> None:
        """Note what a module called; a hook behind it."""
        path, plans = self.running.pop()
        if plans:
            self.found.setdefault(path, []).append(tuple(plans))


def _role(tensor: Tensor, first: str, second: str) -> Role:
    """Return the role of a tensor.

    Args:
        tensor: As it is with changed parameters; with gradients if it is known to be computed from the image.
        first: Its sum before.
        second: That for another image.
    """
    if tensor.requires_grad or first != second:
        return Role.IMAGE
    return Role.NOTHING if _sum(tensor) == first else Role.PARAMETERS


class _Answers(Calls):
    """Answers the n-th own call of a module as planned."""

    def __init__(
        self, families: Sequence[Family], plans: Sequence[object], inside: Inside, place: int = 0
    ) -> None:
        super().__init__()
        self.families, self.plans, self.inside, self.place = families, plans, inside, place
        self.readers = {
            function: family.read for family in families for function in family.functions
        }

    def from_here(self) -> Calls | None:
        """Return what answers the calls that follow in the same way, if the module itself is running."""
        if self.inside.depth:
            return None
        return _Answers(self.families, self.plans, self.inside, self.place)

    def answer(
        self, function: Callable[..., object], args: Sequence[object], keywords: dict[str, object]
    ) -> object:
        if function in self.readers and not self.inside.depth:
            plan = self.plans[self.place] if self.place < len(self.plans) else None
            self.place += 1
            call = self.readers[function](function, args, keywords) if plan is not None else None
            found = call.run(plan) if call is not None else None
            if found is not None:
                return found
        return function(*args, **keywords)


@dataclass
class _Answered:
    """A module's forward with some calls answered; an object, so that a deep copy runs the copy's own parts."""

    forward: Callable[..., object]
    families: tuple[Family, ...]
    plans: tuple[object, ...]
    inside: Inside

    def __call__(self, *args: object, **kwargs: object) -> object:
        with self.inside.again(), _Answers(self.families, self.plans, self.inside):
            return self.forward(*args, **kwargs)


def recognise_calls(network: nn.Module, example: Tensor, families: Sequence[Family]) -> list[str]:
    """Let calls that modules make themselves be run in another way.

    A module that makes now these calls, now others, is left as it is.

    Args:
        network: Is changed: such modules get another `forward`.
        example: An input of the network.
        families: The calls that are meant.

    Returns:
        Paths of these modules.
    """
    if example.is_meta or not example.is_floating_point():
        return []
    twin, first, second = copied(network, parameters=False).eval(), _Sums(families), _Sums(families)
    weights = {name: value.detach() for name, value in twin.named_parameters()}
    x = example[:_EXAMPLES].detach().clone()
    other = torch.randn(x.shape, generator=torch.Generator().manual_seed(0)).to(x)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), first:
            torch.func.functional_call(twin, weights, (x + 0,))
        if not first.found:
            return []
        with torch.no_grad(), torch.random.fork_rng(devices=[]), second:
            torch.func.functional_call(twin, weights, (other,))
        if not _may_be_meant(first, second):
            return []
        plans = _Plans(families, first, second)
        for path, module in twin.named_modules():
            module.register_forward_pre_hook(plans.begin(path), prepend=True)
            module.register_forward_hook(plans.end, always_call=True)
        changed = {name: nearby(value, i) for i, (name, value) in enumerate(weights.items())}
        with torch.enable_grad(), torch.random.fork_rng(devices=[]), plans:
            torch.func.functional_call(twin, changed, (x.requires_grad_() + 0,))
    except Exception:  # noqa: BLE001 - whatever is wrong with the network, its trace says it
        return []
    found = {path: seen[0] for path, seen in plans.found.items() if len(set(seen)) == 1}
    found = {path: own for path, own in found.items() if any(plan is not None for plan in own)}
    for path, own in found.items():
        module = network.get_submodule(path)
        module.forward = _Answered(module.forward, tuple(families), own, parts_of(module))
    return [*found]


def _may_be_meant(first: _Sums, second: _Sums) -> bool:
    """Return whether any call has one tensor, or one that is the same for both images: not only products of activations."""
    return any(
        len(one) == 1 or any(a == b for a, b in zip(one, other, strict=True))
        for one, other in zip(first.found, second.found, strict=True)
    )


def nearby(value: Tensor, seed: int) -> Tensor:
    """Return numbers near those of a parameter, none of which is like another by intention.

    Args:
        value: The parameter; what is no floating-point number stays as it is.
        seed: Of the differences.
    """
    if not value.is_floating_point():
        return value
    generator = torch.Generator().manual_seed(seed)
    return value + _NOISE * torch.rand(value.shape, generator=generator).to(value)
