"""The connections of all layers at once are those of each layer by itself, values and gradients."""

from __future__ import annotations

import pytest
import torch

from sfg_nas.sharing.rows import AllConnections, Segments, TableRows
from tests.conversions import pair_of
from tests.networks import make

SELECTIONS = (
    [0, 1, 2],
    [5, 6],
    [2, 3, 4],
    [6, 6, 6],
    [7, 1, 3],
    [5, 6],
)  # runs, an overlap, one row, a gather


def test_selections_are_rows_of_the_table() -> None:
    rows = [torch.tensor(s) for s in SELECTIONS]
    segments = Segments([TableRows(r) for r in rows], 9)
    gradients = []
    for found in (segments, lambda table: [table[r] for r in rows]):
        table = torch.randn(9, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
        parts = found(table)
        assert all(torch.equal(part, table[r]) for part, r in zip(parts, rows, strict=True))
        torch.stack(
            [(i + 1) * part.square().sum() for i, part in enumerate(parts)]
        ).sum().backward()
        gradients.append(table.grad)
    assert torch.allclose(*gradients)


def test_layers_that_read_the_same_share_a_product() -> None:
    filters = ([0, 1, 2], [3, 3, 3, 3], [4, 5])
    channels = ([6, 7], [0, 1, 2], [6, 7])
    layers = [(torch.tensor(f), torch.tensor(c)) for f, c in zip(filters, channels, strict=True)]
    table, reads = torch.randn(9, 4), torch.randn(4, 4)
    connections = AllConnections(layers, 9)
    assert connections.together == [[0, 2], [1]]
    for found, (f, c) in zip(connections(table, table @ reads), layers, strict=True):
        assert torch.allclose(found, (table[f] @ reads) @ table[c].T, atol=1e-6)


@pytest.mark.parametrize("name", ["unet", "transposed", "called-twice", "convnext"])
def test_a_pass_uses_what_each_mask_would_compute(name: str) -> None:
    supernet = pair_of(make(name)).connections.train()
    holder = supernet._holder
    table = supernet.assignments.current(sample=True)
    holder.hold(table)
    masks = [m for m in supernet.modules() if type(m).__name__ == "ConnectionMask"]
    assert len(holder.allowed) >= len(masks) > 0
    held = [mask.connections() for mask in masks]
    holder._allowed = ()
    alone = [mask.connections() for mask in masks]
    holder.release()
    for one, other in zip(held, alone, strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    assert holder.allowed == ()
