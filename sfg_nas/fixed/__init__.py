"""From a supernet to an architecture, and from an architecture to a compact network."""

from sfg_nas.fixed.build import build_network
from sfg_nas.fixed.choose import Choice, choose, choose_allocation, choose_within
from sfg_nas.fixed.distill import distill
from sfg_nas.fixed.export import EXPORTERS
from sfg_nas.fixed.network import FixedNetwork
from sfg_nas.fixed.source import network_source
from sfg_nas.fixed.stopwatch import Stopwatch

__all__ = [
    "EXPORTERS",
    "Choice",
    "FixedNetwork",
    "Stopwatch",
    "build_network",
    "choose",
    "choose_allocation",
    "choose_within",
    "distill",
    "network_source",
]
