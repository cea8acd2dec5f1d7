"""One epoch of search beside one epoch of hard sharing, and the found network beside both.

The two trainings take turns batch by batch over the same epoch of the same images, so that a noisy
machine hits both alike. Then the forward pass of a run's best network is timed beside hard
sharing's, in turns again. Everything is a ratio within one run.

    python benchmarks/epoch.py studies/utkface.yaml --data-root DIR [--run runs/utkface]
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

import sfg_nas
from sfg_nas.baselines import BASELINES
from sfg_nas.cost import count_macs
from sfg_nas.study import Run, Study, load_study
from sfg_nas.study.settings import search_settings
from sfg_nas.training import SupernetMethod, SupervisedMethod


def trainer(method: SupervisedMethod | SupernetMethod) -> Callable[..., None]:
    """Return one training step of a method as a function of a batch."""
    groups = [group.parameters for group in method.parameter_groups()]
    optimizer = torch.optim.Adam([p for group in groups for p in group], lr=1e-3)
    method.module.train()

    def step(images: torch.Tensor, targets: dict[str, torch.Tensor]) -> None:
        method.before_step(0.5)
        optimizer.zero_grad()
        method.loss(method.module, images, targets).total.backward()
        optimizer.step()

    return step


def hard_sharing(study: Study) -> torch.nn.Module:
    """Return the study's hard-sharing network."""
    torch.manual_seed(0)
    backbone = study.config.backbone
    return BASELINES["hard-sharing"](
        lambda: study.make_backbone(backbone), study.tasks, study.data.image_shape
    )


def epoch(study: Study) -> None:
    """Time an epoch of both, batch by batch."""
    config = study.config
    supernet = study.make_supernet(config, seed=0)
    count = len(study.data.train)
    ways = {
        "hard sharing": trainer(SupervisedMethod(hard_sharing(study), study.tasks)),
        "search": trainer(
            SupernetMethod(supernet, study.tasks, search_settings(config, count), steps=100)
        ),
    }
    seconds = dict.fromkeys(ways, 0.0)
    ratios = []
    batches = study.data.train.batches(
        config.training.batch_size, seed=0, augment=config.data.augment, drop_last=True
    )
    for images, targets in batches:
        now = {}
        for name, step in ways.items():
            start = time.perf_counter()
            step(images, targets)
            now[name] = time.perf_counter() - start
            seconds[name] += now[name]
        ratios.append(now["search"] / now["hard sharing"])
    low, middle, high = statistics.quantiles(ratios, n=4)
    for name, value in seconds.items():
        print(f"one epoch of {name}, {count} images: {value:.1f} s")
    print(f"search / hard sharing: median {middle:.2f} per step, quartiles {low:.2f} to {high:.2f}")


def forward(study: Study, run: Run, rounds: int) -> None:
    """Time the forward pass of the best network beside hard sharing's."""
    best = run.best
    if best is None:
        return
    network = sfg_nas.build_network(best.architecture).eval()
    shared = hard_sharing(study).eval()
    images, _ = next(study.data.validation.batches(256))
    ratios = []
    with torch.no_grad():
        for turn in range(rounds + 1):
            seconds = []
            for module in (shared, network):
                start = time.perf_counter()
                module(images)
                seconds.append(time.perf_counter() - start)
            if turn:
                ratios.append(seconds[1] / seconds[0])
    low, middle, high = statistics.quantiles(ratios, n=4)
    ours, theirs = best.architecture.macs, count_macs(shared, images)
    print(f"found network: {ours:,} MACs, hard sharing: {theirs:,} MACs, ratio {ours / theirs:.2f}")
    print(f"forward time, batch 256: median ratio {middle:.2f}, quartiles {low:.2f} to {high:.2f}")


def main() -> None:
    """Run both benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--data-root", type=Path, default=None)
    parser.add_argument("--run", type=Path, default=None)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    study = load_study(arguments.study, data_root=arguments.data_root)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}")
    epoch(study)
    if arguments.run is not None:
        forward(study, Run.load(arguments.run), arguments.rounds)


if __name__ == "__main__":
    main()
