"""Methods that are one network under several names, hard sharing above all: what differs between them is chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sfg_nas.architecture import Architecture
from sfg_nas.compare.job import OWN
from sfg_nas.compare.plain import HARD_SHARING
from sfg_nas.errors import ArchitectureError
from sfg_nas.study import shares_everything, trunk

SHARED = "hard sharing"
"""What stands for every network in which all tasks share everything but their heads, at any width."""


def with_networks(
    frame: pd.DataFrame, root: Path, hard: Callable[[], Architecture]
) -> pd.DataFrame:
    """Return the rows with what each one's network is, in two more columns.

    `network` is `SHARED`, the digest of the architecture, or else the name of the method. `other_layers` says whether it
    has other layers than hard sharing, as a search may vary the depth: then it is not hard sharing, whatever it shares.

    Args:
        frame: One row per network, with `method`, `scale`, `seed` and `architecture`.
        root: The run directory.
        hard: Gives hard sharing's architecture; asked only where a row has one.
    """
    known: dict[str, tuple[str, bool]] = {}
    names, other = [], []
    for row in frame.to_dict("records"):
        method, digest = str(row["method"]), row["architecture"]
        own = (SHARED if method.startswith(HARD_SHARING) else method, False)
        if own[0] != SHARED and isinstance(digest, str):
            if digest not in known:
                known[digest] = _described(digest, _stored(root, row), hard)
            own = known[digest]
        names.append(own[0])
        other.append(own[1])
    return frame.assign(network=names, other_layers=other)


def _described(
    digest: str, architecture: Architecture | None, hard: Callable[[], Architecture]
) -> tuple[str, bool]:
    if architecture is None:
        return digest, False
    other = trunk(architecture) != trunk(hard())
    return (SHARED if shares_everything(architecture) and not other else digest), other


def _stored(root: Path, row: Mapping[Any, Any]) -> Architecture | None:
    folder = root / "compared" / str(row["method"])
    # What costs as much as hard sharing already has its row at equal MACs from the training at its own cost.
    for scale in (str(row["scale"]), OWN):
        path = folder / scale / str(row["seed"]) / "architecture.json"
        if path.is_file():
            try:
                return Architecture.load(path)
            except ArchitectureError:  # damaged since; the digest still tells it from others
                return None
    return None


def other_layers(frame: pd.DataFrame) -> list[str]:
    """Return a note on methods with other layers than hard sharing: what differs between them is not sharing alone.

    Args:
        frame: One row per network.
    """
    names = ", ".join(frame[frame["other_layers"]]["method"].unique())
    if not names:
        return []
    return [
        f"{names}: of other layers than hard sharing, as the search varied the backbone, too, or nothing reaches some of "
        "them: what differs between them is not sharing alone"
    ]


def same_network(mine: pd.DataFrame, theirs: pd.DataFrame) -> bool:
    """Return whether two methods are one network in every seed that they have in common.

    Args:
        mine: Rows of a method at one scale, with `seed` and `network`.
        theirs: Of the other; where both cost the same, two that share everything are one network.
    """
    if "network" not in mine or "network" not in theirs:
        return False
    both = mine.merge(theirs, on="seed")
    return bool(len(both)) and bool((both["network_x"] == both["network_y"]).all())


def same_networks(frame: pd.DataFrame) -> list[str]:
    """Return a note on methods that are one network under several names, and on those that are hard sharing.

    Args:
        frame: One row per network.
    """
    own = frame[(frame["scale"] == OWN) & (frame["network"] != frame["method"])]
    notes, told = [], set()
    for _, rows in own.groupby(["network", "macs", "params"], sort=False):
        names = list(dict.fromkeys(rows["method"]))
        if len(names) > 1:
            notes.append(
                f"{', '.join(names)}: the same network under several names, so that what differs between them is chance"
            )
            told.update(names)
    shared = own[own["network"] == SHARED]["method"].unique()
    alone = [name for name in shared if name not in told and not name.startswith(HARD_SHARING)]
    return [
        *notes,
        *[f"{name} shares everything: it is hard sharing at another width" for name in alone],
    ]
