"""Relaxed assignments: which group each filter belongs to, as probabilities and as samples."""

from __future__ import annotations

import hashlib
from typing import Literal

import torch
from torch import Tensor, nn

from sfg_nas.sharing.presets import PRESETS, Preset, free_numbers

Estimator = Literal["straight-through", "soft", "soft-first", "mixed"]
ESTIMATORS: tuple[Estimator, ...] = ("straight-through", "soft", "soft-first", "mixed")
_TINY = 1e-8
_NEVER = 1e4


class Assignments(nn.Module):
    """One row of group probabilities per variable (a set of tied units).

    Masks are drawn by Gumbel-softmax (Jang et al. 2017; Maddison et al. 2017), as in Bragman et
    al. 2019, equation 8: softmax((log p + gumbel) / tau). The noise of draw n depends only on the
    seed and n, and is made on the CPU, so that a search is the same on every device and resumes
    exactly.

    Attributes:
        filter_logits: Unnormalised log-probabilities `[V, G]`.
        layer_logits: A term per layer `[L, G]`, so that a layer can move as one; or None.
        hard: Fixed group per variable `[V]` once hardened, else None.
        temperature: Temperature tau of the Gumbel-softmax, > 0.
        draws: Number of masks drawn so far.
        progress: Fraction in [0, 1] of the search that is done; `soft-first` changes over by it.
    """

    def __init__(
        self,
        start: Tensor,
        owners: int,
        *,
        layer_of: Tensor | None = None,
        kept: Tensor | None = None,
        estimator: Estimator = "straight-through",
        soft_share: float = 0.5,
        seed: int = 0,
        preset: Preset = PRESETS["corrected"],
    ) -> None:
        """Start from given probabilities.

        Args:
            start: Probabilities `[V, G]`, rows summing to 1.
            owners: E, the number of extended owners; the first G of them are the groups.
            layer_of: Layer index of each variable `[V]` to add a term per layer, else None.
            kept: Group of each variable `[V]` that shall never leave it, -1 for the others; or None.
            estimator: `straight-through` (one-hot forward, relaxed backward), `soft`, `soft-first`
                (soft until `soft_share` of the search is done, straight-through from there on), or
                `mixed` (each draw is soft with probability `soft_share`).
            soft_share: Of `soft-first` and `mixed`, in [0, 1].
            seed: Seed of the noise.
            preset: How free numbers become p, and which logits the sampler takes.
        """
        super().__init__()
        self.estimator = estimator
        self.soft_share = soft_share
        self.temperature = 1.0
        self.progress = 0.0
        self.seed = seed
        self.draws = 0
        self.preset = preset
        self.filter_logits = nn.Parameter(free_numbers(start.clamp_min(_TINY), preset.table))
        self.layer_logits: nn.Parameter | None = None
        if layer_of is not None:
            layers = int(layer_of.max()) + 1 if len(layer_of) else 0
            self.layer_logits = nn.Parameter(torch.zeros(layers, start.shape[1]))
        self.register_buffer("layer_of", layer_of, persistent=False)
        self.register_buffer("kept", kept, persistent=False)
        self.register_buffer("fixed_rows", torch.eye(owners), persistent=False)
        self.hard: Tensor | None = None
        self.layer_of: Tensor | None
        self.kept: Tensor | None
        self.fixed_rows: Tensor

    @property
    def logits(self) -> Tensor:
        """The free numbers behind p `[V, G]`: unnormalised log-probabilities, but for `softplus`."""
        logits: Tensor = self.filter_logits
        if self.layer_logits is not None and self.layer_of is not None:
            logits = logits + self.layer_logits[self.layer_of]
        if self.kept is None:
            return logits
        # Far enough apart that no noise moves a kept variable, and finite, so that entropies are 0.
        own = self._one_hot(self.kept.clamp_min(0)) * _NEVER - _NEVER
        return torch.where(self.kept.unsqueeze(1) >= 0, own, logits)

    def probabilities(self) -> Tensor:
        """Return p, `[V, G]`."""
        if self.preset.table == "softplus":
            positive = nn.functional.softplus(self.logits)
            return positive / positive.sum(1, keepdim=True)
        return _softmax(self.logits)

    def log_probabilities(self) -> Tensor:
        """Return log p, `[V, G]`."""
        if self.preset.table == "softplus":
            return self.probabilities().log()
        return _softmax(self.logits, logarithm=True)

    def entropy(self) -> Tensor:
        """Return the entropy of every variable's distribution in nats, `[V]`."""
        log_p = self.log_probabilities()
        return -(log_p.exp() * log_p).sum(1)

    def sample(self) -> Tensor:
        """Return a new draw of masks `[V + E, E]` (see `table`)."""
        own = self.log_probabilities() if self.preset.logarithm else self.probabilities()
        noise, chance = self._noise(own.shape)
        soft = _softmax((own + noise.to(own)) / self.temperature)
        if self._draws_soft(chance):
            return self.table(soft)
        index = soft.argmax(1, keepdim=True)
        hard = torch.zeros_like(soft).scatter_(1, index, 1.0)
        # the difference is exactly zero in value: forward stays one-hot, bit for bit
        return self.table(hard + (soft - soft.detach()))

    def current(self, *, sample: bool) -> Tensor:
        """Return the masks to use now: hardened, sampled, or the probabilities themselves."""
        if self.hard is not None:
            return self.table(self._one_hot(self.hard))
        return self.sample() if sample else self.table(self.probabilities())

    def table(self, rows: Tensor) -> Tensor:
        """Return masks of all variables and fixed owners, `[V + E, E]`.

        Args:
            rows: Masks of the variables `[V, G]`. The image and the heads, whose owners are fixed,
                follow as the rows of an identity matrix.
        """
        owners = self.fixed_rows.shape[0]
        wide = nn.functional.pad(rows, (0, owners - rows.shape[1]))
        return torch.cat([wide, self.fixed_rows.to(rows.dtype)])

    def _one_hot(self, index: Tensor) -> Tensor:
        groups = self.filter_logits.shape[1]
        index = index.to(self.filter_logits.device)
        return nn.functional.one_hot(index, groups).to(self.filter_logits.dtype)

    def _draws_soft(self, chance: float) -> bool:
        """Return whether this draw stays soft; `chance` is uniform in [0, 1)."""
        if self.estimator == "soft-first":
            return self.progress < self.soft_share
        if self.estimator == "mixed":
            return chance < self.soft_share
        return self.estimator == "soft"

    def _noise(self, shape: torch.Size) -> tuple[Tensor, float]:
        """Return Gumbel noise and one uniform number for the next draw."""
        text = f"{self.seed}:{self.draws}".encode()
        seed = int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "little")
        self.draws += 1
        generator = torch.Generator().manual_seed(seed)
        gumbel = -torch.empty(shape).exponential_(generator=generator).log()
        return gumbel, float(torch.rand((), generator=generator))


def _softmax(logits: Tensor, *, logarithm: bool = False) -> Tensor:
    """Return the softmax of each row, or its logarithm, `[V, G]`.

    Down columns it works on many rows at once: 21 microseconds instead of 134 for 688 rows of 11.
    """
    columns = logits.T.contiguous()
    return (columns.log_softmax(0) if logarithm else columns.softmax(0)).T
