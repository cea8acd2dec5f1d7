"""Networks written in ways that are hard to follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint

from sfg_nas.errors import ConfigError, ConversionError
from sfg_nas.fixed import build_network, distill
from sfg_nas.sharing import BackboneWithHeads, convert, random_allocation
from sfg_nas.sharing.supernet import Relaxation
from tests.conversions import allocations, pair_of
from tests.networks import HeadBuilder, Net, Sample, conv, linear, pooled
from tests.properties import faults_of, shared_is_original, three_ways_equal


def tied_and_in_place() -> nn.Module:
    """Two convolutions with one weight, and operations that change their argument."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = functional.relu_(net.first(x))
        y = net.norm(net.one(x))
        y += x
        z = net.two(y)
        z.mul_(torch.sigmoid(z.mean((2, 3), keepdim=True)))
        return z.clamp_(min=-1)

    one, two = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, bias=False)
    two.weight = one.weight
    first = nn.Conv2d(3, 8, 3, padding=1)
    return Net(run, first=first, one=one, two=two, norm=nn.GroupNorm(2, 8))


def nested_outputs() -> nn.Module:
    """Chunks, a list of maps that are concatenated, pixel shuffle, and maps inside lists in a dict."""

    def run(net: Net, x: Tensor) -> object:
        x = functional.gelu(net.first(x))
        up = functional.interpolate(net.up(x), scale_factor=0.5, mode="bilinear")
        left, right = up.chunk(2, 1)
        maps = [left]
        for layer in net.layers:
            maps.append(functional.leaky_relu(layer(maps[-1] + right), 0.1))
        joined = torch.cat([*maps[1:], right], 1)
        out = functional.pixel_shuffle(net.last(joined[:, :8]), 2)
        return {"maps": [out, {"deep": maps}], "right": (right,)}

    layers = nn.ModuleList([nn.Conv2d(4, 4, 3, padding=1) for _ in range(3)])
    first, last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 1)
    up = nn.ConvTranspose2d(8, 8, 4, 2, 1, groups=4)
    return Net(run, first=first, up=up, layers=layers, last=last)


def nested_head(outputs: int) -> nn.Module:
    def run(net: Net, found: object) -> Tensor:
        maps = found["maps"]
        means = [maps[0].mean((2, 3)), maps[1]["deep"][-1].amax((2, 3))]
        return net.layer(torch.cat([*means, found["right"][0].mean((2, 3))], 1))

    return Net(run, layer=nn.Linear(12, outputs))


def layer_norm_by_hand() -> nn.Module:
    """A norm over the channels written with means, and a broadcast scale."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = net.first(x)
        mean = x.mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt((x - mean).pow(2).mean(1, keepdim=True) + 1e-6)
        return functional.relu(net.last(net.scale[:, None, None] * x)).mean((-2, -1))

    scale = nn.Parameter(torch.ones(8))
    return Net(run, first=nn.Conv2d(3, 8, 3), last=nn.Conv2d(8, 8, 1), scale=scale)


def scaled_in_three_dimensions() -> nn.Module:
    """ConvNeXt's block in 3-D, ended by a log-sum-exp over all places."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = net.stem(x)
        y = net.up(net.norm(net.depthwise(x).permute(0, 2, 3, 4, 1)))
        y = net.down(functional.gelu(y)) * net.scale
        return (x + y.permute(0, 4, 1, 2, 3)).flatten(2).logsumexp(-1)

    return Net(
        run,
        stem=nn.Conv3d(1, 6, 3, padding=1),
        depthwise=nn.Conv3d(6, 6, 3, padding=1, groups=6),
        norm=nn.LayerNorm(6),
        up=nn.Linear(6, 12),
        down=nn.Linear(12, 6),
        scale=nn.Parameter(torch.full((6,), 0.3)),
    )


def there_and_back() -> nn.Module:
    """A tied autoencoder: what reads the image also writes it, transposed."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = functional.relu(net.first(x))
        y = functional.relu(functional.conv2d(x, net.weight, padding=1))
        return functional.relu(x + functional.conv_transpose2d(y, net.weight, padding=1))

    weight = nn.Parameter(torch.randn(6, 8, 3, 3) / 8)
    return Net(run, first=nn.Conv2d(3, 8, 3, padding=1), weight=weight)


def padded_by_hand() -> nn.Module:
    """Places that are written one by one, and a slice to the end."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = net.first(x)
        x = x.clone()
        x[:, :, 0] = 0.0
        x[..., -1] = x[..., 1]
        x = functional.pad(x, (1, 0, 0, 2, 1, 1)) + torch.full_like(x[:, :1, :1, :1], 0.5)
        return functional.relu(net.last(x[:, :, 1:]))

    return Net(run, first=nn.Conv2d(3, 8, 3, padding=1), last=nn.Conv2d(10, 8, 3))


