"""Divisions by a length, called in the midst of a `forward`, run as the root mean square norms that they are.

`F.normalize(x, dim=1)` gives vectors of length one, as for embeddings (Schroff et al. 2015). As a sum of squares over
channels it would tie every filter before it to one group; as a norm over channels each group takes the length of what it
may read. Modules that do nothing else are recognised in `handmade`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from sfg_nas.sharing.channel_norms import ChannelNorm
from sfg_nas.sharing.copies import copied
from sfg_nas.sharing.intercept import Calls

_ARGUMENTS = ("input", "p", "dim", "eps", "out")
_EXAMPLES = 2


class _AsNorms(Calls):
    """Answers some divisions by a length with the root mean square norm of the same values.

    Attributes:
        chosen: Whether the n-th is answered so.
        done: Calls so far.
    """

    def __init__(self, chosen: Sequence[bool]) -> None:
        super().__init__()
        self.chosen = chosen
        self.done = 0

    def answer(
        self, function: Callable[..., object], args: Sequence[object], keywords: dict[str, object]
    ) -> object:
        if function is not functional.normalize:
            return function(*args, **keywords)
        given = _filled_in(args, keywords)
        place, self.done = self.done, self.done + 1
        if place < len(self.chosen) and self.chosen[place] and _is_length(given):
            return _as_norm(given["input"], given["dim"], given["eps"])  # type: ignore[arg-type]
        return _plain(**given)  # type: ignore[arg-type]


def _filled_in(args: Sequence[object], keywords: Mapping[str, object]) -> dict[str, object]:
    """Return what `F.normalize` was given, by name."""
    default: dict[str, object] = {"p": 2.0, "dim": 1, "eps": 1e-12, "out": None}
    return default | dict(zip(_ARGUMENTS, args, strict=False)) | dict(keywords)


def _is_length(given: Mapping[str, object]) -> bool:
    """Return whether it was asked for a length along one axis that is not the batch."""
    x, dim = given["input"], given["dim"]
    return (
        isinstance(x, Tensor)
        and isinstance(dim, int)
        and x.dim() > 1
        and dim % x.dim() != 0
        and given["p"] == 2
        and given["out"] is None
    )


def _as_norm(x: Tensor, dim: int, eps: float) -> Tensor:
    """Return the input divided by its length along one axis; a length below `eps` counts as about that."""
    norm = ChannelNorm(
        nn.Identity(),  # it has no parameters
        weight=None,
        bias=None,
        axis=dim,
        centred=False,
        eps=eps**2 / x.shape[dim],
        length=True,
    )
    return norm(x)


def _plain(input: Tensor, p: float, dim: int, eps: float, out: Tensor | None) -> Tensor:  # noqa: A002 - torch's name
    """Return what `F.normalize` gives, without a call that who waits for one further out would count."""
    length = input.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(input)
    return input / length if out is None else torch.div(input, length, out=out)


@dataclass
class _WithNorms:
    """A module's forward with such divisions as norms; an object, so that a deep copy runs the copy's own parts."""

    forward: Callable[..., object]
    chosen: tuple[bool, ...]

    def __call__(self, *args: object, **kwargs: object) -> object:
        with _AsNorms(self.chosen):
            return self.forward(*args, **kwargs)


class _Callers(Calls):
    """Notes which modules call for a division by a length themselves, and which of these are of activations.

    Attributes:
        running: For each module that runs: its path, and of each of its calls whether it is to be answered.
        found: The calls of each module, of all its forward passes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.running: list[tuple[str, list[bool]]] = []
        self.found: dict[str, list[tuple[bool, ...]]] = {}

    def answer(
        self, function: Callable[..., object], args: Sequence[object], keywords: dict[str, object]
    ) -> object:
        if function is functional.normalize and self.running:
            given = _filled_in(args, keywords)
            x = given["input"]
            of_activations = isinstance(x, Tensor) and x.requires_grad
            self.running[-1][1].append(of_activations and _is_length(given))
        return function(*args, **keywords)

    def begin(self, path: str) -> Callable[..., None]:
        """Return a hook before a module runs."""

        def hook(*_: object) -> None:
            self.running.append((path, []))

        return hook

    def end(self, *_: object) -> None:
        """Note what a module called for; a hook behind it."""
        path, calls = self.running.pop()
        if calls:
            self.found.setdefault(path, []).append(tuple(calls))


def recognise_lengths(network: nn.Module, example: Tensor) -> list[str]:
    """Let divisions of activations by their length be run as norms, in all modules that call `F.normalize` themselves.

    Lengths of weights stay as they are, and so do those of a module that calls now for the one, now for the other.

    Args:
        network: Is changed: such modules get another `forward`.
        example: An input of the network.

    Returns:
        Paths of these modules.
    """
    if example.is_meta or not example.is_floating_point():
        return []
    twin, callers = copied(network, parameters=False).eval(), _Callers()
    for path, module in twin.named_modules():
        module.register_forward_pre_hook(callers.begin(path), prepend=True)
        module.register_forward_hook(callers.end, always_call=True)
    weights = {name: value.detach() for name, value in twin.named_parameters()}
    x = example[:_EXAMPLES].detach().clone().requires_grad_()
    for told in (
        False,
        True,
    ):  # the second time, if any do, what comes from the example has gradients
        callers.found.clear()
        try:
            with torch.set_grad_enabled(told), torch.random.fork_rng(devices=[]), callers:
                torch.func.functional_call(twin, weights, (x + 0,))
        except Exception:  # noqa: BLE001 - whatever is wrong with the network, its trace says it
            return []
        if not callers.found:
            return []
    found = {path: seen[0] for path, seen in callers.found.items() if len(set(seen)) == 1}
    found = {path: calls for path, calls in found.items() if any(calls)}
    for path, calls in found.items():
        module = network.get_submodule(path)
        module.forward = _WithNorms(module.forward, calls)
    return [*found]
