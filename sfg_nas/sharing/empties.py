"""Tensors without values, to be written into: zeros, in a program that is exported.

What `torch.empty` gives is anything, so zeros are as good, and the values of an exported constant have to be known. Where all
of it is written over, as it has to be, nothing is left of either.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch._ops import OpOverload
from torch.export import ExportedProgram

_OPS = torch.ops.aten
_ZEROS: Mapping[OpOverload, OpOverload] = {
    _OPS.empty_like.default: _OPS.zeros_like.default,
    _OPS.empty.memory_format: _OPS.zeros.default,
    _OPS.new_empty.default: _OPS.new_zeros.default,
    _OPS.empty_strided.default: _OPS.zeros.default,
    _OPS.new_empty_strided.default: _OPS.new_zeros.default,
    _OPS.empty_permuted.default: _OPS.zeros.default,
}
_SIZES = {
    _OPS.empty_strided.default: 1,
    _OPS.new_empty_strided.default: 2,
    _OPS.empty_permuted.default: 1,
}
"""How many arguments are kept: what follows says where the values lie in memory."""


def fill_empties(program: ExportedProgram) -> None:
    """Put zeros in the place of tensors without values.

    Args:
        program: Is changed.
    """
    for node in program.graph_module.graph.nodes:
        zeros = _ZEROS.get(node.target)
        if zeros is None:
            continue
        known = {argument.name for argument in zeros._schema.arguments}
        node.args = node.args[: _SIZES.get(node.target)]
        node.kwargs = {name: value for name, value in node.kwargs.items() if name in known}
        node.target = zeros
    program.graph_module.recompile()
