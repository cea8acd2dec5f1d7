"""What one trial is made of: data, tasks, backbone, sharing and training, as frozen sections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from sfg_nas.config.values import (
    UNSCALED,
    GroupSpec,
    Part,
    Precision,
    Share,
    Size,
    Texts,
    Weighting,
    broken_rule,
)


class Section(BaseModel):
    """What all sections share: frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


class DataConfig(Section):
    """Which data set, and how its images are prepared; a data set's own options stand beside."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue]

    kind: str
    """Name of the data set, see `sfg-nas list datasets`."""
    size: Size = None
    """Side of square images in pixels, or [height, width]; null: the data set's own."""
    augment: Texts = ()
    """Random changes of the training images, see `sfg-nas list augmentations`; label images move with them."""
    normalisation: Literal["dataset", "image"] = "dataset"
    """dataset: each channel by mean and deviation of the training part; image: each image by its own, over all channels."""
    fraction: Share = 1.0
    """Share of the training part that is used."""
    seed: NonNegativeInt = 0
    """Seed of the split, of subsets and of generated images."""

    @property
    def options(self) -> dict[str, JsonValue]:
        """The data set's own options."""
        return dict(self.__pydantic_extra__ or {})


class TaskConfig(Section):
    """How one task takes part."""

    weight: PositiveFloat = 1.0
    """Factor on the task's loss."""
    likelihood: Literal["auto", "gaussian", "laplace", "rmse"] = "auto"
    """Of a regression's errors: half their square, their size, or the root of their mean square; auto: the data set's own."""


class BackboneConfig(Section):
    """The network whose filters are given to groups."""

    kind: str
    """Name of the backbone, see `sfg-nas list backbones`."""
    width: Annotated[float, Field(gt=0, le=8)] = 1.0
    """Factor on the number of filters of each layer."""
    depth: PositiveInt | None = None
    """Convolutions (VGG) or residual blocks (ResNet) that are kept; null: all of them."""


class TemperatureConfig(Section):
    """The temperature of the Gumbel-softmax over the search."""

    shape: Literal["constant", "exponential", "linear", "cosine"] = "exponential"
    """How it goes from start to end."""
    start: PositiveFloat = 1.0
    """At the first step (no unit)."""
    end: PositiveFloat = 0.1
    """At the last step (no unit); unused by the constant shape."""
    rate: PositiveFloat | None = None
    """Decay per step of the exponential shape; null: such that `end` is reached at the last step."""

    @model_validator(mode="after")
    def _falls(self) -> TemperatureConfig:
        if self.shape != "constant" and self.end > self.start:
            found = f"end={self.end}, start={self.start}"
            raise broken_rule(
                "end", "`0 < end <= start` must hold", found, "lower end or raise start"
            )
        return self


class StartConfig(Section):
    """Where the probabilities over groups begin."""

    kind: Literal["thirds", "dirichlet", "vertices", "near-shared", "branched"] = "thirds"
    """thirds: equal; dirichlet: drawn; vertices: one group each; near-shared; branched: a tree split."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Probability of the preferred group (near-shared, branched, vertices)."""
    concentration: PositiveFloat = 1.0
    """Of the Dirichlet distribution; 1 is uniform over the simplex."""
    proportions: Annotated[tuple[Part, ...], Field(strict=False)] | None = None
    """Share of each group, in the order of the groups, summing to 1; null: equal."""
    split: NonNegativeInt | None = None
    """First searchable layer, counted from 0, that a branched start gives to the specialists."""

    @model_validator(mode="after")
    def _sums_to_one(self) -> StartConfig:
        if self.proportions is not None and abs(sum(self.proportions) - 1) > 1e-6:
            found = f"{list(self.proportions)}, a sum of {sum(self.proportions):.6g}"
            raise broken_rule(
                "proportions", "the shares must sum to 1", found, "rescale them, or write null"
            )
        return self


ICCV2019: dict[str, object] = {
    "relaxation": "streams",
    "start": {"confidence": 0.99},
    "temperature": {"shape": "exponential", "start": 1.0, "end": 0.05, "rate": 1e-4},
    "lambda1": 5e-4,
    "lambda2": 1.0,
}
"""What the published code sets, for keys that a study with its preset does not give."""


