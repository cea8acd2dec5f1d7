"""The study file as frozen values: what every key means, its unit, its default and its bounds.

Rules that need more than one section, or the names of other stages, are in `sfg_nas.config.rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    Field,
    JsonValue,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from sfg_nas.config.comparing import CompareConfig
from sfg_nas.config.distilling import DistillConfig
from sfg_nas.config.sections import (
    BackboneConfig,
    DataConfig,
    Section,
    SharingConfig,
    TaskConfig,
    TrainingConfig,
)
from sfg_nas.config.values import Precision, broken_rule


class SamplerConfig(Section):
    """Who proposes candidates."""

    kind: Literal["tpe", "random", "nsga2"] = "tpe"
    """Optuna's sampler."""
    startup: NonNegativeInt = 5
    """Random trials before the sampler learns (tpe)."""


class PrunerConfig(Section):
    """Who stops hopeless trials early."""

    kind: Literal["none", "median", "hyperband", "dominance", "hypervolume"] = "none"
    """median, hyperband: Optuna's, for one objective; dominance, hypervolume: rungs for any number."""
    startup: NonNegativeInt = 3
    """Trials that are never stopped (all but hyperband)."""
    warmup_epochs: NonNegativeInt = 1
    """Epochs in which no trial is stopped (median), or up to the first rung (dominance, hypervolume)."""
    factor: Annotated[int, Field(ge=2)] = 2
    """One of so many trials goes on at a rung; the next rung is so many times as far (not for Optuna's)."""


class FinalsConfig(Section):
    """The best trials' networks, trained from scratch several times: their scores on validation decide which is best."""

    trials: NonNegativeInt = 0
    """Trials that take part, those with the best scores of their own; 0: none, their own scores decide."""
    seeds: PositiveInt = 3
    """Trainings of each network (and of hard sharing at its MACs, for the objective advantage)."""


class SearchConfig(Section):
    """The outer loop."""

    space: str | Annotated[dict[str, dict[str, JsonValue]], Field(strict=False)] = "paper"
    """What may vary: a shipped space's name, a file, or the entries themselves."""
    trials: PositiveInt = 20
    """Candidates to train, over all calls."""
    sampler: SamplerConfig = SamplerConfig()
    pruner: PrunerConfig = PrunerConfig()
    objectives: Annotated[
        tuple[Literal["delta", "advantage", "error", "macs", "params"], ...],
        Field(strict=False, min_length=1),
    ] = ("delta",)
    """delta: mean relative gain over single-task networks; advantage: delta less that of hard sharing at the same MACs;
    or error, macs and params, as a front."""
    finals: FinalsConfig = FinalsConfig()
    seed: NonNegativeInt = 0
    """Root of all random streams of the search."""
    enqueue: Annotated[tuple[dict[str, str | int | float | bool], ...], Field(strict=False)] = ()
    """Candidates that are tried first."""

    @model_validator(mode="after")
    def _pruner_fits(self) -> SearchConfig:
        if len(set(self.objectives)) < len(self.objectives):
            found = ", ".join(self.objectives)
            raise broken_rule("objectives", "each objective stands once", found, "remove one")
        if len(self.objectives) > 1 and self.pruner.kind in {"median", "hyperband"}:
            found = f"{self.pruner.kind} with {len(self.objectives)} objectives"
            rule = "median and hyperband work with one objective only"
            do = "set pruner.kind to dominance, hypervolume or none"
            raise broken_rule("pruner.kind", rule, found, do)
        return self


class RetrainConfig(Section):
    """How the best architecture and its rivals are trained from scratch."""

    epochs: PositiveInt | None = None
    """null: training.epochs."""
    seeds: PositiveInt = 3
    """Independent trainings of each network."""
    learning_rate: PositiveFloat | None = None
    """null: training.learning_rate."""
    init: Literal["scratch", "warm"] = "scratch"
    """scratch: new weights; warm: the supernet's."""
    teacher: bool = False
    """Whether the found network also follows the outputs of its trial's hardened supernet; its losses are weighed by the tasks' `weight` alone, not by `training.weighting`."""
    teacher_weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Weight of the teacher's term; that of the labels is one less it."""
    teacher_temperature: PositiveFloat = 4.0
    """What teacher's and student's logits are divided by (no unit); classifications only."""
    patience: PositiveInt | None = None
    """Stop after so many epochs without a better validation score; null: never. The best epoch is kept either way."""
    precision: Precision | None = None
    """null: training.precision."""


class ReferencesConfig(Section):
    """What trials are measured against: single-task networks, and hard sharing for the objective advantage."""

    epochs: PositiveInt | None = None
    """null: training.epochs."""
    widths: Annotated[tuple[PositiveFloat, ...], Field(strict=False, min_length=2)] = (
        0.5,
        0.7,
        1.0,
    )
    """Factors on the backbone's width at which hard sharing is trained (for the objective advantage)."""
    seeds: PositiveInt = 2
    """Trainings of hard sharing at each of these widths."""


class StudyConfig(Section):
    """A whole study file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    """Name of the run directory; letters, digits, `.`, `_`, `-`."""
    data: DataConfig
    tasks: dict[str, TaskConfig] | None = None
    """The data set's tasks that take part; null: all, with weight 1."""
    backbone: BackboneConfig
    sharing: SharingConfig = SharingConfig()
    training: TrainingConfig = TrainingConfig()
    search: SearchConfig = SearchConfig()
    distill: DistillConfig = DistillConfig()
    retrain: RetrainConfig = RetrainConfig()
    compare: CompareConfig = CompareConfig()
    references: ReferencesConfig = ReferencesConfig()
    expected: dict[str, JsonValue] = Field(default_factory=dict)
    """Results of an earlier run, with the version that produced them; for the reader."""

    @field_validator("tasks", mode="before")
    @classmethod
    def _empty_task_means_defaults(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        return {name: {} if options is None else options for name, options in value.items()}

    @field_validator("tasks")
    @classmethod
    def _some_task(cls, value: dict[str, TaskConfig] | None) -> dict[str, TaskConfig] | None:
        if value is not None and not value:
            raise broken_rule(
                "", "at least one task must take part", "no task", "name one, or remove `tasks`"
            )
        return value
