"""What a network does by hand, found and run as the norms and layers that it is."""

from __future__ import annotations

from torch import Tensor, nn

from sfg_nas.sharing.handmade import recognise_norms
from sfg_nas.sharing.lengths import LENGTHS
from sfg_nas.sharing.own_calls import recognise_calls
from sfg_nas.sharing.products import PRODUCTS


def recognise(network: nn.Module, example: Tensor) -> list[str]:
    """Let modules run functions of torch that masks reach, where they do the same by hand.

    Args:
        network: Is changed: such modules get another `forward`.
        example: An input of the network.

    Returns:
        Paths of these modules.
    """
    norms = recognise_norms(network, example)
    return [*norms, *recognise_calls(network, example, (LENGTHS, PRODUCTS))]
