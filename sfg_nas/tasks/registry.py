"""The kinds of tasks by name."""

from __future__ import annotations

from sfg_nas.tasks.classification import Classification
from sfg_nas.tasks.kind import TaskKind
from sfg_nas.tasks.regression import Regression

TASK_KINDS: dict[str, TaskKind] = {
    "classification": Classification(),
    "regression": Regression(),
}
"""Kinds of tasks by the name that a study file gives them."""
