"""Reads damaged and hostile files with little memory and time, and reports what went wrong.

Called as `python hostile.py FOLDER COUNT`. The folder holds one good file of each format; each is
changed COUNT times. Prints one JSON line: how often each format was refused and read, and failures:
errors that are none of the package's own, and files that took too long.
"""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch

from sfg_nas.allocation import Allocation
from sfg_nas.architecture import Architecture
from sfg_nas.compare.content import read_content
from sfg_nas.data import Preparation, bundle_from_arrays, decode_batches, photos_of_table
from sfg_nas.errors import DataError, SfgNasError
from sfg_nas.fixed import FixedNetwork, build_network
from sfg_nas.report.comparison import compared_frame
from sfg_nas.report.front import front_frame, retrained_table
from sfg_nas.report.table import results_table
from sfg_nas.report.verdict import verdict_of
from sfg_nas.search_space import Candidate
from sfg_nas.study.finalists import load_finals
from sfg_nas.study.layout import RunFiles, TrialFiles
from sfg_nas.study.recorder import read_probabilities
from sfg_nas.study.references import load_references
from sfg_nas.study.run import Run, retrained_rows
from sfg_nas.study.trial import Ledger
from sfg_nas.study.trial_reader import Trial
from sfg_nas.tasks import Task
from sfg_nas.training import Settings, SupervisedMethod, fit, make_fabric, restore_norm_state
from sfg_nas.training.files import read_rows
from sfg_nas.weights import load_weights, read_tensors

MORE_MEMORY = 2**30
SECONDS = 20


def architecture(path: Path) -> None:
    """Load and build."""
    build_network(Architecture.load(path))


@cache
def network_of(folder: Path) -> FixedNetwork:
    """Return the network of a folder's good architecture."""
    return build_network(Architecture.load(folder / "architecture.json"))


@cache
def run_of(folder: Path) -> Run:
    """Return the run with a folder's good study."""
    return Run.load(folder)


def weights(path: Path) -> None:
    """Load into the network that they are of."""
    load_weights(path, network_of(Path(sys.argv[1])))


def norms(path: Path) -> None:
    """Put statistics into the network that they are of."""
    restore_norm_state(network_of(path.parents[2]), read_tensors(path)[0])


def checkpoint(path: Path) -> None:
    """Go on with the training that left it; the whole file says that it is over."""
    train_tiny(path)


def train_tiny(path: Path) -> None:
    """Train a network of one layer for two epochs, or go on from what a file holds."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 1, 2, 2), dtype=np.uint8)
    task = Task("sum", "regression")
    labels = {"sum": images.mean((1, 2, 3)).astype(np.float32)}
    train = bundle_from_arrays(images, labels, (task,), seed=0).train
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 1), Named("sum"))
    settings = Settings(epochs=2, batch_size=8)
    method = SupervisedMethod(network, (task,))
    fit(method, train, settings, fabric=make_fabric(), seed=0, checkpoint=path)


class Named(torch.nn.Module):
    """Gives a value a name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {self.name: x[:, 0]}


def table(path: Path) -> None:
    """Read a retraining's table and its verdict."""
    folder = path.parents[1]
    run = replace(run_of(folder.parent), path=folder)
    results_table(retrained_table(run))
    front_frame(run)
    verdict_of(run)


def labels(path: Path) -> None:
    """Find the photos and labels that a stranger's table names."""
    task = Task("age", "regression", unit="years")
    photos_of_table(path, "test", None, kind="table", tasks=(task,))


def photo(path: Path) -> None:
    """Decode a stranger's photo."""
    (batch,) = decode_batches([path], (3, 8, 8))
    if batch.failed:
        ((_, reason),) = batch.failed
        raise DataError(reason[:500])


READERS: dict[str, Callable[[Path], object]] = {
    "architecture.json": architecture,
    "architecture.graphml": architecture,
    "network.safetensors": weights,
    "allocation.json": Allocation.load,
    "candidate.json": lambda path: Candidate.from_json(
        path.read_bytes().decode("utf-8", "replace")
    ),
    "state.json": lambda path: Trial.load(TrialFiles(path.parent)),
    "ledger.json": lambda path: Ledger.load(TrialFiles(path.parent)),
    "references.json": lambda path: load_references(RunFiles(path.parent)),
    "finals.json": lambda path: load_finals(RunFiles(path.parent)),
    "metrics.json": lambda path: retrained_rows(RunFiles(path.parents[3])),
    "study.yaml": lambda path: Run.load(path.parent),
    "probabilities.npz": read_probabilities,
    "others.safetensors": weights,
    "norms.safetensors": norms,
    "checkpoint.safetensors": checkpoint,
    "prediction.json": Preparation.load,
    "metrics.csv": lambda path: (run_of(path.parents[2]).epochs(), read_rows(path)),
    "table.csv": table,
    "paired.csv": table,
    "compare.csv": lambda path: compared_frame(run_of(path.parent)),
    "compare.md": lambda path: verdict_of(run_of(path.parent)),
    "compared metrics.json": lambda path: read_content(path, "metrics"),
    "compared test.json": lambda path: read_content(path, "test"),
    "compared failed.json": lambda path: read_content(path, "failed"),
    "compared width-all.json": lambda path: read_content(path, "width"),
    "compared calls.json": lambda path: read_content(path, "calls"),
    "labels.csv": labels,
    "photo.png": photo,
    "photo.jpg": photo,
}


