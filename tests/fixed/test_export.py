"""Exported networks run without the package, on batches of any size, and give the same outputs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
import torch
from safetensors.torch import save_file

from sfg_nas.architecture import Architecture
from sfg_nas.errors import ConfigError
from sfg_nas.fixed import EXPORTERS, FixedNetwork, build_network, distill
from sfg_nas.fixed.export import exported, file_names, need_extra, write_onnx
from sfg_nas.sharing import random_allocation
from sfg_nas.weights import load_weights
from tests.conversions import allocations, pair
from tests.networks import CASES
from tests.properties import run

ALONE = Path(__file__).with_name("alone.py")
TOLERANCE = 1e-4


def network_of(name: str, seed: int = 3) -> FixedNetwork:
    """Return the fixed network of a case, with weights."""
    supernet = pair(name).connections
    architecture = distill(supernet, random_allocation(supernet, seed))
    return build_network(architecture, weights=supernet).eval()


def export_all(network: FixedNetwork, images: torch.Tensor, folder: Path) -> list[str]:
    """Write a network in every format, and what it gives, and return the files' names."""
    folder.mkdir()
    names = [path.name for write in EXPORTERS.values() for path in write(network, folder)]
    save_file(
        {"image": images.contiguous(), **run(network, images)}, folder / "expected.safetensors"
    )
    return names


def alone(folders: list[Path]) -> dict[str, dict[str, float]]:
    """Return the differences that `alone.py` found, in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", ALONE, *folders],
        cwd=folders[0],
        env={**environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def assert_same(folders: dict[str, Path], files: int) -> None:
    """Raise unless all formats of all folders give the network's outputs."""
    found = alone(list(folders.values()))
    for name, folder in folders.items():
        differences = found[str(folder)]
        assert len(differences) == files, (name, differences)
        assert max(differences.values()) < TOLERANCE, (name, differences)


@pytest.mark.slow
def test_exports_run_without_the_package(tmp_path: Path) -> None:
    network = network_of("separable")
    folder = tmp_path / "separable"
    written = export_all(network, pair("separable").x, folder)
    assert all((folder / file).is_file() for file in written)
    assert_same({"separable": folder}, 3 + len(network.architecture.tasks))


# ONNX takes several seconds for each network: those that differ most.
ONNX_CASES = ("resnet", "unet", "transposed", "convnext", "group-norm", "3d")


@pytest.mark.ci
@pytest.mark.timeout(900)
def test_every_kind_of_network_can_be_exported(tmp_path: Path) -> None:
    folders: dict[str, Path] = {}
    for name in CASES:
        network = network_of(name)
        folder = folders[name] = tmp_path / name
        folder.mkdir()
        EXPORTERS["pt2"](network, folder)
        EXPORTERS["py"](network, folder)
        if name in ONNX_CASES:
            write_onnx(network, folder / "network.onnx")
        outputs = run(network, pair(name).x)
        save_file({"image": pair(name).x.contiguous(), **outputs}, folder / "expected.safetensors")
    onnx_folders = {name: folders.pop(name) for name in ONNX_CASES}
    assert_same(folders, 2)
    assert_same(onnx_folders, 3)


def test_the_process_alone_cannot_import_the_package(tmp_path: Path) -> None:
    save_file({"image": torch.zeros(1)}, tmp_path / "expected.safetensors")
    (tmp_path / "network.py").write_text("import sfg_nas\n")
    with pytest.raises(AssertionError, match="ModuleNotFoundError"):
        alone([tmp_path])


def test_weights_and_graph_give_the_network_back(tmp_path: Path) -> None:
    network = network_of("resnet")
    weights, graph = EXPORTERS["safetensors"](network, tmp_path)
    again = build_network(Architecture.load(graph), seed=5)
    load_weights(weights, again)
    images = pair("resnet").x
    for task, value in run(network, images).items():
        assert torch.equal(run(again, images)[task], value)


def test_onnx_files_name_images_tasks_and_the_batch(tmp_path: Path) -> None:
    network = network_of("sigmoid")
    paths = EXPORTERS["onnx"](network, tmp_path)
    assert [p.name for p in paths] == ["network.onnx"] + [
        f"network.{task}.onnx" for task in network.architecture.tasks
    ]
    for path in paths:
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        (image,) = model.graph.input
        dims = [d.dim_param or d.dim_value for d in image.type.tensor_type.shape.dim]
        assert (image.name, dims) == ("image", ["batch", *network.architecture.input_shape])
    whole = onnx.load(paths[0])
    assert [output.name for output in whole.graph.output] == list(network.architecture.tasks)
    for output in whole.graph.output:
        assert output.type.tensor_type.shape.dim[0].dim_param == "batch"
    sizes = [path.stat().st_size for path in paths]
    assert max(sizes[1:]) < sizes[0]


def test_exports_hold_no_path_of_this_machine_and_leave_the_mode(tmp_path: Path) -> None:
    network = network_of("vgg").train()
    program = exported(network)
    assert network.training
    assert all("stack_trace" not in node.meta for node in program.graph.nodes)
    EXPORTERS["py"](network, tmp_path)
    for path in tmp_path.iterdir():
        assert str(Path.cwd()).encode() not in path.read_bytes()


def test_double_precision_stays(tmp_path: Path) -> None:
    network = network_of("grouped").double()
    assert next(network.only("age").parameters()).dtype is torch.float64
    (path,) = EXPORTERS["pt2"](network, tmp_path)
    images = pair("grouped").x.double()
    found = torch.export.load(path).module()(images)
    for task, value in run(network, images).items():
        torch.testing.assert_close(found[task].detach(), value)


def test_file_names_are_different_and_no_paths() -> None:
    tasks = ("../../etc/passwd", "..", "a b", "a/b", "A_B", "x" * 500, "\u00e9", "\u0141")
    names = list(file_names(tasks).values())
    assert len({name.lower() for name in names}) == len(tasks)
    assert all(len(name) < 70 and name.isascii() for name in names)
    assert not any(c in "./\\" for name in names for c in name)


def test_a_missing_extra_is_one_line_that_names_it() -> None:
    with pytest.raises(ConfigError, match=r"sfg_nas\[export\]") as caught:
        need_extra("no_such_library", "export")
    assert "\n" not in str(caught.value)


def test_all_allocations_export_to_a_program(tmp_path: Path) -> None:
    found = pair("unet")
    for number, allocation in enumerate(allocations(found.connections).values()):
        architecture = distill(found.connections, allocation)
        network = build_network(architecture, weights=found.connections)
        folder = tmp_path / str(number)
        folder.mkdir()
        (path,) = EXPORTERS["pt2"](network, folder)
        outputs = torch.export.load(path).module()(found.x[:3])
        for task, value in run(network, found.x[:3]).items():
            torch.testing.assert_close(outputs[task].detach(), value)
