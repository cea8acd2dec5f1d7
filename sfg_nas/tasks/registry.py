"""The kinds of tasks by name."""

from __future__ import annotations

from sfg_nas.tasks.classification import Classification
from sfg_nas.tasks.dense_regression import DenseRegression
from sfg_nas.tasks.kind import TaskKind
from sfg_nas.tasks.multilabel import MultiLabel
from sfg_nas.tasks.normals import Normals
from sfg_nas.tasks.ordinal import Ordinal
from sfg_nas.tasks.regression import Regression
from sfg_nas.tasks.segmentation import Segmentation

TASK_KINDS: dict[str, TaskKind] = {
    "classification": Classification(),
    "multi-label": MultiLabel(),
    "ordinal": Ordinal(),
    "regression": Regression(),
    "dense-regression": DenseRegression(),
    "normals": Normals(),
    "segmentation": Segmentation(),
}
"""Kinds of tasks by the name that a study file gives them."""
