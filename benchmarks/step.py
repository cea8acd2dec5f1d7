"""What a search step costs beside a plain training step, and a fixed network beside its MACs.

Every way is timed in turn within one run, and only ratios are reported: the median over rounds of
(time of this way / time of the plain step in the same round), with the quartiles. The plain step is
hard sharing: the same backbone and heads, forward, backward and Adam. With one thread the processor's
time is taken, which other people's work on the machine changes less than the clock on the wall.
Memory is the peak of the bytes in tensors during a step, which does not vary (what `torch.cuda.max_memory_allocated`
gives on a GPU), and the peak of a process of its own that takes two steps, less what the libraries hold, which also has
what the C library keeps between blocks.

    python benchmarks/step.py                          # everything: some minutes on two cores
    python benchmarks/step.py --only vgg11-quarter --batch 16 --rounds 15
    python benchmarks/step.py --only torchvision/convnext_tiny --batch 16 --steps   # needs torchvision
    python benchmarks/step.py --only timm/ecaresnet26t --batch 8 --steps            # needs timm
"""

from __future__ import annotations

import argparse
import gc
import importlib
import itertools
import math
import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from torch import Tensor, nn

import sfg_nas
from sfg_nas.allocation import Allocation
from sfg_nas.architecture import Architecture
from sfg_nas.backbones import build_backbone
from sfg_nas.cost import count_macs
from sfg_nas.sharing import BackboneWithHeads, Supernet, objective

NETWORKS = {
    "vgg11-quarter": ("vgg11", 0.25),
    "vgg11-full": ("vgg11", 1.0),
    "resnet18": ("resnet18", 1.0),
}


def heads_for(features: Tensor, tasks: int) -> dict[str, nn.Module]:
    """Return small linear heads on features `[N, C]` or `[N, C, H, W]`."""
    pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten()] if features.dim() > 2 else []
    return {f"t{t}": nn.Sequential(*pooled, nn.Linear(features.shape[1], 2)) for t in range(tasks)}


def trainer(network: nn.Module, x: Tensor) -> Callable[[], None]:
    """Return one training step as a function; a supernet takes the whole objective."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    network.train()

    def step() -> None:
        optimizer.zero_grad()
        losses = {task: out.square().mean() for task, out in network(x).items()}
        if isinstance(network, Supernet):
            total = objective(network, losses, examples=10_000, lambda2=0.1, lambda3=0.1).total
        else:
            total = torch.stack([*losses.values()]).sum()
        total.backward()
        optimizer.step()

    return step


def ratios(ways: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Return each way's time over that of the first, round by round."""
    for run in ways.values():
        run()
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        seconds = {}
        for name, run in ways.items():
            start = now()
            run()
            seconds[name] = now() - start
        plain = next(iter(seconds.values()))
        for name, value in seconds.items():
            found[name].append(value / plain)
    return found


def now() -> float:
    """Return a time to take differences of."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def show(label: str, found: dict[str, list[float]]) -> None:
    """Print medians and quartiles."""
    for name, values in found.items():
        low, middle, high = statistics.quantiles(values, n=4)
        print(f"| {label} | {name} | {middle:.2f} | {low:.2f} to {high:.2f} |", flush=True)


WAYS = {  # name: tasks and relaxation, None for hard sharing
    "plain hard sharing": (2, None),
    "connections, 2 tasks": (2, "connections"),
    "connections, 10 tasks": (10, "connections"),
    "streams, 2 tasks": (2, "streams"),
}


def backbone_of(name: str) -> nn.Module:
    """Return a backbone by its name here, or `torchvision/NAME` or `timm/NAME`."""
    if name.startswith("timm/"):
        timm = importlib.import_module("timm")
        made: nn.Module = timm.create_model(
            name.removeprefix("timm/"), num_classes=0, global_pool=""
        )
        return made
    kind, width = NETWORKS.get(name, (name, 1.0))
    return build_backbone(kind, in_channels=3, width=width)


def way_of(way: str, name: str, batch: int, side: int) -> Callable[[], None]:
    """Return the training step of one way."""
    tasks, relaxation = WAYS[way]
    x = torch.randn(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    backbone = backbone_of(name)
    heads = heads_for(backbone.eval()(x[:1]), tasks)
    if relaxation is None:
        return trainer(BackboneWithHeads(backbone, heads), x)
    return trainer(sfg_nas.convert(backbone, heads, x, relaxation=relaxation), x)


def search_steps(name: str, batch: int, side: int, rounds: int) -> None:
    """Time the search step in both forms and with ten tasks."""
    ways = {way: way_of(way, name, batch, side) for way in WAYS}
    found = ratios(ways, rounds)
    show(f"{name}, batch {batch}", found)
    two, ten = found["connections, 2 tasks"], found["connections, 10 tasks"]
    show(
        f"{name}, batch {batch}",
        {"10 tasks / 2 tasks": [b / a for a, b in zip(two, ten, strict=True)]},
    )


def resident(peak: bool) -> float:
    """Return this process's memory, or its peak so far, in MiB (Linux)."""
    key = "VmHWM:" if peak else "VmRSS:"
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024


