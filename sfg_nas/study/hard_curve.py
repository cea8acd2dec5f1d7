"""Hard sharing's Δ at any cost: a few widths of it, trained once, and a line through them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Self, cast

from sfg_nas.errors import ConfigError, explain
from sfg_nas.study.networks import hard_network, macs_of, scaled_by
from sfg_nas.study.stored import Check, are_numbers, is_count, is_finite, is_number, is_record
from sfg_nas.study.study import Study

ADVANTAGE = "advantage"
"""The objective that the curve is for."""


@dataclass(frozen=True)
class HardSharingPoint:
    """One training of hard sharing.

    Attributes:
        factor: On the width of the study's backbone.
        seed: Number of the training at this width, from 0.
        macs: Multiply-accumulates for one image.
        delta: Δ on validation.
        values: Metrics on validation.
    """

    factor: float
    seed: int
    macs: int
    delta: float
    values: dict[str, float] = field(hash=False)

    @classmethod
    def of(cls, stored: dict[str, object]) -> Self:
        """Return a point that `are_points` has found sound."""
        return cls(**stored)  # type: ignore[arg-type]


@dataclass(frozen=True)
class HardSharingCurve:
    """Hard sharing's Δ against the logarithm of its MACs.

    The line is that of least squares: single trainings differ by more than the curve bends over a few widths, and a
    line through all of them halves that noise where the nearest two would keep it. Beyond the widths it goes on.

    Attributes:
        points: Trainings at two costs or more.
    """

    points: tuple[HardSharingPoint, ...]

    def delta(self, macs: int | float) -> float:
        """Return hard sharing's Δ at a cost.

        Args:
            macs: Multiply-accumulates for one image, above 0.
        """
        slope, centre, height = self._line
        return height + slope * (math.log(macs) - centre)

    @property
    def spread(self) -> float:
        """Return the standard deviation of the trainings around the line; NaN for two trainings or fewer."""
        left = [point.delta - self.delta(point.macs) for point in self.points]
        freedom = len(left) - 2
        return math.sqrt(sum(value**2 for value in left) / freedom) if freedom > 0 else math.nan

    @property
    def _line(self) -> tuple[float, float, float]:
        costs = [math.log(point.macs) for point in self.points]
        centre, height = fmean(costs), fmean(point.delta for point in self.points)
        both = zip(costs, self.points, strict=True)
        covariance = sum((cost - centre) * (point.delta - height) for cost, point in both)
        return covariance / sum((cost - centre) ** 2 for cost in costs), centre, height

    def to_json(self) -> list[dict[str, object]]:
        """Return the points as they are stored."""
        return [asdict(point) for point in self.points]


def curve_of(stored: object) -> HardSharingCurve | None:
    """Return the curve of stored points that `are_points` has found sound, or None if there are none.

    Args:
        stored: A list of objects.
    """
    points = [HardSharingPoint.of(point) for point in cast("Sequence[dict[str, object]]", stored)]
    return HardSharingCurve(tuple(points)) if points else None


def are_points(value: object) -> bool:
    """Return whether a value of a JSON file is a list of points at two costs or more, or of none.

    Args:
        value: Any.
    """
    if not isinstance(value, list) or not all(_is_point(item) for item in value):
        return False
    return not value or len({item["macs"] for item in value}) > 1


def _is_point(value: object) -> bool:
    checks: dict[str, Check] = {
        "factor": is_number,
        "seed": is_count,
        "macs": lambda item: is_count(item) and item != 0,
        "delta": is_finite,
        "values": are_numbers,
    }
    return is_record(value, checks)


def curve_factors(study: Study) -> tuple[float, ...]:
    """Return the widths at which hard sharing is trained, as factors; none if no objective asks for it.

    Args:
        study: The study.
    """
    asked = ADVANTAGE in study.config.search.objectives
    return tuple(sorted(set(study.config.references.widths))) if asked else ()


def check_curve(study: Study) -> tuple[float, ...]:
    """Return the same, if hard sharing does not cost the same at all of them.

    Args:
        study: The study.

    Raises:
        ConfigError: It does.
        ConversionError: If the backbone does not run at one of them.
    """
    factors, section = curve_factors(study), study.config.backbone
    networks = [hard_network(study, scaled_by(section, factor), seed=0) for factor in factors]
    costs = {macs_of(network, study) for network in networks}
    if len(costs) == 1:
        raise ConfigError(
            explain(
                where="references.widths",
                rule="hard sharing must cost something else at two of them",
                found=f"{', '.join(f'{f:g}' for f in factors)}: {costs.pop():,} MACs each",
                do="give widths further apart, or leave `advantage` out of search.objectives",
            )
        )
    return factors
