"""Filters that the image does not reach: which they are, and that gradients into them are damped."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from sfg_nas import convert, objective
from sfg_nas.backbones import build_backbone
from sfg_nas.sharing import Supernet
from sfg_nas.sharing.unreached import Reach
from tests.networks import make

BY_MODULES = ("vgg", "resnet", "dense-block", "inception", "separable", "called-twice", "unet-2d")


def heads(channels: int, tasks: str = "ab") -> dict[str, nn.Module]:
    """Return a head for each letter."""
    return {
        t: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 3))
        for t in tasks
    }


def chain(relaxation: str = "connections", activation: type[nn.Module] = nn.SiLU) -> Supernet:
    """Return three convolutions of three filters each, with norms, for two tasks."""
    torch.manual_seed(0)
    parts: list[nn.Module] = []
    for channels in (2, 3, 3):
        parts += [nn.Conv2d(channels, 3, 3, padding=1), nn.BatchNorm2d(3), activation()]
    net = convert(nn.Sequential(*parts), heads(3), torch.zeros(2, 2, 6, 6), relaxation=relaxation)
    return net.train()


def draw(supernet: Supernet, groups: list[int]) -> None:
    """Let a supernet draw these groups, nearly for sure, without being hardened and with p's gradients."""
    logits = nn.functional.one_hot(torch.tensor(groups), len(supernet.groups)) * 60.0 - 30.0
    with torch.no_grad():
        supernet.assignments.filter_logits.copy_(logits)
    supernet.temperature = 30.0  # so that the relaxed masks are not saturated


A, B, ALL = 0, 1, 2
# no shared filter in the first layer: the shared ones of the second read nothing, and those of the third only these
LOST = [A, A, B, A, B, ALL, A, B, ALL]


def gradients(supernet: Supernet, x: Tensor, *, cut: bool = True) -> dict[str, Tensor]:
    """Return the gradients of one pass."""
    supernet.zero_grad()
    supernet.assignments.draws = 0
    state = copy.deepcopy(supernet.state_dict())
    with pytest.MonkeyPatch.context() as patch:
        if not cut:
            patch.setattr(Reach, "unreached", lambda *_: {})
        outputs = supernet(x)
    sum(value.logsumexp(1).mean() for value in outputs.values()).backward()
    supernet.load_state_dict(state)
    found = {n: p.grad.clone() for n, p in supernet.named_parameters() if p.grad is not None}
    return {n.replace("parametrizations.weight.original", "weight"): g for n, g in found.items()}


def test_gradients_into_what_the_image_does_not_reach_are_those_of_a_norm_of_unit_variance() -> (
    None
):
    supernet = chain(activation=nn.Sigmoid)  # constants other than zero: 0.5
    draw(supernet, LOST)
    x = torch.randn(4, 2, 6, 6)
    found, without = gradients(supernet, x), gradients(supernet, x, cut=False)
    last, before = found["network.backbone.6.weight"], without["network.backbone.6.weight"]
    assert before[2].any()
    torch.testing.assert_close(last[2], math.sqrt(1e-5) * before[2])
    torch.testing.assert_close(last[:2], before[:2])
    logits = "assignments.filter_logits"
    first = slice(0, 3)  # of the first layer, which a lost filter of the second would read
    assert without[logits][first].abs().max() > 10 * found[logits][first].abs().max()


def test_the_group_of_such_a_filter_has_the_gradient_of_its_readers() -> None:
    supernet = chain(activation=nn.Sigmoid)
    draw(supernet, LOST)
    found = gradients(supernet, torch.randn(4, 2, 6, 6))
    rows = found["assignments.filter_logits"].abs().sum(1)
    lost_and_read, reached = rows[8], rows[:2]
    assert lost_and_read > 0
    assert (reached > 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_values_are_those_of_the_same_masks(seed: int) -> None:
    supernet = chain()
    draw(supernet, LOST)
    fixed = copy.deepcopy(supernet)
    fixed.harden(fixed.wiring.allocation(torch.tensor(LOST)))
    x = torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(seed))
    drawn, hard = supernet(x), fixed(x)
    for task in ("a", "b"):
        assert torch.equal(drawn[task], hard[task])


def test_both_forms_agree() -> None:
    x = torch.randn(4, 2, 6, 6)
    found: list[Mapping[str, Tensor]] = []
    for relaxation in ("connections", "streams"):
        supernet = chain(relaxation)
        draw(supernet, LOST)
        found.append(gradients(supernet, x))
    names = [n for n in found[0] if n in found[1] and "assignments" not in n]
    assert len(names) >= 6 + 4
    for name in names:
        torch.testing.assert_close(found[0][name], found[1][name], atol=1e-5, rtol=1e-4)


