"""Small networks of every common kind, for the properties that must hold on any CNN."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import cycle, islice

import torch
from torch import Tensor, nn
from torch.nn import functional

from sfg_nas.backbones import build_backbone
from sfg_nas.tasks.heads import dense_head
from tests import gates

Builder = Callable[[], nn.Module]
HeadBuilder = Callable[[int], nn.Module]  # number of outputs -> head
Heads = tuple[HeadBuilder, ...]


class Net(nn.Module):
    """A module made of named parts and a function `(parts, x) -> y`."""

    def __init__(self, run: Callable[[Net, Tensor], object], **parts: object) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> object:
        return self.run(self, x)


class StandardisedConv(nn.Conv2d):
    """A convolution whose weight is computed: each filter has mean 0 and deviation 1."""

    def forward(self, x: Tensor) -> Tensor:
        mean = self.weight.mean(dim=(1, 2, 3), keepdim=True)
        spread = self.weight.std(dim=(1, 2, 3), keepdim=True)
        return functional.conv2d(x, (self.weight - mean) / (spread + 1e-5), self.bias, padding=1)


class ChannelsLastNorm(nn.Module):
    """Layer norm over the channels of `[N, C, H, W]`, as ConvNeXt has it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def conv(channels: int, filters: int, size: int = 3, **options: object) -> nn.Conv2d:
    """Return a convolution that keeps the size of its input."""
    return nn.Conv2d(channels, filters, size, padding=size // 2, **options)


def block(channels: int, filters: int, activation: nn.Module | None = None) -> nn.Sequential:
    """Return convolution, batch norm, activation."""
    return nn.Sequential(conv(channels, filters), nn.BatchNorm2d(filters), activation or nn.ReLU())


# --- backbones ---------------------------------------------------------------------------------


def dense_block() -> nn.Module:
    def run(net: Net, x: Tensor) -> Tensor:
        x = net.stem(x)
        for layer in net.layers:
            x = torch.cat([x, layer(x)], 1)
        return net.last(x)

    layers = nn.ModuleList([block(6, 4), block(10, 4)])
    return Net(run, stem=block(3, 6), layers=layers, last=block(14, 6))


def inception() -> nn.Module:
    def run(net: Net, x: Tensor) -> Tensor:
        x = net.stem(x)
        parts = [net.one(x), net.three(x), net.five(x), net.pooled(x)]
        return net.last(torch.cat(parts, 1))

    return Net(
        run,
        stem=block(3, 6),
        one=conv(6, 3, 1),
        three=nn.Sequential(conv(6, 4, 1), nn.SiLU(), conv(4, 4)),
        five=nn.Sequential(conv(6, 3, 1), nn.SiLU(), conv(3, 3, 5)),
        pooled=nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(6, 3, 1)),
        last=block(13, 6),
    )


def separable_with_attention() -> nn.Module:
    """Depthwise-separable convolutions, squeeze-and-excitation, a residual around both."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = net.stem(x)
        y = net.depthwise(net.expand(x))
        gate = net.excite(functional.silu(net.squeeze(functional.adaptive_avg_pool2d(y, 1))))
        return x + net.project(y * torch.sigmoid(gate))

    return Net(
        run,
        stem=block(3, 6),
        expand=block(6, 10),
        depthwise=nn.Sequential(
            nn.Conv2d(10, 10, 3, padding=1, groups=10, bias=False), nn.BatchNorm2d(10), nn.SiLU()
        ),
        squeeze=nn.Conv2d(10, 4, 1),
        excite=nn.Conv2d(4, 10, 1),
        project=nn.Sequential(nn.Conv2d(10, 6, 1), nn.BatchNorm2d(6)),
    )


def shuffle_net() -> nn.Module:
    """ShuffleNet's unit: half of the channels go around, then halves are interleaved."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = net.stem(x)
        for branch in net.branches:
            around, through = x.chunk(2, dim=1)
            x = torch.cat([around, branch(through)], 1)
            n, c, h, w = x.shape
            x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return net.last(x)

    branches = nn.ModuleList([block(4, 4), block(4, 4)])
    return Net(run, stem=block(3, 8), branches=branches, last=block(8, 6))


