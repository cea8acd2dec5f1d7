"""Networks of torchvision by the name `torchvision/NAME`, with new weights; needs the extra `vision`."""

from __future__ import annotations

from torch import nn

from sfg_nas.errors import ConfigError, explain

FAMILY = "torchvision/"
"""How the name of such a backbone begins."""
_NO_AUXILIARY = ("googlenet", "inception_v3")


def vision_names() -> tuple[str, ...]:
    """Return the names of torchvision's classification networks; none if it is not installed."""
    try:
        from torchvision import models
    except ImportError:
        return ()
    return tuple(f"{FAMILY}{name}" for name in models.list_models(module=models))


def vision_backbone(kind: str, *, in_channels: int, width: float, depth: int | None) -> nn.Module:
    """Return a network of torchvision without its last layer, with new weights; nothing is downloaded.

    Args:
        kind: `torchvision/NAME`.
        in_channels: C of the images; for others than 3 the first convolution is made anew.
        width: 1; these networks are made at one size.
        depth: None; likewise.

    Raises:
        ConfigError: If torchvision is missing, has no such network, or another size is asked for.
    """
    names = vision_names()
    if kind not in names:
        rule = "a network of torchvision is needed" if names else "the extra `vision` is needed"
        do = "see torchvision.models" if names else "pip install 'sfg_nas[vision]'"
        found = repr(kind) if names else "no torchvision"
        raise ConfigError(explain(where="backbone: kind", rule=rule, found=found, do=do))
    if width != 1 or depth is not None:
        rule = "a network of torchvision is made at width 1 and without a depth"
        found = f"width={width}, depth={depth}"
        do = "remove them (`sfg_nas.scale_width` gives it another width)"
        raise ConfigError(explain(where="backbone", rule=rule, found=found, do=do))
    from torchvision import models

    name = kind.removeprefix(FAMILY)
    options = {"aux_logits": False, "init_weights": True} if name in _NO_AUXILIARY else {}
    network: nn.Module = models.get_model(name, weights=None, **options)
    linear = [path for path, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    if linear:
        network.set_submodule(linear[-1], nn.Identity())
    else:  # SqueezeNet ends in a convolution
        network = network.get_submodule("features")
    if in_channels != 3:
        _widen(network, in_channels)
    return network


def _widen(network: nn.Module, in_channels: int) -> None:
    path, first = next(
        (path, layer) for path, layer in network.named_modules() if isinstance(layer, nn.Conv2d)
    )
    made = nn.Conv2d(
        in_channels,
        first.out_channels,
        first.kernel_size,  # type: ignore[arg-type]
        first.stride,  # type: ignore[arg-type]
        first.padding,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )
    network.set_submodule(path, made)
