"""What a search step costs beside a plain training step, and a fixed network beside its MACs.

Every way is timed in turn within one run, and only ratios are reported: the median over rounds of
(time of this way / time of the plain step in the same round), with the quartiles. The plain step is
hard sharing: the same backbone and heads, forward, backward and Adam.

    python benchmarks/step.py                          # everything: some minutes on two cores
    python benchmarks/step.py --only vgg11-quarter --batch 16 --rounds 15
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

import sfg_nas
from sfg_nas.allocation import Allocation
from sfg_nas.backbones import build_backbone
from sfg_nas.cost import count_macs
from sfg_nas.sharing import BackboneWithHeads, Supernet, objective

NETWORKS = {
    "vgg11-quarter": ("vgg11", 0.25),
    "vgg11-full": ("vgg11", 1.0),
    "resnet18": ("resnet18", 1.0),
}


def heads_for(features: int, tasks: int) -> dict[str, nn.Module]:
    """Return small linear heads."""
    return {
        f"t{t}": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, 2))
        for t in range(tasks)
    }


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
            start = time.process_time()
            run()
            seconds[name] = time.process_time() - start
        plain = next(iter(seconds.values()))
        for name, value in seconds.items():
            found[name].append(value / plain)
    return found


def show(label: str, found: dict[str, list[float]]) -> None:
    """Print medians and quartiles."""
    for name, values in found.items():
        low, middle, high = statistics.quantiles(values, n=4)
        print(f"| {label} | {name} | {middle:.2f} | {low:.2f} to {high:.2f} |", flush=True)


def search_steps(name: str, batch: int, side: int, rounds: int) -> None:
    """Time the search step in both forms and with ten tasks."""
    kind, width = NETWORKS[name]
    x = torch.randn(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    backbone = build_backbone(kind, in_channels=3, width=width)
    features = backbone(x[:1]).shape[1]
    plain = BackboneWithHeads(backbone, heads_for(features, 2))
    ways = {"plain hard sharing": trainer(plain, x)}
    ways["connections, 2 tasks"] = trainer(sfg_nas.convert(backbone, heads_for(features, 2), x), x)
    ways["connections, 10 tasks"] = trainer(
        sfg_nas.convert(backbone, heads_for(features, 10), x), x
    )
    streams = sfg_nas.convert(backbone, heads_for(features, 2), x, relaxation="streams")
    ways["streams, 2 tasks"] = trainer(streams, x)
    show(f"{name}, batch {batch}", ratios(ways, rounds))


def fixed_forward(name: str, batch: int, side: int, rounds: int) -> None:
    """Time the forward pass of the fixed network at thirds beside hard sharing's."""
    kind, width = NETWORKS[name]
    x = torch.randn(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    backbone = build_backbone(kind, in_channels=3, width=width)
    heads = heads_for(backbone(x[:1]).shape[1], 2)
    shared = BackboneWithHeads(backbone, heads).eval()
    supernet = sfg_nas.convert(backbone, heads, x)
    thirds = {
        layer: [i * 3 // len(rows) for i in range(len(rows))]
        for layer, rows in supernet.wiring.layers.items()
    }
    if kind == "resnet18":  # tied layers must agree: equal widths give equal thirds
        thirds = {layer: list(row) for layer, row in thirds.items()}
    allocation = Allocation(supernet.groups, {k: tuple(v) for k, v in thirds.items()})
    architecture = sfg_nas.distill(supernet, allocation)
    network = sfg_nas.build_network(architecture, weights=supernet).eval()

    def timed(module: nn.Module) -> Callable[[], None]:
        def run() -> None:
            with torch.no_grad():
                module(x)

        return run

    found = ratios({"hard sharing": timed(shared), "fixed at thirds": timed(network)}, rounds)
    macs = architecture.macs / count_macs(shared, x)
    show(f"{name}, batch {batch}, forward, MACs ratio {macs:.3f}", found)


def main() -> None:
    """Run the benchmarks that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--batch", nargs="*", type=int, default=[16, 64])
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--skip-search", action="store_true")
    arguments = parser.parse_args()
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}, "
        f"{arguments.side} px, {arguments.rounds} rounds"
    )
    print("| network | way | median ratio | quartiles |\n|---|---|---|---|")
    for name in arguments.only:
        for batch in arguments.batch:
            if not arguments.skip_search:
                search_steps(name, batch, arguments.side, arguments.rounds)
            fixed_forward(name, batch, arguments.side, arguments.rounds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"peak resident memory of the whole run: {peak / 2**20:.2f} GiB (in units of this system)"
    )


if __name__ == "__main__":
    main()
