"""From what the user typed to a trained network, and to photos it has never seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sfg_nas.cli.find import find_run, open_architecture
from sfg_nas.cli.options import Common
from sfg_nas.cli.output import note, quoted
from sfg_nas.errors import ConfigError, TrainingError, explain, several

if TYPE_CHECKING:
    from sfg_nas.data import Preparation, Reach
    from sfg_nas.fixed import FixedNetwork

ARCHITECTURE = "architecture.json"
WEIGHTS = "network.safetensors"
METRICS = "metrics.json"
"""What a training leaves when it is done."""
RETRAINED = "retrained"
"""The folder of a run's retrained networks."""
UNFINISHED = "a retraining that is not finished"


def folder_of(network: Path, common: Common) -> Path:
    """Return the folder of a network.

    Args:
        network: What the user typed: the folder, one of the two files in it, or a run (a folder or a name) in which one
            architecture was retrained; its first seed is taken then, and said.
        common: The shared options.

    Raises:
        ConfigError: If there is no network, or a run has several architectures.
    """
    folder = network.parent if network.name in (WEIGHTS, ARCHITECTURE) else network
    missing = [name for name in (ARCHITECTURE, WEIGHTS) if not (folder / name).is_file()]
    if not missing:
        return folder
    state, do = f"no {missing[0]}", "give the folder of a retrained network, in a run's `retrained`"
    run = find_run(network, common)
    if run is not None:
        found = _retrained(run)
        plain = [path for path, method in found.items() if method == "found"]
        if len({path.parent for path in plain}) == 1:
            note(f"network: {plain[0]}", common)
            return plain[0]
        if found:
            do = f"give one of {', '.join(map(str, plain or found))}"
        elif any(run.glob(f"{RETRAINED}/*/*/*")):
            state, do = UNFINISHED, f"go on with `sfg-nas retrain {quoted(run)}`"
        else:
            do = f"call `sfg-nas retrain {quoted(run)}` first"
    elif folder.parent.parent.name == RETRAINED and not (folder / METRICS).exists():
        above = quoted(folder.parent.parent.parent)
        state, do = UNFINISHED, f"go on with `sfg-nas retrain {above}`"
    raise ConfigError(
        explain(
            where=str(network),
            rule=f"a folder with {ARCHITECTURE} and {WEIGHTS} is needed, or a run with one retrained architecture",
            found=state,
            do=do,
        )
    )


def _retrained(run: Path) -> dict[Path, object]:
    """Return the folders of the found networks that were retrained in a run, and how; in the order of names and seeds."""
    from sfg_nas.study.layout import RunFiles
    from sfg_nas.study.stored import read_metrics

    return {
        seed: read_metrics(seed / METRICS).get("method")
        for folder in sorted(RunFiles(run).retrained.glob("*"))
        for seed in seeds_of(folder)
        if (seed / METRICS).is_file() and (seed / ARCHITECTURE).is_file()
    }


def seeds_of(folder: Path) -> list[Path]:
    """Return the folders of a network's retrainings, seed by seed.

    Args:
        folder: The network's, below a run's `retrained`.
    """
    seeds = (file.parent for file in folder.glob(f"*/{WEIGHTS}"))
    return sorted(seeds, key=lambda seed: (len(seed.name), seed.name))


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
        note(f"warning: {len(failed)} of {several(total, 'file')} could not be read", common)


def note_lost(wide: Sequence[Reach], preparation: Preparation, common: Common) -> None:
    """Warn of values of more than eight bits that are lost, as training does.

    Args:
        wide: How far those of the images go.
        preparation: With the window that the network was trained with.
        common: The shared options.
    """
    from sfg_nas.data import all_together, lost_values

    for text in lost_values(all_together(wide), preparation.window):
        note(f"warning: {text} (in `data` of the study, before training)", common)


def nothing_read(failed: Sequence[tuple[Path, str]]) -> TrainingError:
    """Return the error that says that no file could be read; the reasons are noted already, unless that is off.

    Args:
        failed: All files with reasons.
    """
    from sfg_nas.data import shown

    (path, reason), *more = failed
    found = f"{shown(path)}: {reason}" + (f", and {len(more):,} more" if more else "")
    rule, do = "a file that can be read is needed", "check the paths and the files"
    return TrainingError(explain(where="FILES", rule=rule, found=found, do=do))
