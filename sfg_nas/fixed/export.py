"""Fixed networks in files that need nothing of this package to run."""

from __future__ import annotations

import contextlib
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sfg_nas.cost import evaluating
from sfg_nas.errors import ConfigError, explain
from sfg_nas.fixed.network import FixedNetwork
from sfg_nas.fixed.source import network_source
from sfg_nas.weights import save_weights

if TYPE_CHECKING:
    from torch.export import ExportedProgram

STEM = "network"
IMAGE = "image"
BATCH = "batch"
_LOGGERS = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


def export_safetensors(network: FixedNetwork, folder: Path) -> list[Path]:
    """Write the weights as `network.safetensors` and the graph as `architecture.json`.

    Args:
        network: The network.
        folder: Where to write; it must exist.
    """
    weights, graph = folder / f"{STEM}.safetensors", folder / "architecture.json"
    save_weights(weights, network)
    network.architecture.save(graph)
    return [weights, graph]


def export_source(network: FixedNetwork, folder: Path) -> list[Path]:
    """Write `network.py`, which imports only torch, and the weights it loads.

    Args:
        network: The network.
        folder: Where to write; it must exist.
    """
    source, weights = folder / f"{STEM}.py", folder / f"{STEM}.safetensors"
    source.write_text(network_source(network, weights=weights.name), encoding="utf-8")
    save_weights(weights, network)
    return [source, weights]


def export_program(network: FixedNetwork, folder: Path) -> list[Path]:
    """Write `network.pt2` for `torch.export.load`; the batch may be of any size.

    Args:
        network: The network.
        folder: Where to write; it must exist.

    Raises:
        ConfigError: torch.export cannot follow the network.
    """
    path = folder / f"{STEM}.pt2"
    with _quiet():
        torch.export.save(exported(network), path)
    return [path]


def export_onnx(network: FixedNetwork, folder: Path) -> list[Path]:
    """Write `network.onnx` for all tasks and `network.TASK.onnx` for each of several.

    Args:
        network: The network.
        folder: Where to write; it must exist.

    Raises:
        ConfigError: The extra `export` is missing, or ONNX has no such operation.
    """
    for library in ("onnx", "onnxscript"):
        need_extra(library, "export")
    tasks = network.architecture.tasks
    networks = {STEM: network}
    if len(tasks) > 1:
        suffixes = file_names(tasks)
        networks |= {f"{STEM}.{suffixes[task]}": network.only(task) for task in tasks}
    return [write_onnx(part, folder / f"{name}.onnx") for name, part in networks.items()]


EXPORTERS: Mapping[str, Callable[[FixedNetwork, Path], list[Path]]] = {
    "safetensors": export_safetensors,
    "onnx": export_onnx,
    "pt2": export_program,
    "py": export_source,
}
"""What writes a network, with its weights, into a folder; each returns the files it wrote."""


def exported(network: FixedNetwork) -> ExportedProgram:
    """Return the network in evaluation mode as torch.export has it, for a batch of any size.

    Raises:
        ConfigError: torch.export cannot follow the network.
    """
    like = next((p for p in network.parameters()), torch.empty(0))
    example = torch.zeros(2, *network.architecture.input_shape, dtype=like.dtype)
    sizes = {"x": {0: torch.export.Dim(BATCH)}}
    try:
        with torch.no_grad(), evaluating(network):
            program = torch.export.export(network, (example.to(like.device),), dynamic_shapes=sizes)
    except (RuntimeError, ValueError, TypeError) as err:
        raise _refused("torch.export", err) from err
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of the machine that wrote the file
    return program


def write_onnx(network: FixedNetwork, path: Path) -> Path:
    """Write one ONNX file and return its path.

    Args:
        network: The network; each task becomes an output.
        path: The file.

    Raises:
        ConfigError: ONNX has no such operation.
    """
    program = exported(network)
    tasks = list(network.architecture.outputs())
    image = IMAGE
    while image in tasks:
        image += "_"
    try:
        with _quiet():
            written = torch.onnx.export(
                program, (), dynamo=True, verbose=False, input_names=[image], output_names=tasks
            )
            assert written is not None
            _name_batch(written.model)
            written.save(path, external_data=False)
    except (torch.onnx.OnnxExporterError, RuntimeError, ValueError) as err:
        raise _refused("ONNX", err) from err
    return path


def _name_batch(model: Any) -> None:  # noqa: ANN401 - onnx_ir is part of an extra
    """Call the first dimension of images and outputs `batch`, which torch.export numbered."""
    symbolic = import_module("onnx_ir").SymbolicDim
    own = str(model.graph.inputs[0].shape[0])
    for value in (*model.graph.inputs, *model.graph.outputs):
        if value.shape is not None:
            for axis, size in enumerate(value.shape):
                if str(size) == own:
                    value.shape[axis] = symbolic(BATCH)


def need_extra(library: str, extra: str) -> None:
    """Import a library of an extra.

    Args:
        library: What to import.
        extra: The extra of this package that brings it.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import_module(library)
    except ImportError as err:
        raise ConfigError(
            explain(
                where="export",
                rule=f"`{library}` is needed, of the extra `{extra}`",
                found="it is not installed",
                do=f"pip install 'sfg_nas[{extra}]'",
            )
        ) from err


def file_names(tasks: tuple[str, ...]) -> dict[str, str]:
    """Return a part of a file's name for every task: different ones, and no paths.

    Args:
        tasks: Names that a stranger may have chosen.
    """
    found: dict[str, str] = {}
    for task in tasks:
        plain = re.sub(r"[^A-Za-z0-9_-]+", "_", task)[:60] or "_"
        name, count = plain, 1
        while name.lower() in {used.lower() for used in found.values()}:
            count += 1
            name = f"{plain}_{count}"
        found[task] = name
    return found


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' notes on absent libraries and their own deprecations to themselves."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _refused(what: str, err: Exception) -> ConfigError:
    return ConfigError(
        explain(
            where="export",
            rule=f"{what} must know every operation of the network",
            found=f"{type(err).__name__}: {str(err).splitlines()[0][:200] if str(err) else ''}",
            do="export it in another format: `py` and `safetensors` take any network",
        )
    )
