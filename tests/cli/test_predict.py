from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sfg_nas.study import load_study
from sfg_nas.training import predict as outputs_of


@pytest.fixture
def network(runs: Path, tmp_path: Path) -> Path:
    """Return a copy of a retrained network that lies in no run."""
    source = next((runs / "small/retrained").glob("*/0/architecture.json")).parent
    return Path(shutil.copytree(source, tmp_path / "network"))


@pytest.fixture
def photos(runs: Path, tmp_path: Path) -> Path:
    """Return a folder with the first images of the test part."""
    folder = tmp_path / "photos"
    folder.mkdir()
    test = load_study(runs / "small/study.yaml").data.test
    for i in range(3):
        Image.fromarray(np.asarray(test.images[test.indices[i], 0])).save(folder / f"{i}.png")
    return folder


def test_it_says_what_the_network_says(
    call: Callable, runs: Path, network: Path, photos: Path
) -> None:
    from sfg_nas.cli.networks import open_network

    study = load_study(runs / "small/study.yaml")
    few = study.data.test.take(np.arange(3))
    wanted, _ = outputs_of(open_network(network, "cpu"), few, study.tasks)
    answer = call("predict", network, photos, "--json", "--device", "cpu")
    assert answer.code == 0
    said = json.loads(answer.out)
    assert said["units"] == {"sum": None}
    assert said["unreadable"] == []
    left, total = study.tasks[0], study.tasks[2]
    for row, value in zip(said["predictions"], total.decode(wanted["sum"]), strict=True):
        assert row["sum"] == pytest.approx(float(value), rel=1e-5)
    for i, row in enumerate(said["predictions"]):
        shares = [row[f"left/{k}"] for k in range(left.outputs)]
        assert shares == pytest.approx(wanted["left"].softmax(-1)[i].tolist(), abs=1e-6)
        assert row["left"] == int(torch.tensor(shares).argmax())


def test_numbers_far_from_zero_keep_what_tells_them_apart(
    call: Callable, network: Path, photos: Path
) -> None:
    path = network / "prediction.json"
    plain = json.loads(call("predict", network, photos, "--json", "--device", "cpu").out)
    content = json.loads(path.read_text())
    (task,) = (task for task in content["tasks"] if task["name"] == "sum")
    task["center"] += 1.2e6 + 0.4
    path.write_text(json.dumps(content))
    moved = json.loads(call("predict", network, photos, "--json", "--device", "cpu").out)
    for near, far in zip(plain["predictions"], moved["predictions"], strict=True):
        assert far["sum"] - 1.2e6 - 0.4 == pytest.approx(near["sum"], abs=0.051)


def test_files_folders_tables_and_what_cannot_be_read(
    call: Callable, network: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "notes.txt").write_text("no image")
    table = tmp_path / "list.csv"
    table.write_text("file\nphotos/0.png\nphotos/gone.png\n")
    to = tmp_path / "out/said.csv"
    answer = call(
        "predict", network, photos / "1.png", photos, table, "--to", to, "--device", "cpu"
    )
    assert answer.code == 0
    assert answer.out == ""
    rows = list(csv.DictReader(io.StringIO(to.read_text())))
    assert [Path(row["file"]).name for row in rows] == ["1.png", "0.png", "1.png", "2.png", "0.png"]
    assert rows[0] == {**rows[2], "file": rows[0]["file"]}
    assert "notes.txt" in answer.err
    assert "gone.png" in answer.err
    assert "2 of 7 files could not be read" in answer.err


def test_a_task_named_file_leaves_the_photos_their_names(
    call: Callable, network: Path, photos: Path
) -> None:
    for name in ("architecture.json", "prediction.json"):
        text = (network / name).read_text()
        (network / name).write_text(text.replace('"left"', '"file"'))
    answer = call("predict", network, photos / "1.png", "--json", "--device", "cpu")
    assert answer.code == 0, answer.err
    row = json.loads(answer.out)["predictions"][0]
    assert row["path"] == str(photos / "1.png")
    assert row["file"] in range(10)


