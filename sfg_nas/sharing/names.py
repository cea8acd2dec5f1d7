"""Names of parameters with and without the masks around them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sfg_nas.sharing.wiring import Wiring


def masked_targets(wiring: Wiring) -> frozenset[str]:
    """Return the state-dict keys of the weights that carry a mask of ours."""
    targets = (wiring.network.static_target(layer.weight) for layer in wiring.reading)
    return frozenset(target for target in targets if target is not None)


def stored_name(target: str, state: Mapping[str, object]) -> str:
    """Return the name under which a parametrized network stores a parameter."""
    if target in state:
        return target
    module, _, attribute = target.rpartition(".")
    return f"{module}.parametrizations.{attribute}.original".lstrip(".")


def plain_name(name: str, masked: Collection[str]) -> str:
    """Return a parameter's name in the user's network, whose own parametrizations stay.

    Args:
        name: A name in the supernet's network.
        masked: The weights that carry a mask of ours.
    """
    module, _, rest = f".{name}".partition(".parametrizations.")
    attribute, _, kind = rest.partition(".")
    target = f"{module}.{attribute}".lstrip(".")
    return target if kind == "original" and target in masked else name
