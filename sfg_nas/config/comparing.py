"""The section of a study file on comparing methods."""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
)

from sfg_nas.config.sections import Section
from sfg_nas.config.values import Part, Share, Texts, broken_rule

AboveOne = Annotated[float, Field(gt=1)]


class CrossStitchConfig(Section):
    """Cross-Stitch networks (Misra et al. 2016)."""

    alpha: Share = 0.9
    """Where a unit begins: the weight of a task's own column; the others share the rest."""
    rate: PositiveFloat = 10.0
    """Learning rate of the units, as a multiple of the weights'."""
    pretrain: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the epochs in which the columns are still single-task networks."""


class NDDRConfig(Section):
    """NDDR-CNN (Gao et al. 2019)."""

    alpha: Share = 0.9
    """Where a fusion begins: the weight of a task's own column; the others share the rest."""
    rate: PositiveFloat = 1.0
    """Learning rate of the fusions, as a multiple of the weights' (the paper, with SGD: 100)."""
    pretrain: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the epochs in which the columns are still single-task networks."""


class ConstantPConfig(Section):
    """Masks redrawn at constant probabilities."""

    probabilities: Annotated[tuple[Part, ...], Field(strict=False)] | None = None
    """Of each group, in the order of the groups, summing to 1; null: equal."""

    @field_validator("probabilities")
    @classmethod
    def _sums_to_one(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and abs(sum(value) - 1) > 1e-6:
            found = f"{list(value)}, a sum of {sum(value):.6g}"
            raise broken_rule("", "the probabilities must sum to 1", found, "rescale them")
        return value


class CompareConfig(Section):
    """Which methods are compared, and how."""

    methods: Texts | None = None
    """Names of methods, see `sfg-nas list baselines`; null: the usual ones."""
    seeds: PositiveInt = 3
    """Independent trainings of each method."""
    epochs: PositiveInt | None = None
    """Of every method; null: retrain.epochs, or else training.epochs."""
    learning_rate: PositiveFloat | None = None
    """Of the weights, in the middle of what is tried; null: retrain.learning_rate, or training's."""
    tuning_trials: PositiveInt = 1
    """Learning rates that each method may try, scored on validation; 1: all use the same."""
    tuning_factor: AboveOne = 3.0
    """The greatest rate tried over the middle one, and the middle one over the least; of two rates, one over the other."""
    equal_macs: bool = True
    """Whether each method is also trained at the width at which it costs as much as hard sharing."""
    widths: Annotated[tuple[PositiveFloat, ...], Field(strict=False)] = (0.5, 0.75)
    """Factors on the width for `hard-sharing-scaled`."""
    trial: str | NonNegativeInt = "best"
    """The trial whose architecture is `found`: best, or a number."""
    draws: PositiveInt = 10
    """Masks whose predictions are averaged (Monte-Carlo)."""
    tolerance: NonNegativeFloat = 0.0
    """Differences of delta smaller than this do not matter to the verdict."""
    cross_stitch: CrossStitchConfig = CrossStitchConfig()
    nddr: NDDRConfig = NDDRConfig()
    constant_p: ConstantPConfig = ConstantPConfig()
