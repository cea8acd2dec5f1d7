"""Which modules one pass of a network calls once, from one tensor to another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sfg_nas.sharing.copies import copied
from sfg_nas.sharing.traced import BATCH


def called_once(network: nn.Module, example: Tensor) -> set[str]:
    """Return the paths of modules that one pass calls once, with one tensor that they leave as it is, for another one.

    Their hooks may look at both, but change neither: a module's `forward` is all that it does.

    Args:
        network: Any module; left as it is.
        example: An input `[N, ...]`.
    """
    twin = copied(network, parameters=False).eval()
    heard = _Heard(twin)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        twin(example[:1].expand(BATCH, *example.shape[1:]).contiguous())
    return {path for path, count in heard.calls.items() if count == 1} - heard.odd


class _Heard:
    """Hears all modules of a network.

    Attributes:
        calls: How often each is called, by its path.
        odd: Paths of those that are given, or give, something else than one tensor, or that change it.
    """

    def __init__(self, network: nn.Module) -> None:
        """Listen from now on, before and behind the hooks that there are."""
        self.calls: Counter[str] = Counter()
        self.odd: set[str] = set()
        self.given: dict[str, _Seen] = {}
        self.made: dict[str, _Seen] = {}
        for path, module in network.named_modules():
            module.register_forward_pre_hook(self._begin(path), prepend=True, with_kwargs=True)
            module.register_forward_hook(self._ran(path), prepend=True)
            module.register_forward_hook(self._end(path))

    def _begin(self, path: str) -> Callable[..., None]:
        def hook(_module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
            self.calls[path] += 1
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
