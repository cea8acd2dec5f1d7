"""`list` and `doctor`: what there is, and whether this machine is ready."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Annotated, Literal

import typer

from sfg_nas.cli.options import Common, with_common
from sfg_nas.cli.output import json_result, result, table

Row = dict[str, object]


def own_version() -> str:
    """Return the installed version of the package, or where there is none, `unknown`."""
    try:
        return version("sfg_nas")
    except PackageNotFoundError:
        return "unknown"


@with_common()
def list_names(
    what: Annotated[
        Literal["backbones", "datasets", "augmentations", "baselines", "spaces", "studies"],
        typer.Argument(
            help="One of backbones, datasets, augmentations, baselines, spaces, studies."
        ),
    ],
    *,
    common: Common,
) -> None:
    """List the names that studies and commands may use."""
    listings: dict[str, Callable[[], list[Row]]] = {
        "backbones": _backbones,
        "datasets": _datasets,
        "augmentations": _augmentations,
        "baselines": _baselines,
        "spaces": _spaces,
        "studies": _studies,
    }
    rows = listings[what]()
    if common.as_json:
        json_result(rows)
    else:
        table(rows)


def _backbones() -> list[Row]:
    from sfg_nas.backbones import BACKBONES, vision_names

    rows: list[Row] = [{"name": n, "what": _first_line(make)} for n, make in BACKBONES.items()]
    what = "torchvision's network without its last layer, with new weights; extra `vision`"
    rows += [{"name": name, "what": what} for name in vision_names() or ["torchvision/NAME"]]
    return rows


def _datasets() -> list[Row]:
    from sfg_nas.data import DATASETS, data_options

    return [
        {
            "name": name,
            "what": _first_line(load),
            "options": ", ".join(f"{key}={value}" for key, value in data_options(name).items()),
        }
        for name, load in DATASETS.items()
    ]


def _augmentations() -> list[Row]:
    from sfg_nas.data import AUGMENTATIONS, VOLUME_AUGMENTATIONS

    known: list[tuple[str, Mapping[str, object]]] = [
        ("images", AUGMENTATIONS),
        ("volumes", VOLUME_AUGMENTATIONS),
    ]
    return [
        {"name": name, "for": images, "what": _first_line(change)}
        for images, changes in known
        for name, change in changes.items()
    ]


def _baselines() -> list[Row]:
    from sfg_nas.compare import METHODS

    return [{"name": name, "what": kind.what} for name, kind in METHODS.items()]


def _spaces() -> list[Row]:
    from sfg_nas.config import shipped
    from sfg_nas.search_space import SearchSpace

    return [
        {"name": name, "dimensions": ", ".join(SearchSpace.from_yaml(path)), "file": str(path)}
        for name, path in shipped("search_spaces").items()
    ]


def _studies() -> list[Row]:
    from sfg_nas.config import SCHEMA_LINE, shipped

    rows: list[Row] = []
    for name, path in shipped("studies").items():
        lines = path.read_text(encoding="utf-8").splitlines()
        first = next(line for line in lines if not line.startswith(SCHEMA_LINE))
        rows.append({"name": name, "what": first.lstrip("# "), "file": str(path)})
    return rows


def _first_line(value: object) -> str:
    return (getattr(value, "__doc__", None) or "").strip().split("\n")[0]


@with_common("data_root", "runs")
def doctor(*, common: Common) -> None:
    """Say which versions, devices, extras and folders are there; exit 1 if something needed is not."""
    needed, extras = _packages()
    report: dict[str, Row] = {
        "machine": _machine(),
        "needed": dict(needed),
        "extras": dict(extras),
        "folders": _folders(common),
        "storage": {"sqlite": sqlite3.sqlite_version, "works": _sqlite_works()},
    }
    missing = [name for name, found in needed.items() if found is None]
    ready = not missing and bool(report["storage"]["works"])
    if common.as_json:
        json_result({**report, "ready": ready})
    else:
        for section, values in report.items():
            result(section)
            for name, value in values.items():
                result(f"  {name:24} {'missing' if value is None else value}")
        result("ready" if ready else f"not ready: {', '.join(missing) or 'SQLite does not work'}")
    if not ready:
        raise typer.Exit(1)


def _machine() -> Row:
    machine: Row = {
        "sfg_nas": own_version(),
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
    }
    try:
        import torch
    except ImportError:
        return machine | {"devices": "unknown, torch is missing"}
    devices = ["cpu"]
    devices += [
        f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())
    ]
    devices += ["mps"] if torch.backends.mps.is_available() else []
    return machine | {"devices": ", ".join(devices)}


def _packages() -> tuple[Mapping[str, str | None], Mapping[str, str]]:
    """Return the versions of what is needed, and of each extra's packages."""
    needed: dict[str, str | None] = {}
    extras: dict[str, list[str]] = {}
    try:
        entries = requires("sfg_nas") or []
    except PackageNotFoundError:
        entries = []
    for entry in entries:
        name = re.split(r"[^A-Za-z0-9_.-]", entry, maxsplit=1)[0]
        extra = re.search(r"""extra\s*==\s*['"]([^'"]+)['"]""", entry)
        if extra is None:
            needed[name] = _version_of(name)
        else:
            extras.setdefault(extra[1], []).append(f"{name} {_version_of(name) or 'missing'}")
    return needed, {extra: ", ".join(names) for extra, names in extras.items()}


def _version_of(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _folders(common: Common) -> Row:
    root = common.data_root
    return {
        "runs": f"{common.runs} ({_writable(common.runs)})",
        "data root": "not given" if root is None else f"{root} ({_data_in(root)})",
    }


def _writable(folder: Path) -> str:
    existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    return "writable" if os.access(existing, os.W_OK) else "not writable"


def _data_in(root: Path) -> str:
    if not root.is_dir():
        return "no such folder"
    return ", ".join(sorted(p.name for p in root.iterdir() if p.is_dir())) or "empty"


def _sqlite_works() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        try:
            connection = sqlite3.connect(Path(folder) / "probe.db")
            connection.execute("create table probe (x)")
            connection.close()
        except sqlite3.Error:
            return False
    return True
