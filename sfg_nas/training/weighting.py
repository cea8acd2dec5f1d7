"""How the tasks' losses are weighed against each other: equally, by uncertainty, or by aggregating their gradients."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from sfg_nas.errors import ConfigError, TrainingError, explain
from sfg_nas.sharing import Supernet
from sfg_nas.tasks import Task
from sfg_nas.training.method import Loss, Method, ParameterGroup

EQUAL, UNCERTAINTY, TORCHJD = "equal", "uncertainty", "torchjd:"
Aggregate = Callable[[Tensor], Tensor]
"""Maps the tasks' gradients `[T, P]` to one `[P]`."""


class _Wrapped:
    """A method whose losses are weighed in another way; all else is passed on."""

    def __init__(self, method: Method, tasks: Sequence[Task]) -> None:
        self._method, self._tasks = method, tuple(tasks)

    @property
    def module(self) -> nn.Module:
        """Return the wrapped method's module."""
        return self._method.module

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """Return the wrapped method's groups."""
        return self._method.parameter_groups()

    def before_step(self, progress: float) -> None:
        """Advance the wrapped method."""
        self._method.before_step(progress)

    def epoch_values(self) -> Mapping[str, float]:
        """Return the wrapped method's numbers."""
        return self._method.epoch_values()

    def state_tensors(self) -> dict[str, Tensor]:
        """Return the wrapped method's state."""
        return self._method.state_tensors()

    def load_state_tensors(self, state: Mapping[str, Tensor]) -> None:
        """Take back the wrapped method's state."""
        self._method.load_state_tensors(state)

    def _parts(
        self, network: nn.Module, images: Tensor, targets: Mapping[str, Tensor]
    ) -> tuple[Loss, list[Tensor], Tensor]:
        """Return the wrapped method's loss, each task's share of it, and what is no task's (penalties)."""
        loss = self._method.loss(network, images, targets)
        own = [task.weight * loss.parts[f"loss/{task.name}"] for task in self._tasks]
        return loss, own, loss.total - torch.stack(own).sum()


class UncertaintyWeighted(_Wrapped):
    """Learns a weight for each task: the sum of `exp(-s) * loss + s / 2` with `s` the logarithm of a variance.

    Source: Kendall, Gal and Cipolla 2018, "Multi-task learning using uncertainty to weigh losses for scene geometry
    and semantics", equations 5 and 10, with our losses, which are negative log-likelihoods already. A task's own
    weight multiplies its loss as ever. A batch without a label of a task says nothing of its variance, nor does a
    task of weight 0: there the term is left out, as it would make the weight of rare labels grow.
    """

    def __init__(self, method: Method, tasks: Sequence[Task]) -> None:
        """Begin with variances of 1, which is the plain sum.

        Args:
            method: What is trained; its losses name the tasks as `loss/<task>`.
            tasks: The tasks, with their weights.
        """
        super().__init__(method, tasks)
        # No part of the module: predictions do not need it.
        self.log_variances = nn.Parameter(torch.zeros(len(tasks)))

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """Return the wrapped method's groups and the variances, without decay."""
        own = ParameterGroup("uncertainty", [self.log_variances], weight_decay=0.0)
        return [*self._method.parameter_groups(), own]

    def loss(self, network: nn.Module, images: Tensor, targets: Mapping[str, Tensor]) -> Loss:
        """Return the loss with weights by uncertainty."""
        loss, own, rest = self._parts(network, images, targets)
        log_variances = self.log_variances.to(rest.device)
        weighed = (-log_variances).exp() * torch.stack(own) + log_variances / 2
        heard = [t.labelled(targets[t.name]).any() & (t.weight > 0) for t in self._tasks]
        return Loss(torch.where(torch.stack(heard), weighed, 0.0).sum() + rest, loss.parts)

    def epoch_values(self) -> Mapping[str, float]:
        """Return the wrapped method's numbers and the weight of each task."""
        weights = (-self.log_variances.detach()).exp().tolist()
        own = {f"weight/{task.name}": w for task, w in zip(self._tasks, weights, strict=True)}
        return {**self._method.epoch_values(), **own}

    def state_tensors(self) -> dict[str, Tensor]:
        """Return the wrapped method's state and the variances."""
        return {
            **self._method.state_tensors(),
            "uncertainty": self.log_variances.detach().clone(),
        }

    def load_state_tensors(self, state: Mapping[str, Tensor]) -> None:
        """Take back both."""
        with torch.no_grad():
            self.log_variances.copy_(state["uncertainty"])
        self._method.load_state_tensors(state)


