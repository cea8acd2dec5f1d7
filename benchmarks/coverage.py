"""How many networks of torchvision and MONAI convert, and how exactly.

For every classification, segmentation and video CNN constructor of torchvision (and HighResNet and
UNet of MONAI where installed), with 2, 3 and 5 tasks: convert, take one training step, harden at
random, distil, build the fixed network, and compare its outputs with the supernet's. Needs the
`vision` extra (and `medical` for MONAI); nothing is downloaded, weights are random.

    python benchmarks/coverage.py --to FILE     # goes on where it stopped
    python benchmarks/coverage.py --only --timm hrnet_w18_small --tasks 3 --log /tmp/timm.jsonl
    python benchmarks/coverage.py --only resnet18 convnext_tiny --log /tmp/some.jsonl
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import sfg_nas
from sfg_nas.errors import SfgNasError

TOLERANCE = 1e-4
TASKS = (3, 2, 5)
SIDES = (64, 128, 224, 256)
"""Sides of the images that a network of timm is tried with, until it runs."""
TRANSFORMERS = ("vit_", "swin", "maxvit", "mvit")  # not CNNs: attention over tokens throughout


class ByName(nn.Module):
    """Reads one entry of a backbone that returns a mapping (or the only tensor)."""

    def __init__(self, layer: nn.Module) -> None:
        """Hold the layer that reads the entry `out`."""
        super().__init__()
        self.layer = layer

    def forward(self, features: Tensor | dict[str, Tensor]) -> Tensor:
        """Return the layer's output."""
        return self.layer(features["out"] if isinstance(features, dict) else features)


def classifier_head(features: int, outputs: int) -> nn.Module:
    """Return a linear head on a vector."""
    return nn.Linear(features, outputs)


def dense_head(features: int, outputs: int) -> nn.Module:
    """Return a 1x1 convolution on a map."""
    return ByName(nn.Conv2d(features, outputs, 1))


def torchvision_networks() -> Iterator[tuple[str, str, Callable[[], nn.Module]]]:
    """Yield `(family, name, constructor)`."""
    try:
        models = importlib.import_module("torchvision.models")
    except ImportError:
        return
    for family, module in (
        ("classification", models),
        ("segmentation", models.segmentation),
        ("video", models.video),
    ):
        for name in models.list_models(module=module):
            if not name.startswith(TRANSFORMERS):
                options = {"weights": None}
                if family == "segmentation":
                    options["weights_backbone"] = None
                if name in ("googlenet", "inception_v3"):
                    options |= {"init_weights": False, "aux_logits": False}
                build = models.get_model_builder(name)
                yield family, name, lambda build=build, options=options: build(**options)


def transformers() -> list[str]:
    """Return the names of the constructors that are left out."""
    try:
        models = importlib.import_module("torchvision.models")
    except ImportError:
        return []
    modules = (models, models.segmentation, models.video)
    names = {name for module in modules for name in models.list_models(module=module)}
    return sorted(name for name in names if name.startswith(TRANSFORMERS))


def monai_networks() -> Iterator[tuple[str, str, Callable[[], nn.Module]]]:
    """Yield MONAI's HighResNet and UNet in two and three dimensions."""
    try:
        nets = importlib.import_module("monai.networks.nets")
    except ImportError:
        return
    for dims in (2, 3):
        yield (
            f"monai{dims}d",
            f"HighResNet_{dims}d",
            lambda d=dims: nets.HighResNet(d, in_channels=1, out_channels=8),
        )
        yield (
            f"monai{dims}d",
            f"UNet_{dims}d",
            lambda d=dims: nets.UNet(
                d, 1, 8, channels=(8, 16, 32), strides=(2, 2), num_res_units=2
            ),
        )


def timm_networks(names: list[str]) -> Iterator[tuple[str, str, Callable[[], nn.Module]]]:
    """Yield networks of timm, which are only tried by name."""
    for name in names:
        create = importlib.import_module("timm").create_model
        yield "timm", name, lambda n=name, create=create: create(n, num_classes=16)


def example_for(family: str, name: str) -> Tensor:
    """Return a small input that the network accepts."""
    if family == "video":
        return torch.randn(
            2, 3, 16 if name == "s3d" else 8, *((224, 224) if name == "s3d" else (64, 64))
        )
    if family == "segmentation":
        return torch.randn(2, 3, 64, 64)
    if family.startswith("monai"):
        return torch.randn(2, 1, *[16] * int(family[5]))
    side = {"inception_v3": 299, "alexnet": 96, "squeezenet1_0": 96, "squeezenet1_1": 96}.get(
        name, 64
    )
    return torch.randn(2, 3, side, side)


def smallest(backbone: nn.Module) -> Tensor:
    """Return the smallest square images that a network runs on; some are built for one size."""
    backbone.eval()
    for side in SIDES[:-1]:
        try:
            with torch.no_grad():
                backbone(torch.zeros(1, 3, side, side))
        except (RuntimeError, AssertionError):
            continue
        break
    else:
        side = SIDES[-1]
    return torch.randn(2, 3, side, side)


def calibrate(backbone: nn.Module, x: Tensor) -> None:
    """Give norms the statistics of a batch, so that random networks pass signals on."""
    for module in backbone.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 0.9
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    backbone.train()
    with torch.no_grad():
        for _ in range(2):
            backbone(torch.randn(4, *x.shape[1:]))
    backbone.eval()