def grouped() -> nn.Module:
    return nn.Sequential(
        block(3, 8), conv(8, 8, groups=4), nn.ReLU(), conv(8, 12, groups=2), nn.ReLU(), block(12, 6)
    )


def dilated() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=2, dilation=2),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, padding="same", dilation=3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, stride=2, padding=1),
        nn.AvgPool2d(2),
    )


def unet() -> nn.Module:
    """Transposed convolution, bilinear upsampling, skips by concatenation."""

    def run(net: Net, x: Tensor) -> Tensor:
        one = net.one(x)
        two = net.two(functional.max_pool2d(one, 2))
        three = net.three(functional.max_pool2d(two, 2))
        up = net.middle(torch.cat([net.up(three), two], 1))
        up = functional.interpolate(up, scale_factor=2, mode="bilinear", align_corners=False)
        return net.last(torch.cat([up, one], 1))

    return Net(
        run,
        one=block(3, 5),
        two=block(5, 6),
        three=block(6, 7),
        up=nn.ConvTranspose2d(7, 6, 2, stride=2),
        middle=block(12, 6),
        last=block(11, 6),
    )


def grouped_transposed() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
        nn.ReLU(),
        conv(6, 6),
    )


def convnext() -> nn.Module:
    """Channels-last layer norm, linear layers on the last axis, layer scale, residual."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = net.stem_norm(net.stem(x))
        for unit in net.units:
            y = unit.depthwise(x).permute(0, 2, 3, 1)
            y = unit.down(functional.gelu(unit.up(unit.norm(y)))) * unit.scale
            x = x + y.permute(0, 3, 1, 2)
        return net.last(x)

    def unit() -> nn.Module:
        return Net(
            run,
            depthwise=nn.Conv2d(6, 6, 3, padding=1, groups=6),
            norm=nn.LayerNorm(6),
            up=nn.Linear(6, 12),
            down=nn.Linear(12, 6),
            scale=nn.Parameter(torch.full((6,), 0.5)),
        )

    return Net(
        run,
        stem=nn.Conv2d(3, 6, 2, stride=2),
        stem_norm=ChannelsLastNorm(6),
        units=nn.ModuleList([unit()]),
        last=conv(6, 6),
    )


def group_norm() -> nn.Module:
    return nn.Sequential(
        conv(3, 8), nn.GroupNorm(2, 8), nn.ReLU(), conv(8, 6), nn.GroupNorm(1, 6), nn.ReLU()
    )


def instance_norm() -> nn.Module:
    return nn.Sequential(
        conv(3, 6),
        nn.InstanceNorm2d(6, affine=True),
        nn.ReLU(),
        conv(6, 6),
        nn.InstanceNorm2d(6, affine=True, track_running_stats=True),
        nn.ReLU(),
    )


def spatial_layer_norm() -> nn.Module:
    """Layer norm over channels and places together."""
    return nn.Sequential(conv(3, 6), nn.LayerNorm([6, 8, 8]), nn.ReLU(), conv(6, 6), nn.ReLU())


def rms_norm() -> nn.Module:
    """Root mean square norms: over channels in the last place with a weight, and over channels and places without."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = net.over_channels(net.first(x).movedim(1, -1)).movedim(-1, 1)
        x = functional.rms_norm(net.second(functional.relu(x)), [6, 8, 8], eps=1e-3)
        return net.third(net.over_places(x))

    return Net(
        run,
        first=conv(3, 8),
        over_channels=nn.RMSNorm(8),
        second=conv(8, 6),
        over_places=nn.RMSNorm(8),
        third=conv(6, 6),
    )


