"""`predict` on NIfTI files: a volume per task, in the file's own space; and how much memory a large one takes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sfg_nas.architecture import Architecture
from sfg_nas.backbones import build_backbone
from sfg_nas.baselines import make_heads
from sfg_nas.data import Preparation, VolumeSettings, write_phantoms
from sfg_nas.fixed import build_network, distill
from sfg_nas.sharing import convert, random_allocation
from sfg_nas.tasks import Task
from sfg_nas.training import save_module, write_json
from tests.cli.conftest import Call

ORGANS = {"bone": 1, "bladder": 30}
TASKS = (
    Task("ct", "dense-regression", unit="HU", center=-20, scale=200, classes=tuple(ORGANS)),
    Task("organs", "segmentation", 3, classes=("background", *ORGANS)),
)


def write_network(
    folder: Path, patch: tuple[int, ...], spacing: tuple[float, float, float], width: float = 0.25
) -> Path:
    """Write an untrained network with what predicting needs."""
    shape = (1, *patch)
    torch.manual_seed(0)
    trunk = build_backbone("highresnet", in_channels=1, width=width, depth=4, dimensions=len(patch))
    supernet = convert(trunk, make_heads(trunk, TASKS, shape), torch.zeros(1, *shape))
    architecture: Architecture = distill(supernet, random_allocation(supernet, seed=0))
    network: nn.Module = build_network(architecture, weights=supernet)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    folder.mkdir(parents=True)
    architecture.save(folder / "architecture.json")
    save_module(folder / "network.safetensors", network)
    settings = VolumeSettings(spacing, patch, ORGANS)
    preparation = Preparation("volumes", shape, "float32", (0.0,), (1.0,), TASKS, settings)
    write_json(folder / "prediction.json", preparation.to_json())
    return folder


@pytest.mark.parametrize("patch", [(16, 16), (16, 12, 6), (80, 40, 4)])
def test_volumes_come_back_in_their_own_space(
    patch: tuple[int, ...], call: Call, tmp_path: Path
) -> None:
    network = write_network(tmp_path / "network", patch, (10.0, 8.0, 12.0))
    write_phantoms(tmp_path / "made", 2, size=40)
    mrs = sorted((tmp_path / "made").glob("*/mr.nii.gz"))
    (tmp_path / "broken.nii").write_bytes(b"no volume")
    said = call(
        "predict", network, *mrs, tmp_path / "broken.nii", "--to", tmp_path / "out", "--json"
    )
    assert said.code == 0
    answer = json.loads(said.out)
    assert answer["labels"] == ORGANS
    assert answer["units"] == {"ct": "HU"}
    assert [Path(row["file"]).name for row in answer["unreadable"]] == ["broken.nii"]
    for mr, row in zip(mrs, answer["predictions"], strict=True):
        own = nibabel.load(mr)
        ct, organs = nibabel.load(row["ct"]), nibabel.load(row["organs"])
        assert row["ct"] == str(tmp_path / "out" / mr.parent.name / "mr_ct.nii.gz")
        for found in (ct, organs):
            assert found.shape == own.shape
            assert np.allclose(found.affine, own.affine, atol=1e-4)
            assert found.get_data_dtype() == np.int16
        labels, values = np.asarray(organs.dataobj), np.asarray(ct.dataobj)
        assert set(np.unique(labels)) <= {0, *ORGANS.values()}
        assert len(np.unique(labels)) > 1
        body = np.asarray(nibabel.load(mr.with_name("labels.nii.gz")).dataobj) > 0
        assert values[0, 0, 0] == values[-1, 0, 0] == -1000
        assert values[body].std() > 1


def test_a_window_over_all_is_the_network_itself(call: Call, tmp_path: Path) -> None:
    """With one window over the whole volume and no resampling, what is written is the network's output, rounded."""
    from sfg_nas.cli.networks import open_network
    from sfg_nas.data import read_scan

    write_phantoms(tmp_path / "made", 1, size=32)
    mr = tmp_path / "made" / "phantom-01" / "mr.nii.gz"
    network = write_network(tmp_path / "network", (32, 24, 8), (12.0, 12.0, 18.0))
    assert call("predict", network, mr.parent, "--to", tmp_path / "out").code == 0
    scan = read_scan(mr, (12.0, 12.0, 18.0))
    values = torch.from_numpy(scan.prepared.values)[None, None]
    with torch.no_grad():
        output = open_network(network, "cpu")(values)
    wanted = TASKS[0].decode(output["ct"])[0].numpy()
    wanted[~scan.prepared.body] = -1000
    found = np.asarray(nibabel.load(tmp_path / "out" / "mr_ct.nii.gz").dataobj)
    assert np.abs(found[::-1, ::-1] - wanted).max() <= 1  # rounding, and float32 of the affine
    classes = output["organs"].argmax(1)[0].numpy()
    classes[~scan.prepared.body] = 0
    labels = np.asarray(nibabel.load(tmp_path / "out" / "mr_organs.nii.gz").dataobj)
    pair = tmp_path / "pair"
    pair.mkdir()
    volume = nibabel.load(mr)
    nibabel.save(nibabel.Nifti1Pair(volume.dataobj, volume.affine, volume.header), pair / "mr.img")
    (pair / "notes.hdr").write_text("of no volume")
    for named in ([pair], [pair / "mr.img", pair / "mr.hdr"]):  # one volume in two files
        said = call("predict", network, *named, "--to", tmp_path / "of-pair", "--json")
        (row,) = json.loads(said.out)["predictions"]
        assert Path(row["file"]).name == "mr.hdr"
        assert np.array_equal(labels, np.asarray(nibabel.load(row["organs"]).dataobj))
    assert np.array_equal(labels[::-1, ::-1], np.array([0, *ORGANS.values()])[classes])


