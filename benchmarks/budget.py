"""Seconds that a choice within a budget takes at full width, and how near its bound it comes.

Call as `OMP_NUM_THREADS=1 python benchmarks/budget.py`. Probabilities are drawn around the start, as a
search leaves them: a third of the filters is nearly decided, the rest is not, and most lean to all tasks.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import nn

from sfg_nas.backbones import build_backbone
from sfg_nas.errors import ConfigError
from sfg_nas.fixed import choose_within
from sfg_nas.sharing import Supernet, convert

SHARES = (0.8, 0.7, 0.6)
LEAN = 2.0


def supernet_of(kind: str, width: float, tasks: int, size: int) -> Supernet:
    """Return a supernet with probabilities as after a search."""
    torch.manual_seed(0)
    backbone = build_backbone(kind, in_channels=3, width=width, image_size=size)
    images = torch.rand(2, 3, size, size)
    features = backbone(images).shape[1]
    heads = {
        f"task{i}": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, 2))
        for i in range(tasks)
    }
    supernet = convert(backbone, heads, images, "specialists")
    with torch.no_grad():
        logits = supernet.assignments.filter_logits
        scale = torch.tensor([0.5, 1.0, 4.0]).repeat(len(logits))[: len(logits), None]
        logits.copy_(scale * torch.randn(logits.shape))
        logits[:, supernet.groups.sets.index(supernet.groups.everyone)] += LEAN
    return supernet


def main() -> None:
    """Print one row for each network, unit, granularity and budget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--tasks", type=int, default=2)
    parser.add_argument("--kinds", nargs="+", default=["vgg11", "resnet18"])
    parser.add_argument("--granularity", nargs="+", default=["filters", "layers", "blocks"])
    options = parser.parse_args()
    print("network | filters | chosen by | cost | budget | seconds | score | bound | kept")
    for kind in options.kinds:
        supernet = supernet_of(kind, options.width, options.tasks, 64)
        for granularity in options.granularity:
            for cost in ("macs", "params"):
                for share in SHARES:
                    start = time.process_time()
                    try:
                        found = choose_within(supernet, share, cost=cost, granularity=granularity)
                    except ConfigError as error:
                        print(kind, granularity, cost, share, error)
                        continue
                    taken = time.process_time() - start
                    print(
                        f"{kind} | {supernet.wiring.variables} | {granularity} | {cost} | {share} | "
                        f"{taken:.1f} | {found.score:.1f} | {found.bound:.1f} | {found.cost}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
