"""`compare` as a command."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from sfg_nas.compare import Workers
from sfg_nas.errors import ConfigError
from sfg_nas.study import Study

Call = Callable[..., object]


def test_compare_prints_the_page_and_goes_on(call: Call, study: Path, tmp_path: Path) -> None:
    study.write_text(study.read_text() + "compare: {equal_macs: false}\n")
    options = ["--runs", tmp_path, "--seeds", "2", "--methods", "constant-mask", "--device", "cpu"]
    answer = call("compare", study, *options)
    assert answer.code == 0, answer.err
    assert "## Verdict" in answer.out
    assert "training constant-mask" in answer.err
    for name in ("compare.csv", "compare_paired.csv", "compare.md", "compare.tex", "compare.svg"):
        assert (tmp_path / "small" / name).exists()
    again = call("compare", study, *options, "--json")
    assert again.code == 0
    said = json.loads(again.out)
    assert {row["method"] for row in said["networks"]} >= {"single-task", "constant-mask"}
    assert "epoch" not in again.err


def test_the_page_holds_the_command_without_folders_of_this_machine(
    call: Call, study: Path, tmp_path: Path
) -> None:
    options = ["--methods", "nddr", "--seeds", "1", "--set", "compare.equal_macs=false"]
    options += ["--set", "compare.tolerance=0.5", "--device", "cpu", "--precision", "32"]
    answer = call(
        "compare", study, *options, "--workers", "1", "--data-root", tmp_path, "--runs", tmp_path
    )
    assert answer.code == 0, answer.err
    text = (tmp_path / "small" / "compare.md").read_text()
    wanted = (
        f"sfg-nas compare {study.name} --methods nddr --seeds 1 --set compare.equal_macs=false "
        "--set compare.tolerance=0.5 --device cpu --precision 32 --data-root DIR --runs RUNS"
    )
    assert f"\n{wanted}\n" in text
    assert "`DIR` is the folder that holds the data sets (or set `SFG_NAS_DATA`)" in text
    assert str(tmp_path) not in text
    again = call("report", "small", "--runs", tmp_path)
    assert again.code == 0, again.err
    page = (tmp_path / "small" / "report.html").read_text()
    assert f"<dt>compare was called with</dt><dd>{wanted}</dd>" in page
    short = "sfg-nas compare study.yaml --methods nddr --seeds 1 --device cpu --runs NEW"
    assert short in page


def test_wrong_names_are_said_at_once(call: Call, study: Path, tmp_path: Path) -> None:
    answer = call("compare", study, "--methods", "cross-stich", "--runs", tmp_path)
    assert answer.code == 2
    assert "did you mean `cross-stitch`" in answer.err
    study.write_text(study.read_text() + "compare: {seedz: 3}\n")
    answer = call("compare", study, "--runs", tmp_path)
    assert answer.code == 2
    assert "did you mean `seeds`" in answer.err
    assert "Traceback" not in answer.err


def test_the_methods_are_listed(call: Call) -> None:
    answer = call("list", "baselines", "--json")
    names = {row["name"] for row in json.loads(answer.out)}
    assert {"cross-stitch", "constant-p", "found", "tree-split"} <= names


def test_workers_read_what_was_begun_though_the_study_is_changed_meanwhile(
    call: Call, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(ready: Study, *_: object, workers: Workers, **__: object) -> None:
        study.write_text(study.read_text() + "training: {batch_size: 3}\n")
        assert workers.reload is not None
        again = pickle.loads(pickle.dumps(workers.reload))()  # noqa: S301 (our own)
        assert (again.config, again.space, again.folder) == (
            ready.config,
            ready.space,
            ready.folder,
        )
        assert again.data.fingerprint == ready.data.fingerprint
        raise ConfigError("seen")

    text = study.read_text()
    study.write_text("".join(x for x in text.splitlines(True) if not x.startswith("training")))
    monkeypatch.setattr("sfg_nas.compare.compare", asked)
    options = ["--set", "training.epochs=1", "--precision", "64", "--device", "cpu"]
    answer = call("compare", study, *options, "--workers", "2", "--runs", tmp_path)
    assert (answer.code, "seen" in answer.err) == (2, True), answer.err