def test_wrong_input(call: Call, tmp_path: Path) -> None:
    network = write_network(tmp_path / "network", (16, 16), (12.0, 12.0, 18.0))
    (tmp_path / "empty").mkdir()
    assert call("predict", network, tmp_path / "empty").code == 2
    missing = call("predict", network, tmp_path / "no.nii", "--to", tmp_path / "out")
    assert missing.code == 1
    assert "no such file" in missing.err
    (tmp_path / "a.csv").touch()
    assert call("predict", network, tmp_path / "no.nii", "--to", tmp_path / "a.csv").code == 2
    assert call("evaluate", network, "--data", tmp_path / "empty").code == 2


def test_names_that_are_no_text_are_said_in_other_letters(call: Call, tmp_path: Path) -> None:
    network = write_network(tmp_path / "network", (16, 16), (12.0, 12.0, 18.0))
    write_phantoms(tmp_path / "pelvis", 1, size=32)
    mr = tmp_path / "pelvis" / "phantom-01" / "mr.nii.gz"
    folder = tmp_path / "scans"
    folder.mkdir()
    shutil.copy(mr, folder / os.fsdecode(b"\xff.nii.gz"))
    for form in ((), ("--json",)):
        answer = call("predict", network, folder, "--to", tmp_path / "out", *form)
        assert answer.code == 0
        assert r"\xff_organs.nii.gz" in answer.out.replace(r"\\", "\\")
    photo = tmp_path / os.fsdecode(b"\xfe.png")
    Image.fromarray(np.zeros((16, 16), dtype=np.uint8)).save(photo, format="PNG")
    tasks = (replace(TASKS[0], classes=()), TASKS[1])
    prepared = Preparation("table", (1, 16, 16), "uint8", (0.0,), (1.0,), tasks)
    write_json(network / "prediction.json", prepared.to_json())
    answer = call("predict", network, photo, "--to", tmp_path / "maps")
    assert answer.code == 0
    table = (tmp_path / "maps" / "predictions.csv").read_text(encoding="utf-8")
    assert r"maps/\xfe_organs.png" in table


LARGE = (256, 256, 128)
MEASURE = """
import resource, sys
from sfg_nas.cli import run
code = run(sys.argv[1:])
peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print("peak", peak)
sys.exit(code)
"""


@pytest.mark.ci
@pytest.mark.timeout(1500)
def test_a_large_volume_is_predicted_within_4_gb(tmp_path: Path) -> None:
    """256 x 256 x 128 voxels; memory does not grow with the network's width as it does with a whole volume's maps."""
    network = write_network(tmp_path / "network", (64, 64, 64), (1.5, 1.5, 1.5))
    rng = np.random.default_rng(0)
    values = rng.normal(20, 5, LARGE).astype(np.float32)
    values[40:220, 60:200, 10:120] += 400 + 100 * rng.random((180, 140, 110), dtype=np.float32)
    affine = np.diag([-1.5, -1.5, 1.5, 1.0])
    nibabel.save(nibabel.Nifti1Image(values.astype(np.int16), affine), tmp_path / "large.nii")
    arguments = ["predict", network, tmp_path / "large.nii", "--to", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        timeout=1200,
    )
    peak = int(done.stdout.split("peak")[1]) * 1024  # Linux counts in KiB
    assert peak < 4e9, f"{peak / 1e9:.2f} GB"
    assert nibabel.load(tmp_path / "out" / "large_organs.nii.gz").shape == LARGE
