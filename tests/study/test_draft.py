"""A study written from a table is valid, runs, and what it finds works on new images."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfg_nas.cli import run
from sfg_nas.study import draft_study, load_study
from tests.scenes import write_scenes

COUNT = 80


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with images whose brightness is a number, a level and a class."""
    place = tmp_path / "own"
    (place / "pics").mkdir(parents=True)
    lines = ["file,brightness_px,mood,level,wears"]
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        bright = int(rng.integers(40, 216))
        pixels = np.clip(rng.normal(bright, 20, (20, 20, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(place / "pics" / f"{number}.png")
        mood = "" if number % 9 == 0 else ("dark", "light")[bright > 128]
        level = ("low", "medium", "high")[min(bright // 72, 2)]
        wears = ("none", "hat", "hat;ring", "ring")[bright % 4]
        value = "" if number % 7 == 0 else f"{bright}.5"
        lines.append(f"pics/{number}.png,{value},{mood},{level},{wears}")
    (place / "pics" / "3.png").write_bytes(b"broken")
    (place / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    return place


def test_the_draft_says_what_it_guessed(folder: Path) -> None:
    draft = draft_study(folder / "labels.csv", folder, schema="s.json")
    assert draft.name == "labels"
    assert "table: labels.csv" in draft.text
    assert "size: 16" in draft.text
    assert "stratify: mood" in draft.text
    said = "\n".join(draft.said)
    for word in ("80 rows", "brightness_px: regression", "mood: classification", "level: ordinal"):
        assert word in said
    path = folder / "x.yaml"
    path.write_text(draft.text, encoding="utf-8")
    study = load_study(path, cache=folder / "cache")
    assert [task.unit for task in study.tasks] == ["pixels", None, None, None]
    assert [task.kind for task in study.tasks] == [
        "regression", "classification", "ordinal", "multi-label",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("shapes", "size"),
    [
        ([(45, 32)] * 20, "[32, 48]"),  # width, height
        ([(32, 45)] * 20, "[48, 32]"),
        ([(300, 64)] * 20, "64"),  # a strip
        ([(40, 30)] * 15 + [(30, 40)] * 5, "16"),
        ([(33, 32)] * 20, "32"),
    ],
)
def test_images_of_one_shape_keep_it(
    shapes: list[tuple[int, int]], size: str, tmp_path: Path
) -> None:
    for number, shape in enumerate(shapes):
        Image.new("RGB", shape, (9 * number, 0, 0)).save(tmp_path / f"{number}.png")
    lines = ["file,x", *(f"{number}.png,{number % 5}.5" for number in range(len(shapes)))]
    (tmp_path / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    draft = draft_study(tmp_path / "t.csv", tmp_path, schema="s.json")
    assert f"  size: {size}  # pixels" in draft.text
    assert any(f"size: {size}" in said for said in draft.said) == ("[" in size)
    path = tmp_path / "t.yaml"
    path.write_text(draft.text, encoding="utf-8")
    study = load_study(path, cache=tmp_path / "cache")
    assert list(study.data.image_shape[1:]) == [int(side) for side in re.findall(r"\d+", size)] * (
        1 if "[" in size else 2
    )


Ask = Callable[..., str]


@pytest.fixture
def ask(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Return a command line in a folder of its own, which gives what a command prints."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        assert run(list(arguments)) == code, capsys.readouterr().err
        return capsys.readouterr().out

    return call


@pytest.mark.slow
def test_init_search_retrain_evaluate_predict(folder: Path, tmp_path: Path, ask: Ask) -> None:
    own = ["--runs", str(tmp_path / "runs"), "--device", "cpu"]
    cache = ["--cache", str(tmp_path / "cache")]
    table = str(folder / "labels.csv")
    said = json.loads(ask("init", "made", "--from", table, "--json"))
    study = "made/labels.yaml"
    assert study in said["written"]
    assert any("mood" in line for line in said["guessed"])
    text = Path(study).read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=study.schema.json\n")
    assert Path("made/study.schema.json").is_file()
    ask("init", "made", "--from", table, code=2)  # nothing is written over
    ask("validate", study, "--data", *cache)
    small = ["--set", "training.batch_size=16", "--set", "backbone.width=0.125"]
    ask("search", study, "--smoke", *small, *own, *cache, "-q")
    ask("retrain", "labels-smoke", *own, *cache, "-q")
    networks = sorted(
        (tmp_path / "runs" / "labels-smoke" / "retrained").glob("*/*/prediction.json")
    )
    assert networks
    network = str(networks[0].parent)
    scored = json.loads(ask("evaluate", network, "--json", "--device", "cpu", *cache))
    assert {"brightness_px/mae", "mood/accuracy", "level/mae", "wears/average_precision"} <= set(
        scored
    )
    again = json.loads(ask("evaluate", network, "--split", table, "--json", "--device", "cpu"))
    assert again["images"] == COUNT - 1
    assert again["unreadable"] == 1
    rows = list(
        csv.DictReader(
            io.StringIO(ask("predict", network, str(folder / "pics"), "--device", "cpu"))
        )
    )
    assert len(rows) == COUNT - 1
    assert {row["mood"] for row in rows} <= {"dark", "light"}
    assert {row["level"] for row in rows} <= {"low", "medium", "high"}
    assert all(0 <= float(row["wears/hat"]) <= 1 for row in rows)


@pytest.mark.slow
def test_the_same_with_label_images(tmp_path: Path, ask: Ask) -> None:
    table = str(write_scenes(tmp_path / "own", 40))
    own = ["--runs", "runs", "--device", "cpu", "--cache", "cache", "-q"]
    said = json.loads(ask("init", "made", "--from", table, "--json"))
    assert len([line for line in said["guessed"] if "its images hold" in line]) == 4
    study = "made/scenes.yaml"
    ask("validate", study, "--data", "--cache", "cache")
    small = ["--set", "backbone.width=0.125", "--set", "data.size=16"]
    ask("search", study, "--smoke", *small, *own)
    ask("retrain", "scenes-smoke", "--seeds", "1", *own)
    found = sorted(tmp_path.glob("runs/scenes-smoke/retrained/*/0/prediction.json"))
    network = str(found[0].parent)
    scored = json.loads(ask("evaluate", network, "--json", "--cache", "cache"))
    wanted = {"ball/dice", "depth/mae", "faces/angle", "parts/dice/foreground", "side/accuracy"}
    assert wanted <= set(scored)
    again = json.loads(ask("evaluate", network, "--split", table, "--json"))
    assert wanted <= set(again)
    assert again["images"] == 40
    ask("predict", network, "own/photos", "--to", "out")
    rows = list(csv.DictReader(io.StringIO(Path("out/predictions.csv").read_text("utf-8"))))
    assert len(rows) == 40
    assert len(list(Path("out").iterdir())) == 161
    for row in rows[:3]:
        ball, parts, faces = (
            np.asarray(Image.open(Path(row[f"{name}/image"])).convert("RGB"))
            for name in ("ball", "parts", "faces")
        )
        assert ball.shape == parts.shape == faces.shape == (24, 32, 3)
        assert set(np.unique(ball[:, 4:28])) <= {0, 255}
        assert {tuple(colour) for colour in parts[:, 4:28].reshape(-1, 3)} <= {
            (0, 0, 0),
            (255, 128, 0),
        }
        assert np.load(row["depth/image"]).shape == (24, 32)


def test_images_below_another_folder_are_found_and_said(folder: Path) -> None:
    moved = folder / "photos" / "of 2024"
    moved.mkdir(parents=True)
    (folder / "pics").rename(moved / "pics")
    table = folder / "the labels.csv"
    (folder / "labels.csv").rename(table)
    draft = draft_study(table, folder, schema="s.json")
    assert (
        f"the images lie below {moved}: give every command `--data-root '{moved}'`, or set SFG_NAS_DATA"
        in draft.said
    )
    assert "`sfg-nas init --from 'the labels.csv'`" in draft.text
    assert "size: 16" in draft.text
    path = folder / "x.yaml"
    path.write_text(draft.text, encoding="utf-8")
    study = load_study(path, data_root=moved, cache=folder / "cache")
    assert len(study.data.train) > COUNT / 2


def test_images_that_are_nowhere_are_said(folder: Path) -> None:
    (folder / "pics").rename(folder / "others")
    table = folder / "2024.csv"
    (folder / "labels.csv").rename(table)
    draft = draft_study(table, folder, schema="s.json")
    assert "\nname: '2024'\n" in draft.text  # a text, not a number
    assert f"none of the images was found below {folder}: check their paths" in draft.said
    assert not any("--data-root" in line for line in draft.said)
