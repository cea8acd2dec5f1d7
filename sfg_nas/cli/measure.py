"""`evaluate`: a retrained network on one part of its study's data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sfg_nas.cli.find import STUDY_FILE, device_of, open_architecture, ready_study
from sfg_nas.cli.options import Common, with_common
from sfg_nas.cli.output import json_result, table
from sfg_nas.errors import ConfigError, explain

WEIGHTS = "network.safetensors"


@with_common("device", "data_root", "cache")
def evaluate(
    network: Annotated[
        Path, typer.Argument(help="A folder such as runs/digits/retrained/<hash>/0.")
    ],
    part: Annotated[
        Literal["test", "validation", "train"], typer.Option("--split", help="Which images.")
    ] = "test",
    study: Annotated[
        Path | None, typer.Option(help="The study, if the network lies in no run.")
    ] = None,
    *,
    common: Common,
) -> None:
    """Measure a retrained network again, on the part of the data that is asked for."""
    folder = network.parent if network.name == WEIGHTS else network
    architecture = open_architecture(str(_needed(folder / "architecture.json", network)))
    weights = _needed(folder / WEIGHTS, network)
    ready = ready_study(study or _study_above(folder), common, {})
    device = device_of(common)
    from sfg_nas.fixed import build_network
    from sfg_nas.training import evaluate as measure
    from sfg_nas.training import load_module

    built = build_network(architecture)
    load_module(weights, built)
    images = getattr(ready.data, part)
    values = measure(built.to(device), images, ready.tasks)
    row = {"network": str(folder), "part": part, "images": len(images), **values}
    if common.as_json:
        json_result(row)
    else:
        table([row])


def _needed(file: Path, network: Path) -> Path:
    if file.is_file():
        return file
    raise ConfigError(
        explain(
            where=str(network),
            rule=f"a folder with architecture.json and {WEIGHTS} is needed",
            found=f"no {file.name}",
            do="give the folder of a retrained network, below a run's `retrained`",
        )
    )


def _study_above(folder: Path) -> Path:
    for parent in folder.resolve().parents:
        if (parent / STUDY_FILE).is_file():
            return parent / STUDY_FILE
    rule, do = "a network that lies in no run needs its study", "give --study"
    raise ConfigError(explain(where=str(folder), rule=rule, found="none", do=do))
