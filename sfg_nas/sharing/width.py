"""Any network at another width: the user's own modules, with more or fewer filters in every layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from sfg_nas.cost import evaluating
from sfg_nas.errors import ConfigError, ConversionError, explain
from sfg_nas.sharing.axes import Axis, tensor_axes
from sfg_nas.sharing.copies import copied
from sfg_nas.sharing.counts import Counts, count_units
from sfg_nas.sharing.features import leaves_of, running_on
from sfg_nas.sharing.recognise import recognise
from sfg_nas.sharing.resize import resize, shape_at
from sfg_nas.sharing.trace import trace
from sfg_nas.sharing.traced import BackboneWithHeads, TracedOp
from sfg_nas.sharing.units import Layout

_MULTIPLES = (1, 2, 4, 8, 16)
"""What the filters of each layer are made multiples of, in turn, until the network runs."""
_NEAR = 0.4
"""Rounded to multiples, a network has this share more or fewer filters at most."""


def scale_width(
    backbone: nn.Module, width: float, example_input: Tensor, *, keep_weights: bool = False
) -> nn.Module:
    """Return a backbone with another number of filters in every layer.

    The modules stay the user's own, with their `forward`; only sizes change. Layers whose number is
    given by something else (the image's channels, a map that is broadcast over channels, attention
    between channels) keep it. The weights of filter banks are new: drawn (by torch's global random state) from
    the given ones, and scaled to the fan-in. Whatever else is trained (norms, biases) is taken over from the
    channels it stood for.

    Args:
        backbone: Any module whose operations are in the vocabulary; it is not changed.
        width: Factor on the filters of each layer, above 0.
        example_input: `[N, C, H, W]` (one to three spatial dimensions); values do not matter.
        keep_weights: Whether the weights of filter banks are taken over, too, as for a pretrained network: a narrower
            one has some of its filters, a wider one has some twice, whose readers count each half (Chen et al.
            2016, Net2WiderNet), with a little noise.

    Raises:
        ConversionError: It cannot be followed, or does not run with other sizes; names the module.
        ConfigError: The width is not above 0.
    """
    return WidthPlan.of(backbone, example_input).made(backbone, width, keep_weights=keep_weights)


@dataclass(frozen=True)
class WidthPlan:
    """How every tensor of a network follows its channels.

    Attributes:
        counts: Its units.
        axes: What follows them.
        ops: Operations whose modules note sizes.
        outputs: Layout of each tensor of the output.
        example: An input of two examples.
        movable: Layers that can change by themselves, once it was asked for: indices of `counts.parts`.
    """

    counts: Counts
    axes: tuple[Axis, ...]
    ops: tuple[TracedOp, ...]
    outputs: tuple[Layout, ...]
    example: Tensor
    movable: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, backbone: nn.Module, example_input: Tensor) -> WidthPlan:
        """Return the plan of a backbone.

        Args:
            backbone: As for `scale_width`.
            example_input: Likewise.

        Raises:
            ConversionError: It does not run on the example, or cannot be followed.
        """
        example = torch.zeros(2, *example_input.shape[1:]).to(example_input)
        with running_on(example.shape[1:]):
            leaves = _leaves(_run(backbone, example))
        heads = {f"output {i}": _Leaf(i) for i in range(len(leaves))}
        network = copied(BackboneWithHeads(backbone, heads), parameters=False)
        recognise(network, example)
        traced = trace(network, example)
        counts = count_units(traced)
        state = {
            **dict(network.named_parameters(remove_duplicate=False)),
            **dict(network.named_buffers(remove_duplicate=False)),  # those that are not saved, too
        }
        state = {name: value.detach() for name, value in state.items()}
        axes = tuple(tensor_axes(traced, counts, state))
        ops = tuple(op for op in traced.ops if op.path.startswith("backbone"))
        outputs = tuple(counts.layouts[name] for name in traced.outputs)
        return cls(counts, axes, ops, outputs, example)

    def made(self, backbone: nn.Module, width: float, *, keep_weights: bool = False) -> nn.Module:
        """Return the backbone, or one that is made like it, at a width.

        Args:
            backbone: Not changed.
            width: Factor on the filters of each layer, above 0.
            keep_weights: As for `scale_width`.

        Raises:
            ConversionError: It does not run with other sizes.
            ConfigError: The width is not above 0.
        """
        if not (width > 0 and math.isfinite(width)):
            rule, do = "a finite number above 0 is needed", "try 0.5 or 1.5"
            raise ConfigError(explain(where="width", rule=rule, found=f"{width}", do=do))
        fault = ""
        for repeats in self._choices(backbone, width):
            result, wrong = self._tried(backbone, repeats, keep=keep_weights)
            if not wrong:
                return result
            fault = fault or wrong
        none = "none whose number of filters may change"
        where, _, found = (fault or f"{type(backbone).__name__}\n{none}").partition("\n")
        raise ConversionError(
            explain(
                where=f"scale_width: `{where}`",
                rule="every layer must run with another number of channels",
                found=found,
                do="take sizes in `forward` from the tensors' shapes, or give a function that makes the "
                "network at any width",
            )
        )

    def _choices(self, backbone: nn.Module, width: float) -> Iterator[Tensor]:
        """Yield how often each root may appear at a width: all layers changed, or those that can be by themselves."""
        every = range(len(self.counts.parts))
        yield from self._rounded(width, every)
        if not self.movable:
            self.movable.extend(i for i in every if self._moves(backbone, i))
        filters = [len(roots) for roots in self.counts.parts]
        if 2 * sum(filters[i] for i in self.movable) >= sum(filters):
            yield from self._rounded(width, self.movable)

    def _rounded(self, width: float, parts: Sequence[int]) -> Iterator[Tensor]:
        """Yield how often each root may appear at a width, with numbers of filters ever more even."""
        changed = (
            torch.cat([self.counts.parts[i] for i in parts]) if parts else torch.empty(0).long()
        )
        wanted = self.counts.repeats(width, 1, parts)[changed].sum()
        tried: list[Tensor] = []
        for multiple in _MULTIPLES:
            repeats = self.counts.repeats(width, multiple, parts)
            near = abs(float(repeats[changed].sum() / wanted.clamp_min(1)) - 1) < _NEAR
            if near and not any(torch.equal(repeats, others) for others in tried):
                tried.append(repeats)
                yield repeats

    def _moves(self, backbone: nn.Module, part: int) -> bool:
        """Return whether the network runs with half and with twice the filters of one layer."""
        return all(
            any(not self._tried(backbone, repeats)[1] for repeats in self._rounded(width, [part]))
            for width in (0.5, 2.0)
        )

    def _tried(
        self, backbone: nn.Module, repeats: Tensor, *, keep: bool = False
    ) -> tuple[nn.Module, str]:
        """Return the network of these sizes, and what is wrong with it."""
        faults: list[str] = []
        for guess in (False, True):  # a guess may be wrong without a fault, so it comes last
            result = copied(backbone)
            resize(result, self.axes, self.ops, self.counts, repeats, keep=keep, guess=guess)
            faults.append(self._fault(result, repeats))
            if not faults[-1]:
                return result, ""
        return result, faults[0]

    def _fault(self, backbone: nn.Module, repeats: Tensor) -> str:
        """Return the module that does not run with these sizes and why, empty if all do."""
        entered: list[str] = [""]
        handles = []

        def entering(path: str) -> Callable[..., None]:
            return lambda *_: entered.append(path)

        for path, module in backbone.named_modules():
            handles.append(module.register_forward_pre_hook(entering(path)))
        try:
            leaves = _leaves(_run(backbone, self.example))
        except Exception as err:  # noqa: BLE001 - whatever a user's `forward` makes of other sizes
            return f"{entered[-1] or type(backbone).__name__}\n{_first_line(err)}"
        finally:
            for handle in handles:
                handle.remove()
        for leaf, layout in zip(leaves, self.outputs, strict=True):
            expected = shape_at(layout, repeats)
            if tuple(leaf.shape) != expected:
                name = type(backbone).__name__
                return f"{name}\nan output of shape {tuple(leaf.shape)} instead of {expected}"
        return ""


class _Leaf(nn.Module):
    """Passes one tensor of the backbone's output on."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def forward(self, features: object) -> Tensor:
        """Return the tensor."""
        return _leaves(features)[self.index]


def _leaves(features: object) -> list[Tensor]:
    return [leaf for leaf in leaves_of(features) if isinstance(leaf, Tensor)]


def _run(module: nn.Module, example: Tensor) -> object:
    """Return what a module makes of an example in evaluation mode."""
    with evaluating(module), torch.no_grad():
        return module(example)


def _first_line(err: Exception) -> str:
    return next(iter(str(err).splitlines()), "")[:200] or type(err).__name__