class GradientAggregated(_Wrapped):
    """Replaces the sum of the tasks' gradients by an aggregation of them, where several tasks reach a parameter's entries.

    What one task alone reaches (its head, its own filters) gets that task's gradient, and penalties theirs.

    Source: Quinton and Rey 2024, "Jacobian descent for multi-objective optimization", whose library torchjd has the
    aggregators. One that remembers earlier steps begins anew where an interrupted training goes on.
    """

    def __init__(self, method: Method, tasks: Sequence[Task], aggregate: Aggregate) -> None:
        """Keep the aggregation.

        Args:
            method: What is trained; its losses name the tasks as `loss/<task>`.
            tasks: The tasks, with their weights.
            aggregate: Maps the gradients.
        """
        super().__init__(method, tasks)
        self._aggregate = aggregate
        self._masked = any(isinstance(part, Supernet) for part in method.module.modules())

    def loss(self, network: nn.Module, images: Tensor, targets: Mapping[str, Tensor]) -> Loss:
        """Return the plain loss, with the aggregation as its way back."""
        loss, own, rest = self._parts(network, images, targets)
        return Loss(loss.total, loss.parts, backward=lambda: self._backward(own, rest))

    def _backward(self, own: Sequence[Tensor], rest: Tensor) -> None:
        groups = self._method.parameter_groups()
        parameters = [p for group in groups for p in group.parameters if p.requires_grad]
        rows = [_gradients(loss, parameters) for loss in own]
        plain = _gradients(rest, parameters)
        several: list[nn.Parameter] = []
        for place, parameter in enumerate(parameters):
            theirs = [row[place] for row in rows]
            if sum(gradient is not None for gradient in theirs) > 1:
                several.append(parameter)
            else:
                parameter.grad = _sum([*theirs, plain[place]])
        if several:
            self._aggregated(several, parameters, rows, plain)

    def _aggregated(
        self,
        several: Sequence[nn.Parameter],
        parameters: Sequence[nn.Parameter],
        rows: Sequence[Sequence[Tensor | None]],
        plain: Sequence[Tensor | None],
    ) -> None:
        place = {id(parameter): index for index, parameter in enumerate(parameters)}
        jacobian = torch.stack(
            [torch.cat([_flat(row[place[id(p)]], p) for p in several]) for row in rows]
        )
        finite = torch.isfinite(jacobian).all(1).tolist()
        if not all(finite):  # some aggregators have errors of their own for it
            bad = [task.name for task, fine in zip(self._tasks, finite, strict=True) if not fine]
            where, do = "training.weighting", "lower the learning rate or set training.clip"
            rule, found = "every gradient must be finite", f"one that is not, of {', '.join(bad)}"
            raise TrainingError(explain(where=where, rule=rule, found=found, do=do))
        merged = self._merged(jacobian)
        pieces: Sequence[Tensor] = torch.split_with_sizes(merged, [p.numel() for p in several])
        for parameter, piece in zip(several, pieces, strict=True):
            parameter.grad = _sum([piece.view_as(parameter), plain[place[id(parameter)]]])

    def _merged(self, jacobian: Tensor) -> Tensor:
        """Return one gradient for all tasks'. In a supernet, filters of all groups are one weight: single entries tell whose they are."""
        if not self._masked or not bool(
            jacobian.any(1).all()
        ):  # a task without labels tells nothing
            return self._aggregate(jacobian)
        alone = (jacobian != 0).sum(0) == 1
        common = jacobian.masked_fill(alone, 0.0)
        merged = torch.where(alone, jacobian.sum(0), 0.0)
        return merged + self._aggregate(common) if bool(common.any()) else merged


def _gradients(loss: Tensor, parameters: Sequence[nn.Parameter]) -> Sequence[Tensor | None]:
    if not loss.requires_grad:
        return [None] * len(parameters)
    return torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)


def _flat(gradient: Tensor | None, like: Tensor) -> Tensor:
    return like.new_zeros(like.numel()) if gradient is None else gradient.reshape(-1)


def _sum(gradients: Sequence[Tensor | None]) -> Tensor | None:
    there = [gradient for gradient in gradients if gradient is not None]
    return None if not there else torch.stack(there).sum(0)


def weighted(method: Method, tasks: Sequence[Task], name: str) -> Method:
    """Return a method whose losses are weighed by a rule.

    Args:
        method: What is trained.
        tasks: The tasks, with their weights; a single one is left as it is.
        name: `equal`, `uncertainty`, or `torchjd:` and an aggregator's name.

    Raises:
        ConfigError: If there is no such rule, or the extra `weighting` is missing.
    """
    if name == EQUAL or len(tasks) == 1:
        return method
    if name == UNCERTAINTY:
        return UncertaintyWeighted(method, tasks)
    return GradientAggregated(method, tasks, aggregator(name.removeprefix(TORCHJD), len(tasks)))


def aggregators() -> tuple[str, ...]:
    """Return the names of torchjd's aggregators that need no further settings; none without the extra."""
    if find_spec("torchjd") is None:
        return ()
    module = import_module("torchjd.aggregation")
    return tuple(
        name
        for name, kind in sorted(vars(module).items())
        if inspect.isclass(kind)
        and issubclass(kind, module.Aggregator)
        and not inspect.isabstract(kind)
        and _needs(kind) <= {"n_tasks"}
    )


def _needs(kind: type) -> set[str]:
    parameters = inspect.signature(kind).parameters.values()
    return {p.name for p in parameters if p.default is inspect.Parameter.empty}


def aggregator(name: str, tasks: int) -> Aggregate:
    """Return one of torchjd's aggregators with its default settings.

    Args:
        name: Its class.
        tasks: How many there are.

    Raises:
        ConfigError: If there is none of that name, or torchjd (or what this aggregator needs) is missing.
    """
    where = "training.weighting"
    if find_spec("torchjd") is None:
        rule, do = "torchjd is needed", "pip install 'sfg_nas[weighting]'"
        raise ConfigError(explain(where=where, rule=rule, found="none", do=do))
    known = aggregators()
    if name not in known:
        rule, found = f"one of {', '.join(known)} is needed", f"`{name}`"
        raise ConfigError(explain(where=where, rule=rule, found=found, do="choose one"))
    try:
        kind = getattr(import_module("torchjd.aggregation"), name)
        made: Aggregate = kind(**({"n_tasks": tasks} if _needs(kind) else {}))
    except ImportError as error:
        rule = f"{name} needs a package beside torchjd"
        do = "install it, or choose another"
        raise ConfigError(explain(where=where, rule=rule, found=str(error), do=do)) from error
    return made