def places_first() -> nn.Module:
    """The batch is not the first dimension in between."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = net.first(x).flatten(2).moveaxis(2, 0)  # places, batch, channels
        x = torch.cat([net.token.expand(1, x.shape[1], -1), functional.gelu(x)])
        return net.last(x)[0]

    return Net(
        run, first=nn.Conv2d(3, 8, 4, 4), token=nn.Parameter(torch.ones(8)), last=nn.Linear(8, 8)
    )


def frames_as_examples() -> nn.Module:
    """The frames of a video go through a 2-D network as so many images."""

    def run(net: Net, x: Tensor) -> Tensor:
        count, frames = x.shape[:2]
        x = functional.relu(net.first(x.flatten(0, 1)))
        return functional.relu(net.last(x.unflatten(0, (count, frames)).mean(1)))

    return Net(run, first=nn.Conv2d(3, 6, 3), last=nn.Conv2d(6, 8, 1))


def calls_its_own_and_its_parts() -> nn.Module:
    """A computed weight in a module whose parts, one of them standing twice, convolve in the same way."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = net.part(net.part(x))
        weight = net.weight - net.weight.mean((1, 2, 3), keepdim=True)
        return functional.relu(functional.conv2d(x, weight, padding=1))

    part = Net(
        lambda net, x: functional.relu(functional.conv2d(x, net.weight.tanh(), padding=1)),
        weight=nn.Parameter(torch.randn(3, 3, 3, 3)),
    )
    return Net(run, part=part, weight=nn.Parameter(torch.randn(8, 3, 3, 3)))


def channels_among_examples() -> nn.Module:
    """Each channel is blurred as an image of its own, and windows are unfolded and folded again."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = functional.relu(net.first(x))
        count, channels, height, width = x.shape
        alone = x.reshape(count * channels, 1, height, width)
        x = functional.avg_pool2d(alone, 3, 1, 1).view_as(x)
        windows = functional.unfold(x, 2, stride=2)
        windows = windows * torch.sigmoid(windows.mean(2, keepdim=True))
        return net.last(functional.fold(windows, (height, width), 2, stride=2))

    return Net(run, first=nn.Conv2d(3, 8, 3), last=nn.Conv2d(8, 8, 1))


def known_by_two_names() -> nn.Module:
    """A layer under several names, one of which is that of a graph's end."""

    def run(net: Net, x: Tensor) -> Tensor:
        return functional.relu(net.output(functional.relu(net.layers[0](x))))

    layers = nn.ModuleList([nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1)])
    return Net(run, first=layers[0], layers=layers, output=layers[1])


def counts_its_examples() -> nn.Module:
    """`len` of a batch, and of what it is divided into."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = functional.relu(net.first(x)) + torch.zeros(len(x), 1, 1, 1)
        alone = x.reshape(-1, 36)
        alone = alone.view(len(alone), 1, 6, 6)
        return net.last(alone.reshape(len(x), 8, 6, 6).view(len(x), 2, 4, 6, 6).flatten(1, 2))

    return Net(run, first=nn.Conv2d(3, 8, 3), last=nn.Conv2d(8, 8, 1))


def scaled_as_its_input() -> nn.Module:
    """SSD's scaled norm, whose weights take the shape of the map; a kernel that takes its type."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = functional.relu(net.first(x))
        x = functional.conv2d(x, net.kernel.to(x).type_as(x), groups=8)
        norm = x.pow(2).sum(1, keepdim=True).sqrt() + 1e-3
        return net.scale.view(1, -1, 1, 1).expand_as(x) * (x / norm)

    scale, kernel = nn.Parameter(torch.rand(8)), nn.Parameter(torch.rand(8, 1, 3, 3))
    return Net(run, first=nn.Conv2d(3, 8, 3), scale=scale, kernel=kernel)


