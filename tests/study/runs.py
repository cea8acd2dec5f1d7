"""Runs whose trials were never trained: their scores follow a known rule."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from sfg_nas.study import Ledger, Run, Study
from sfg_nas.study.layout import RunFiles
from sfg_nas.study.provenance import begin_run
from sfg_nas.training import write_json, write_text


def make_run(study: Study, root: Path, count: int) -> Run:
    """Return a run whose delta depends on the cost weight alone, and its MACs on the temperature."""
    files = RunFiles(root / study.config.name)
    begin_run(study, files)
    rng = np.random.default_rng(0)
    for number in range(count):
        weight, start = rng.random(), float(np.exp(rng.uniform(np.log(0.5), np.log(4.0))))
        delta, macs = float(1 - (weight - 0.5) ** 2), int(1000 * start)
        ledger = Ledger({"fixed": {"delta": delta}}, macs, 10, macs / 1000, 0.0, 1.5)
        write_json(files.trial(number).ledger, ledger.to_json())
        state = {"state": "complete", "values": [delta], "reason": ""}
        write_json(files.trial(number).state, state)
        candidate = {"sharing.lambda3": weight, "sharing.temperature.start": start}
        write_text(files.trial(number).candidate, json.dumps(candidate))
    return Run.load(files.root)
