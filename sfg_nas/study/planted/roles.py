"""How well probabilities over groups agree with what was planted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score

from sfg_nas.groups import Groups


def right_groups(groups: Groups, roles: Sequence[frozenset[int]]) -> list[int]:
    """Return the index of the smallest group that contains each role; the first of several.

    Args:
        groups: The groups that a filter may choose.
        roles: For each detector the tasks that need its factor.
    """
    order = sorted(range(len(groups)), key=lambda g: len(groups.sets[g]))
    return [next(g for g in order if role <= groups.sets[g]) for role in roles]


def role_scores(
    probabilities: ArrayLike, groups: Groups, roles: Sequence[frozenset[int]]
) -> dict[str, float]:
    """Return how well p finds the planted roles.

    Args:
        probabilities: p of each detector, `[F, G]`.
        groups: The G groups.
        roles: For each of the F detectors the tasks that need its factor.

    Returns:
        `auroc`: over all pairs of a detector and a group, the area under the ROC curve of p[k, g]
        against "g is k's right group" (0.5 for constant p); `accuracy`: the share of detectors whose
        most probable group is the right one; `confidence`: the mean p of the right group.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    right = right_groups(groups, roles)
    truth = np.eye(len(groups))[right]
    return {
        "auroc": float(roc_auc_score(truth.ravel(), p.ravel())),
        "accuracy": float((p.argmax(1) == right).mean()),
        "confidence": float(p[np.arange(len(right)), right].mean()),
    }
