"""Norms over channels that a module computes by hand, found by trying, and run by the norm of torch that they are.

Layer norms over the channels of a map are often written out (`x.mean(1)`, `(x - u).pow(2).mean(1)`, ...). As single
operations these mix all channels, which would tie every filter before them to one group. As a layer norm (Ba et al.
2016) or a root mean square norm (Zhang and Sennrich 2019) each channel takes its statistics over what its group may read; so it does
in a global response norm (Woo et al. 2023), and in a division by the length of the channels at each place (Liu et al.
2016, "L2 normalisation"), and in one by the standard deviation plus eps, which are written with one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import permutations

import torch
from torch import Tensor, nn

from sfg_nas.sharing.channel_norms import ChannelNorm, DeviationNorm, ResponseNorm, flat
from sfg_nas.sharing.copies import copied
from sfg_nas.sharing.intercept import FUNCTIONS, Calls

Norm = ChannelNorm | DeviationNorm | ResponseNorm
_TOLERANCE = 1e-5
_MOST_EPS = 1e-2
_LEAST_EPS = 1e-12
_CROP = 6
_SCALES = (1.0, 1e-3)
"""Of the inputs that are tried; at the smaller one eps decides, and is measured."""


def recognise_norms(network: nn.Module, example: Tensor) -> list[str]:
    """Let modules that are norms over channels, written by hand, run the function of torch that is the same.

    Args:
        network: Is changed: such modules get another `forward`.
        example: An input of the network.

    Returns:
        Paths of these modules.
    """
    candidates = {path: m for path, m in network.named_modules() if _may_be_norm(m)}
    found: list[str] = []
    for path, shapes in _inputs(network, candidates, example).items():
        norm = _norm_of(candidates[path], shapes)
        if norm is not None:
            candidates[path].forward = norm
            found.append(path)
    return found


def is_own_leaf(module: nn.Module) -> bool:
    """Return whether a module is none of torch's, and without parts and hooks: all that it does is in its `forward`.

    Args:
        module: Of any network.
    """
    return not (
        type(module).__module__.startswith("torch.")
        or any(True for _ in module.children())
        or module._forward_hooks
        or module._forward_pre_hooks
    )


def _may_be_norm(module: nn.Module) -> bool:
    """Return whether a module is a user's own, without parts, and has at most a scale and an offset."""
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return (
        is_own_leaf(module)
        and len(own) <= 2
        and len({value.numel() for value in own}) <= 1
        and all(isinstance(v, nn.Parameter) and v.is_floating_point() for v in own)
        and not any(value.is_meta for value in own)
    )