def test_colours_alpha_and_sixteen_bits(call: Callable, network: Path, photos: Path) -> None:
    grey = Image.open(photos / "0.png")
    for mode in ("RGB", "RGBA", "LA"):
        grey.convert(mode).save(photos / f"0-{mode}.png")
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(photos / "0-wide.png")
    answer = call("predict", network, *sorted(photos.glob("0*")), "--device", "cpu")
    rows = list(csv.DictReader(io.StringIO(answer.out)))
    assert len(rows) == 5
    assert len({row["sum"] for row in rows}) == 1


def test_the_window_of_training_is_that_of_new_scans(
    call: Callable, network: Path, photos: Path, tmp_path: Path
) -> None:
    """What `prediction.json` says of grey values holds in `predict` and in `evaluate`."""
    path = network / "prediction.json"
    kept = json.loads(path.read_text())
    assert kept["window"] is None
    path.write_text(json.dumps({**kept, "window": [100, 100 + 8 * 255]}))
    scans = tmp_path / "scans"
    scans.mkdir()
    for photo in photos.iterdir():
        Image.fromarray(np.asarray(Image.open(photo)).astype(np.uint16) * 8 + 100).save(
            scans / photo.name
        )
    said = []
    for folder in (photos, scans):
        answer = call("predict", network, folder, "--json", "--device", "cpu")
        said.append([{**row, "file": ""} for row in json.loads(answer.out)["predictions"]])
        table = tmp_path / f"{folder.name}.csv"
        table.write_text("file,sum,left\n0.png,3,1\n1.png,4,2\n2.png,9,3\n")
        answer = call(
            "evaluate",
            network,
            "--split",
            f"{table}:",
            "--data",
            folder,
            "--json",
            "--device",
            "cpu",
        )
        assert answer.code == 0, answer.err
        assert "whole numbers" not in answer.err
        said.append({**json.loads(answer.out), "part": ""})
    assert said[0] == said[2]
    assert said[1] == said[3]
    path.write_text(json.dumps(kept))
    lost = r"warning: 3 images hold whole numbers from 1\d\d to \d+, of which 256 grey levels keep \d; `window: "
    for words in (
        ["predict", network, scans],
        ["evaluate", network, "--split", tmp_path / "scans.csv", "--data", scans],
    ):
        assert re.search(lost, call(*words, "--device", "cpu").err)
    assert "whole numbers" not in call("predict", network, photos, "--device", "cpu").err


def test_exit_codes(call: Callable, network: Path, photos: Path, tmp_path: Path) -> None:
    answer = call("predict", network, tmp_path / "gone.png", "--json", "--device", "cpu")
    assert answer.code == 1
    assert json.loads(answer.out)["predictions"] == []
    assert "gone.png" in answer.err
    quiet = call("predict", network, tmp_path / "gone.png", tmp_path / "lost.png", "-q")
    assert quiet.code == 1
    assert "error: FILES: a file that can be read is needed; found" in quiet.err
    assert "and 1 more; check the paths" in quiet.err
    (tmp_path / "empty").mkdir()
    wrong = [
        ("predict", network, tmp_path / "empty"),
        ("predict", tmp_path, photos),
        ("predict", network, photos, "--to", photos),
        ("predict", network, tmp_path / "none.csv"),
    ]
    for arguments in wrong:
        answer = call(*arguments)
        assert answer.code == 2
        assert "Traceback" not in answer.err
    (network / "prediction.json").unlink()
    answer = call("predict", network, photos)
    assert answer.code == 2
    assert "prediction.json" in answer.err


def test_a_file_of_another_network(call: Callable, network: Path, photos: Path) -> None:
    path = network / "prediction.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"shape": [1, 8, 8]}))
    answer = call("predict", network, photos)
    assert answer.code == 2
    assert "[1, 16, 16]" in answer.err
    (network / "network.safetensors").write_bytes(b"not weights")
    answer = call("predict", network, photos)
    assert answer.code == 2
    assert "network.safetensors" in answer.err
    assert "Traceback" not in answer.err


