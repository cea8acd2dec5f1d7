"""Methods side by side at the same budget and at equal cost, and a verdict that follows from the intervals."""

from sfg_nas.compare.check import check_methods, findings
from sfg_nas.compare.compare import Comparison, compare
from sfg_nas.compare.entrant import Entrant, Prepared, Reading, Setting
from sfg_nas.compare.extras import EXTRA_REPORTS, ExtraReport
from sfg_nas.compare.methods import METHODS, USUAL, Kind
from sfg_nas.compare.pool import Workers

__all__ = [
    "EXTRA_REPORTS",
    "METHODS",
    "USUAL",
    "Comparison",
    "Entrant",
    "ExtraReport",
    "Kind",
    "Prepared",
    "Reading",
    "Setting",
    "Workers",
    "check_methods",
    "compare",
    "findings",
]