def _inputs(
    network: nn.Module, candidates: Mapping[str, nn.Module], example: Tensor
) -> dict[str, list[torch.Size]]:
    """Return the shapes of what candidates are called with, those that are called with one tensor alone."""
    if not candidates or example.is_meta:
        return {}
    twin = copied(network, parameters=False).eval()
    shapes: dict[str, list[torch.Size]] = {path: [] for path in candidates}
    odd: set[str] = set()

    def note(path: str) -> Callable[..., None]:
        def hook(_module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
            if len(args) == 1 and not kwargs and isinstance(args[0], Tensor):
                shapes[path].append(args[0].shape)
            else:
                odd.add(path)

        return hook

    for path in candidates:
        twin.get_submodule(path).register_forward_pre_hook(note(path), with_kwargs=True)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            twin(example)
    except Exception:  # noqa: BLE001 - whatever is wrong with the network, its trace says it
        return {}
    return {path: found for path, found in shapes.items() if found and path not in odd}


class _NormCalls(Calls):
    """Notes whether a norm of torch is called, which needs no recognition."""

    seen = False

    def answer(
        self, function: Callable[..., object], args: Sequence[object], keywords: dict[str, object]
    ) -> object:
        self.seen = self.seen or FUNCTIONS.get(function) == "norm"
        return function(*args, **keywords)


@torch.no_grad()
def _norm_of(module: nn.Module, shapes: Sequence[torch.Size]) -> Norm | None:
    """Return the norm that a module is for inputs of some shapes, None if it is none."""
    twin = copied(module).cpu().double()
    generator = torch.Generator().manual_seed(0)
    for value in twin.parameters():
        value.copy_(torch.rand(value.shape, generator=generator, dtype=value.dtype) + 0.5)
    for axis in (1, -1):
        samples = [s for shape in shapes for s in _samples(twin, shape, axis, generator)]
        if len(samples) < 2 * len(_SCALES) * len(shapes):
            continue  # for some of the inputs it is none
        for form in _forms(twin, axis):
            for fitted in (_fitted(form, samples[-1]), *_fitted_deviations(form, samples[-1])):
                if fitted is not None and _is_same(fitted, twin, samples):
                    return replace(fitted, module=module)
        for weight, bias in permutations([name for name, _ in twin.named_parameters()], 2):
            response = _fitted_response(ResponseNorm(twin, weight, bias, axis, 0.0), samples[-1])
            if response is not None and _is_same(response, twin, samples):
                return ResponseNorm(module, weight, bias, axis, response.eps)
    return None


def _samples(
    twin: nn.Module, shape: torch.Size, axis: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Give inputs and what the module makes of them, in both modes; nothing if it is no norm over the axis."""
    sizes = [min(size, _CROP) for size in shape]
    channels = shape[axis] if len(sizes) > 1 else 0
    if channels < 2 or any(p.numel() != channels for p in twin.parameters()):
        return
    sizes[axis] = channels
    view = [1] * len(sizes)
    view[axis] = channels
    for scale in _SCALES:
        offset = torch.randn(view, generator=generator, dtype=torch.double)
        x = scale * (torch.randn(sizes, generator=generator, dtype=torch.double) + offset)
        for training in (True, False):
            calls = _NormCalls()
            try:
                with calls, torch.random.fork_rng(devices=[]):
                    y = twin.train(training)(x.clone())
            except Exception:  # noqa: BLE001 - a norm over this axis would run
                return
            if calls.seen or not isinstance(y, Tensor) or y.shape != x.shape:
                return
            yield x, y.double()


def _forms(twin: nn.Module, axis: int) -> Iterator[ChannelNorm]:
    """Give the norms that a module may be: what its parameters are for, whether it is centred, what it divides by."""
    names: list[str | None] = [name for name, _ in twin.named_parameters()]
    pairs = permutations(names) if len(names) > 1 else [(*names, None), (None, *names)]
    for pair in pairs:
        weight, bias = (*pair, None)[:2]
        yield ChannelNorm(twin, weight, bias, axis, centred=True, eps=0.0)
        if bias is None:
            yield ChannelNorm(twin, weight, None, axis, centred=False, eps=0.0)
            yield ChannelNorm(twin, weight, None, axis, centred=False, eps=0.0, length=True)


def _fitted(norm: ChannelNorm, sample: tuple[Tensor, Tensor]) -> ChannelNorm | None:
    """Return a norm with the eps that its output shows, None if there is no such eps."""
    x, plain = _plain(norm, sample)
    plain = plain * x.shape[-1] ** 0.5 if norm.length else plain
    apart = x - x.mean(-1, keepdim=True) if norm.centred else x
    variance = apart.square().mean(-1, keepdim=True)
    large = apart.square() > variance  # where rounding counts least
    eps = float(((apart / plain).square() - variance)[large].median())
    if not eps < _MOST_EPS:
        return None
    norm.eps = _rounded(eps)
    return norm


def _fitted_deviations(form: ChannelNorm, sample: tuple[Tensor, Tensor]) -> Iterator[DeviationNorm]:
    """Give norms that add to the deviation the eps that an output shows, if there is such an eps."""
    if not form.centred:
        return
    x, plain = _plain(form, sample)
    apart = x - x.mean(-1, keepdim=True)
    large = apart.square() > apart.square().mean(-1, keepdim=True)
    for correction in (0, 1):
        share = (x.shape[-1] / (x.shape[-1] - correction)) ** 0.5
        deviation = x.std(-1, keepdim=True, correction=correction)
        eps = float((apart / plain - deviation)[large].median())
        if _LEAST_EPS < eps < _MOST_EPS:
            yield DeviationNorm(
                form.module, form.weight, form.bias, form.axis, share, _rounded(eps)
            )


def _plain(norm: ChannelNorm, sample: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return an input, and what came out before scale and offset, with the channels last."""
    x, y = (value.movedim(norm.axis, -1) for value in sample)
    weight, bias = norm.flat(norm.weight), norm.flat(norm.bias)
    return x, (y - (0.0 if bias is None else bias)) / (1.0 if weight is None else weight)


def _fitted_response(norm: ResponseNorm, sample: tuple[Tensor, Tensor]) -> ResponseNorm | None:
    """Return a global response norm with the eps that its output shows, None if there is no such eps."""
    x, y = (value.movedim(norm.axis, -1) for value in sample)
    if x.dim() < 3:
        return None
    length = torch.linalg.vector_norm(x, dim=tuple(range(1, x.dim() - 1)), keepdim=True)
    weight, bias = flat(norm.module, norm.weight), flat(norm.module, norm.bias)
    quotient = (y - bias - x) / (weight * x)
    eps = float((length / quotient - length.mean(-1, keepdim=True)).median())
    if not eps < _MOST_EPS:
        return None
    norm.eps = _rounded(eps)
    return norm


def _rounded(eps: float) -> float:
    return max(float(f"{eps:.3g}"), _LEAST_EPS)


def _is_same(norm: Norm, twin: nn.Module, samples: Sequence[tuple[Tensor, Tensor]]) -> bool:
    """Return whether a norm gives what the module gave, with the same gradients."""
    same = all(_same(norm(x), y) for x, y in samples)
    return same and _same_gradients(norm, twin, samples)


@torch.enable_grad()
def _same_gradients(norm: Norm, twin: nn.Module, samples: Sequence[tuple[Tensor, Tensor]]) -> bool:
    """Return whether gradients pass through the statistics, as they do through those of a norm."""
    twin.train()
    for x, y in samples:
        weights = torch.linspace(1, 2, y.numel(), dtype=y.dtype).view_as(y)
        found = []
        for way in (norm, twin):
            leaf = x.clone().requires_grad_()
            given = way(leaf + 0)
            if not given.requires_grad:
                return False
            found.append(torch.autograd.grad((given * weights).sum(), leaf)[0])
        if not _same(*found):
            return False
    return True


def _same(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).abs().max() <= _TOLERANCE * expected.abs().max())
