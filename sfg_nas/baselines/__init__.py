"""What a learned network is compared with, each built from the same backbone."""

from collections.abc import Callable, Sequence

from torch import nn

from sfg_nas.baselines.allocations import permuted, resized, shuffled, tree_split
from sfg_nas.baselines.constant import constant_mask, equal_shares
from sfg_nas.baselines.constant_p import ConstantProbabilities
from sfg_nas.baselines.cross_stitch import CrossStitchNetwork, CrossStitchUnit, cross_stitch
from sfg_nas.baselines.nddr import NDDRUnit, nddr
from sfg_nas.baselines.network import (
    MultiTaskNetwork,
    SingleTaskNetworks,
    hard_sharing,
    make_heads,
    single_task,
)
from sfg_nas.tasks import Task

Baseline = Callable[[Callable[[], nn.Module], Sequence[Task], Sequence[int]], nn.Module]

BASELINES: dict[str, Baseline] = {
    "single-task": single_task,
    "hard-sharing": hard_sharing,
    "constant-mask": constant_mask,
    "cross-stitch": cross_stitch,
    "nddr": nddr,
}
"""Name to what makes the network from (backbone factory, tasks, image shape); weights come from torch's random state."""

__all__ = [
    "BASELINES",
    "Baseline",
    "ConstantProbabilities",
    "CrossStitchNetwork",
    "CrossStitchUnit",
    "MultiTaskNetwork",
    "NDDRUnit",
    "SingleTaskNetworks",
    "constant_mask",
    "cross_stitch",
    "equal_shares",
    "hard_sharing",
    "make_heads",
    "nddr",
    "permuted",
    "resized",
    "shuffled",
    "single_task",
    "tree_split",
]