def gates_of_one_unit() -> nn.Module:
    """A focal modulation: one layer gives what is modulated, its contexts and their gates."""

    def run(net: Net, x: Tensor) -> Tensor:
        x, context, gates = torch.split(net.first(x), (5, 3, 2), 1)
        context = net.one(context)
        wide = context.mean((2, 3), keepdim=True)
        return functional.relu(x * net.two(context * gates[:, :1] + wide * gates[:, 1:]))

    one = nn.Conv2d(3, 3, 3, padding=1, groups=3)
    return Net(run, first=nn.Conv2d(3, 10, 3), one=one, two=nn.Conv2d(3, 5, 1))


def padded_shortcut() -> nn.Module:
    """The shortcut of the first residual networks, with `.data`, and a weight that is masked there."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = functional.relu(net.first(x))
        net.second.weight.data *= net.kept
        short = functional.avg_pool2d(x, 1, 2)
        zeros = torch.zeros(short.shape[0], 4, *short.shape[2:])
        return functional.relu(net.second(x) + torch.cat([short.data, zeros], 1))

    kept = torch.ones(3, 3).triu()
    second = nn.Conv2d(4, 8, 3, 2, 1)
    return Net(run, first=nn.Conv2d(3, 4, 3), second=second, kept=kept)


def mixes_places() -> nn.Module:
    """A linear layer over places, as mixers of tokens have it."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = net.first(x).flatten(2)
        return net.last((x + net.places(x)).transpose(1, 2))[:, 0]

    places = nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 4))
    return Net(run, first=nn.Conv2d(3, 8, 4, 4), places=places, last=nn.Linear(8, 8))


def unpooled(dimensions: int) -> nn.Module:
    """The places of the largest values go around the middle, as in SegNet (Badrinarayanan et al. 2017)."""
    pool = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[dimensions - 1]
    back = (functional.max_unpool1d, functional.max_unpool2d, functional.max_unpool3d)
    conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dimensions - 1]

    def run(net: Net, x: Tensor) -> Tensor:
        x = functional.relu(net.first(x))
        small, places = pool(x, 2, return_indices=True)
        small = functional.relu(net.middle(small))
        x = net.last(back[dimensions - 1](small, places, 2, output_size=list(x.shape[2:])))
        return x.flatten(2).mean(2)

    return Net(run, first=conv(3, 6, 3), middle=conv(6, 6, 3, padding=1), last=conv(6, 8, 3))


@pytest.mark.parametrize(
    ("backbone", "head", "image"),
    [
        (lambda: unpooled(1), linear(8), (3, 9)),
        (lambda: unpooled(2), linear(8), (3, 9, 8)),
        (lambda: unpooled(3), linear(8), (3, 6, 7, 6)),
        (tied_and_in_place, pooled(8), (3, 8, 8)),
        (nested_outputs, nested_head, (3, 8, 8)),
        (layer_norm_by_hand, linear(8), (3, 8, 8)),
        (scaled_in_three_dimensions, linear(6), (1, 5, 6, 4)),
        (there_and_back, pooled(8), (3, 8, 8)),
        (padded_by_hand, pooled(8), (3, 8, 8)),
        (places_first, linear(8), (3, 8, 8)),
        (frames_as_examples, pooled(8), (5, 3, 8, 8)),
        (calls_its_own_and_its_parts, pooled(8), (3, 8, 8)),
        (channels_among_examples, pooled(8), (3, 8, 8)),
        (known_by_two_names, pooled(8), (3, 8, 8)),
        (counts_its_examples, pooled(8), (3, 8, 8)),
        (scaled_as_its_input, pooled(8), (3, 8, 8)),
        (gates_of_one_unit, pooled(5), (3, 8, 8)),
        (padded_shortcut, pooled(8), (3, 8, 8)),
        (mixes_places, linear(8), (3, 8, 8)),
    ],
)
def test_three_ways_and_everything_shared(
    backbone: object, head: HeadBuilder, image: tuple[int, ...]
) -> None:
    heads = {task: head(i + 1) for i, task in enumerate("abc")}
    both = pair_of(Sample(backbone(), heads, torch.randn(3, *image), "lattice"))
    for allocation in allocations(both.connections).values():
        three_ways_equal(both, allocation)
        assert faults_of(distill(both.connections, allocation)) == []
    shared_is_original(both)


