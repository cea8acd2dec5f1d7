"""How the Gumbel-softmax temperature falls during a search."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from sfg_nas.errors import ConfigError, explain

Shape = Literal["constant", "exponential", "linear", "cosine"]
SHAPES: tuple[Shape, ...] = ("constant", "exponential", "linear", "cosine")


@dataclass(frozen=True)
class Temperature:
    """A temperature as a function of the progress of training.

    `exponential` is the paper's annealing (Bragman et al. 2019, section 3.3, after Jang et al.
    2017): tau(s) = max(end, start * exp(-rate * s)) at step s. Without a rate, the rate is the one
    that reaches `end` with the last step, so that one candidate means the same at any length.

    Attributes:
        shape: `constant`, `exponential`, `linear` or `cosine`.
        start: Temperature at the first step, > 0.
        end: Temperature at the last step, 0 < end <= start; not used by `constant`.
        rate: Decay per step for `exponential`, or None.
    """

    shape: Shape = "exponential"
    start: float = 1.0
    end: float = 0.1
    rate: float | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: The shape is unknown or `0 < end <= start` does not hold.
        """
        if self.shape not in SHAPES:
            raise _error("shape", f"the shape is one of {list(SHAPES)}", repr(self.shape))
        if not 0 < self.start < math.inf:
            raise _error("start", "`start > 0` must hold", f"start={self.start}")
        if self.shape != "constant" and not 0 < self.end <= self.start:
            found = f"end={self.end}, start={self.start}"
            raise _error("end", "`0 < end <= start` must hold", found)
        if self.rate is not None and self.rate < 0:
            raise _error("rate", "`rate >= 0` must hold", f"rate={self.rate}")

    def at(self, progress: float, steps: int = 1) -> float:
        """Return the temperature at a fraction of training.

        Args:
            progress: Fraction of all steps that are done, in [0, 1].
            steps: Number of all steps; only an explicit `rate` needs it.
        """
        done = min(max(progress, 0.0), 1.0)
        if self.shape == "constant":
            return self.start
        if self.shape == "linear":
            return self.start + (self.end - self.start) * done
        if self.shape == "cosine":
            return self.end + (self.start - self.end) * 0.5 * (1 + math.cos(math.pi * done))
        if self.rate is not None:
            return max(self.end, self.start * math.exp(-self.rate * done * steps))
        return float(self.start * (self.end / self.start) ** done)


def _error(key: str, rule: str, found: str) -> ConfigError:
    return ConfigError(
        explain(where=f"temperature.{key}", rule=rule, found=found, do="correct the value")
    )
