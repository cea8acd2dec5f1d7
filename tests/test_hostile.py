"""Files from strangers: damaged or hostile, they give a clear error within little memory and time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from sfg_nas.architecture import Architecture
from sfg_nas.config import dump_study, load_study_config
from sfg_nas.config.shipped import find_file
from sfg_nas.data import Preparation, bundle_from_arrays
from sfg_nas.errors import ArchitectureError
from sfg_nas.fixed import build_network, distill
from sfg_nas.sharing import random_allocation
from sfg_nas.study.finalists import Finalist, Finals
from sfg_nas.study.layout import RunFiles
from sfg_nas.tasks import Task
from sfg_nas.training import norm_state, write_rows
from sfg_nas.weights import save_weights, write_tensors
from tests.conversions import pair
from tests.hostile import READERS, train_tiny

HOSTILE = Path(__file__).with_name("hostile.py")
ROOT = HOSTILE.parent.parent
Content = dict[str, Any]


def good_files(folder: Path) -> None:
    """Write one good file of every format."""
    folder.mkdir()
    supernet = pair("vgg", 2, "specialists").connections
    allocation = random_allocation(supernet, 3)
    architecture = distill(supernet, allocation)
    architecture.save(folder / "architecture.json")
    architecture.to_graphml(folder / "architecture.graphml")
    save_weights(folder / "network.safetensors", build_network(architecture, weights=supernet))
    study = dump_study(load_study_config(find_file("studies", "digits")))
    (folder / "study.yaml").write_text(study + "provenance: {version: '1', seed: 0}\n")
    counts = ("epochs", "seed", "macs", "params", "hard_sharing_macs", "hard_sharing_params")
    point = {"factor": 0.5, "seed": 0, "macs": 7, "delta": -0.1, "values": {"age/mae": 1.5}}
    curve = {"hard_sharing": [point, point | {"macs": 14}]}
    scores = {"values": {"age/mae": 1.5}, **dict.fromkeys(counts, 7)}
    write(folder / "references.json", scores | curve)
    Finals(2, (Finalist(1, "ab", 7, (0.1,), (0.2,), 0.3),), {"0": "it failed"}).save(
        RunFiles(folder)
    )
    trial = folder / "trials/0"
    trial.mkdir(parents=True)
    allocation.save(trial / "allocation.json")
    write(trial / "candidate.json", {"a.b": 1, "c": "x", "d": 0.5})
    write(trial / "state.json", {"state": "complete", "values": [0.5], "reason": ""})
    steps = {"fixed": {"delta": 0.1}, "hard": {"delta": 0.0}}
    costs = {"macs": 5, "params": 6, "relative_macs": 0.5, "difference": 0.0, "seconds": 1.5}
    write(trial / "ledger.json", {"steps": steps, **costs, "retrained": None})
    p = np.full((2, 4, 3), 1 / 3, dtype=np.float32)
    np.savez_compressed(trial / "probabilities.npz", **{"features.0": p, "features.4": p})
    network = build_network(architecture, weights=supernet)
    write_tensors(trial / "norms.safetensors", norm_state(network), {})
    save_file(network.state_dict(), folder / "others.safetensors")  # without a digest
    train_tiny(folder / "checkpoint.safetensors")
    write_rows(trial / "metrics.csv", [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    retrained = folder / "retrained/abc/0"
    retrained.mkdir(parents=True)
    write(retrained / "metrics.json", {"name": "abc", "validation": {"x": 1.0}, "test": {"x": 2.0}})
    good_tables(folder)
    good_data(folder)


def good_tables(folder: Path) -> None:
    """Write the tables of a retraining and of a comparison, and a comparison's small files."""
    head = "method,seeds,params,macs,relative_macs,age/mae,age/mae sd,delta,delta sd\n"
    rows = "hard-sharing,2,90,80,1.0,5.0,0.1,0.01,0.0\nfound,2,70,60,0.75,4.0,0.2,0.02,0.01\n"
    again = folder / "again/retrained"  # apart from the comparison, which has the last word
    again.mkdir(parents=True)
    (again / "table.csv").write_text(head + rows)
    head = "method,against,metric,seeds,mean,sd,better\n"
    (again / "paired.csv").write_text(head + "found,hard-sharing,delta,2,0.01,0.005,True\n")
    rows = "found,own,0,60,age/mae,4.0\nfound,own,1,60,age/mae,4.2\n"
    (folder / "compare.csv").write_text("method,scale,seed,macs,metric,test\n" + rows)
    page = "# Results\n\n| method | MACs |\n|---|---|\n| found | 60 |\n\n# Verdict\n\nBetter.\n"
    (folder / "compare.md").write_text(page)
    compared = folder / "compared"
    compared.mkdir()
    own = {"identity": {"method": "found", "seed": 0}}
    read = [{"label": "found", "macs": 60, "params": 70, "scores": {"age/mae": 4.0}}]
    kept = {"training_seconds": 1.5, "flatness": None, "architecture": "abc", "seconds": 2.0}
    write(compared / "metrics.json", {**own, **kept, "readings": read})
    write(compared / "test.json", {**own, "readings": read})
    write(compared / "failed.json", {**own, "reason": "the loss is not finite"})
    call = {"command": "sfg-nas compare x.yaml", "methods": ["found"]}
    write(compared / "calls.json", {"calls": [call]})
    write(compared / "width-all.json", {"key": {"epochs": 3}, "factor": 0.75, "same": False})


