"""Further sections of a comparison that only some data sets have an answer for."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from sfg_nas.study import RunFiles, Study

ExtraReport = Callable[[Study, RunFiles, pd.DataFrame], str]
"""Returns a section in Markdown from the study, its run and the comparison's networks (one row each)."""

EXTRA_REPORTS: dict[str, ExtraReport] = {}
"""Kind of data set to its further section."""
