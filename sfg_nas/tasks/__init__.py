"""Tasks: a head, a likelihood, metrics with a direction; one module per kind behind one protocol."""

from __future__ import annotations

from sfg_nas.tasks.classification import MISSING_CLASS
from sfg_nas.tasks.encoding import Encoding
from sfg_nas.tasks.gain import check_references, mean_quality, relative_gain
from sfg_nas.tasks.kind import Cell, TaskKind, WrongLabelError, number_in
from sfg_nas.tasks.pixels import channels_last, encoding_of
from sfg_nas.tasks.registry import TASK_KINDS
from sfg_nas.tasks.task import Task

__all__ = [
    "MISSING_CLASS",
    "TASK_KINDS",
    "Cell",
    "Encoding",
    "Task",
    "TaskKind",
    "WrongLabelError",
    "channels_last",
    "check_references",
    "encoding_of",
    "mean_quality",
    "number_in",
    "relative_gain",
]
