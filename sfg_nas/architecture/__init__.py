"""The architecture as a value: graph, checks, files."""

from sfg_nas.architecture.edit import move_filters
from sfg_nas.architecture.graph import Architecture
from sfg_nas.architecture.node import Node, Parameter, parameter
from sfg_nas.architecture.schema import json_schema
from sfg_nas.architecture.tied import tied

__all__ = ["Architecture", "Node", "Parameter", "json_schema", "move_filters", "parameter", "tied"]
