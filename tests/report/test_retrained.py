"""A report says whose network was retrained, where it is not the one that it shows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from sfg_nas.report import verdict_of
from sfg_nas.report.page import _commands
from sfg_nas.report.retrained import another_network, last_retrained, retrain_call
from sfg_nas.study import Run
from sfg_nas.study.retrain import LAST
from tests.report.conftest import Small


def test_the_best_network_needs_no_word(small_runs: Mapping[str, Small]) -> None:
    run = small_runs["two"].run
    last = last_retrained(run)
    assert last is not None
    assert (last.digest, last.method, last.seeds) == (run.best.architecture.hash, "found", 2)
    assert another_network(run) == []
    assert retrain_call(run, " --data-root DIR") == "sfg-nas retrain NEW/two --data-root DIR"
    assert last_retrained(small_runs["three"].run) is None
    assert retrain_call(small_runs["three"].run, "") == "sfg-nas retrain NEW/three"


def test_another_trial_another_choice_and_a_strangers_network_are_named(
    small_runs: Mapping[str, Small], tmp_path: Path
) -> None:
    shutil.copytree(small_runs["two"].run.path, tmp_path / "two")
    run = Run.load(tmp_path / "two")
    best = run.best
    other = next(trial for trial in run.complete if trial.number != best.number)
    strange, stranger = (
        small_runs[name].run.best.files.architecture for name in ("three", "lattice")
    )
    shutil.copy(strange, other.files.architecture)

    def retrained(digest: str, method: str = "found", seeds: int = 2) -> None:
        content = {"architecture": digest, "method": method, "seeds": seeds}
        (run.files.retrained / LAST).write_text(json.dumps(content))

    retrained(other.architecture.hash, "found, warm, with teacher", 5)
    start = f"What was retrained is not the network of the best trial, {best.number}, but"
    assert verdict_of(run).sentences[0] == f"{start} that of trial {other.number}."
    call = f"sfg-nas retrain NEW/two --trial {other.number} --seeds 5 --init warm --teacher"
    assert call in _commands(run)
    how = run.config.retrain.model_copy(update={"seeds": 5, "init": "warm", "teacher": True})
    same = replace(run, config=run.config.model_copy(update={"retrain": how}))
    assert retrain_call(same, "") == f"sfg-nas retrain NEW/two --trial {other.number}"

    distilled = best.files.distilled("layers-budget-1e-05-macs")
    shutil.copytree(best.files.root, distilled.root, ignore=shutil.ignore_patterns("distilled"))
    ledger = json.loads(distilled.ledger.read_text())
    ledger["choice"] = {"label": distilled.root.name}
    distilled.ledger.write_text(json.dumps(ledger))
    shutil.copy(stranger, distilled.architecture)
    retrained(small_runs["lattice"].run.best.architecture.hash)
    assert another_network(run) == [
        f"{start} that of trial {best.number}, chosen by {distilled.root.name}."
    ]
    assert retrain_call(run, "") == "sfg-nas retrain NEW/two --distill layers,budget=1e-05,macs"

    retrained("0123456789abcdef")
    assert another_network(run) == [f"{start} one that no trial here found, 0123456789abcdef."]
    wanted = "sfg-nas retrain 0123456789abcdef.json --study NEW/two/study.yaml --runs NEW"
    assert retrain_call(run, "") == wanted


def test_another_compared_network_is_named_where_its_row_is_shown(
    small_runs: Mapping[str, Small], tmp_path: Path
) -> None:
    shutil.copytree(small_runs["two"].run.path, tmp_path / "two")
    run = Run.load(tmp_path / "two")
    best, table = run.best, "| method | MAE |\n| :- | -: |\n| {} | 1 |\n"
    page = "# two\n\n- a fact\n\n## Own cost\n\n" + table + "\n## Verdict\n\nNone.\n"
    (run.path / "compare.md").write_text(page.format("found"))
    assert verdict_of(run).sentences == ()
    stored = run.path / "compared/found/own/0/metrics.json"
    stored.parent.mkdir(parents=True)
    stored.write_text(json.dumps({"architecture": best.architecture.hash}))
    assert verdict_of(run).sentences == ()
    other = small_runs["three"].run.best.architecture.hash
    stored.write_text(json.dumps({"architecture": other}))
    said = (
        f"What was compared as found is not the network of the best trial, {best.number}, but one"
    )
    assert verdict_of(run).sentences == (f"{said} that no trial here found, {other}.",)
    (run.path / "compare.md").write_text(page.format("nddr"))
    assert verdict_of(run).sentences == ()