def sigmoid_first() -> nn.Module:
    return nn.Sequential(nn.Sigmoid(), conv(3, 6), nn.Sigmoid(), conv(6, 6), nn.Softplus())


def smooth_activations() -> nn.Module:
    return nn.Sequential(
        conv(3, 6),
        nn.GELU(),
        conv(6, 6),
        nn.SiLU(),
        conv(6, 6),
        nn.PReLU(6),
        nn.Dropout2d(0.2),
        conv(6, 6),
        nn.ELU(),
    )


def pre_activation() -> nn.Module:
    def run(net: Net, x: Tensor) -> Tensor:
        x = net.stem(x)
        for unit in net.units:
            x = x + unit(x)
        return functional.relu(net.norm(x))

    def unit() -> nn.Module:
        return nn.Sequential(
            nn.BatchNorm2d(6), nn.ReLU(), conv(6, 5), nn.BatchNorm2d(5), nn.ReLU(), conv(5, 6)
        )

    units = nn.ModuleList([unit(), unit()])
    return Net(run, stem=conv(3, 6), units=units, norm=nn.BatchNorm2d(6))


def weight_standardised() -> nn.Module:
    return nn.Sequential(
        StandardisedConv(3, 6, 3), nn.ReLU(), StandardisedConv(6, 6, 3), nn.GroupNorm(2, 6)
    )


def called_twice() -> nn.Module:
    def run(net: Net, x: Tensor) -> Tensor:
        x = net.stem(x)
        return net.last(functional.silu(net.again(functional.silu(net.again(x)))))

    return Net(run, stem=conv(3, 6), again=conv(6, 6), last=block(6, 6))


def one_dimensional() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(2, 6, 3, padding=1),
        nn.BatchNorm1d(6),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(6, 6, 3, padding=1),
        nn.SiLU(),
    )


def three_dimensional() -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(1, 6, 3, padding=1),
        nn.BatchNorm3d(6),
        nn.ReLU(),
        nn.AvgPool3d(2),
        nn.Conv3d(6, 5, 3, padding=1),
        nn.InstanceNorm3d(5),
        nn.ReLU(),
    )


def flatten_neck() -> nn.Module:
    return nn.Sequential(
        conv(3, 4), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(16, 8), nn.SiLU()
    )


def several_maps(kind: type) -> Builder:
    """Return a builder of a backbone whose output is a mapping or a tuple of two maps."""

    def run(net: Net, x: Tensor) -> object:
        low = net.one(x)
        high = net.two(functional.max_pool2d(low, 2))
        return {"low": low, "high": high} if kind is dict else (low, high)

    return lambda: Net(run, one=block(3, 5), two=block(5, 6))


def spatial_attention() -> nn.Module:
    """CBAM's spatial gate: its statistics run over all channels, which ties them."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = net.one(x)
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return net.last(net.two(x * torch.sigmoid(net.gate(pooled))))

    return Net(run, one=block(3, 5), gate=conv(2, 1), two=block(5, 6), last=conv(6, 6))


def gated_units() -> nn.Module:
    """GLU halves the channels and ties the halves; pixel shuffle moves channels into places."""
    return nn.Sequential(conv(3, 12), nn.GLU(dim=1), conv(6, 8), nn.PixelShuffle(2), conv(2, 6))


# --- heads -------------------------------------------------------------------------------------


def mixer() -> nn.Module:
    """Linear layers over places, as an MLP-Mixer has them, and a pooling that is learned: no channel meets another there."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = net.stem(x).flatten(2)
        x = x + net.back(functional.gelu(net.over(net.norm(x))))
        x = x + net.mix(x)
        return net.pool(x) * net.scale

    return Net(
        run,
        stem=nn.Conv2d(3, 6, 2, stride=2),
        norm=nn.BatchNorm1d(6),
        over=nn.Linear(16, 5),
        back=nn.Linear(5, 16),
        mix=nn.Sequential(nn.Conv1d(6, 8, 1), nn.GELU(), nn.Conv1d(8, 6, 1)),
        pool=nn.Linear(16, 3, bias=False),
        scale=nn.Parameter(torch.randn(6, 1)),
    )


