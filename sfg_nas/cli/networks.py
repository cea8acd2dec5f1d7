"""From what the user typed to a trained network, and to photos it has never seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sfg_nas.cli.find import open_architecture
from sfg_nas.cli.options import Common
from sfg_nas.cli.output import note
from sfg_nas.errors import ConfigError, explain

if TYPE_CHECKING:
    from sfg_nas.data import Preparation
    from sfg_nas.fixed import FixedNetwork

ARCHITECTURE = "architecture.json"
WEIGHTS = "network.safetensors"


def folder_of(network: Path) -> Path:
    """Return the folder of a network.

    Args:
        network: What the user typed: the folder, or one of the two files in it.

    Raises:
        ConfigError: If a file is missing there.
    """
    folder = network.parent if network.name in (WEIGHTS, ARCHITECTURE) else network
    for name in (ARCHITECTURE, WEIGHTS):
        if not (folder / name).is_file():
            raise ConfigError(
                explain(
                    where=str(network),
                    rule=f"a folder with {ARCHITECTURE} and {WEIGHTS} is needed",
                    found=f"no {name}",
                    do="give the folder of a retrained network, below a run's `retrained`",
                )
            )
    return folder


def open_network(folder: Path, device: str) -> FixedNetwork:
    """Return the network of a folder, with its weights, in eval mode.

    Args:
        folder: From `folder_of`.
        device: Where to put it.

    Raises:
        ArchitectureError: If a file is damaged, or the weights belong to another architecture.
    """
    from sfg_nas.fixed import build_network
    from sfg_nas.training import load_module

    built = build_network(open_architecture(str(folder / ARCHITECTURE)))
    load_module(folder / WEIGHTS, built)
    return built.to(device).eval()


def preparation_of(folder: Path, network: FixedNetwork) -> Preparation:
    """Return how photos become the network's input, checked against the network.

    Args:
        folder: The network's.
        network: From `open_network`.

    Raises:
        ConfigError: If photos cannot become its input.
        DataError: If the file is missing, damaged or another network's.
    """
    from sfg_nas.data import PREPARATION_FILE, Preparation

    path = folder / PREPARATION_FILE
    preparation = Preparation.load(path)
    shape = tuple(network.architecture.graph.graph["input_shape"])
    readable = preparation.pixels == "uint8" or preparation.volumes is not None
    if shape != preparation.shape or not readable:
        raise ConfigError(
            explain(
                where=str(path),
                rule=f"photos of 8 bits must become the network's input {list(shape)}",
                found=f"{list(preparation.shape)} of {preparation.pixels}",
                do="use the file of this network, or call it from Python with tensors",
            )
        )
    return preparation


def note_unreadable(failed: Sequence[tuple[Path, str]], total: int, common: Common) -> None:
    """Name and count the files that could not be read.

    Args:
        failed: Files with reasons.
        total: Files in all.
        common: The shared options.
    """
    from sfg_nas.data import shown

    for path, reason in failed:
        note(f"warning: {shown(path)}: left out, {reason}", common)
    if failed:
        note(f"warning: {len(failed)} of {total} files could not be read", common)
