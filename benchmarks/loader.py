"""Images per second that the loader gives, beside what one training step needs, in one run.

    python benchmarks/loader.py --data-root DIR

The need is that of plain hard sharing, a VGG-11 of a quarter of the width on the same batches: the
cheapest step that the loader has to feed (a supernet's step takes longer). Rounds of both take
turns, so a busy machine slows both; the ratio is the median over rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from sfg_nas.backbones import build_backbone
from sfg_nas.data import DataBundle, ImageSet, load_data


class Network(nn.Module):
    """Hard sharing: one backbone, one head for each task."""

    def __init__(self, bundle: DataBundle, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        features = backbone(torch.zeros(2, *bundle.image_shape)).shape[1:]
        self.heads = nn.ModuleDict({task.name: task.make_head(features) for task in bundle.tasks})

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return one output for each task."""
        features = self.backbone(images)
        return {name: head(features) for name, head in self.heads.items()}


def seconds_of_loading(images: ImageSet, options: argparse.Namespace, epoch: int) -> float:
    """Return the seconds that `options.batches` batches take, nothing done with them."""
    stream = augmented(images, options, epoch)
    start = time.perf_counter()
    for _ in range(options.batches):
        next(stream)
    return time.perf_counter() - start


def augmented(
    images: ImageSet, options: argparse.Namespace, epoch: int
) -> Iterator[tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    """Return the batches of an epoch as a search trains on them."""
    return images.batches(
        options.batch_size, seed=0, epoch=epoch, augment=images.augmentations, drop_last=True
    )


def seconds_of_training(
    network: Network, optimizer: torch.optim.Optimizer, bundle: DataBundle, batches: list
) -> float:
    """Return the seconds that one training step on each of these batches takes, loading left out."""
    start = time.perf_counter()
    for images, targets in batches:
        outputs = network(images)
        losses = [task.loss(outputs[task.name], targets[task.name]) for task in bundle.tasks]
        optimizer.zero_grad()
        torch.stack(losses).sum().backward()
        optimizer.step()
    return time.perf_counter() - start


def measure(bundle: DataBundle, options: argparse.Namespace) -> dict[str, float]:
    """Return medians over rounds that load and train in turn."""
    channels, size = bundle.image_shape[0], bundle.image_shape[-1]
    backbone = build_backbone("vgg11", in_channels=channels, width=0.25, image_size=size)
    network = Network(bundle, backbone)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    first = augmented(bundle.train, options, 0)
    batches = [next(first) for _ in range(options.batches)]
    seconds_of_training(network, optimizer, bundle, batches[:2])
    rounds = [
        (
            seconds_of_loading(bundle.train, options, epoch),
            seconds_of_training(network, optimizer, bundle, batches),
        )
        for epoch in range(1, options.rounds + 1)
    ]
    images = options.batches * options.batch_size
    return {
        "loader_images_per_second": statistics.median(images / load for load, _ in rounds),
        "step_images_per_second": statistics.median(images / train for _, train in rounds),
        "loader_times_faster": statistics.median(train / load for load, train in rounds),
    }


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--data-root", type=Path, help="folder that holds utkface/")
    parser.add_argument("--cache", type=Path, help="folder for decoded images (default: a new one)")
    parser.add_argument("--kind", default="utkface", help="data set")
    parser.add_argument("--size", type=int, default=64, help="side of the images in pixels")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--batches", type=int, default=30, help="batches in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="threads of torch (default: torch's own)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    options = arguments()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        cache = options.cache or Path(folder)
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            bundle = load_data(options.kind, root=options.data_root, cache=cache, size=options.size)
            seconds.append(time.perf_counter() - start)
        steps = len(bundle.train) // options.batch_size
        options.batches = min(options.batches, steps)
        found = {
            "threads": torch.get_num_threads(),
            "images": len(bundle.train) + len(bundle.validation) + len(bundle.test),
            "first_load_seconds": seconds[0],
            "second_load_seconds": seconds[1],
            **measure(bundle, options),
        }
    if options.json:
        print(json.dumps(found))
        return
    print(f"{options.kind}, {bundle.image_shape}, batches of {options.batch_size}")
    for name, value in found.items():
        print(f"{name:28} {value:12,.1f}")


if __name__ == "__main__":
    main()
