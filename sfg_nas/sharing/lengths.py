"""Divisions by a length, called in the midst of a `forward`, run as the root mean square norms that they are.

`F.normalize(x, dim=1)` gives vectors of length one, as for embeddings (Schroff et al. 2015). As a sum of squares over
channels it would tie every filter before it to one group; as a norm over channels each group takes the length of what it
may read. Modules that do nothing else are recognised in `handmade`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from sfg_nas.sharing.channel_norms import ChannelNorm
from sfg_nas.sharing.own_calls import Family, Role

_ARGUMENTS = ("input", "p", "dim", "eps", "out")


@dataclass(frozen=True)
class _Length:
    """A division by the length along one axis that is not the batch."""

    x: Tensor
    dim: int
    eps: float

    @property
    def tensors(self) -> tuple[Tensor]:
        """What is divided."""
        return (self.x,)

    def plan(self, roles: Sequence[Role]) -> object:
        """Return True for activations; lengths of weights stay as they are."""
        return True if roles[0] is Role.IMAGE else None

    def run(self, plan: object) -> Tensor:  # noqa: ARG002 - of the protocol
        """Return the input divided by its length; a length below `eps` counts as about that."""
        norm = ChannelNorm(
            nn.Identity(),  # it has no parameters
            weight=None,
            bias=None,
            axis=self.dim,
            centred=False,
            eps=self.eps**2 / self.x.shape[self.dim],
            length=True,
        )
        return norm(self.x)


def _read(
    _function: object, args: Sequence[object], keywords: Mapping[str, object]
) -> _Length | None:
    given: dict[str, object] = {"p": 2.0, "dim": 1, "eps": 1e-12, "out": None}
    given |= dict(zip(_ARGUMENTS, args, strict=False)) | dict(keywords)
    x, dim, eps = given["input"], given["dim"], given["eps"]
    of_one_axis = isinstance(x, Tensor) and isinstance(dim, int) and x.dim() > 1 and dim % x.dim()
    if not of_one_axis or given["p"] != 2 or given["out"] is not None:
        return None
    assert isinstance(x, Tensor)
    assert isinstance(dim, int)
    assert isinstance(eps, float | int)
    return _Length(x, dim, float(eps))


LENGTHS = Family(frozenset({functional.normalize}), _read)
"""Calls of `F.normalize`."""
