"""What an export of a network would take for a constant, or take no notice of, while the network runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from sfg_nas.sharing.exported import integer
from sfg_nas.sharing.intercept import Calls
from sfg_nas.sharing.own_gradients import Forward, around_forward
from sfg_nas.sharing.traced import BATCH

_DATA_OF = Tensor.data.__get__  # type: ignore[attr-defined]
_MANY = 1_000_003  # stands for the batch where a plain number is asked for


class Followed(Calls):
    """Lets an export follow what it takes for a constant (`x.data`, and `len(x)` of a batch), and what has no gradient.

    `len` has to give a plain number. It gives one that stands for the batch, and where that number
    (or a multiple) is handed to torch, the size of the batch takes its place. An export is made without gradients, so that
    it takes no notice of `torch.no_grad` in a `forward`: what is computed there is detached.

    Attributes:
        batch: The size of the batch, as far as `len` was asked for it.
        regions: How many regions without gradients, one inside another, the program is in.
    """

    def __init__(self) -> None:
        super().__init__()
        self.batch: object = None
        self.regions = 0

    def begin(self, *_: object) -> None:
        """Note that the network begins: what was entered before is not its own; a hook."""
        self.regions = 0

    @contextmanager
    def hearing(self) -> Iterator[None]:
        """Answer calls, and count regions without gradients, inside a `with`: for the export alone.

        Where a program is taken apart PyTorch has such regions of its own. A function with a gradient of its own (a checkpoint) has such regions, and its results have a gradient.
        """
        enter, leave = torch.no_grad.__enter__, torch.no_grad.__exit__

        def counting(_: type[torch.autograd.Function], forward: Forward) -> Forward:
            def counted(*args: object) -> object:
                outside = self.regions
                self.regions = outside if outside > 0 else -_MANY
                try:
                    return forward(*args)
                finally:
                    self.regions = outside

            return counted

        def entered(region: torch.no_grad) -> None:
            self.regions += 1
            enter(region)

        def left(region: torch.no_grad, *err: object) -> None:
            self.regions -= 1
            leave(region, *err)

        with (
            patch.object(torch.no_grad, "__enter__", entered),
            patch.object(torch.no_grad, "__exit__", left),
            around_forward(counting),
            self,
        ):
            yield

    def answer(
        self, function: Callable[..., object], args: Sequence[object], keywords: dict[str, object]
    ) -> object:
        """Return what a call gives, as an export can follow it."""
        first = args[0] if args else None
        if function == _DATA_OF:  # made anew at each access
            return Tensor.detach(first)  # type: ignore[arg-type]
        if function is Tensor.__len__ and isinstance(first, Tensor) and first.dim():
            size = first.shape[0]
            if isinstance(size, torch.SymInt):
                share = integer(size) // BATCH
                self.batch = size // share
                return _MANY * share
        if self.batch is not None:
            args, keywords = tree_map(self._with_batch, (args, keywords))
        found = function(*args, **keywords)
        if self.regions < 1:
            return found
        if isinstance(found, list) or type(found) is tuple:
            parts = [self._detached(value, args) for value in found]
            return parts if isinstance(found, list) else tuple(parts)
        return self._detached(found, args)

    @staticmethod
    def _detached(value: object, args: Sequence[object]) -> object:
        """Return a value without a gradient; the value itself if it can have none, or is an argument changed in place."""
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        return value if any(value is own for own in args) else value.detach()

    def _with_batch(self, value: object) -> object:
        counts = type(value) is int and value and value % _MANY == 0
        return value // _MANY * self.batch if counts else value  # type: ignore[operator]