def test_norms_of_a_network_in_half_precision_stay_so() -> None:
    layers = nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.ReLU(), nn.Conv2d(8, 8, 1)
    backbone = nn.Sequential(*layers).to(torch.bfloat16)
    heads = {task: pooled(8)(1).to(torch.bfloat16) for task in "ab"}
    x = torch.randn(3, 3, 8, 8, dtype=torch.bfloat16)
    supernet = convert(backbone, heads, x)
    allocation = random_allocation(supernet, seed=1)
    fixed = build_network(distill(supernet, allocation), weights=supernet).eval()
    expected = supernet.harden(allocation).eval()(x)
    for task, output in fixed(x).items():
        assert output.dtype is expected[task].dtype is torch.bfloat16
        assert torch.allclose(output, expected[task], rtol=0.05, atol=0.02)


def test_a_head_that_writes_where_another_reads() -> None:
    backbone = nn.Conv2d(3, 8, 3)
    heads = {"a": nn.Sequential(nn.ReLU(inplace=True), *pooled(8)(1)), "b": pooled(8)(2)}
    both = pair_of(Sample(backbone, heads, torch.randn(3, 3, 8, 8), "specialists"))
    shared_is_original(both)
    three_ways_equal(both, random_allocation(both.connections, seed=1))


def checkpointed() -> nn.Module:
    """A block that runs again in its backward pass, if it may."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = net.first(x)
        if net.again and net.training:
            return checkpoint(net.block, x, use_reentrant=False)
        return net.block(x)

    def block(net: Net, x: Tensor) -> Tensor:
        return functional.relu(net.norm(functional.conv2d(x, net.weight.tanh())))

    weight = nn.Parameter(torch.randn(8, 8, 3, 3) / 8)
    inner = Net(block, norm=nn.GroupNorm(2, 8), weight=weight)
    return Net(run, first=nn.Conv2d(3, 8, 3), block=inner, again=True)


def test_checkpointing_changes_no_gradient() -> None:
    x = torch.randn(3, 3, 8, 8)
    original = convert(checkpointed(), {task: pooled(8)(1) for task in "ab"}, x).train()
    gradients = []
    for again in (True, False):
        supernet = deepcopy(original)  # with the masks it would draw
        supernet.network.backbone.again = again
        torch.stack([out.square().sum() for out in supernet(x).values()]).sum().backward()
        gradients.append({n: p.grad for n, p in supernet.named_parameters()})
    assert gradients[0]["assignments.filter_logits"].abs().sum() > 0
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][name], rtol=1e-4, atol=1e-6), name


def test_what_cannot_be_followed_is_named() -> None:
    inner = Net(lambda net, x: torch.fft.rfft2(net.layer(x)).abs(), layer=nn.Conv2d(3, 4, 1))
    heads = {task: pooled(4)(1) for task in "ab"}
    with pytest.raises(ConversionError, match=r"module `backbone.1`.*fft_rfft2"):
        convert(nn.Sequential(nn.ReLU(), inner), heads, torch.randn(2, 3, 8, 8))


def test_a_tensor_that_is_emptied_is_named() -> None:
    """As networks do that save memory by hand; it shows only when the exported graph is run again."""

    def run(net: Net, x: Tensor) -> Tensor:
        spent = net.layer(x)
        result = spent + 1
        spent.set_()
        return result

    heads = {task: pooled(4)(1) for task in "ab"}
    inner = Net(run, layer=nn.Conv2d(3, 4, 1))
    with pytest.raises(ConversionError, match=r"module `backbone.1`.*`aten.set_.default`"):
        convert(nn.Sequential(nn.ReLU(), inner), heads, torch.randn(2, 3, 8, 8))


def test_a_statistic_of_the_whole_batch_is_refused() -> None:
    def run(net: Net, x: Tensor) -> Tensor:
        x = net.layer(x)
        return x / x.std()

    heads = {task: pooled(4)(1) for task in "ab"}
    with pytest.raises(ConversionError, match=r"`aten.std.correction, which mixes the examples"):
        convert(Net(run, layer=nn.Conv2d(3, 4, 1)), heads, torch.randn(2, 3, 8, 8))


def test_a_network_for_one_size_of_the_batch_is_refused() -> None:
    one_by_one = Net(
        lambda net, x: torch.stack([net.layer(image[None])[0] for image in x]),
        layer=nn.Conv2d(3, 8, 3),
    )
    heads = {task: pooled(8)(1) for task in "ab"}
    with pytest.raises(ConversionError, match="same for every size of the batch"):
        convert(one_by_one, heads, torch.randn(2, 3, 8, 8))


@pytest.mark.parametrize("relaxation", ["connections", "streams"])
def test_a_tied_weight_is_trained_and_punished_as_one(relaxation: str) -> None:
    heads = {task: pooled(8)(1) for task in "ab"}
    x = torch.randn(3, 3, 8, 8)
    supernet = convert(tied_and_in_place(), heads, x, relaxation=relaxation)
    supernet.weight_penalty().backward()
    graph = distill(supernet)
    weights = [graph.node(n)["params"].get("weight") for n in graph.graph]
    assert all(record["trained"] for record in weights if record is not None)


def small(channels: int = 3) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 12, 3))


def same_weights() -> dict[str, nn.Module]:
    heads = {task: pooled(12)(2) for task in ("age", "gender")}
    tied = [m for head in heads.values() for m in head.modules() if isinstance(m, nn.Linear)]
    tied[1].weight = tied[0].weight
    return heads


def one_module() -> dict[str, nn.Module]:
    return dict.fromkeys(("age", "gender"), pooled(12)(2))


def one_layer_in_both() -> dict[str, nn.Module]:
    neck = nn.Linear(12, 4)
    means = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return {t: nn.Sequential(*means, neck, nn.ReLU(), nn.Linear(4, 2)) for t in ("age", "gender")}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("heads", [same_weights, one_module, one_layer_in_both])
@pytest.mark.parametrize("relaxation", ["connections", "streams"])
def test_one_head_for_two_tasks_is_refused(
    heads: Callable[[], dict[str, nn.Module]], relaxation: Relaxation
) -> None:
    with pytest.raises(ConversionError, match="each task needs a head of its own"):
        convert(small(), heads(), torch.zeros(2, 3, 8, 8), relaxation=relaxation)


def fixed_agrees(backbone: nn.Module, heads: Mapping[str, nn.Module]) -> None:
    x = torch.randn(4, 3, 8, 8)
    supernet = convert(backbone, heads, x)
    allocation = random_allocation(supernet, seed=2)
    network = build_network(distill(supernet, allocation), weights=supernet).eval()
    wanted = supernet.harden(allocation).eval()(x)
    for task, value in network(x).items():
        torch.testing.assert_close(value, wanted[task])


def test_heads_may_share_modules_without_weights() -> None:
    pool, flat = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    heads = {task: nn.Sequential(pool, flat, nn.Linear(12, 2)) for task in ("age", "gender")}
    fixed_agrees(small(), heads)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": small}, "convert: backbone: a torch module is needed; found function"),
        ({"heads": [pooled(12)(2)]}, "convert: heads: a mapping from task to module .* found list"),
        ({"heads": {"age": None}}, "convert: heads.age: a torch module is needed"),
        ({"example_input": [[1.0]]}, "example_input: a tensor .* is needed; found list"),
        ({"example_input": torch.zeros(0, 3, 8, 8)}, "example_input: an example must have values"),
        ({"backbone": nn.LazyConv2d(8, 3)}, "backbone.weight: lazy modules need to have seen"),
        ({"heads": {1: pooled(12)(2)}}, "groups: task names are texts"),
        ({"groups": 5}, "groups: groups are `specialists`, .* found 5"),
        ({"groups": {"age", "gender"}}, "groups: groups are `specialists`"),
        ({"estimator": "hard"}, "estimator: one of straight-through, .* found 'hard'"),
        ({"relaxation": "stream"}, "relaxation: one of connections, streams is needed"),
        ({"soft_share": 2}, "soft_share: a number from 0 to 1"),
    ],
)
def test_something_else_than_asked_for_is_said(changes: dict[str, object], message: str) -> None:
    given = {
        "backbone": small(),
        "heads": {task: pooled(12)(2) for task in ("age", "gender")},
        "example_input": torch.zeros(2, 3, 8, 8),
    }
    with pytest.raises((ConversionError, ConfigError), match=message):
        convert(**(given | changes))  # type: ignore[arg-type]


class Careful(nn.Module):
    """Leaves mixed precision for a part of its work, as many networks do."""

    def __init__(self) -> None:
        super().__init__()
        self.net = small()

    @torch.autocast("cuda", enabled=False)
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return self.net(x.float())


def test_regions_of_another_precision_are_followed() -> None:
    heads = {task: pooled(12)(2) for task in ("age", "gender")}
    fixed_agrees(Careful(), heads)
    x = torch.randn(4, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):  # the original's own regions are left alone
        assert Careful()(x).dtype == torch.float32
        assert small()(x).dtype == torch.bfloat16


def test_heads_are_named_by_their_tasks_in_messages() -> None:
    heads = {"age": pooled(12)(2), "gender": nn.Sequential(nn.Flatten(), nn.Linear(5, 2))}
    with pytest.raises(ConversionError, match=r"module `heads\.gender\.1`"):
        convert(small(), heads, torch.zeros(2, 3, 8, 8))


class Scaled(nn.Module):
    """A parametrization that may do nothing in evaluation mode, as drop-connect does."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.factor if self.factor != 1.0 else weight


