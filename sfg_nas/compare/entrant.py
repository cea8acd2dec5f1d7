"""What takes part in a comparison: a name, how to make it at any width, and how to read predictions out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import nn

from sfg_nas.architecture import Architecture
from sfg_nas.config import CompareConfig
from sfg_nas.study import Run, RunFiles, Study, Trial
from sfg_nas.training import Method


@dataclass(frozen=True)
class Setting:
    """What all methods of one comparison share.

    Attributes:
        study: The study.
        files: Where its run lies.
        found: The trial whose architecture is `found`, or None as long as nothing was searched.
    """

    study: Study
    files: RunFiles
    found: Trial | None = None

    @property
    def section(self) -> CompareConfig:
        """Return the study's section on comparing."""
        return self.study.config.compare

    @property
    def epochs(self) -> int:
        """Return the epochs of every method."""
        config = self.study.config
        return self.section.epochs or config.retrain.epochs or config.training.epochs

    @property
    def learning_rate(self) -> float:
        """Return the learning rate in the middle of those that are tried."""
        config = self.study.config
        rate = self.section.learning_rate or config.retrain.learning_rate
        return rate or config.training.learning_rate


def run_of(trial: Trial) -> Run:
    """Return the run that a trial lies in.

    Args:
        trial: Such as that of `found`.
    """
    return Run.load(trial.files.root.parent.parent)


@dataclass(frozen=True)
class Reading:
    """A way to predict with what was trained.

    Attributes:
        label: Empty for the only way, else a word such as `hard`.
        read: Returns the network that predicts; what was trained is left as it was.
        macs: What a prediction costs for one image, from what was trained; None counts them on the network that
            predicts.
    """

    label: str
    read: Callable[[nn.Module], nn.Module]
    macs: Callable[[nn.Module], int] | None = None


def as_it_is(module: nn.Module) -> nn.Module:
    """Return the trained module itself."""
    return module


AS_IT_IS = (Reading("", as_it_is),)


@dataclass(frozen=True)
class Prepared:
    """A method ready to train, at one width and with one seed.

    Attributes:
        method: What the loop trains.
        readings: How it predicts; choices are made by the first.
        architecture: Of a fixed network, else None.
    """

    method: Method
    readings: tuple[Reading, ...] = AS_IT_IS
    architecture: Architecture | None = None


class Prepare(Protocol):
    """Makes a method at a width."""

    def __call__(self, factor: float, *, seed: int, learning_rate: float) -> Prepared:
        """Return the method with new weights.

        Args:
            factor: On the method's own width.
            seed: Of the comparison: weights, and whatever else the method draws.
            learning_rate: Of the weights.
        """


@dataclass(frozen=True)
class Entrant:
    """One method of a comparison.

    Attributes:
        name: As it stands in tables.
        prepare: Makes it.
        macs: Its multiply-accumulates for one image at a factor on its width, with a seed; None if they are known
            only once it is trained.
        learned_macs: For a method without `macs`: what the network read out of a trained module costs, carried over to
            a factor on its width with the same shares of groups in every layer.
        options: What its training depends on beside the study, for the record.
        varies: Whether it draws another network with each seed.
        own_factor: The factor on its width in the comparison at its own cost.
        note: What a reader of its results must know.
    """

    name: str
    prepare: Prepare
    macs: Callable[[float, int], int] | None
    options: Mapping[str, object] = field(default_factory=dict)
    varies: bool = False
    own_factor: float = 1.0
    learned_macs: Callable[[nn.Module, float], int] | None = None
    note: str = ""
