"""The architecture as a value: graph, checks, files."""

from sfg_nas.architecture.graph import Architecture, Node, Parameter, parameter

__all__ = ["Architecture", "Node", "Parameter", "parameter"]