@pytest.mark.parametrize(("parameter", "factor"), [("weight", 1.0), ("bias", 0.5), ("bias", 1.0)])
def test_parametrizations_stay_and_the_users_module_stays_as_it_was(
    parameter: str, factor: float
) -> None:
    backbone, x = small(), torch.randn(2, 3, 8, 8)
    layer = next(module for module in backbone.modules() if isinstance(module, nn.Conv2d))
    parametrize.register_parametrization(layer, parameter, Scaled(factor))
    expected = backbone.eval()(x)
    heads = {task: pooled(12)(2) for task in "ab"}
    fixed_agrees(backbone, heads)
    torch.testing.assert_close(backbone(x), expected)
    supernet = convert(backbone, heads, x)
    assert supernet.plain_state().keys() == BackboneWithHeads(backbone, heads).state_dict().keys()


class Reparameterised(nn.Module):
    """Two convolutions in training, one of the sum of their kernels in evaluation mode (ECBSR, Zhang et al. 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.one, self.two = (nn.Conv2d(6, 6, 3, padding=1, bias=False) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if self.training:
            return torch.relu(self.one(x) + self.two(x))
        return torch.relu(functional.conv2d(x, self.one.weight + self.two.weight, padding=1))


class WithAuxiliary(nn.Module):
    """A classifier in training that no head reads."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.other = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.first(x)
        return {"x": x, "auxiliary": self.other(x)} if self.training else {"x": x}


