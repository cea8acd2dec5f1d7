"""Which modules one pass of a network calls once, from one tensor to another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sfg_nas.sharing.copies import copied
from sfg_nas.sharing.traced import BATCH


def called_once(network: nn.Module, example: Tensor) -> set[str]:
    """Return the paths of modules that one pass calls once, with one tensor that they leave as it is, for another one.

    Their hooks may look at both, but change neither, and nobody else calls their parts: a module's `forward` is all that
    it does. In training they may be left out, but do the same, and only norms of torch keep there what they learn about the images.

    Args:
        network: Any module; left as it is.
        example: An input `[N, ...]`.
    """
    twin = copied(network, parameters=False).eval()
    heard = _Heard(twin)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        twin(example[:1].expand(BATCH, *example.shape[1:]).contiguous())
    once = {path for path, count in heard.calls.items() if count == 1} - heard.odd
    return once - _odd_in_training(network, example)


def _odd_in_training(network: nn.Module, example: Tensor) -> set[str]:
    """Return the paths of modules that are called otherwise in training, or that keep a state that follows the images there.

    Found by trying with two batches; none if the network does not run on them.
    """
    odd: set[str] = set()
    states: list[dict[str, Tensor]] = []
    for seed in range(2):
        twin = copied(network, parameters=False).train()
        heard = _Heard(twin)
        x = torch.randn(BATCH, *example.shape[1:], generator=torch.Generator().manual_seed(seed))
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                twin(x.to(example))
        except (RuntimeError, ValueError, TypeError, AttributeError):
            return set()
        odd |= heard.odd | {path for path, count in heard.calls.items() if count > 1}
        norms = [m for m in twin.modules() if isinstance(m, _BatchNorm)]
        theirs = {id(buffer) for norm in norms for buffer in norm.buffers()}
        states.append({n: b for n, b in twin.named_buffers() if id(b) not in theirs})
    first, second = states
    followed = [n for n in first if n not in second or not torch.equal(first[n], second[n])]
    return odd.union(*(_above(name) for name in followed))


def _above(path: str) -> list[str]:
    """Return the paths of all modules that something is a part of."""
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(len(parts))] if path else []


class _Heard:
    """Hears all modules of a network.

    Attributes:
        calls: How often each is called, by its path.
        odd: Paths of those that are given, or give, something else than one tensor, or that change it, or of which others
            call a part.
    """

    def __init__(self, network: nn.Module) -> None:
        """Listen from now on, before and behind the hooks that there are."""
        self.calls: Counter[str] = Counter()
        self.odd: set[str] = set()
        self.running: list[str] = []
        self.given: dict[str, _Seen] = {}
        self.made: dict[str, _Seen] = {}
        for path, module in network.named_modules():
            module.register_forward_pre_hook(self._begin(path), prepend=True, with_kwargs=True)
            module.register_forward_hook(self._ran(path), prepend=True)
            module.register_forward_hook(self._end(path))

    def _begin(self, path: str) -> Callable[..., None]:
        def hook(_module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
            self.calls[path] += 1
            self.odd |= set(_above(path)) - {*self.running}
            self.running.append(path)
            self.given[path] = _Seen(args[0] if len(args) == 1 and not kwargs else None)

        return hook

    def _ran(self, path: str) -> Callable[..., None]:
        def hook(_module: nn.Module, args: tuple[object, ...], result: object) -> None:
            self.made[path] = _Seen(result)
            if any(result is given for given in args):
                self.odd.add(path)

        return hook

    def _end(self, path: str) -> Callable[..., None]:
        def hook(_module: nn.Module, args: tuple[object, ...], result: object) -> None:
            given = args[0] if len(args) == 1 else None
            self.running.pop()
            if not (self.given[path].is_still(given) and self.made[path].is_still(result)):
                self.odd.add(path)

        return hook


class _Seen:
    """A value at some time: which tensor it was, and as how often changed."""

    def __init__(self, value: object) -> None:
        self.tensor = value if isinstance(value, Tensor) else None
        self.version = self.tensor._version if self.tensor is not None else 0

    def is_still(self, value: object) -> bool:
        """Return whether a value is this tensor, which nobody has changed since."""
        return self.tensor is not None and value is self.tensor and value._version == self.version
