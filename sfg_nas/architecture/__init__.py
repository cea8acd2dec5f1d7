"""The architecture as a value: graph, checks, files."""

from sfg_nas.architecture.graph import Architecture
from sfg_nas.architecture.node import Node, Parameter, parameter

__all__ = ["Architecture", "Node", "Parameter", "parameter"]