class TakesOne(nn.Module):
    """A head on one of several maps."""

    def __init__(self) -> None:
        super().__init__()
        self.last = pooled(6)(2)

    def forward(self, maps: Mapping[str, Tensor]) -> Tensor:
        result: Tensor = self.last(maps["x"])
        return result


def test_filters_that_are_run_in_training_alone_are_refused_where_they_make_outputs() -> None:
    x = torch.randn(2, 3, 8, 8)
    said = r"module `one`: in training .* must run the filters .* found conv2d"
    with pytest.raises(ConversionError, match=said):
        convert(Reparameterised(), {task: pooled(6)(2) for task in "ab"}, x)

    def run(net: Net, x: Tensor) -> Tensor:
        x = net.first(x)
        return x + net.factor * net.one(x) if net.training else x

    later = Net(run, first=conv(3, 6), one=nn.Conv2d(6, 6, 1))
    later.factor = nn.Parameter(torch.zeros(1))  # as long as it is zero, nothing is seen
    with pytest.raises(ConversionError, match=said):
        convert(later, {task: pooled(6)(2) for task in "ab"}, x)
    convert(WithAuxiliary(), {task: TakesOne() for task in "ab"}, x)


class WithPlaces(nn.Module):
    """Adds a map that a layer makes of the places, which are constants."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = conv(3, 6), conv(6, 6)
        self.embedding = nn.Conv2d(2, 6, 1)
        along = torch.linspace(-1, 1, 8)
        self.register_buffer("places", torch.stack(torch.meshgrid(along, along, indexing="ij")))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x) + self.embedding(self.places[None])
        return self.last(torch.relu(x))


def test_a_layer_that_reads_constants_is_none_of_training_alone() -> None:
    heads = {task: pooled(6)(2) for task in "ab"}
    both = pair_of(Sample(WithPlaces(), heads, torch.randn(6, 3, 8, 8), "specialists"))
    assert both.connections.wiring.variables == 12
    for allocation in allocations(both.connections).values():
        three_ways_equal(both, allocation)
        three_ways_equal(both, allocation, training=True)
