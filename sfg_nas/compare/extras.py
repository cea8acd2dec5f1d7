"""Further sections of a comparison that only some data sets have an answer for."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from sfg_nas.compare.regions import region_section
from sfg_nas.study import RunFiles, Study
from sfg_nas.study.planted import as_markdown, planted_report

ExtraReport = Callable[[Study, RunFiles, pd.DataFrame], str]
"""Returns a section in Markdown from the study, its run and the comparison's networks (one row each)."""


def planted_section(study: Study, files: RunFiles, networks: pd.DataFrame) -> str:
    """Return whether the search finds what was planted, with as many seeds as the comparison has.

    Args:
        study: A study on planted data.
        files: Of its run.
        networks: One row per network.
    """
    seeds = range(int(networks["seed"].nunique()))
    return as_markdown(planted_report(study, files.root.parent, seeds=list(seeds)))


EXTRA_REPORTS: dict[str, ExtraReport] = {
    "planted": planted_section,
    "volumes": region_section,
}
"""Kind of data set to its further section."""
