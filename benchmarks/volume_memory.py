"""Peak memory and time of `sfg-nas predict` on one large volume, each setting in a process of its own.

    python benchmarks/volume_memory.py

The volume has 256 x 256 x 128 voxels of 1.5 mm, most of them body; networks are an untrained HighResNet shared at random
between `ct` and `organs`, since what the values are changes neither time nor memory. The machine's peak counts everything
that the process held, libraries included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel
import numpy as np
import torch

from sfg_nas.backbones import build_backbone
from sfg_nas.baselines import make_heads
from sfg_nas.data import Preparation, VolumeSettings
from sfg_nas.fixed import build_network, distill
from sfg_nas.sharing import convert, random_allocation
from sfg_nas.tasks import Task
from sfg_nas.training import save_module, write_json

SHAPE = (256, 256, 128)
SPACING = (1.5, 1.5, 1.5)
ORGANS = {"bone": 1, "prostate": 2, "bladder": 3, "rectum": 4}
TASKS = (
    Task("ct", "dense-regression", unit="HU", center=0.0, scale=200.0, classes=tuple(ORGANS)),
    Task("organs", "segmentation", 5, classes=("background", *ORGANS)),
)
SETTINGS = (
    ((96, 96), 0.25),
    ((96, 96), 1.0),
    ((256, 256), 1.0),
    ((64, 64, 64), 0.25),
    ((64, 64, 64), 1.0),
)
MEASURE = """
import resource, sys
from sfg_nas.cli import run
code = run(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(code)
"""


def write_volume(path: Path) -> None:
    """Write a bright box in noise."""
    rng = np.random.default_rng(0)
    values = rng.normal(20, 5, SHAPE).astype(np.float32)
    values[40:220, 60:200, 10:120] += 400 + 100 * rng.random((180, 140, 110), dtype=np.float32)
    affine = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
    nibabel.save(nibabel.Nifti1Image(values.astype(np.int16), affine), path)


def write_network(folder: Path, patch: tuple[int, ...], width: float) -> None:
    """Write a network with what `predict` needs."""
    torch.manual_seed(0)
    shape = (1, *patch)
    trunk = build_backbone("highresnet", in_channels=1, width=width, dimensions=len(patch))
    supernet = convert(trunk, make_heads(trunk, TASKS, shape), torch.zeros(1, *shape))
    architecture = distill(supernet, random_allocation(supernet, seed=0))
    folder.mkdir()
    architecture.save(folder / "architecture.json")
    save_module(folder / "network.safetensors", build_network(architecture, weights=supernet))
    settings = VolumeSettings(SPACING, patch, ORGANS)
    preparation = Preparation("volumes", shape, "float32", (0.0,), (1.0,), TASKS, settings)
    write_json(folder / "prediction.json", preparation.to_json())


def main() -> None:
    """Measure and print one JSON object for each setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=int, nargs="*", default=range(len(SETTINGS)))
    for number in parser.parse_args().settings:
        patch, width = SETTINGS[number]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_volume(folder / "large.nii")
            write_network(folder / "network", patch, width)
            files = (folder / "network", folder / "large.nii")
            arguments = ["predict", *files, "--to", folder / "out"]
            start = time.perf_counter()
            done = subprocess.run(  # noqa: S603 - our own command
                [sys.executable, "-c", MEASURE, *map(str, arguments)],
                capture_output=True,
                text=True,
                check=True,
            )
            seconds = time.perf_counter() - start
        kib = int(done.stdout.split("peak")[1])  # Linux counts in KiB
        row = {"patch": patch, "width": width, "peak_gb": round(kib * 1024 / 1e9, 2)}
        print(json.dumps(row | {"seconds": round(seconds)}), flush=True)


if __name__ == "__main__":
    main()
