"""Learning what tasks share: tracing, relaxed assignments, the supernet and its objective."""

from sfg_nas.sharing.assignments import ESTIMATORS, Estimator
from sfg_nas.sharing.choices import Choices
from sfg_nas.sharing.convert import Tracer, convert, random_allocation
from sfg_nas.sharing.draws import InTraining, in_training
from sfg_nas.sharing.objective import Objective, objective
from sfg_nas.sharing.prediction import Predictions
from sfg_nas.sharing.presets import PRESETS, Preset, activation_first
from sfg_nas.sharing.schedules import SHAPES, Temperature
from sfg_nas.sharing.start import STARTS, Start
from sfg_nas.sharing.supernet import RELAXATIONS, Relaxation, Supernet
from sfg_nas.sharing.trace import trace
from sfg_nas.sharing.traced import BackboneWithHeads, TracedNetwork
from sfg_nas.sharing.width import WidthPlan, scale_width

__all__ = [
    "ESTIMATORS",
    "PRESETS",
    "RELAXATIONS",
    "SHAPES",
    "STARTS",
    "BackboneWithHeads",
    "Choices",
    "Estimator",
    "InTraining",
    "Objective",
    "Predictions",
    "Preset",
    "Relaxation",
    "Start",
    "Supernet",
    "Temperature",
    "TracedNetwork",
    "Tracer",
    "WidthPlan",
    "activation_first",
    "convert",
    "in_training",
    "objective",
    "random_allocation",
    "scale_width",
    "trace",
]