def format_of(path: Path) -> str:
    """Return the key of a file in `READERS`."""
    return f"compared {path.name}" if "compared" in path.parts else path.name


BAD_VALUES: tuple[object, ...] = (
    None, True, -1, 0, 10**9, 2**63, 10**30, 1.5, 1e308, "", "x", "../../../etc/passwd", [], {},
    [0], [-1], [[]], [10**9] * 4, {"x": 1}, "os.system", "torch.os", "torch.float32", "0-999999999",
)  # fmt: skip


def changed(content: bytes, rng: np.random.Generator) -> bytes:
    """Return a damaged copy of a file."""
    kind = int(rng.integers(7))
    place, other = sorted(int(v) for v in rng.integers(0, len(content) + 1, 2))
    if kind == 0:
        return content[:place]
    if kind == 1 and place < len(content):
        bit = 1 << int(rng.integers(8))
        return content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :]
    if kind == 2:
        return content[:place] + content[other:]
    if kind == 3:
        return content[:other] + content[place:other] + content[other:]
    if kind == 4:
        return content[:place] + rng.bytes(int(rng.integers(1, 20))) + content[place:]
    if kind == 5:
        numbers = [i for i, byte in enumerate(content) if 48 <= byte <= 57]
        if numbers:
            at = numbers[int(rng.integers(len(numbers)))]
            return content[:at] + b"9999999999"[: int(rng.integers(1, 11))] + content[at + 1 :]
    return restructured(content, rng)


def restructured(content: bytes, rng: np.random.Generator) -> bytes:
    """Return JSON with one value replaced, or the bytes with a part repeated if it is no JSON."""
    try:
        value = json.loads(content)
    except ValueError:
        return content[: len(content) // 2] + content
    holder, key = value, None
    for _ in range(int(rng.integers(1, 9))):
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            break
        key = keys[int(rng.integers(len(keys)))]
        if not isinstance(holder[key], dict | list):
            break
        if rng.random() < 0.2 or not holder[key]:
            break
        parent, holder = holder, holder[key]
        last, key = key, None
    if key is None:
        holder, key = parent, last
    holder[key] = BAD_VALUES[int(rng.integers(len(BAD_VALUES)))]
    return json.dumps(value).encode()


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Allow little more memory than is in use now, and little time of the processor, which others may share."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    most = pages * resource.getpagesize() + MORE_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, limits[1]))
    signal.signal(signal.SIGPROF, _too_long)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, limits)


def _too_long(*_: object) -> None:
    raise TimeoutError(f"more than {SECONDS} seconds of the processor")


def outcome(path: Path, read: Callable[[Path], object]) -> str:
    """Return `read`, `refused`, or what went wrong."""
    try:
        with limited():
            read(path)
    except SfgNasError as error:
        if len(str(error)) > 2000 or not str(error):
            return f"a message of {len(str(error))} characters"
        return "refused"
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is a failure
        return f"{type(error).__name__}: {str(error)[:200]}"
    return "read"


def main() -> None:
    """Change every file of a folder, and read the hand-made ones below `bombs`."""
    warnings.simplefilter("ignore")
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    report: dict[str, dict[str, object]] = {}
    for path in sorted(
        p for p in folder.rglob("*") if format_of(p) in READERS and "bombs" not in p.parts
    ):
        read = READERS[format_of(path)]
        good, rng = path.read_bytes(), np.random.default_rng(len(report))
        read(path)  # without limits: libraries are loaded here
        found = []
        start = time.process_time()
        for _ in range(count):
            path.write_bytes(changed(good, rng))
            found.append(outcome(path, read))
            if found[-1] not in ("read", "refused"):
                path.with_suffix(".failed").write_bytes(path.read_bytes())
        path.write_bytes(good)
        report[format_of(path)] = {
            "read": found.count("read"),
            "refused": found.count("refused"),
            "failures": sorted(set(found) - {"read", "refused"}),
            "seconds": time.process_time() - start,
        }
    for path in sorted((folder / "bombs").rglob("*")):
        if path.is_file() and path.name in READERS and path.parent.parent.name == "bombs":
            report[f"bomb {path.parent.name}"] = {"outcome": outcome(path, READERS[path.name])}
    print(json.dumps(report))  # noqa: T201


if __name__ == "__main__":
    main()