def test_a_filter_without_a_mask_of_its_own_is_one_too() -> None:
    torch.manual_seed(0)
    first = [nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.SiLU()]
    second = [nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.SiLU()]
    depthwise = [nn.Conv2d(3, 3, 3, padding=1, groups=3), nn.BatchNorm2d(3), nn.SiLU()]
    net = nn.Sequential(*first, *second, *depthwise)
    supernet = convert(net, heads(3), torch.zeros(2, 2, 6, 6)).train()
    draw(supernet, LOST[:6])
    with torch.no_grad():
        supernet.network.backbone[4].bias.fill_(0.3)  # so that the depthwise filter has an input
    x = torch.randn(4, 2, 6, 6)
    key = "network.backbone.6.weight"
    found, before = gradients(supernet, x)[key], gradients(supernet, x, cut=False)[key]
    assert before[2].any()
    torch.testing.assert_close(found[2], math.sqrt(1e-5) * before[2])
    torch.testing.assert_close(found[:2], before[:2])


@pytest.mark.parametrize("how", ["hardened", "evaluated", "published", "without norms"])
def test_it_concerns_drawn_masks_before_norms_alone(how: str) -> None:
    if how == "published":
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1))
        example = torch.zeros(2, 2, 6, 6)
        supernet = convert(net, heads(3), example, preset="iccv2019").train()
        groups = LOST[:6]
    elif how == "without norms":
        net = nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(), nn.Conv2d(3, 3, 1))
        supernet = convert(net, heads(3), torch.zeros(2, 2, 6, 6)).train()
        groups = LOST[:6]
    else:
        supernet, groups = chain(), LOST
    draw(supernet, groups)
    if how == "hardened":
        supernet.harden(supernet.wiring.allocation(torch.tensor(groups)))
    if how == "evaluated":
        supernet.eval()
    x = torch.randn(4, 2, 6, 6)
    found, without = gradients(supernet, x), gradients(supernet, x, cut=False)
    assert found.keys() == without.keys()
    for name, value in found.items():
        assert torch.equal(value, without[name])


@pytest.mark.parametrize("name", BY_MODULES)
@pytest.mark.parametrize(("tasks", "groups"), [(3, "specialists"), (2, "no-all"), (3, "lattice")])
def test_the_filters_are_those_that_another_image_does_not_change(
    name: str, tasks: int, groups: str
) -> None:
    sample = make(name, tasks=tasks, groups=groups)
    for path, module in [*sample.backbone.named_modules()]:
        if isinstance(module, nn.ReLU):  # which may hide that a filter is reached
            sample.backbone.set_submodule(path, nn.LeakyReLU(0.3))
    supernet = convert(sample.backbone, sample.heads, sample.x, groups=sample.groups).eval()
    reach, wiring = Reach.of(supernet.wiring), supernet.wiring
    seen: dict[str, list[Tensor]] = {}
    for layer in wiring.reading:
        target = wiring.network.static_target(layer.weight)
        if layer.name in wiring.layers and target is not None:
            module = supernet.network.get_submodule(target.rpartition(".")[0])
            note = seen.setdefault(layer.weight, [])
            module.register_forward_hook(lambda _m, _i, y, note=note: note.append(y.detach()))
    lost = 0
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randint(len(supernet.groups), (wiring.variables,), generator=generator)
        for rows in wiring.layers.values():  # layers with filters of one group, or two
            some = torch.randint(len(supernet.groups), (2,), generator=generator)
            drawn[rows] = some[torch.randint(2, (len(rows),), generator=generator)]
        supernet.harden(wiring.allocation(drawn))
        for x in (sample.x, torch.randn(sample.x.shape, generator=generator)):
            supernet(x)
        unreached = reach.unreached(supernet.assignments.current(sample=False))
        for bank in reach.banks:
            outputs = seen[bank.key]
            half = len(outputs) // 2
            pairs = [*zip(outputs[:half], outputs[half:], strict=True)]
            changed = [(a != b).transpose(0, 1).flatten(1).any(1) for a, b in pairs]
            expected = ~torch.stack(changed).any(0) & torch.from_numpy(bank.damping < 1)
            found = unreached.get(bank.key, torch.ones(len(bank.filters))) < 1
            assert torch.equal(found, expected), f"{bank.key}: {found} {expected}"
            lost += int(found.sum())
            outputs.clear()
    assert lost


@pytest.mark.parametrize("width", [0.0625, 0.125])
def test_a_narrow_network_of_smooth_activations_can_be_searched_from_thirds(width: float) -> None:
    torch.manual_seed(0)
    backbone = build_backbone("vgg11", in_channels=1, width=width, image_size=32)
    for path, module in [*backbone.named_modules()]:
        if isinstance(module, nn.ReLU):
            backbone.set_submodule(path, nn.SiLU())
    channels = backbone(torch.zeros(2, 1, 32, 32)).shape[1]
    supernet = convert(backbone, heads(channels), torch.zeros(2, 1, 32, 32), start="thirds").train()
    optimizer = torch.optim.Adam(supernet.parameters(), lr=3e-3)
    largest = []
    for _ in range(40):
        x, target = torch.randn(16, 1, 32, 32), torch.randint(3, (16,))
        losses = {t: nn.functional.cross_entropy(y, target) for t, y in supernet(x).items()}
        optimizer.zero_grad()
        objective(supernet, losses, examples=16).total.backward()
        values = [p.grad.abs().max() for p in supernet.parameters() if p.grad is not None]
        largest.append(torch.stack(values).max())
        optimizer.step()
    found = torch.stack(largest)
    assert found.isfinite().all()
    assert found.max() < 30 * found.median()
