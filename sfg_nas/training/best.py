"""The epoch that was best on validation and the weights it left: of a network, or of each of several side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

from torch import Tensor, nn

from sfg_nas.baselines import SingleTaskNetworks

SCORE = "score"
"""The column that early stopping and `keep_best` look at, higher being better; `score/age` is that of one task."""


class Best:
    """Notes the best epoch. Single-task networks have each its own, as they would apart, where each has a score."""

    def __init__(self, module: nn.Module, *, keep: bool) -> None:
        """Note nothing yet.

        Args:
            module: What is trained.
            keep: Whether to keep the weights of the best epoch.
        """
        self._module, self._keep = module, keep
        self._parts = {SCORE: ""}
        if isinstance(module, SingleTaskNetworks):
            self._parts = {f"{SCORE}/{task}": where for task, where in module.places().items()}
        self._found: dict[str, tuple[int, float]] = {}
        self.tensors: dict[str, Tensor] = {}

    @property
    def epochs(self) -> dict[str, int]:
        """Return the best epoch (from 1) of each column that is looked at, of those with a score."""
        return {column: epoch for column, (epoch, _) in self._found.items()}

    @property
    def last(self) -> int | None:
        """Return the last epoch in which any network became better, or None without a score."""
        return max(self.epochs.values(), default=None)

    def note(self, epoch: int, row: Mapping[str, float]) -> None:
        """Look at an epoch's scores.

        Args:
            epoch: From 1.
            row: The epoch's row.
        """
        for column, place in self._parts.items():
            score = row.get(column, row.get(SCORE, math.nan))
            if not math.isfinite(score):
                continue
            if column in self._found and score <= self._found[column][1]:
                continue
            self._found[column] = (epoch, score)
            if self._keep:
                state = self._module.state_dict()
                mine = {name: value for name, value in state.items() if name.startswith(place)}
                self.tensors |= {name: value.detach().clone() for name, value in mine.items()}

    def put_in_place(self) -> None:
        """Give the module the weights that were kept; what had no score keeps its last ones."""
        if self.tensors:
            self._module.load_state_dict(self._module.state_dict() | self.tensors)

    def to_json(self) -> dict[str, tuple[int, float]]:
        """Return what a checkpoint needs beside `tensors`."""
        return dict(self._found)

    def load(self, content: object, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `to_json` gave, and the tensors.

        Args:
            content: Of a checkpoint; those from before networks had epochs of their own hold a pair, or None.
            tensors: As `tensors` was.

        Raises:
            ValueError: If it is of networks that had one best epoch together.
        """
        if not isinstance(content, Mapping):
            content = {} if content is None else {SCORE: content}
        found = cast("Mapping[str, tuple[int, float]]", content)
        if not set(found) <= set(self._parts):
            raise ValueError("best epochs of other networks")
        self._found = {name: (int(epoch), float(score)) for name, (epoch, score) in found.items()}
        self.tensors = dict(tensors)
