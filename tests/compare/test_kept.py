"""Methods of earlier calls: they stay in the tables if they were made alike, and are left out with a reason if not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from sfg_nas.compare import METHODS, Comparison, compare
from sfg_nas.errors import TrainingError
from sfg_nas.study import Progress, Study

Make = Callable[..., Study]
OWN_COST = {"compare.equal_macs": False, "search.trials": 1}


def rows(found: Comparison) -> pd.DataFrame:
    timeless = [name for name in found.networks if name != "training_seconds"]
    order = ["method", "scale", "seed"]
    return found.networks[timeless].sort_values(order, ignore_index=True)


def noted(found: Comparison, *words: str) -> bool:
    return any(all(word in note for word in words) for note in found.notes)


def test_two_calls_give_what_one_call_gives(make_study: Make, tmp_path: Path) -> None:
    study = make_study({"search.trials": 1})
    first, second = ["found", "hard-sharing-at-found", "sfg-corrected"], ["tree-split-1", "nddr"]
    whole = compare(study, [*first, *second], 2, runs=tmp_path / "whole")
    compare(study, first, 2, runs=tmp_path / "parts")
    reports: list[Progress] = []
    parts = compare(study, second, 2, runs=tmp_path / "parts", progress=reports.append)
    pd.testing.assert_frame_equal(rows(whole), rows(parts))
    assert set(rows(parts)["scale"]) == {"own", "equal-macs"}
    key = ["question", "method", "metric"]
    left, right = (f.paired.sort_values(key, ignore_index=True) for f in (whole, parts))
    pd.testing.assert_frame_equal(left, right)
    assert not any("found" in report.text for report in reports)
    note = "of an earlier call, with the same epochs, learning rates and options: "
    note += "found (seeds 0, 1), hard-sharing-at-found (seeds 0, 1), sfg-corrected (seeds 0, 1)"
    assert noted(parts, note, "chosen by a search that the other methods did not have")
    assert f"- {note}" in (parts.folder / "compare.md").read_text()
    assert set(pd.read_csv(parts.folder / "compare.csv")["method"]) == set(rows(whole)["method"])
    assert not noted(whole, "earlier call")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"compare.epochs": 2}, "epochs 1, now 2"),
        ({"compare.learning_rate": 0.02}, "learning rate 0.01, now 0.02"),
        ({"compare.nddr.alpha": 0.5}, "another alpha"),
        ({"compare.tuning_trials": 2}, "not chosen as it would be now"),
    ],
)
def test_other_settings_are_left_out_and_said(
    make_study: Make, tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    compare(make_study(OWN_COST), ["nddr"], 1, runs=tmp_path)
    found = compare(make_study({**OWN_COST, **change}), [], 1, runs=tmp_path)
    assert set(found.networks["method"]) == {"single-task", "hard-sharing"}
    assert noted(found, "nddr (seed 0) of an earlier call is left out", reason, "name it")
    assert "nddr (seed 0)" in (found.folder / "compare.md").read_text()


def test_a_rate_that_was_tuned_is_kept(make_study: Make, tmp_path: Path) -> None:
    study = make_study({**OWN_COST, "compare.tuning_trials": 2})
    first = compare(study, ["nddr"], 1, runs=tmp_path)
    pd.testing.assert_frame_equal(rows(first), rows(compare(study, [], 1, runs=tmp_path)))


def test_more_and_fewer_seeds(make_study: Make, tmp_path: Path) -> None:
    study = make_study(OWN_COST)
    compare(study, ["nddr"], 2, runs=tmp_path)
    fewer = compare(study, [], 1, runs=tmp_path)
    assert set(fewer.networks["seed"]) == {0}
    assert "nddr" in set(fewer.networks["method"])
    assert noted(fewer, "earlier calls finished seed 1 too", "asks for 1 (`--seeds 2` shows them)")
    more = compare(study, [], 3, runs=tmp_path)
    assert set(more.networks[more.networks["method"] == "nddr"]["seed"]) == {0, 1}
    assert noted(more, "nddr (seeds 0, 1)")
    assert not noted(more, "finished")


def test_what_was_not_finished_or_failed_is_said(
    make_study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, study = METHODS["constant-mask"], make_study(OWN_COST)

    def broken(*arguments: object) -> object:
        def prepare(factor: float, **words: float) -> object:
            raise TrainingError(f"the mask fell off at {factor:g} {len(words)}")

        return dataclasses.replace(kind.make(*arguments), prepare=prepare)

    with monkeypatch.context() as changed:
        changed.setitem(METHODS, "constant-mask", dataclasses.replace(kind, make=broken))
        compare(study, ["constant-mask"], 1, runs=tmp_path)

    def cut(report: Progress) -> None:
        if report.text.startswith("testing"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(study, ["nddr"], 1, runs=tmp_path, progress=cut)
    found = compare(study, [], 1, runs=tmp_path)
    assert set(found.networks["method"]) == {"single-task", "hard-sharing"}
    assert noted(found, "constant-mask (seed 0) failed in an earlier call: the mask fell off")
    assert noted(found, "nddr (seed 0) was begun by an earlier call", "name it to have it finished")


def test_a_damaged_file_of_another_method_is_no_end(make_study: Make, tmp_path: Path) -> None:
    study = make_study(OWN_COST)
    compare(study, ["nddr"], 1, runs=tmp_path)
    file = tmp_path / "tiny/compared/nddr/own/0/metrics.json"
    file.write_text("{")
    (tmp_path / "tiny/compared/elsewhere").mkdir()
    found = compare(study, [], 1, runs=tmp_path)
    assert noted(found, "nddr, of an earlier call, is left out", str(file))
    assert noted(found, "elsewhere, of an earlier call, is left out", "compare.methods")
    assert set(found.networks["method"]) == {"single-task", "hard-sharing"}


def test_methods_of_two_found_networks_are_not_mixed(make_study: Make, tmp_path: Path) -> None:
    start = {"sharing.start": {"kind": "branched", "split": 0, "confidence": 0.95}}
    start |= {"backbone.width": 2.0, "search.trials": 2}
    study = make_study({**OWN_COST, **start, "compare.trial": 0})
    compare(study, ["found"], 1, runs=tmp_path)
    file = tmp_path / "tiny/compared/found/own/0"
    for name in ("metrics", "test", "begun"):  # as if the trial's network had been another
        text = (file / f"{name}.json").read_text()
        at = text.index('"architecture"', text.index('"options"')) + len('"architecture": "')
        (file / f"{name}.json").write_text(f"{text[:at]}other{text[at + 5 :]}")
    found = compare(study, ["random-allocation"], 1, runs=tmp_path)
    assert noted(found, "found (seed 0) of an earlier call is left out (another architecture)")
    assert "found" not in set(found.networks["method"])
    last = compare(study, ["nddr"], 1, runs=tmp_path)
    assert noted(last, "found, random-allocation of earlier calls are left out", "different found")
    assert set(last.networks["method"]) == {"single-task", "hard-sharing", "nddr"}