def _filled(given: Mapping[str, object], defaults: Mapping[str, object]) -> dict[str, object]:
    """Return a mapping with defaults, section by section, for what is not given."""
    result = {**defaults, **given}
    for key, value in defaults.items():
        own = given.get(key)
        if isinstance(value, Mapping) and isinstance(own, Mapping):
            result[key] = _filled(own, value)
    return result


class SharingConfig(Section):
    """How filters are given to groups while searching."""

    preset: Literal["corrected", "iccv2019"] = "corrected"
    """corrected: the paper's model as stated; iccv2019: what its published code does (docs/iccv2019.md)."""
    groups: GroupSpec = "specialists"
    """specialists, lattice, or an explicit list of lists of task names."""
    relaxation: Literal["connections", "streams"] = "connections"
    """connections: one convolution with masked weights; streams: the paper's form, slower."""
    estimator: Literal["straight-through", "soft", "soft-first", "mixed"] = "straight-through"
    """Hard or soft masks in the forward pass; soft first and hard later; or a mixture of both."""
    soft_share: Part = 0.5
    """soft-first: the part of the search that is soft; mixed: how likely a step is soft."""
    warmup_epochs: NonNegativeFloat = 0
    """Epochs at the start in which the assignments stay as they are; may be a part of one."""
    branch_from: NonNegativeInt = 0
    """First searchable layer, counted from 0, that may branch; those before it stay shared by all tasks."""
    hierarchical: bool = False
    """Adds a term per layer to the logits, so that a layer can move as one."""
    start: StartConfig = StartConfig()
    temperature: TemperatureConfig = TemperatureConfig()
    lambda1: NonNegativeFloat = 0.0
    """Weight of the sum of squared weights, beside the log-likelihood summed over all examples."""
    lambda2: float = 0.0
    """Weight of the summed entropy (nats) of the assignments; positive keeps them undecided."""
    lambda3: NonNegativeFloat = 0.0
    """Weight of the expected MACs relative to all shared, beside the mean loss of an example."""

    @model_validator(mode="before")
    @classmethod
    def _preset_defaults(cls, value: object) -> object:
        """Fill in what a preset says of keys that are not given."""
        if isinstance(value, Mapping) and value.get("preset") == "iccv2019":
            return _filled(value, ICCV2019)
        return value

    @model_validator(mode="after")
    def _preset_fits(self) -> SharingConfig:
        if self.preset == "iccv2019" and self.relaxation != "streams":
            rule = "the preset iccv2019 exists in the stream form only"
            raise broken_rule("relaxation", rule, self.relaxation, "leave relaxation out")
        return self


class TrainingConfig(Section):
    """How a supernet is trained in one trial."""

    epochs: PositiveInt = 10
    """Passes over the training part."""
    batch_size: PositiveInt = 64
    """Images per step."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """Of the weights; the assignments always use Adam."""
    learning_rate: PositiveFloat = 1e-3
    """Of the weights."""
    allocation_learning_rate: PositiveFloat = 1e-1
    """Of the logits of the assignments; high, as the steps of a search are few (docs/defaults.md)."""
    weight_decay: NonNegativeFloat = 0.0
    """Of the optimiser, beside lambda1."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Of both learning rates."""
    warmup_epochs: NonNegativeFloat = 0
    """Epochs of linear rise of the learning rates; may be a part of one."""
    clip: PositiveFloat | None = None
    """Largest norm of the gradient; null: no limit."""
    precision: Precision = "32"
    """Of the arithmetic, in Lightning Fabric's words."""
    weighting: Weighting = "equal"
    """Of the tasks' losses: equal, uncertainty, or torchjd: and an aggregator's name, such as torchjd:UPGrad."""

    @model_validator(mode="after")
    def _gradients_are_plain(self) -> TrainingConfig:
        if self.weighting.startswith("torchjd:") and self.precision == "16-mixed":
            do = "take 32 or bf16-mixed, or another weighting"
            raise broken_rule("weighting", UNSCALED, self.weighting, do)
        return self

    @model_validator(mode="after")
    def _warms_up_in_time(self) -> TrainingConfig:
        if self.warmup_epochs >= self.epochs and self.warmup_epochs > 0:
            found = f"warmup_epochs={self.warmup_epochs}, epochs={self.epochs}"
            raise broken_rule(
                "warmup_epochs",
                "`warmup_epochs < epochs` must hold",
                found,
                "lower warmup_epochs or raise epochs",
            )
        return self
