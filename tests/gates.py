"""Small networks with gates that look at all channels: attention over channels and places, local response norms."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class EfficientAttention(nn.Module):
    """Efficient channel attention: a convolution along the channels (Wang et al. 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x.mean((2, 3)).unsqueeze(1))
        return x * y.sigmoid().transpose(1, 2).unsqueeze(-1)


class SpatialGate(nn.Module):
    """The gate of CBAM for each place (Woo et al. 2018), with a batch norm if asked; the caller multiplies."""

    def __init__(self, *, norm: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 3, padding=1)
        self.norm = nn.BatchNorm2d(1) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return torch.sigmoid(self.norm(self.conv(both)))


class Cbam(nn.Module):
    """A residual block with the gates of CBAM for channels and for places (Woo et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.less, self.more = nn.Conv2d(channels, 3, 1), nn.Conv2d(3, channels, 1)
        self.places = SpatialGate(norm=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        average, greatest = (
            functional.adaptive_avg_pool2d(y, 1),
            functional.adaptive_max_pool2d(y, 1),
        )
        y = y * torch.sigmoid(
            sum(self.more(functional.gelu(self.less(p))) for p in (average, greatest))
        )
        return functional.relu(x + self.places(y) * y)


class GlobalContext(nn.Module):
    """The mean over places, weighted by attention, transformed and added everywhere (Cao et al. 2019, "GCNet")."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attend = nn.Conv2d(channels, 1, 1)
        self.less, self.more = nn.Conv2d(channels, 2, 1), nn.Conv2d(2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.attend(x).flatten(2).softmax(-1)
        context = torch.bmm(x.flatten(2), weights.transpose(1, 2)).unsqueeze(-1)
        return x + self.more(functional.gelu(self.less(context)))


class AttentionGate(nn.Module):
    """The gate of an attention U-Net: one number for each place of a skip connection (Oktay et al. 2018)."""

    def __init__(self, channels: int, features: int, inner: int) -> None:
        super().__init__()
        self.of_skip = nn.Sequential(nn.Conv2d(features, inner, 1), nn.BatchNorm2d(inner))
        self.of_gate = nn.Sequential(nn.Conv2d(channels, inner, 1), nn.BatchNorm2d(inner))
        self.psi = nn.Sequential(nn.Conv2d(inner, 1, 1), nn.BatchNorm2d(1), nn.Sigmoid())

    def forward(self, gate: Tensor, skip: Tensor) -> Tensor:
        return skip * self.psi(functional.relu(self.of_gate(gate) + self.of_skip(skip)))


class AttentionUNet(nn.Module):
    """A U-Net of two levels with an attention gate."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(5, 6, 3, padding=1)
        self.up = nn.ConvTranspose2d(6, 6, 2, stride=2)
        self.gate = AttentionGate(6, 5, 4)
        self.last = nn.Conv2d(11, 6, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        skip = self.first(x).relu()
        up = self.up(self.second(functional.max_pool2d(skip, 2)).relu())
        return self.last(torch.cat([self.gate(up, skip), up], 1))


class VectorGate(nn.Module):
    """One number for each image, by a layer normed over all features and a linear one."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.norm, self.score = nn.LayerNorm(features), nn.Linear(features, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.score(self.norm(x)))


def _block(channels: int, filters: int) -> nn.Sequential:
    conv = nn.Conv2d(channels, filters, 3, padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(filters), nn.ReLU())


def efficient() -> nn.Module:
    return nn.Sequential(_block(3, 8), EfficientAttention(), _block(8, 6), EfficientAttention())


def cbam() -> nn.Module:
    return nn.Sequential(_block(3, 6), Cbam(6), Cbam(6))


def response_norms() -> nn.Module:
    first, second = nn.LocalResponseNorm(3, alpha=0.5), nn.LocalResponseNorm(5, alpha=0.5)
    return nn.Sequential(_block(3, 8), first, _block(8, 6), second, nn.MaxPool2d(2), _block(6, 6))


def global_context() -> nn.Module:
    return nn.Sequential(_block(3, 24), GlobalContext(24), _block(24, 6), _block(6, 6))


def vector() -> nn.Module:
    flat = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(_block(3, 12), flat, VectorGate(12), nn.Linear(12, 6), nn.SiLU())
