"""The norms of the stream form, which have values of their own for every stream."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sfg_nas.operations import Setting


class StreamNorm(nn.Module):
    """A batch or instance norm with parameters and statistics of its own for every stream.

    Attributes:
        cumulative: Whether statistics are the mean over all calls in training, as with `momentum=None` of torch.
    """

    def __init__(
        self,
        values: Mapping[str, Tensor],
        parameters: frozenset[str],
        owners: int,
        *,
        cumulative: bool = False,
    ) -> None:
        """Copy the norm's values once per stream.

        Args:
            values: Tensors `[C]` by argument name (weight, bias, running_mean, running_var).
            parameters: Names of those that are trained.
            owners: E, the number of streams.
            cumulative: See the attribute.
        """
        super().__init__()
        self.cumulative = cumulative
        self.num_batches_tracked: Tensor
        calls = torch.zeros((), dtype=torch.long)
        self.register_buffer("num_batches_tracked", calls, persistent=cumulative)
        self.names = tuple(values)
        for name, value in values.items():
            copies = value.detach().unsqueeze(0).repeat(owners, 1)
            if name in parameters:
                self.register_parameter(name, nn.Parameter(copies))
            else:
                self.register_buffer(name, copies)

    def of(self, owner: int) -> dict[str, Tensor]:
        """Return the values `[C]` of one stream (views, so that statistics are updated)."""
        return {name: getattr(self, name)[owner] for name in self.names}

    def begin(self, settings: Mapping[str, Setting]) -> Mapping[str, Setting]:
        """Count a call in training, and return the settings of the operation for it."""
        if not self.cumulative:
            return settings
        self.num_batches_tracked += 1
        return {**settings, "momentum": 1 / int(self.num_batches_tracked)}