def test_evaluate_on_a_table(
    call: Callable, runs: Path, network: Path, photos: Path, tmp_path: Path
) -> None:
    test = load_study(runs / "small/study.yaml").data.test
    table = tmp_path / "mine.csv"
    lines = ["file,split,left,sum"]
    for i in range(3):
        left, total = (test.targets[name][i].item() for name in ("left", "sum"))
        lines.append(f"{i}.png,mine,{left},{total}")
    table.write_text("\n".join([*lines, "gone.png,mine,1,1", "2.png,other,0,0"]))
    split = f"{table}:mine"
    answer = call(
        "evaluate", network, "--data", photos, "--split", split, "--json", "--device", "cpu"
    )
    assert answer.code == 0
    said = json.loads(answer.out)
    assert (said["images"], said["unreadable"]) == (3, 1)
    assert "right/accuracy" not in said
    assert "no labels of right" in answer.err
    rows = json.loads(call("predict", network, photos, "--json", "--device", "cpu").out)
    errors = [
        abs(row["sum"] - test.targets["sum"][i].item()) for i, row in enumerate(rows["predictions"])
    ]
    assert said["sum/mae"] == pytest.approx(sum(errors) / 3, rel=1e-4)
    for wrong in (f"{table}:none", "none.csv:mine", "tset"):
        answer = call("evaluate", network, "--data", photos, "--split", wrong)
        assert answer.code == 2
        assert "Traceback" not in answer.err
    assert call("evaluate", network, "--data", photos).code == 2
    assert call("evaluate", network, "--data", photos / "none").code == 2


def test_a_run_stands_for_its_one_retrained_network(
    call: Callable, runs: Path, photos: Path, tmp_path: Path
) -> None:
    shutil.copytree(runs / "small", tmp_path / "runs/small")
    run = tmp_path / "runs/small"
    kept = next(path.parent for path in (run / "retrained").glob("*/0/architecture.json"))
    for other in (run / "retrained").glob("*/*/architecture.json"):
        if other.parent.parent != kept.parent:
            shutil.rmtree(other.parent)
    by_run = call("predict", "small", photos, "--json", "--runs", tmp_path / "runs")
    assert by_run.code == 0
    assert f"network: {kept}" in by_run.err
    by_folder = call("predict", kept, photos, "--json")
    assert json.loads(by_run.out)["predictions"] == json.loads(by_folder.out)["predictions"]
    shutil.copytree(kept.parent, kept.parent.with_name("another"))
    several = call("predict", run, photos)
    assert several.code == 2
    assert str(kept) in several.err
    shutil.rmtree(run / "retrained" / "another")
    for seed in kept.parent.iterdir():
        stored = json.loads((seed / "metrics.json").read_text())
        (seed / "metrics.json").write_text(json.dumps(stored | {"method": "found, warm"}))
    assert f"give one of {kept}, " in call("predict", run, photos).err
    for seed in kept.parent.iterdir():
        for name in ("network.safetensors", "metrics.json"):
            (seed / name).unlink()
    for unfinished in (run, kept):
        answer = call("evaluate", unfinished)
        assert answer.code == 2
        words = f"found a retraining that is not finished; go on with `sfg-nas retrain {run}`"
        assert words in answer.err
    shutil.rmtree(run / "retrained")
    assert (
        f"no architecture.json; call `sfg-nas retrain {run}` first"
        in call("predict", run, photos).err
    )


def test_where_predictions_go_is_checked_before_they_are_made(
    call: Callable, runs: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("sfg_nas.data.decode_batches", never)
    (tmp_path / "file").write_text("")
    network = next(path.parent for path in (runs / "small/retrained").glob("*/0/architecture.json"))
    answer = call("predict", network, photos, "--to", tmp_path / "file" / "p.csv")
    assert answer.code == 2
    assert "--to: what it lies in must be a folder" in answer.err
