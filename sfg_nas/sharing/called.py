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

    Args:
        network: Any module; left as it is.
        example: An input `[N, ...]`.
    """
    twin = copied(network, parameters=False).eval()
    calls: Counter[str] = Counter()
    versions: dict[str, int] = {}
    odd: set[str] = set()

    def before(path: str) -> Callable[..., None]:
        def hook(_module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
            calls[path] += 1
            if len(args) == 1 and not kwargs and isinstance(args[0], Tensor):
                versions[path] = args[0]._version
            else:
                odd.add(path)

        return hook

    def after(path: str) -> Callable[..., None]:
        def hook(_module: nn.Module, args: tuple[object, ...], result: object) -> None:
            given = args[0] if len(args) == 1 else None
            changed = isinstance(given, Tensor) and given._version != versions.get(path)
            if changed or result is given or not isinstance(result, Tensor):
                odd.add(path)

        return hook

    for path, module in twin.named_modules():
        module.register_forward_pre_hook(before(path), with_kwargs=True)
        module.register_forward_hook(after(path))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        twin(example[:1].expand(BATCH, *example.shape[1:]).contiguous())
    return {path for path, count in calls.items() if count == 1} - odd
