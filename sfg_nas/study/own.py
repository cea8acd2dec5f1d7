"""What makes a study's networks: the registry, or a module, a class or a function of one's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from sfg_nas.backbones import FAMILY, build_backbone
from sfg_nas.config import BackboneConfig
from sfg_nas.errors import ConfigError, explain
from sfg_nas.training import fenced_random_state

BackboneFactory = Callable[[BackboneConfig, Sequence[int]], nn.Module]
"""Makes a backbone from its section of the study and the image's shape (C, H, W)."""
OwnBackbone = nn.Module | BackboneFactory | Callable[[], nn.Module]
"""A module; or what makes one, called with nothing or as a `BackboneFactory`."""


def registered_backbone(config: BackboneConfig, image_shape: Sequence[int]) -> nn.Module:
    """Return a new backbone out of the registry, one of torchvision at its own width.

    Args:
        config: Its kind, width and depth.
        image_shape: C, H, W.

    Raises:
        ConfigError: If the kind is unknown or the depth does not fit the image.
    """
    return build_backbone(
        config.kind,
        in_channels=image_shape[0],
        width=1.0 if config.kind.startswith(FAMILY) else config.width,
        depth=config.depth,
        image_size=min(image_shape[1:]),
        dimensions=len(image_shape) - 1,
    )


@dataclass(frozen=True, eq=False)
class Copies:
    """Makes copies of one module with new weights.

    Every layer with a `reset_parameters` (all of torch's) draws new ones, so that each trial and each
    seed starts afresh; a parameter that belongs to no such layer keeps its value. Where the values
    matter (a pretrained network, an initialisation of one's own) give a function instead.

    Attributes:
        module: Left as it is.
    """

    module: nn.Module

    def __call__(self, config: BackboneConfig, image_shape: Sequence[int]) -> nn.Module:
        """Return a new copy of the module's own size."""
        del config, image_shape
        made = deepcopy(self.module)
        for layer in made.modules():
            reset = getattr(layer, "reset_parameters", None)
            if callable(reset):
                reset()
        return made


@dataclass(frozen=True, eq=False)
class Made:
    """Calls a function or class that takes nothing.

    Attributes:
        make: Returns a new module.
    """

    make: Callable[[], nn.Module]

    def __call__(self, config: BackboneConfig, image_shape: Sequence[int]) -> nn.Module:
        """Return a new module of its own size."""
        del config, image_shape
        return self.make()


def own_backbone(given: OwnBackbone) -> BackboneFactory:
    """Return the maker of backbones that a user's module, class or function stands for.

    Args:
        given: A module, a function or class without required parameters, or one that takes the
            study's `backbone` section and the image's shape.

    Raises:
        ConfigError: If it is none of these.
    """
    if isinstance(given, nn.Module):
        return Copies(given)
    if isinstance(given, Copies | Made):
        return given
    if callable(given):
        try:
            signature = inspect.signature(given)
        except (TypeError, ValueError):  # built into C: nothing can be told
            return cast("BackboneFactory", given)
        for arguments, maker in (
            ((), Made(cast("Callable[[], nn.Module]", given))),
            ((1, 2), given),
        ):
            try:
                signature.bind(*arguments)
            except TypeError:
                continue
            return cast("BackboneFactory", maker)
    raise ConfigError(
        explain(
            where="backbone",
            rule="a module, or a function that takes nothing or (section, image shape), is needed",
            found=repr(given)[:80],
            do="pass for example backbone=my_module, or backbone=lambda: MyNetwork()",
        )
    )


def gives_weights(
    make: BackboneFactory, config: BackboneConfig, image_shape: Sequence[int]
) -> bool:
    """Return whether a backbone is made with the same weights each time, such as those of a pretrained network.

    Found by making it twice with other random numbers.

    Args:
        make: `registered_backbone`, or from `own_backbone`.
        config: The study's section.
        image_shape: C, H, W.
    """
    if make is registered_backbone or isinstance(make, Copies):
        return False
    states = []
    for seed in (1, 2):
        with fenced_random_state(seed):
            parameters = dict(make(config, image_shape).named_parameters())
        states.append({name: p.detach().clone() for name, p in parameters.items()})
    one, two = states
    # What is drawn are filter banks; norms start alike each time.
    banks = [name for name, value in one.items() if value.dim() > 1 and bool(value.std() > 0)]
    same = sum(one[name].numel() for name in banks if torch.equal(one[name], two[name]))
    return 2 * same > sum(one[name].numel() for name in banks)


def name_of_backbone(make: BackboneFactory) -> str:
    """Return what a run notes of a backbone that stands in no registry.

    Args:
        make: From `own_backbone`.
    """
    if isinstance(make, Copies):
        count = sum(parameter.numel() for parameter in make.module.parameters())
        return f"{type(make.module).__name__} with {count} parameters"
    inner = make.make if isinstance(make, Made) else make
    return str(getattr(inner, "__qualname__", type(inner).__name__))


def check_own_size(make: BackboneFactory, keys: Sequence[str]) -> None:
    """Refuse a search over the depth of a network that has one depth only.

    Args:
        make: From `own_backbone`.
        keys: What the search space varies.

    Raises:
        ConfigError: If the backbone's depth is among them.
    """
    if isinstance(make, Copies | Made) and "backbone.depth" in keys:
        rule = "a module of your own has one depth, so none can be searched"
        do = "take it out of the space, or pass a function (section, image shape) -> module"
        found = "backbone.depth"
        raise ConfigError(explain(where="search.space", rule=rule, found=found, do=do))


def one_size(make: BackboneFactory, kind: str) -> bool:
    """Return whether what makes a backbone does not look at the width.

    Args:
        make: `registered_backbone`, or from `own_backbone`.
        kind: Of the study's backbone.
    """
    if make is registered_backbone:
        return kind.startswith(FAMILY)
    return isinstance(make, Copies | Made)