def blurred() -> nn.Module:
    """A kernel that is not trained (a blur over the channels of each place) before a stride."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = functional.relu(net.first(x))
        x = functional.conv2d(x, net.kernel, stride=2, padding=1, groups=8)
        return functional.gelu(net.last(functional.conv2d(x, net.mix)))

    net = Net(run, first=nn.Conv2d(3, 8, 3, padding=1), last=nn.Conv2d(6, 8, 3, padding=1))
    net.register_buffer(
        "kernel", torch.tensor([1.0, 2, 1]).outer(torch.ones(3)).expand(8, 1, 3, 3) / 12
    )
    net.register_buffer("mix", torch.rand(6, 8, 1, 1))
    return net


def chosen_places() -> nn.Module:
    """Places that are left out, by a mask that is kept and by one that is computed."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = net.first(x).masked_fill(net.left_out, 0.5)
        x = torch.where(x > x.mean((2, 3), keepdim=True), x, 0.1 * x)
        return functional.relu(net.last(x))

    net = Net(run, first=nn.Conv2d(3, 8, 3, padding=1), last=nn.Conv2d(8, 8, 3))
    net.register_buffer("left_out", torch.rand(8, 8) < 0.3)
    return net


def pooled(features: int, dims: int = 2) -> HeadBuilder:
    """Return a builder of heads that average over places and end in a linear layer."""
    pool = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)[dims - 1]
    return lambda outputs: nn.Sequential(pool(1), nn.Flatten(), nn.Linear(features, outputs))


def hidden(features: int) -> HeadBuilder:
    """Return a builder of heads with a hidden layer and an activation."""
    return lambda outputs: nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(features, 7),
        nn.GELU(),
        nn.Dropout(0.1),
        nn.Linear(7, outputs),
    )


def linear(features: int) -> HeadBuilder:
    """Return a builder of linear heads on a vector."""
    return lambda outputs: nn.Linear(features, outputs)


def dense(features: int, dims: int = 2) -> HeadBuilder:
    """Return a builder of heads that predict at every place."""
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
    return lambda outputs: kind(features, outputs, 1)


def residual_head(features: int) -> HeadBuilder:
    """Return a builder of heads that add their input to what they compute from it."""

    def run(net: Net, x: Tensor) -> Tensor:
        return net.last(functional.relu(x + net.inner(x)))

    return lambda outputs: Net(run, inner=conv(features, features), last=conv(features, outputs))


def norm_head(features: int) -> HeadBuilder:
    """Return a builder of heads that start with norms over the features."""

    def run(net: Net, x: Tensor) -> Tensor:
        return net.last(net.layer(net.norm(x).mean((2, 3))))

    return lambda outputs: Net(
        run,
        norm=nn.BatchNorm2d(features),
        layer=nn.LayerNorm(features),
        last=nn.Linear(features, outputs),
    )


def identity_head(_features: int) -> HeadBuilder:
    """Return a builder of heads that give the features themselves."""
    return lambda _outputs: nn.Identity()


def both_maps(kind: type) -> HeadBuilder:
    """Return a builder of heads that read both maps of `several_maps`."""

    def run(net: Net, maps: object) -> Tensor:
        low, high = (maps["low"], maps["high"]) if kind is dict else maps
        return net.one(low.mean((2, 3))) + net.two(high.mean((2, 3)))

    return lambda outputs: Net(run, one=nn.Linear(5, outputs), two=nn.Linear(6, outputs))


