"""`export`: architectures and networks in the forms that other programs read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfg_nas.cli.distill import Distill
from sfg_nas.cli.find import device_of
from sfg_nas.cli.options import Common, Found, with_common
from sfg_nas.cli.output import json_result, note, result, table
from sfg_nas.cli.weights import Chosen, choose
from sfg_nas.errors import ConfigError, explain

if TYPE_CHECKING:
    from sfg_nas.architecture import Architecture
    from sfg_nas.fixed import FixedNetwork

STEM = "architecture"
NETWORK_FORMATS = ("safetensors", "onnx", "pt2", "py")
"""Formats that hold a network with its weights; see `sfg_nas.fixed.EXPORTERS`."""
LATENCY_BATCH = 1


@with_common("runs", "device", "data_root", "cache")
def export(
    found: Found,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Where to write.")],
    trial: Annotated[str, typer.Option(help="best, pareto, or a trial's number.")] = "best",
    formats: Annotated[
        str,
        typer.Option(
            "--format",
            help="Some of json, graphml, dot, png, svg, safetensors, onnx, pt2, py; by commas.",
        ),
    ] = "json,graphml,png",
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="supernet|retrained|FILE",
            help="Weights of onnx, pt2, py, safetensors: of the trial's supernet, not retrained (a run's "
            "default); of its first retraining from scratch; or a file's.",
        ),
    ] = None,
    latency: Annotated[
        bool, typer.Option("--latency", help="Time a forward pass of each network, too.")
    ] = False,
    distill: Distill = None,
    *,
    common: Common,
) -> None:
    """Write an architecture as a graph, a drawing, or a network that runs without this package.

    Beside a retrained network goes `prediction.json`: how images become its input, and its outputs values of the tasks.
    Prints what all tasks together, and each task alone, cost for one image.
    """
    names = _chosen_formats(formats)
    if to.exists() and not to.is_dir():
        rule, do = "a folder is needed", "choose another path"
        raise ConfigError(explain(where="--to", rule=rule, found=f"the file {to}", do=do))
    written: list[str] = []
    costs: list[dict[str, object]] = []
    for chosen in choose(found, trial, weights, common, distill=distill):
        network = chosen.network() if latency or set(names) & set(NETWORK_FORMATS) else None
        folder = to / chosen.folder
        folder.mkdir(parents=True, exist_ok=True)
        for path in _write(chosen, network, folder, names):
            written += [str(path)] if str(path) not in written else []
        timed = network if latency else None
        trial_of = {"trial": chosen.folder.name} if chosen.folder.name else {}
        rows = _costs(chosen.architecture, timed, device_of(common) if latency else "cpu")
        costs += [trial_of | row for row in rows]
        if network is not None:
            note(f"weights: {chosen.origin}", common)
    if common.as_json:
        json_result({"written": written, "costs": costs})
    else:
        result("\n".join(written))
        table(costs, title="cost of one image")


def _write(
    chosen: Chosen, network: FixedNetwork | None, folder: Path, names: list[str]
) -> Iterator[Path]:
    for name in names:
        if name in DESCRIPTIONS:
            path = folder / f"{STEM}.{name}"
            DESCRIPTIONS[name](chosen.architecture, path)
            yield path
        else:
            from sfg_nas.fixed import EXPORTERS

            assert network is not None
            yield from EXPORTERS[name](network, folder)
    if set(names) & set(NETWORK_FORMATS) and (preparation := chosen.preparation()) is not None:
        from sfg_nas.data import PREPARATION_FILE
        from sfg_nas.training import write_json

        path = folder / PREPARATION_FILE
        write_json(path, preparation.to_json())
        yield path


def _costs(
    architecture: Architecture, network: FixedNetwork | None, device: str
) -> Iterator[dict[str, object]]:
    """Yield the cost of all tasks together, then of each alone."""
    tasks = architecture.tasks
    wholes = [("all" if len(tasks) > 1 else tasks[0], architecture)]
    wholes += [(task, architecture.only(task)) for task in tasks if len(tasks) > 1]
    for name, part in wholes:
        row: dict[str, object] = {"tasks": name, "macs": part.macs, "params": part.params}
        if network is not None:
            row |= _latency(network if part is architecture else network.only(name), device)
        yield row


def _latency(network: FixedNetwork, device: str) -> dict[str, object]:
    import torch

    from sfg_nas.cost import measure_latency

    images = torch.zeros(LATENCY_BATCH, *network.architecture.input_shape, device=device)
    found = measure_latency(network.to(device), images)
    return {
        "milliseconds": found.median_seconds * 1e3,
        "spread": found.spread_seconds * 1e3,
        "device": found.device,
        "batch": found.batch,
        "threads": found.threads,
    }


def _json(architecture: Architecture, path: Path) -> None:
    architecture.save(path)


def _graphml(architecture: Architecture, path: Path) -> None:
    architecture.to_graphml(path)


def _dot(architecture: Architecture, path: Path) -> None:
    from sfg_nas.report import to_dot

    path.write_text(to_dot(architecture), encoding="utf-8")


def _drawing(architecture: Architecture, path: Path) -> None:
    from sfg_nas.report import draw_architecture

    draw_architecture(architecture).savefig(path, dpi=150)


DESCRIPTIONS: Mapping[str, Callable[[Architecture, Path], None]] = {
    "json": _json,
    "graphml": _graphml,
    "dot": _dot,
    "png": _drawing,
    "svg": _drawing,
}
"""Formats of the architecture alone."""


def _chosen_formats(text: str) -> list[str]:
    from sfg_nas.config import did_you_mean

    known = (*DESCRIPTIONS, *NETWORK_FORMATS)
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names or [text]:
        if name not in known:
            do = did_you_mean(name, known, what="formats")
            rule = "formats that exist are needed, separated by commas"
            raise ConfigError(explain(where="--format", rule=rule, found=repr(name), do=do))
    return list(dict.fromkeys(names))
