from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfg_nas.config import load_study_config, parse_yaml, shipped

DIGITS = "data: {kind: digits, train: 96, validation: 48, test: 48}"
FACES = "data: {kind: utkface}"


def test_init_writes_studies_that_are_valid_there(call: Callable, tmp_path: Path) -> None:
    answer = call("init", tmp_path / "new", "--json")
    written = json.loads(answer.out)["written"]
    assert answer.code == 0
    assert all(Path(path).is_file() for path in written)
    studies = [path for path in written if Path(path).parent.name == "studies"]
    assert studies
    for path in studies:
        assert call("validate", path).code == 0
    assert json.loads((tmp_path / "new/study.schema.json").read_text())["title"] == "sfg_nas study"
    first = Path(studies[0]).read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=../study.schema.json"


def test_init_writes_over_nothing(call: Callable, tmp_path: Path) -> None:
    call("init", tmp_path)
    kept = tmp_path / "studies/digits.yaml"
    kept.write_text("mine")
    answer = call("init", tmp_path)
    assert answer.code == 2
    assert "--force" in answer.err
    assert kept.read_text() == "mine"
    assert call("init", tmp_path, "--force").code == 0
    assert kept.read_text() != "mine"


def test_validate_shows_the_resolved_study(call: Callable, study: Path) -> None:
    answer = call("validate", study, "--show", "--set", "training.epochs=7")
    assert answer.code == 0
    value = parse_yaml(answer.out).value
    assert isinstance(value, dict)
    resolved = load_study_config(value)
    assert resolved.training.epochs == 7
    assert isinstance(resolved.search.space, dict)


def test_validate_accepts_a_shipped_name_and_a_named_space(call: Callable) -> None:
    answer = call("validate", "digits", "--set", "search.space=full", "--json")
    assert answer.code == 0
    given = parse_yaml(shipped("search_spaces")["full"].read_text(encoding="utf-8"), name="full")
    assert isinstance(given.value, dict)
    assert len(given.value) > 10
    # what depends on a key that does not vary here is decided by the study
    assert set(json.loads(answer.out)["study"]["search"]["space"]) <= set(given.value)


def test_validate_counts_in_words(call: Callable, study: Path) -> None:
    one = call("validate", study, "--set", "search.trials=1").out
    assert "valid: 1 trial of 1 epoch, 2 dimensions, vgg11 on digits" in one
    assert (
        "valid: 2 trials of 3 epochs" in call("validate", study, "--set", "training.epochs=3").out
    )


def test_validate_looks_at_what_is_compared(call: Callable, study: Path) -> None:
    study.write_text(study.read_text() + "compare: {methods: [fund, tree-split-9], trial: 2}\n")
    answer = call("validate", study, "--set", "training.epochs=0")
    assert answer.code == 2
    assert "training.epochs" in answer.err  # all at once
    assert f"{study}:12: compare.methods.0: one of single-task, " in answer.err
    assert "did you mean `found`?" in answer.err
    fixed = ("--set", "compare.methods=[found,tree-split-9]")
    answer = call("validate", study, *fixed)
    assert "compare.trial: `best` or the number of a complete trial is needed" in answer.err
    fixed += ("--set", "compare.trial=1")
    assert call("validate", study, *fixed).code == 0
    answer = call("validate", study, *fixed, "--data")  # how many layers there are
    assert answer.code == 2
    assert "compare.methods: tree-split-9: " in answer.err
    assert call("validate", study, "--set", "compare.methods=[tree-split-2]", "--data").code == 0


def test_validate_makes_the_network_where_it_loads_the_data(call: Callable, study: Path) -> None:
    deep = ("validate", study, "--set", "backbone.depth=99")
    assert call(*deep).code == 0
    answer = call(*deep, "--data")
    assert answer.code == 2
    assert "backbone.depth: 1 <= depth <= 8" in answer.err
    late = call("validate", study, "--set", "sharing.branch_from=9", "--data")
    assert (late.code, "sharing.branch_from: `0 <= branch_from <= 3`" in late.err) == (2, True)
    # a comparison without a search asks for the networks that it names alone
    text = study.read_text()
    study.write_text(text[: text.index("search:")] + "compare: {methods: [single-task]}\n")
    assert call("validate", study, "--set", "sharing.branch_from=9", "--data").code == 0


@pytest.mark.parametrize("study", ["digits", "utkface"])
def test_every_shipped_study_is_valid(call: Callable, study: str) -> None:
    assert call("validate", study).code == 0


