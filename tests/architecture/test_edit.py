"""Filters moved in the graph give the architecture that the changed allocation gives."""

from __future__ import annotations

import pytest
import torch

from sfg_nas.architecture import Architecture, move_filters
from sfg_nas.backbones import build_backbone
from sfg_nas.errors import ArchitectureError
from sfg_nas.fixed import build_network, distill
from sfg_nas.sharing import Supernet, convert


def supernet_of(kind: str) -> Supernet:
    torch.manual_seed(0)
    backbone = build_backbone(kind, width=0.5, image_size=16, depth=3)
    images = torch.rand(2, 3, 16, 16)
    features = backbone(images).shape[1]
    heads = {
        task: torch.nn.Sequential(
            torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(features, 2)
        )
        for task in ("age", "gender")
    }
    return convert(backbone, heads, images, "specialists")


@pytest.mark.parametrize("kind", ["vgg11", "resnet10"])
def test_ten_filters_from_shared_to_a_task(kind: str) -> None:
    supernet = supernet_of(kind)
    wiring = supernet.wiring
    chosen = torch.arange(wiring.variables) % 8
    chosen = torch.where(chosen < 2, chosen, 2)  # age, gender, or shared
    architecture = distill(supernet, wiring.allocation(chosen)).checked()
    for layer, rows in wiring.layers.items():
        shared = [i for i, row in enumerate(rows.tolist()) if chosen[row] == 2][:10]
        after = chosen.clone()
        after[rows[shared]] = 0
        name = next(item.ops[0] for item in wiring.reading if item.name == layer)
        moved = move_filters(architecture, name, shared, to="age")
        assert moved == distill(supernet, wiring.allocation(after)), layer
        assert moved != architecture
        outputs = build_network(moved)(torch.rand(3, 3, 16, 16))
        assert {task: len(value) for task, value in outputs.items()} == {"age": 3, "gender": 3}
        assert Architecture.from_json(moved.to_json()) == moved


def test_moves_that_make_no_sense_are_refused() -> None:
    supernet = supernet_of("vgg11")
    chosen = torch.arange(supernet.wiring.variables) % 3
    architecture = distill(supernet, supernet.wiring.allocation(chosen))
    layer = supernet.wiring.reading[0].ops[0]
    shared = architecture.graph.nodes[f"{layer}@age+gender"]["channels"]
    for filters, to, part in (
        ([], "age", "one group"),
        ([10**6], "age", "one group"),
        ([0, 1, 2], "age", "one group"),
        (shared[:1], "race", "some of the old ones"),
        (shared[:1], ["age", "gender"], "some of the old ones"),
        (shared, "age", "none left"),
    ):
        with pytest.raises(ArchitectureError, match=part):
            move_filters(architecture, layer, filters, to=to)
