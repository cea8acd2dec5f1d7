"""Scores of a search on data whose right allocation is known."""

from sfg_nas.study.planted.allocations import at_equal_macs, oracle_allocation, shared_fraction
from sfg_nas.study.planted.bank import bank_study, detector_bank, score_bank, searched, truth_of
from sfg_nas.study.planted.dial import again, position, retrained, score_dial, spearman
from sfg_nas.study.planted.report import PlantedReport, as_markdown, planted_report
from sfg_nas.study.planted.roles import right_groups, role_scores

__all__ = [
    "PlantedReport",
    "again",
    "as_markdown",
    "at_equal_macs",
    "bank_study",
    "detector_bank",
    "oracle_allocation",
    "planted_report",
    "position",
    "retrained",
    "right_groups",
    "role_scores",
    "score_bank",
    "score_dial",
    "searched",
    "shared_fraction",
    "spearman",
    "truth_of",
]
