"""The comparison as a whole: files, fairness, the closed test part, resuming."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest
import torch

from sfg_nas.compare import EXTRA_REPORTS, METHODS, Workers, compare, job
from sfg_nas.compare.entrant import Prepared, Setting
from sfg_nas.compare.job import Job
from sfg_nas.compare.methods import expand, parse
from sfg_nas.compare.pool import Team
from sfg_nas.errors import ArchitectureError, ConfigError, TrainingError
from sfg_nas.study import Progress, Run, Study

Make = Callable[..., Study]
Small = Callable[..., tuple]


def test_every_method_runs_and_is_reported(small: Small) -> None:
    _, found = small(*METHODS)
    names = {name.split(" (")[0] for name in found.networks["method"]}
    assert {parse(name)[0] for name in names} == set(METHODS)
    table = pd.read_csv(found.folder / "compare.csv")
    assert not table.duplicated(["method", "scale", "seed", "metric"]).any()
    assert set(table["metric"]) >= {"bright/accuracy", "level/mae", "delta"}
    assert set(table["seed"]) == {0, 1}
    own = found.networks[found.networks["scale"] == "own"].set_index(["method", "seed"])
    hard = own.loc[("hard-sharing", 0), "macs"]
    # what each costs: single-task networks are two, two masks of constant p in ten draws
    assert own.loc[("single-task", 0), "macs"] > 1.9 * hard
    assert own.loc[("constant-p (Monte-Carlo)", 0), "macs"] == pytest.approx(10 * hard, rel=0.02)
    assert own.loc[("found", 0), "macs"] == Run.load(found.folder).best.architecture.macs
    page = (found.folder / "compare.md").read_text()
    for word in ("Each method at its own cost", "At equal MACs", "## Verdict", "training [s]", "±"):
        assert word in page
    assert r"\begin{tabular}" in (found.folder / "compare.tex").read_text()
    assert (found.folder / "compare.svg").stat().st_size > 1000
    equal = found.networks[found.networks["scale"] == "equal-macs"]
    assert len(equal)
    assert (equal["macs"] / hard - 1).abs().max() <= 0.1
    # whoever lacks a row there has a note that says why
    told = " ".join(note for note in found.notes if "no row at equal MACs" in note)
    for name in {name.split(" (")[0] for name, _ in own.index}:
        rows = equal[equal["method"].str.split(" (", regex=False).str[0] == name]
        assert set(rows["seed"]) == {0, 1} or f"{name}: no row" in f"{told} ", name


def test_what_is_done_is_not_done_again_and_what_was_cut_goes_on(
    make_study: Make, tmp_path: Path
) -> None:
    study = make_study({"compare.equal_macs": False})
    calls: list[Progress] = []

    def cut(report: Progress) -> None:
        calls.append(report)
        if report.epoch == 1 and "constant-mask" in " ".join(c.text for c in calls):
            raise KeyboardInterrupt

    whole = compare(study, ["constant-mask"], 2, runs=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        compare(study, ["constant-mask"], 2, runs=tmp_path / "cut", progress=cut)
    assert not list((tmp_path / "cut").rglob("test.json"))  # the test part is still closed
    reports: list[Progress] = []
    again = compare(study, ["constant-mask"], 2, runs=tmp_path / "cut", progress=reports.append)
    assert any(report.epoch for report in reports)
    timeless = [name for name in whole.networks if name != "training_seconds"]
    pd.testing.assert_frame_equal(whole.networks[timeless], again.networks[timeless])
    reports.clear()
    compare(study, ["constant-mask"], 2, runs=tmp_path / "cut", progress=reports.append)
    assert not any(report.epoch for report in reports)


def test_several_processes_do_the_same(
    make_study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sfg_nas.compare.pool._WATCH_SECONDS", 0.01)
    study = make_study({"compare.equal_macs": False, "search.trials": 1, "compare.epochs": 2})
    alone = compare(study, ["found"], 2, runs=tmp_path / "alone")
    reports: list[Progress] = []
    team = compare(
        study, ["found"], 2, runs=tmp_path / "team", workers=Workers(2), progress=reports.append
    )
    assert any(r.stage == "search" and r.workers == 2 for r in reports)
    trained = [r for r in reports if r.stage == "compare" and r.workers == 2]
    assert all(0 <= r.epoch <= r.epochs <= 2 * (r.total - r.done) for r in trained)
    assert any(r.epoch and r.seconds_left is not None for r in trained)
    timeless = [name for name in alone.networks if name != "training_seconds"]
    pd.testing.assert_frame_equal(alone.networks[timeless], team.networks[timeless])


def test_each_method_tries_as_many_rates_and_validation_decides(
    make_study: Make, tmp_path: Path
) -> None:
    study = make_study({"compare.tuning_trials": 3, "compare.equal_macs": False})
    found = compare(study, ["constant-mask"], 1, runs=tmp_path)
    for method in ("single-task", "hard-sharing", "constant-mask"):
        tried = {}
        for number in range(3):
            folder = found.folder / "compared" / method / f"tuning-{number}" / "0"
            content = json.loads((folder / "metrics.json").read_text())
            scores = content["readings"][0]["scores"]
            score = sum(task.quality(scores[task.key]) for task in study.tasks)
            tried[content["identity"]["learning_rate"]] = score
            assert not (folder / "test.json").exists()
        assert sorted(tried) == pytest.approx([0.01 / 3, 0.01, 0.03], rel=1e-3)
        chosen = found.networks[found.networks["method"] == method]["learning_rate"]
        assert set(chosen) == {max(tried, key=lambda rate: tried[rate])}


def test_what_the_found_network_rules_out_is_said_and_the_others_are_compared(
    make_study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sfg_nas.compare.allocated.fit_width", lambda *_, **__: None)
    study = make_study({"compare.equal_macs": False, "search.trials": 1})
    found = compare(study, ["found", "hard-sharing-at-found"], 1, runs=tmp_path)
    assert {"found", "hard-sharing"} <= set(found.networks["method"])
    assert "hard-sharing-at-found" not in set(found.networks["method"])
    page = (found.folder / "compare.md").read_text(encoding="utf-8")
    assert "hard-sharing-at-found is left out: compare: hard-sharing-at-found" in page


def test_another_budget_is_another_training(make_study: Make, tmp_path: Path) -> None:
    first = compare(make_study({"compare.equal_macs": False}), [], 1, runs=tmp_path)
    longer = make_study({"compare.equal_macs": False, "compare.epochs": 3})
    second = compare(longer, [], 1, runs=tmp_path)
    assert not first.networks["test/level/mae"].equals(second.networks["test/level/mae"])


def test_found_may_come_from_another_run(make_study: Make, tmp_path: Path) -> None:
    from sfg_nas.study import search

    run = search(make_study({"name": "searched"}), runs=tmp_path, trials=1)
    study = make_study({"compare.equal_macs": False})
    found = compare(study, ["found"], 1, runs=tmp_path, source=run)
    own = found.networks.set_index("method")
    assert own.loc["found", "macs"] == run.best.architecture.macs
    assert not (found.folder / "trials").exists()
    page = (found.folder / "compare.md").read_text()
    assert "`found` is trial 0 of 1 complete one of the run searched, chosen" in page
    other = make_study({"tasks": {"level": {}}})
    words = (
        r"trial 0 of .*searched: the tasks of tiny, level, are needed; found bright, level; give"
    )
    with pytest.raises(ConfigError, match=words):
        compare(other, ["found"], 1, runs=tmp_path / "other", source=run)
    with pytest.raises(ConfigError, match=r"compare\.trial.*the complete trials are 0"):
        compare(make_study({"compare.trial": 7}), ["found"], 1, runs=tmp_path, source=run)


def test_a_method_that_fails_is_said_and_the_others_stand(
    make_study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = METHODS["constant-mask"]

    def broken(*_: object) -> object:
        entrant = kind.make(*_)

        def prepare(factor: float, **words: float) -> object:
            del factor, words
            raise TrainingError("the mask fell off")

        return dataclasses.replace(entrant, prepare=prepare)

    monkeypatch.setitem(METHODS, "constant-mask", dataclasses.replace(kind, make=broken))
    study = make_study({"compare.equal_macs": False})
    found = compare(study, ["constant-mask"], 2, runs=tmp_path)
    assert set(found.networks["method"]) == {"single-task", "hard-sharing"}
    assert any("the mask fell off" in note for note in found.notes)
    assert "the mask fell off" in (found.folder / "compare.md").read_text()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
@pytest.mark.parametrize("part", ["made", "trained", "tested"])
def test_a_method_that_lacks_memory_is_said_and_tried_again_by_the_next_call(
    make_study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, error: Exception
) -> None:
    kind, said = METHODS["constant-mask"], [""]
    study = make_study({"compare.equal_macs": False})

    def lacking(*_: object) -> object:
        raise error

    def scarce(*_: object) -> object:
        entrant = kind.make(*_)

        def prepare(factor: float, **words: int) -> Prepared:
            made = entrant.prepare(factor, **words)
            if part == "made":
                lacking()
            if part == "trained":
                made.method.loss = lacking
            if part == "tested":
                whole = made.method.module.forward
                made.method.module.forward = lambda images: (
                    lacking() if said[-1].startswith("testing") else whole(images)
                )
            return made

        return dataclasses.replace(entrant, prepare=prepare)

    with monkeypatch.context() as changed:
        changed.setitem(METHODS, "constant-mask", dataclasses.replace(kind, make=scarce))
        found = compare(
            study, ["constant-mask"], 2, runs=tmp_path, progress=lambda now: said.append(now.text)
        )
    assert set(found.networks["method"]) == {"single-task", "hard-sharing"}
    (note,) = (note for note in found.notes if note.startswith("constant-mask"))
    assert "(own), seeds 0, 1 failed: " in note
    assert "all of it must fit into memory; found too little" in note
    found = compare(study, ["constant-mask"], 2, runs=tmp_path)
    assert "constant-mask" in set(found.networks["method"])
    assert not any(note.startswith("constant-mask") for note in found.notes)


def test_a_method_that_fails_on_the_test_part_is_said_and_the_others_stand(
    make_study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study({"compare.equal_macs": False})
    whole, calls = job.read_out, []

    def read_out(prepared: Prepared, setting: Setting, images: object) -> list[dict[str, object]]:
        if images is study.data.test and prepared.architecture is not None:
            calls.append(prepared)
            raise TrainingError("evaluation of task level: every output must be finite")
        return whole(prepared, setting, images)  # type: ignore[arg-type]

    monkeypatch.setattr(job, "read_out", read_out)
    words = "constant-mask (own), seed 0 failed: on the test part: evaluation of task level"
    for _ in range(2):
        found = compare(study, ["constant-mask"], 1, runs=tmp_path)
        assert set(found.networks["method"]) == {"single-task", "hard-sharing"}
        assert any(note.startswith(words) for note in found.notes)
    assert len(calls) == 1  # the same training would fail again


def test_weights_that_are_damaged_are_said_with_what_to_do(
    make_study: Make, tmp_path: Path
) -> None:
    study = make_study({"compare.equal_macs": False})
    folder = compare(study, ["nddr"], 1, runs=tmp_path).folder / "compared/nddr/own/0"
    (folder / "test.json").unlink()
    (folder / "network.safetensors").write_bytes(b"cut")
    with pytest.raises(ArchitectureError, match="remove its folder: it is trained anew"):
        compare(study, ["nddr"], 1, runs=tmp_path)
    shutil.rmtree(folder)
    assert "nddr" in set(compare(study, ["nddr"], 1, runs=tmp_path).networks["method"])


def test_a_training_without_scores_or_a_reason_is_no_silent_gap(
    make_study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study({"compare.equal_macs": False})
    whole = Team.test

    def test(team: Team, jobs: Sequence[Job]) -> None:
        whole(team, [one for one in jobs if one.entrant != "constant-mask"])

    monkeypatch.setattr(Team, "test", test)
    with pytest.raises(TrainingError, match=r"neither from constant-mask \(own\), seed 0; call"):
        compare(study, ["constant-mask"], 1, runs=tmp_path)
    monkeypatch.setattr(Team, "test", whole)
    assert "constant-mask" in set(
        compare(study, ["constant-mask"], 1, runs=tmp_path).networks["method"]
    )


def test_a_reference_that_diverges_ends_it_with_the_reason(
    make_study: Make, tmp_path: Path
) -> None:
    study = make_study({"compare.equal_macs": False, "compare.learning_rate": 1e30})
    words = r"compare: the references must be trained.*single-task \(own\), seed 0 failed: training: epoch 1"
    with pytest.raises(TrainingError, match=words):
        compare(study, ["constant-mask"], 1, runs=tmp_path)


def test_a_data_set_may_add_a_section(
    make_study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def section(study: Study, files: object, networks: pd.DataFrame) -> str:
        seen.append((study, files, len(networks)))
        return "## What only we know"

    monkeypatch.setitem(EXTRA_REPORTS, "tiny", section)
    study = make_study({"compare.equal_macs": False})
    found = compare(study, [], 1, runs=tmp_path)
    assert seen[0][2] == 2
    assert "## What only we know" in (found.folder / "compare.md").read_text()


def test_names_are_checked_and_expanded(make_study: Make, tmp_path: Path) -> None:
    from sfg_nas.compare import Setting
    from sfg_nas.study import RunFiles

    setting = Setting(make_study(), RunFiles(tmp_path))
    assert expand(setting, ["tree-split"]) == ["tree-split-1"]
    assert expand(setting, ["hard-sharing-scaled"]) == [
        "hard-sharing-scaled-0.5",
        "hard-sharing-scaled-0.75",
    ]
    assert expand(setting, ["hard-sharing-scaled-0.3"]) == ["hard-sharing-scaled-0.3"]
    # One method is one method, however its number is written: its seeds would count twice.
    assert expand(setting, ["tree-split-01", "tree-split-1"]) == ["tree-split-1"]
    widths = [f"hard-sharing-scaled-{text}" for text in ("0.5", ".50", "0.00001", "1.0", "1")]
    assert expand(setting, widths) == [widths[0], widths[2], widths[4]]
    with pytest.raises(ConfigError, match="did you mean `cross-stitch`"):
        compare(make_study(), ["cross-stich"], runs=tmp_path)
    with pytest.raises(ConfigError, match="split"):
        compare(make_study(), ["tree-split-9"], 1, runs=tmp_path)


def test_one_seed_gives_no_verdict(small: Small) -> None:
    _, found = small("constant-mask", seeds=1)
    assert found.verdict[0].startswith("Single seed")
    assert "Single seed" in (found.folder / "compare.md").read_text()
    assert found.paired["low"].isna().all()
