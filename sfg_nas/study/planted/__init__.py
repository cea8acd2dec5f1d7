"""Scores of a search on data whose right allocation is known."""

from sfg_nas.study.planted.bank import bank_study, detector_bank, score_bank, searched, truth_of
from sfg_nas.study.planted.roles import right_groups, role_scores

__all__ = [
    "bank_study",
    "detector_bank",
    "right_groups",
    "role_scores",
    "score_bank",
    "searched",
    "truth_of",
]