# --- the table ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A kind of network.

    Attributes:
        backbone: Builds the backbone.
        heads: Builders of heads, used in turn for the tasks.
        image: Shape of one input.
        tasks: Number of tasks in the first of its two variants.
        groups: Groups of the first variant, by name in `GROUPS`.
    """

    backbone: Builder
    heads: Heads
    image: tuple[int, ...] = (3, 8, 8)
    tasks: int = 2
    groups: str = "specialists"


TASK_NAMES = ("age", "sex", "kind", "size", "tone")
GROUPS: Mapping[str, object] = {
    "specialists": "specialists",
    "lattice": "lattice",
    "pairs": [["age", "sex"], ["sex", "kind"], ["kind"], ["age"], "all"],  # 3 tasks, none for sex
    "no-all": [["age"], ["sex"]],  # 2 tasks with nothing to share
}


def _backbone(kind: str, **options: float) -> Builder:
    arguments = {"width": 1 / 16, "image_size": 8, **options}
    return lambda: build_backbone(kind, **arguments)


def enlarged(features: int, size: int) -> HeadBuilder:
    """Return a builder of the heads that dense tasks get on features smaller than the image."""
    shape, image = torch.Size((features, size, size)), (3, 8, 8)
    return lambda outputs: dense_head(shape, outputs, image)


POOLED = (pooled(6),)
CASES: Mapping[str, Case] = {
    "vgg": Case(_backbone("vgg11", depth=4), (pooled(16),), tasks=3, groups="lattice"),
    "resnet": Case(_backbone("resnet10"), (pooled(32),), tasks=3, groups="pairs"),
    "dense-block": Case(dense_block, POOLED, tasks=3, groups="lattice"),
    "inception": Case(inception, POOLED, tasks=5),
    "separable": Case(separable_with_attention, POOLED, tasks=3, groups="lattice"),
    "shuffle": Case(shuffle_net, POOLED, tasks=3, groups="pairs"),
    "grouped": Case(grouped, POOLED, tasks=3),
    "dilated": Case(dilated, POOLED, image=(3, 16, 16), groups="no-all"),
    "unet": Case(unet, (dense(6),), tasks=3, groups="lattice"),
    "transposed": Case(grouped_transposed, (dense(6),), tasks=3),
    "convnext": Case(convnext, (pooled(6), hidden(6)), tasks=3, groups="lattice"),
    "group-norm": Case(group_norm, (pooled(6), hidden(6)), tasks=3, groups="pairs"),
    "instance-norm": Case(instance_norm, POOLED, tasks=3),
    "spatial-norm": Case(spatial_layer_norm, POOLED, tasks=3),
    "rms-norm": Case(rms_norm, (pooled(6), hidden(6)), tasks=3, groups="lattice"),
    "sigmoid": Case(sigmoid_first, (hidden(6),), tasks=3, groups="lattice"),
    "smooth": Case(smooth_activations, (hidden(6), pooled(6)), tasks=5, groups="specialists"),
    "pre-activation": Case(pre_activation, POOLED, tasks=3, groups="pairs"),
    "weight-standard": Case(weight_standardised, POOLED, tasks=3),
    "called-twice": Case(called_twice, POOLED, tasks=3),
    "1d": Case(one_dimensional, (pooled(6, 1),), image=(2, 16), tasks=5),
    "3d": Case(three_dimensional, (pooled(5, 3),), image=(1, 6, 6, 6), tasks=3),
    "flatten": Case(flatten_neck, (linear(8),), tasks=3, groups="lattice"),
    "dict": Case(several_maps(dict), (both_maps(dict),), tasks=3),
    "tuple": Case(several_maps(tuple), (both_maps(tuple),), tasks=3, groups="lattice"),
    "spatial-attention": Case(spatial_attention, (dense(6),), tasks=3),
    "efficient-attention": Case(gates.efficient, POOLED, tasks=3, groups="lattice"),
    "cbam": Case(gates.cbam, (dense(6), pooled(6)), tasks=3, groups="pairs"),
    "response-norm": Case(gates.response_norms, POOLED, tasks=3),
    "global-context": Case(gates.global_context, POOLED, tasks=3, groups="lattice"),
    "vector-gate": Case(gates.vector, (linear(6),), tasks=3, groups="pairs"),
    "attention-unet": Case(gates.AttentionUNet, (dense(6),), tasks=3),
    "glu": Case(gated_units, POOLED, tasks=3),
    "mixer": Case(mixer, (pooled(6, 1),), tasks=3, groups="lattice"),
    "blur": Case(blurred, (pooled(8),), tasks=3, groups="lattice"),
    "chosen-places": Case(chosen_places, (pooled(8),), tasks=3),
    "residual-head": Case(_backbone("vgg11", depth=2), (residual_head(8), pooled(8)), tasks=3),
    "norm-head": Case(_backbone("vgg11", depth=2), (norm_head(8),), tasks=3, groups="lattice"),
    "dense-head": Case(_backbone("vgg11", depth=3), (enlarged(16, 2), pooled(16)), tasks=3),
    "highresnet-2d": Case(
        _backbone("highresnet", width=0.25, depth=7),
        (dense(16), pooled(16)),
        tasks=3,
        groups="lattice",
    ),
    "highresnet-3d": Case(
        _backbone("highresnet", width=0.25, depth=4, in_channels=1, dimensions=3),
        (dense(8, 3),),
        image=(1, 5, 6, 4),
    ),
    "unet-2d": Case(
        _backbone("unet", depth=3), (dense(4), pooled(4)), image=(3, 8, 6), tasks=3, groups="pairs"
    ),
    "unet-3d": Case(
        _backbone("unet", depth=2, in_channels=1, dimensions=3), (dense(4, 3),), image=(1, 4, 5, 6)
    ),
    "identity-head": Case(_backbone("vgg11", depth=2), (identity_head(8), dense(8)), tasks=3),
}


@dataclass(frozen=True)
class Sample:
    """One network with heads, an input, and groups.

    Attributes:
        backbone: The backbone, with random norm statistics.
        heads: Task name to head.
        x: A batch.
        groups: What `convert` takes as groups.
    """

    backbone: nn.Module
    heads: dict[str, nn.Module]
    x: Tensor
    groups: object


def make(
    name: str, *, tasks: int | None = None, groups: str | None = None, seed: int = 1
) -> Sample:
    """Return a fresh sample of a case, the same for the same seed.

    Args:
        name: A key of `CASES`.
        tasks: Number of tasks; None for the case's own.
        groups: A key of `GROUPS`; None for the case's own.
        seed: Seed of weights and input.
    """
    case = CASES[name]
    names = TASK_NAMES[: tasks or case.tasks]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = case.backbone()
        builders = islice(cycle(case.heads), len(names))
        heads = {
            t: build(i % 3 + 1) for i, (t, build) in enumerate(zip(names, builders, strict=True))
        }
        offsets = torch.randn(6, case.image[0], *[1] * (len(case.image) - 1))
        x = torch.randn(6, *case.image) + 1.5 * offsets  # examples differ also after pooling
    return Sample(backbone, heads, x, GROUPS[groups or case.groups])


@torch.no_grad()
def randomise(module: nn.Module, seed: int = 2) -> None:
    """Change all weights and norm statistics, so that no mistake hides behind a start at 0 or 1.

    Args:
        module: A network or a supernet's network; weights are changed in place.
        seed: Seed of the values.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor: Tensor) -> Tensor:
        return torch.rand(tensor.shape, generator=generator)

    for name, value in module.named_parameters():
        if value.dim() < 2:
            value.copy_(uniform(value) - 0.5 if "bias" in name else uniform(value) + 0.5)
        else:
            value.mul_(2.0).add_(0.2 * (uniform(value) - 0.5))  # keep signals as large as biases
    for name, value in module.named_buffers():
        if name.endswith("running_mean"):
            value.copy_(uniform(value) - 0.5)
        elif name.endswith("running_var"):
            value.copy_(uniform(value) + 0.5)
