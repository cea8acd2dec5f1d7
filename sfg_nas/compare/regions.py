"""The comparison organ by organ."""

from __future__ import annotations

import pandas as pd

from sfg_nas.compare.job import OWN
from sfg_nas.report import region_tables
from sfg_nas.study import RunFiles, Study


def region_section(study: Study, files: RunFiles, networks: pd.DataFrame) -> str:
    """Return a table for each dense task: its metric overall and for each organ, a row per method.

    Source: the form of Bragman et al. 2019, table 2.

    Args:
        study: The study.
        files: Of its run; unused.
        networks: One row per network.
    """
    del files
    own = networks[networks["scale"] == OWN] if "scale" in networks else networks
    parts = []
    for heading, table in region_tables(own, study.tasks).items():
        parts += [f"## {heading}", "", table.markdown()]
    return "\n".join(parts)
