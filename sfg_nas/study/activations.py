"""What single filters of a trial's network see in real images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sfg_nas.architecture import Architecture
from sfg_nas.data import Examples, ImageSet
from sfg_nas.errors import ConfigError, explain
from sfg_nas.fixed import build_network
from sfg_nas.study.retrain_entries import trained_supernet
from sfg_nas.study.study import Study
from sfg_nas.study.trial_reader import Trial


@dataclass(frozen=True, eq=False)
class Maps:
    """Activation maps of the filters of one layer.

    Attributes:
        layer: The layer.
        images: What was put in, `[N, C, H, W]`, in the data's own units; of volumes the middle slices.
        filters: Numbers of the filters in the user's network, `[F]`.
        maps: What they give after norm and activation, `[F, N, h, w]`; of volumes the middle slices.
    """

    layer: str
    images: NDArray[np.generic]
    filters: tuple[int, ...]
    maps: NDArray[np.float32]


def mapped_layers(architecture: Architecture, *, least_side: int = 1) -> dict[str, tuple[int, ...]]:
    """Return the layers of the backbone whose filters give maps, each with the filters that are there.

    A filter that no task can read is not in the architecture.

    Args:
        architecture: A found one.
        least_side: The fewest pixels along each side of a map.
    """
    found: dict[str, tuple[int, ...]] = {}
    for layer, nodes in architecture.layers():
        shapes = [architecture.node(name)["shape"] for name in nodes.values()]
        wide = all(len(shape) > 2 and min(shape[1:]) >= least_side for shape in shapes)
        spatial = all(architecture.node(n)["op"].startswith("conv") for n in nodes.values())
        if wide and spatial:
            numbers = [c for name in nodes.values() for c in architecture.node(name)["channels"]]
            found[layer] = tuple(sorted(numbers))
    return found


def activation_maps(study: Study, trial: Trial, layer: str, *, images: int = 6) -> Maps:
    """Return what the filters of a layer see in the first images of the validation part.

    The network is the trial's own: its architecture with the weights of its supernet.

    Args:
        study: The run's study, with its data.
        trial: A complete trial.
        layer: One of `mapped_layers`.
        images: How many images.

    Raises:
        ConfigError: If the layer has no maps, or the trial's supernet is gone.
        TrainingError: If the supernet's file is damaged.
    """
    architecture = trial.architecture
    known = mapped_layers(architecture)
    if layer not in known:
        raise ConfigError(
            explain(
                where=f"activation maps of trial {trial.number}",
                rule="a layer whose filters give maps is needed",
                found=repr(layer),
                do=f"choose one of {', '.join(known) or 'none'}",
            )
        )
    nodes = dict(architecture.layers())[layer]
    ends = {name: _activated(architecture, name) for name in nodes.values()}
    network = build_network(architecture, weights=trained_supernet(study, trial)).eval()
    part = study.data.validation
    batch, _ = next(iter(part.batches(min(images, len(part)))))
    with torch.no_grad():
        values = network.features(batch, set(ends.values()))
    rows: dict[int, NDArray[np.float32]] = {}
    for name, end in ends.items():
        maps = values[end].float().cpu().numpy()
        rows |= {c: maps[:, i] for i, c in enumerate(architecture.node(name)["channels"])}
    shown = _pixels(part, batch)
    filters = tuple(sorted(rows))
    spatial = shown.ndim - 2
    maps = np.stack([_slices(rows[c], spatial) for c in filters]).astype(np.float32)
    return Maps(layer, _slices(shown, spatial), filters, maps)


def _pixels(part: Examples, batch: Tensor) -> NDArray[np.generic]:
    """Return the part's first batch as it was before it was normalised, `[N, C, *spatial]`."""
    if isinstance(part, ImageSet):
        return np.take(part.images, part.indices[: len(batch)], axis=0)
    shape = (1, -1, *[1] * (batch.dim() - 2))
    values = batch.numpy() * np.reshape(part.std, shape) + np.reshape(part.mean, shape)
    whole = np.issubdtype(np.dtype(part.pixel_type), np.integer)
    return np.asarray(np.rint(values) if whole else values).astype(part.pixel_type)


def _activated(architecture: Architecture, name: str) -> str:
    """Return the last node of the norm and activation that follow a filter bank, or the bank itself."""
    while True:
        following = list(architecture.graph.successors(name))
        if len(following) != 1:
            return name
        here, after = architecture.node(name), architecture.node(following[0])
        same = (after["shape"], after["channels"]) == (here["shape"], here["channels"])
        alone = architecture.graph.in_degree(following[0]) == 1
        if not (same and alone) or after["op"].startswith(("conv", "linear", "output")):
            return name
        name = following[0]


def _slices(values: NDArray[np.generic], spatial: int) -> NDArray[np.generic]:
    """Return values with two spatial axes at their end, of volumes the middle slices."""
    for _ in range(spatial - 2):
        values = values.take(values.shape[-3] // 2, axis=-3)
    return values