def good_data(folder: Path) -> None:
    """Write a stranger's photos and their table, and what a network says of its input."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (12, 10, 3), dtype=np.uint8))
    image.save(folder / "photo.png")
    image.save(folder / "photo.jpg")
    names = [f"photo.{kind},{age},test" for kind, age in (("png", 5), ("jpg", 70), ("png", ""))]
    (folder / "labels.csv").write_text("\n".join(["file,age,split", *names]) + "\n")
    images = rng.integers(0, 256, (20, 3, 4, 4), dtype=np.uint8)
    ages, task = np.arange(20, dtype=np.float32), Task("age", "regression", unit="years")
    bundle = bundle_from_arrays(images, {"age": ages}, (task,), seed=0)
    write(folder / "prediction.json", Preparation.of(bundle).to_json())


def write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1))


def bomb(folder: Path, name: str, file: str, content: str | bytes) -> None:
    """Write a hand-made hostile file."""
    path = folder / "bombs" / name / file
    path.parent.mkdir(parents=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def edited(architecture: Architecture, change: Callable[[Content], object]) -> str:
    """Return an architecture's JSON after a change."""
    content = json.loads(architecture.to_json())
    change(content)
    return json.dumps(content)


def conv_of(content: Content) -> Content:
    """Return the first convolution of parsed JSON."""
    return next(n for _, n in sorted(content["nodes"].items()) if n["op"] == "conv2d")


def wide(content: Content) -> None:
    node = conv_of(content)
    node["params"]["weight"]["shape"] = [10**9, 3, 3, 3]
    node["channels"], node["shape"][0] = "0-999999999", 10**9


def heavy(content: Content) -> None:
    conv_of(content)["params"]["weight"]["shape"] = [10**6, 10**6, 1, 1]


def cyclic(content: Content) -> None:
    content["edges"] += [{**e, "from": e["to"], "to": e["from"]} for e in content["edges"]]


def many_channels(content: Content) -> None:
    for node in content["nodes"].values():
        node["channels"] = "0-1048000"


def norm(content: Content) -> None:
    node = next(n for n in content["nodes"].values() if n["op"] == "batch_norm")
    node.update(axis=None, shape=[2**30, 1, 1], channels="0")


def pieces(content: Content) -> None:
    node = next(n for n in content["nodes"].values() if n["op"] == "relu")
    node.update(op="unbind.int", settings={"dim": 1}, item=0)


def operation(content: Content) -> None:
    conv_of(content)["op"] = "torch.hub.load"


def far_output(content: Content) -> None:
    content["input_shape"] = [3, 2**30, 2**30]


def lay_bombs(folder: Path) -> None:
    """Write files that try to take memory or time, or to break out."""
    good = Architecture.load(folder / "architecture.json")
    for name, change in {
        "a billion channels": wide, "a terabyte of weights": heavy, "a cycle": cyclic,
        "many channels": many_channels, "a wide norm": norm, "many pieces": pieces,
        "an operation of its own": operation, "a large image": far_output,
    }.items():  # fmt: skip
        bomb(folder, name, "architecture.json", edited(good, change))
    json_bombs(folder, good)
    xml_bombs(folder)
    other_bombs(folder)
    npz_bombs(folder)