def check(family: str, name: str, build: Callable[[], nn.Module], tasks: int) -> dict[str, object]:
    """Return one row: converted or refused, and the largest relative difference."""
    torch.manual_seed(0)
    backbone = build()
    x = smallest(backbone) if family == "timm" else example_for(family, name)
    calibrate(backbone, x)
    with torch.no_grad():
        features = backbone(x)
    dense = isinstance(features, dict) or features.dim() > 2
    sample = features["out"] if isinstance(features, dict) else features
    if dense and sample.dim() == 5:
        heads = {f"t{t}": nn.Conv3d(sample.shape[1], t + 2, 1) for t in range(tasks)}
    else:
        make = dense_head if dense else classifier_head
        heads = {f"t{t}": make(sample.shape[1], t + 2) for t in range(tasks)}
    start = time.perf_counter()
    supernet = sfg_nas.convert(backbone, heads, x)
    seconds = time.perf_counter() - start
    del backbone
    supernet.train()
    for module in supernet.modules():  # a batch of two maps of 1x1 has no variance to train on
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    optimizer = torch.optim.SGD(supernet.parameters(), lr=1e-4)
    sum(out.float().tanh().mean() for out in supernet(x).values()).backward()
    optimizer.step()
    moved = supernet.assignments.filter_logits.grad
    assert moved is not None
    assert bool(moved.isfinite().all())
    allocation = sfg_nas.random_allocation(supernet, seed=tasks)
    with torch.no_grad():
        expected = supernet.harden(allocation).eval()(x)
        architecture = sfg_nas.distill(supernet, allocation)
        faults = architecture.lint()
        network = sfg_nas.build_network(architecture, weights=supernet).eval()
        found = network(x)
    difference = max(float((expected[t] - found[t]).abs().max()) for t in expected)
    scale = max(float(expected[t].abs().max()) for t in expected)
    # Random weights may leave one task's output the same for every image; never those of all tasks.
    assert any(float((out[0] - out[1]).abs().max()) > 0 for out in expected.values()), "no signal"
    return {
        "difference": difference / scale,
        "variables": supernet.wiring.variables,
        "filters": sum(len(r) for r in supernet.wiring.layers.values()),
        "macs": architecture.macs / supernet.shared_macs,
        "faults": len(faults),
        "seconds": seconds,
    }


def tried(family: str, name: str, build: Callable[[], nn.Module], tasks: int) -> dict[str, Any]:
    """Return one row of the table, whatever happens."""
    row: dict[str, Any] = {"family": family, "network": name, "tasks": tasks}
    try:
        row |= check(family, name, build, tasks)
    except Exception as err:  # noqa: BLE001 - every failure is a row of the table
        kind = "refused" if isinstance(err, SfgNasError) else type(err).__name__
        return row | {"result": f"{kind}: {' '.join(str(err).split())[:300]}"}
    if row["difference"] > TOLERANCE:
        return row | {"result": "differs"}
    return row | {"result": f"exact, {row['faults']} faults of lint" if row["faults"] else "exact"}


def as_table(rows: list[dict[str, Any]], left_out: list[str]) -> str:
    """Return the Markdown table, one line per network, with what was not tried."""
    networks: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        networks.setdefault((row["family"], row["network"]), []).append(row)
    good = sum(all(row["result"] == "exact" for row in group) for group in networks.values())
    lines = [
        f"{good} of {len(networks)} networks convert and agree to {TOLERANCE:.0e} for every number "
        "of tasks tried.",
        "",
        f"Not tried, because they are no CNNs: {', '.join(left_out) or 'none'}.",
        "",
        "| family | network | tasks | result | largest difference | filters | independent | "
        "convert (s) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (family, name), group in networks.items():
        results = sorted({row["result"] for row in group})
        exact = [row for row in group if "difference" in row]
        numbers = (
            f"{max(r['difference'] for r in exact):.1e} | {exact[0]['filters']} "
            f"| {exact[0]['variables']} | {statistics.median(r['seconds'] for r in exact):.1f}"
            if exact
            else "| | |"
        )
        counts = ", ".join(str(row["tasks"]) for row in sorted(group, key=lambda r: r["tasks"]))
        lines.append(f"| {family} | {name} | {counts} | {'; '.join(results)} | {numbers} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Check all networks, or those named; what the log holds is not done again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=None)
    parser.add_argument("--family", default=None)
    parser.add_argument("--timm", nargs="*", default=[], help="names of networks of timm")
    parser.add_argument("--tasks", nargs="*", type=int, default=TASKS)
    parser.add_argument("--log", type=Path, default=Path("runs/coverage.jsonl"))
    parser.add_argument("--to", type=Path, default=None)
    arguments = parser.parse_args()
    arguments.log.parent.mkdir(parents=True, exist_ok=True)
    arguments.log.touch()
    rows = [json.loads(line) for line in arguments.log.read_text(encoding="utf-8").splitlines()]
    done = {(row["family"], row["network"], row["tasks"]) for row in rows}
    networks = [
        (family, name, build)
        for family, name, build in [*monai_networks(), *torchvision_networks()]
        if (arguments.only is None or name in arguments.only)
        and (arguments.family is None or family.startswith(arguments.family))
    ]
    networks += timm_networks(arguments.timm)
    for tasks in arguments.tasks:  # every network with the first number before any with the next
        for family, name, build in networks:
            if (family, name, tasks) in done:
                continue
            row = tried(family, name, build, tasks)
            rows.append(row)
            with arguments.log.open("a", encoding="utf-8") as log:
                log.write(json.dumps(row) + "\n")
            print(row, flush=True)
            gc.collect()
    table = as_table(rows, transformers())
    print(table)
    if arguments.to is not None:
        arguments.to.write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