BAD = [
    ("training: {epochs: 1,", "training: {epoch: 1,", "training.epoch", "did you mean `epochs`"),
    ("training: {epochs: 1,", "training: {epochs: one,", "training.epochs", "whole number"),
    ("near-shared}", "near-shared}, temperature: {start: 1, end: 2}", "temperature.end", "end <= start"),
    ("depth: 3", "depth: 0", "backbone.depth", "above 0"),
    ("kind: vgg11", "kind: vgg12", "backbone.kind", "did you mean `vgg1"),
    ("kind: digits", "kind: digit", "data.kind", "did you mean `digits`"),
    ("kind: digits,", "kind: digits, trian: 3,", "data.trian", "did you mean `train`"),
    ("depth: 3}", "depth: 3}\ntasks: {middle: }", "middle", "left, right, sum"),
    ("backbone.depth: {", "backbone.dept: {", "backbone.dept", "did you mean `backbone.depth`"),
    ("low: 2, high: 3", "low: 0, high: 3", "backbone.depth.low", "above 0"),
    ("name: small", "name: small\nname: again", "name", "stands once"),
    ("name: small", "name: !!python/name:os.system", "small.yaml:1", "tags"),
    (DIGITS, FACES, "data root", "--data-root"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "where", "part"), BAD)
@pytest.mark.parametrize("command", ["validate", "search"])
def test_bad_studies(
    call: Callable, study: Path, command: str, old: str, new: str, where: str, part: str
) -> None:
    text = study.read_text()
    assert old in text
    study.write_text(text.replace(old, new, 1))
    extra = ["--data"] if command == "validate" else ["--runs", study.parent / "runs"]
    answer = call(command, study, *extra)
    assert answer.code == 2
    assert where in answer.err
    assert part in answer.err
    assert "; found " in answer.err
    assert "Traceback" not in answer.err
    assert answer.out == ""
    assert not (study.parent / "runs").exists()


@pytest.mark.parametrize("there", ["no folder", "an empty folder", "a file"])
def test_missing_and_empty_data(call: Callable, study: Path, there: str) -> None:
    study.write_text(study.read_text().replace(DIGITS, FACES))
    root = study.parent / "data"
    root.mkdir()
    if there == "an empty folder":
        (root / "utkface").mkdir()
    elif there == "a file":
        (root / "utkface").write_text("x")
    answer = call("search", study, "--data-root", root, "--cache", study.parent / "cache")
    assert answer.code == 2
    assert "utkface" in answer.err
    assert len(answer.err.splitlines()) == 1


def test_all_errors_of_file_and_options_at_once(call: Callable, study: Path) -> None:
    study.write_text(study.read_text().replace("depth: 3}", "depth: x}").replace("name", "nam"))
    answer = call("validate", study, "--set", "training.epochs=0", "--json")
    assert answer.code == 2
    said = json.loads(answer.out)
    assert said["valid"] is False
    assert len(said["errors"]) == 4
    assert answer.err.startswith("error: 4 things are wrong")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["validate", "nothing.yaml"], "no such file"),
        (["validate", "digit"], "did you mean `digits`"),
        (["validate", "."], "no plain file"),
        (["validate", "digits", "--set", "x"], "`key=value`"),
        (["validate"], "Missing argument"),
        (["validate", "digits", "--nonsense"], "No such option"),
        (["nonsense"], "No such command"),
        (["search", "digits", "--data-root", "nowhere"], "--data-root"),
        (["search", "digits", "--trials", "0"], "--trials"),
        (["search", "digits", "--device", "cuda9"], "cuda9"),
    ],
)
def test_bad_arguments(call: Callable, arguments: list[str], part: str) -> None:
    answer = call(*arguments)
    assert answer.code == 2
    assert part in answer.err
    assert "Traceback" not in answer.err


def test_validate_says_what_the_data_holds(call: Callable, tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    lines = ["file,colour,size"]
    for number in range(40):
        pixels = np.random.default_rng(number).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pics" / f"{number}.png")
        lines.append(
            f"pics/{number}.png,{'red' if number % 4 else 'blue'},{number if number % 2 else ''}"
        )
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    study = tmp_path / "s.yaml"
    study.write_text(
        "name: s\nbackbone: {kind: vgg11, depth: 2}\ndata: {kind: table, table: t.csv, size: 8, tasks: {"
        "colour: {kind: classification}, size: {kind: regression, unit: mm}}}\n",
        encoding="utf-8",
    )
    said = json.loads(call("validate", study, "--data", "--json").out)["data"]
    assert sum(said["parts"].values()) == 40
    assert said["image_shape"] == [3, 8, 8]
    colour, size = said["tasks"]
    parts = ("train", "validation", "test")
    assert [colour[part] for part in parts] == [said["parts"][part] for part in parts]
    assert sum(size[part] for part in parts) == 20
    counts = [int(word.strip(",")) for word in colour["labels to train on"].split()[1::2]]
    assert sum(counts) == said["parts"]["train"]
    assert size["labels to train on"].split(",")[0].endswith(" mm")
    plain = call("validate", study, "--data").out
    assert f"images: {said['parts']['train']} train" in plain
    assert colour["labels to train on"] in plain