def json_bombs(folder: Path, good: Architecture) -> None:
    deep = "[" * 10**6 + "]" * 10**6
    bomb(folder, "deep JSON", "architecture.json", deep)
    bomb(folder, "deep settings", "architecture.json", '{"schema": 1, "nodes": ' + deep + "}")
    bomb(folder, "many lists", "architecture.json", "[" + "[]," * (11 * 10**6) + "[]]")
    bomb(folder, "a large file", "architecture.json", " " * (33 * 2**20))
    bomb(folder, "not a number", "architecture.json", good.to_json().replace("0.0", "NaN", 1))
    bomb(folder, "a key twice", "architecture.json", '{"schema": 1, "schema": 1}')
    bomb(folder, "a long number", "architecture.json", '{"schema": ' + "9" * 10**6 + "}")


def xml_bombs(folder: Path) -> None:
    lol = "".join(f'<!ENTITY l{i + 1} "{f"&l{i};" * 10}">' for i in range(9))
    xml = f'<?xml version="1.0"?><!DOCTYPE g [<!ENTITY l0 "lol">{lol}]><graphml>&l9;</graphml>'
    bomb(folder, "a billion laughs", "architecture.graphml", xml)
    outside = '<!DOCTYPE g [<!ENTITY x SYSTEM "file:///etc/passwd">]><graphml>&x;</graphml>'
    bomb(folder, "an outside entity", "architecture.graphml", outside)
    bomb(folder, "deep XML", "architecture.graphml", "<graphml>" + "<graph>" * 10**5)
    many = '<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><graph edgedefault="directed">'
    bomb(folder, "many nodes", "architecture.graphml", many + '<node id="x"/>' * 10**6)


def other_bombs(folder: Path) -> None:
    aliases = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(20)
    )
    bomb(folder, "aliases", "study.yaml", aliases)
    bomb(folder, "a tag", "study.yaml", "name: !!python/object/apply:os.system ['touch owned']\n")
    bomb(folder, "deep YAML", "study.yaml", "[" * 10**5)
    header = (2**62).to_bytes(8, "little")
    bomb(folder, "a long header", "network.safetensors", header + b"{}")
    text = json.dumps({"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}})
    large = len(text).to_bytes(8, "little") + text.encode()
    bomb(folder, "a large tensor", "network.safetensors", large)
    bomb(folder, "a pickle", "network.safetensors", b"\x80\x04cos\nsystem\n(S'touch owned'\ntR.")


def npz_bombs(folder: Path) -> None:
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000, 1), }"
    text = (header + " " * (117 - len(header)) + "\n").encode()
    array = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    objects = array.replace(b"<f4", b"|O ")
    for name, content in (("a huge array", array), ("objects", objects), ("zeros", bytes(10**9))):
        path = folder / "bombs" / name / "probabilities.npz"
        path.parent.mkdir(parents=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("../../evil.npy", content)


def run_hostile(folder: Path, count: int) -> dict[str, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, HOSTILE, folder, str(count)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


FORMATS = len(READERS)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_random_damage_and_bombs(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    good_files(folder)
    lay_bombs(folder)
    found = run_hostile(folder, 300)
    bombs = {name: entry["outcome"] for name, entry in found.items() if "outcome" in entry}
    assert len(bombs) > 25
    assert {name: said for name, said in bombs.items() if said != "refused"} == {}
    mutated = {name: entry for name, entry in found.items() if "failures" in entry}
    assert len(mutated) == FORMATS
    assert {name: e["failures"] for name, e in mutated.items() if e["failures"]} == {}
    few = {"photo.png", "photo.jpg", "compare.md", "others.safetensors"}  # most are still a photo
    refused = {name: e["refused"] for name, e in mutated.items() if name not in few}
    assert min(refused.values()) > 100, refused
    assert not list(tmp_path.rglob("owned"))


def test_what_mutations_leave_readable_is_sound(tmp_path: Path) -> None:
    good_files(tmp_path / "run")
    text = (tmp_path / "run/architecture.json").read_text()
    moved = text.replace('"order": 1,', '"order": 1000000,')
    assert Architecture.from_json(moved).lint() == []
    with pytest.raises(ArchitectureError, match="schema 1"):
        Architecture.from_json(text.replace('"schema": 1', '"schema": 2'))
