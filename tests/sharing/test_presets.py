"""The preset `iccv2019`, item by item, against cases computed by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from sfg_nas.errors import ConfigError
from sfg_nas.fixed import build_network, distill
from sfg_nas.sharing import (
    PRESETS,
    Start,
    Supernet,
    Temperature,
    activation_first,
    convert,
    objective,
    random_allocation,
)
from sfg_nas.sharing.assignments import Assignments

ICCV = PRESETS["iccv2019"]
P = torch.tensor([0.5, 0.3, 0.2])


def vgg(layers: int = 1) -> nn.Sequential:
    torch.manual_seed(0)
    parts: list[nn.Module] = []
    for depth in range(layers):
        conv = nn.Conv2d(4 if depth else 2, 4, 3, padding=1, bias=False)
        parts += [conv, nn.BatchNorm2d(4), nn.ReLU()]
    return nn.Sequential(*parts)


def heads() -> dict[str, nn.Module]:
    return {t: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1)) for t in "ab"}


def supernet(layers: int = 1, **options: object) -> Supernet:
    x = torch.zeros(2, 2, 6, 6)
    return convert(vgg(layers), heads(), x, preset="iccv2019", **options)  # type: ignore[arg-type]


def test_the_code_lands_in_its_own_group_less_often_than_the_model() -> None:
    certain = torch.tensor([[1.0, 0.0, 0.0]]).repeat(60_000, 1)
    for temperature in (0.1, 1.0):
        assignments = Assignments(certain, 3, preset=ICCV)
        assignments.temperature = temperature
        share = float(assignments.sample()[: len(certain), 0].detach().mean())
        assert share == pytest.approx(math.e / (math.e + 2), abs=0.008)  # 57.6 %
        model = Assignments(certain, 3)
        model.temperature = temperature
        assert float(model.sample()[: len(certain), 0].detach().mean()) > 0.999


def test_softplus_table_by_hand() -> None:
    assignments = Assignments(P.unsqueeze(0), 3, preset=ICCV)
    assert torch.allclose(assignments.probabilities(), P.unsqueeze(0), atol=1e-6)
    with torch.no_grad():
        assignments.filter_logits.copy_(torch.tensor([[0.0, 1.0, -2.0]]))
    plus = [math.log1p(math.exp(v)) for v in (0.0, 1.0, -2.0)]
    expected = torch.tensor([[v / sum(plus) for v in plus]])
    assert torch.allclose(assignments.probabilities(), expected, atol=1e-6)
    entropy = -float((expected * expected.log()).sum())
    assert float(assignments.entropy().detach()) == pytest.approx(entropy, rel=1e-5)


def test_it_is_the_stream_form_with_norms_last() -> None:
    net = supernet()
    assert net.relaxation == "streams"
    names = [op.operation for op in net.wiring.network.ops if op.head is None]
    assert [n for n in names if n != "input"] == ["conv2d", "relu", "batch_norm"]
    with pytest.raises(ConfigError, match="stream form only"):
        supernet(relaxation="connections")
    with pytest.raises(ConfigError, match="corrected, iccv2019"):
        convert(vgg(), heads(), torch.zeros(2, 2, 6, 6), preset="iccv")  # type: ignore[arg-type]


def test_activation_first_is_idempotent_and_leaves_other_orders() -> None:
    net = vgg(2)
    kinds = [type(m).__name__ for m in activation_first(net)]
    assert kinds == ["Conv2d", "ReLU", "BatchNorm2d"] * 2
    assert [type(m).__name__ for m in activation_first(net)] == kinds


def test_three_streams_by_hand() -> None:
    """Masked after the convolution, rectified, normalised per stream; masked channels give beta."""
    net = supernet(2)
    first, second, shared = 0, 1, 2
    runner = net._streams
    assert runner is not None
    torch.manual_seed(1)
    with torch.no_grad():
        for norm in runner.norms:
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.uniform_(-1, 1)
    x = torch.randn(5, 2, 6, 6)
    choice = torch.tensor([0, 1, 2, 2, 0, 0, 1, 2])
    table = net.assignments.table(nn.functional.one_hot(choice, 3).float())
    found = net.train()._run(x, table, hard=False)

    def layer(depth: int, streams: dict[int, Tensor]) -> dict[int, Tensor]:
        conv = net.network.backbone[3 * depth]
        mask = nn.functional.one_hot(choice[4 * depth : 4 * depth + 4], 3).float()
        norm = runner.norms[depth]
        made = {}
        for g, read in streams.items():
            y = torch.relu(conv(read) * mask[:, g].view(1, 4, 1, 1))
            weight, bias = norm.weight[g], norm.bias[g]
            made[g] = nn.functional.batch_norm(y, None, None, weight, bias, True, 0.1, 1e-5)
        return {
            first: made[first] + made[shared],
            second: made[second] + made[shared],
            shared: made[shared],
        }

    streams = layer(1, layer(0, {first: x, second: x, shared: x}))
    for t, task in enumerate("ab"):
        expected = net.network.heads[t](streams[t])
        assert torch.allclose(found[task], expected, atol=1e-5)
    # filter 0 is a's: where task b reads it, only the betas of b's and the shared stream are left
    beta = runner.norms[1].bias
    assert torch.allclose(
        streams[second][:, 0], (beta[second, 0] + beta[shared, 0]).expand(5, 6, 6), atol=1e-5
    )


def test_the_objective_by_hand() -> None:
    net = supernet(2, start=Start(kind="dirichlet"), seed=3)
    losses = {"a": torch.tensor(2.0), "b": torch.tensor(0.5)}
    value = objective(net, losses, examples=999, lambda1=5e-4, lambda2=1.0)
    p = list(net.probabilities().values())
    entropy = sum(float(-(q * q.log()).sum(1).mean()) for q in p)
    squares = [float(net.network.backbone[i].weight.detach().square().sum()) for i in (0, 3)]
    penalty = sum(squares) / 2 / 2
    assert float(value.entropy.detach()) == pytest.approx(entropy, rel=1e-5)
    assert float(value.penalty.detach()) == pytest.approx(penalty, rel=1e-5)
    assert float(value.total.detach()) == pytest.approx(2.5 + 5e-4 * penalty - entropy, rel=1e-5)


def test_the_temperature_has_a_floor() -> None:
    temperature = Temperature("exponential", 1.0, 0.05, 1e-4)
    assert temperature.at(0.25, 40_000) == pytest.approx(math.exp(-1))
    assert temperature.at(1.0, 40_000) == 0.05


def test_vertices_of_the_code() -> None:
    net = supernet(start=Start(kind="vertices", confidence=0.99, proportions=(0.25, 0.25, 0.5)))
    (p,) = net.probabilities().values()
    assert sorted(p.argmax(1).tolist()) == [0, 1, 2, 2]
    assert torch.allclose(p.sort(1).values, torch.tensor([0.005, 0.005, 0.99]), atol=1e-5)
    (p,) = supernet(start="vertices").probabilities().values()
    assert torch.allclose(p.sort(1).values, torch.tensor([0.005, 0.005, 0.99]), atol=1e-5)


def test_evaluation_uses_the_statistics_of_the_batch_and_leaves_no_trace() -> None:
    net = supernet().eval()
    before = {name: value.clone() for name, value in net.named_buffers()}
    x = 5 + 3 * torch.randn(8, 2, 6, 6)
    found = net.predict(x, mode="sampled", draws=1, batch_statistics=True)["a"]
    net.assignments.draws = 0
    plain = net.predict(x, mode="sampled", draws=1)["a"]
    assert not torch.allclose(found, plain, atol=1e-2)
    net.assignments.draws = 0
    with torch.no_grad():
        expected = net.train()(x)["a"]
    assert torch.allclose(found[0], expected, atol=1e-6)
    net.eval()
    again = supernet().eval()
    assert len(again.predict(x[:2], mode="sampled")["a"]) == 100
    for name, value in again.named_buffers():
        assert torch.equal(value, before[name]), name


def test_hardened_it_is_the_function_that_the_fixed_network_computes() -> None:
    net = supernet(2)
    x = torch.randn(4, 2, 6, 6)
    net.train()
    for _ in range(3):
        net(x)
    allocation = random_allocation(net, seed=1)
    wanted = net.harden(allocation).eval()(x)
    drawn = net.predict(x, mode="sampled", draws=1)["a"]
    net.relax().assignments.draws -= 1
    assert torch.equal(net.predict(x, mode="sampled", draws=1)["a"], drawn)
    best = net.predict(x)["a"][0]
    assert torch.equal(net.harden(net.allocation())(x)["a"], best)
    net.harden(allocation)
    network = build_network(distill(net, allocation), weights=net).eval()
    for task, output in network(x).items():
        assert torch.allclose(output, wanted[task], atol=1e-5)
