"""Random numbers that a network draws in training and that its trace, taken in evaluation mode, does not show."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.overrides import resolve_name

from sfg_nas.sharing.copies import copied
from sfg_nas.sharing.intercept import Calls
from sfg_nas.sharing.stochastic_depth import show_stochastic_depth

_DRAWS = {
    "bernoulli", "bernoulli_", "cauchy_", "exponential_", "geometric_", "gumbel_softmax", "log_normal_",
    "multinomial", "normal", "normal_", "poisson", "rand", "rand_like", "randint", "randint_like", "randn",
    "randn_like", "random_", "randperm", "uniform_",
}  # fmt: skip
"""Functions by which random numbers are drawn; dropout is none of them, as it stands in the trace."""
_DROPOUTS = {
    "alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "dropout_", "feature_alpha_dropout", "feature_dropout",
}  # fmt: skip
"""Of weights these are drop-connect (Wan et al. 2013): a trace takes weights as they are in evaluation mode."""


class _Listener(Calls):
    """Notes which module draws random numbers by which function."""

    def __init__(self) -> None:
        super().__init__()
        self.inside: list[str] = []
        self.found: dict[str, None] = {}

    def answer(
        self, function: Callable[..., object], args: Sequence[object], keywords: dict[str, object]
    ) -> object:
        name = (resolve_name(function) or getattr(function, "__name__", "")).rpartition(".")[2]
        of_weights = name in _DROPOUTS and bool(args) and isinstance(args[0], nn.Parameter)
        if name in _DRAWS or of_weights:
            what = f"{name} of weights" if of_weights else name
            self.found[f"{self.inside[-1] or 'forward'} ({what})"] = None
        return function(*args, **keywords)


def unseen_draws(backbone: nn.Module, example_input: Tensor) -> tuple[str, ...]:
    """Return the modules that draw random numbers in training other than for dropout and stochastic depth.

    A fixed network is built from a trace in evaluation mode, so that it trains without them.

    Args:
        backbone: Any module; it is not changed.
        example_input: `[N, C, H, W]`; values do not matter.

    Returns:
        Paths of modules, each with the function that draws; none if the network does not run in training mode.
    """
    network = copied(backbone, parameters=False).train()
    show_stochastic_depth(network)
    listener = _Listener()
    handles = []

    def entering(path: str) -> Callable[..., None]:
        return lambda *_: listener.inside.append(path)

    def leaving(*_: object) -> None:
        listener.inside.pop()

    for path, module in network.named_modules():
        handles.append(module.register_forward_pre_hook(entering(path)))
        handles.append(module.register_forward_hook(leaving))
    example = torch.zeros(2, *example_input.shape[1:]).to(example_input)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), listener:
            network(example)
    except (RuntimeError, ValueError):  # batch norms refuse two examples of one place each, say
        pass
    finally:
        for handle in handles:
            handle.remove()
    return tuple(listener.found)
