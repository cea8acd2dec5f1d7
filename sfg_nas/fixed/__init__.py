"""From a supernet to an architecture, and from an architecture to a compact network."""

from sfg_nas.fixed.build import build_network
from sfg_nas.fixed.distill import distill
from sfg_nas.fixed.network import FixedNetwork

__all__ = ["FixedNetwork", "build_network", "distill"]