def in_tensors(step: Callable[[], None]) -> float:
    """Return the peak of the bytes in tensors during a step, in MiB."""
    gc.collect()
    held = {}
    for found in gc.get_objects():
        if type(found) in (Tensor, nn.Parameter):
            for tensor in (found, found.grad):
                if tensor is not None:
                    held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        step()
    changes = [
        (event.start_ns(), event.nbytes())
        for event in profile.profiler.kineto_results.events()
        if event.name() == "[memory]"
    ]
    running = itertools.accumulate(size for _, size in sorted(changes))
    return (sum(held.values()) + max(running)) / 2**20


def peak_of(arguments: tuple[str, str, int, int]) -> tuple[float, float]:
    """Return the peaks of a way's step, in MiB: in tensors, and of the process; to be called in a fresh process."""
    torch.set_num_threads(1)
    warm = way_of("connections, 2 tasks", "vgg11-quarter", 2, 64)  # loads the libraries
    warm()
    del warm
    gc.collect()
    before = resident(peak=False)
    step = way_of(*arguments)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # not what converting took
    for _ in range(2):
        step()
    process = resident(peak=True) - before
    return in_tensors(step), process


def memory(name: str, batch: int, side: int) -> None:
    """Print the peak memory of each way over that of hard sharing."""
    fresh = multiprocessing.get_context("spawn")
    found = {}
    for way in WAYS:
        with ProcessPoolExecutor(1, mp_context=fresh) as pool:
            found[way] = pool.submit(peak_of, (way, name, batch, side)).result()
    plain = next(iter(found.values()))
    for way, values in found.items():
        for what, value, one in zip(("tensors", "process"), values, plain, strict=True):
            label = f"{name}, batch {batch}, peak memory, {what}"
            print(f"| {label} | {way} | {value / one:.2f} | {value:.0f} MiB |", flush=True)


def fixed_forward(name: str, batch: int, side: int, rounds: int) -> None:
    """Time the forward pass of the fixed network at thirds beside hard sharing's."""
    x = torch.randn(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    backbone = backbone_of(name)
    heads = heads_for(backbone.eval()(x[:1]), 2)
    shared = BackboneWithHeads(backbone, heads).eval()
    supernet = sfg_nas.convert(backbone, heads, x)
    thirds = {
        layer: [i * 3 // len(rows) for i in range(len(rows))]
        for layer, rows in supernet.wiring.layers.items()
    }
    if name == "resnet18":  # tied layers must agree: equal widths give equal thirds
        thirds = {layer: list(row) for layer, row in thirds.items()}
    allocation = Allocation(supernet.groups, {k: tuple(v) for k, v in thirds.items()})
    architecture = sfg_nas.distill(supernet, allocation)
    network = sfg_nas.build_network(architecture, weights=supernet).eval()

    def timed(module: nn.Module) -> Callable[[], None]:
        def run() -> None:
            with torch.no_grad():
                module(x)

        return run

    everyone = Allocation(
        supernet.groups, {k: (len(supernet.groups) - 1,) * len(v) for k, v in thirds.items()}
    )
    shared_by_all = sfg_nas.distill(supernet, everyone)
    whole = sfg_nas.build_network(shared_by_all, weights=supernet).eval()
    ways = {
        "hard sharing": timed(shared),
        "hard sharing as a fixed network": timed(whole),
        "fixed at thirds": timed(network),
    }
    found = ratios(ways, rounds)
    macs = architecture.macs / count_macs(shared, x)
    blocks = in_blocks(architecture) / in_blocks(shared_by_all)
    show(f"{name}, batch {batch}, forward, MACs ratio {macs:.3f}, in blocks {blocks:.3f}", found)


def in_blocks(architecture: Architecture, block: int = 16) -> int:
    """Return the MACs of all convolutions if channels come in whole blocks, as kernels of 512-bit vectors take them; the image's do not."""

    def whole(channels: int) -> int:
        return channels if channels <= 4 else math.ceil(channels / block) * block

    total = 0
    for _, node in architecture.graph.nodes(data=True):
        if node["op"].startswith("conv"):
            filters, channels, *kernel = node["params"]["weight"]["shape"]
            places = math.prod(node["shape"][1:])
            total += whole(filters) * whole(channels) * math.prod(kernel) * places
    return total


def known(name: str) -> str:
    """Return the name of a network that can be made."""
    if name not in NETWORKS and not name.startswith(("torchvision/", "timm/")):
        names = ", ".join(NETWORKS)
        raise argparse.ArgumentTypeError(f"{name}: one of {names}, torchvision/NAME, timm/NAME")
    return name


def main() -> None:
    """Run the benchmarks that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(NETWORKS), type=known)
    parser.add_argument("--batch", nargs="*", type=int, default=[16, 64])
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--skip-search", action="store_true")
    parser.add_argument("--steps", action="store_true", help="the search step alone")
    parser.add_argument("--memory", action="store_true", help="memory alone")
    arguments = parser.parse_args()
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}, "
        f"{arguments.side} px, {arguments.rounds} rounds"
    )
    print("| network | way | median ratio | quartiles |\n|---|---|---|---|")
    for name in arguments.only:
        for batch in arguments.batch:
            if arguments.memory:
                memory(name, batch, arguments.side)
                continue
            if not arguments.skip_search:
                search_steps(name, batch, arguments.side, arguments.rounds)
            if arguments.steps:
                continue
            if not arguments.skip_search:
                memory(name, batch, arguments.side)
            fixed_forward(name, batch, arguments.side, arguments.rounds)


if __name__ == "__main__":
    main()
