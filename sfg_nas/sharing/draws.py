"""What a network does in training and its trace, taken in evaluation mode, does not show: random numbers, computed weights, gradients."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.overrides import resolve_name

from sfg_nas.sharing.copies import copied
from sfg_nas.sharing.listening import Listening, bank_weight
from sfg_nas.sharing.own_gradients import hearing_functions, own_gradients
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


class _Listener(Listening):
    """Notes which module draws random numbers by which function, and which has a weight that it computes.

    Attributes:
        draws: Paths, each with the function.
        computed: Paths of modules whose weight is neither a parameter nor a buffer.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self.stored = {id(buffer) for buffer in network.buffers()}
        self.draws: dict[str, None] = {}
        self.computed: dict[str, None] = {}

    def _is_stored(self, weight: Tensor) -> bool:
        """Return whether a weight is a parameter or a buffer, or one of these in another shape."""
        base = weight._base if weight._base is not None else weight
        return isinstance(base, nn.Parameter) or id(base) in self.stored

    def answer(
        self, function: Callable[..., object], args: Sequence[object], keywords: dict[str, object]
    ) -> object:
        name = (resolve_name(function) or getattr(function, "__name__", "")).rpartition(".")[2]
        of_weights = name in _DROPOUTS and bool(args) and isinstance(args[0], nn.Parameter)
        path = self.inside[-1] or "forward"
        if name in _DRAWS or of_weights:
            what = f"{name} of weights" if of_weights else name
            self.draws[f"{path} ({what})"] = None
        weight = bank_weight(function, args, keywords)
        if isinstance(weight, Tensor) and not self._is_stored(weight):
            self.computed[path] = None
        return function(*args, **keywords)


@dataclass(frozen=True)
class InTraining:
    """What a network does in training alone.

    Attributes:
        draws: Paths of modules that draw random numbers other than for dropout and stochastic depth, each with the
            function that draws. A fixed network is built from a trace in evaluation mode, so that it trains without them.
        computed: Paths of modules whose filters are computed from other tensors in each pass: weight norm, masked
            convolutions, say. A fixed network has what was computed as weights of its own, and trains these.
        gradients: Names of functions with another gradient than that of what they compute (a reversal, one of a
            rounding). A fixed network computes the same, and has the gradient of that.
    """

    draws: tuple[str, ...]
    computed: tuple[str, ...]
    gradients: tuple[str, ...]


def in_training(backbone: nn.Module, example_input: Tensor) -> InTraining:
    """Return what a network does in training alone, found by one pass of a copy in training mode, as far as it runs.

    Args:
        backbone: Any module; it is not changed.
        example_input: `[N, C, H, W]`; values do not matter.
    """
    network = copied(backbone, parameters=False).train()
    show_stochastic_depth(network)
    listener = _Listener(network)
    applied: dict[type[Function], Sequence[object]] = {}
    example = torch.zeros(2, *example_input.shape[1:]).to(example_input)
    try:
        with (
            warnings.catch_warnings(),
            torch.no_grad(),
            torch.random.fork_rng(devices=[]),
            hearing_functions(applied),
            listener,
        ):
            warnings.simplefilter("ignore")
            network(example)
    except (RuntimeError, ValueError):  # batch norms refuse two examples of one place each, say
        pass
    return InTraining(tuple(listener.draws), tuple(listener.computed), own_gradients(applied))
