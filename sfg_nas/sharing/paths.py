"""Paths from the image to the tasks under a hard allocation, and the least change that opens a missing one.

A filter of group g is fed if something that it reads is: a fed channel of a group that contains g. In a narrow layer the
most probable groups may leave a task nothing to read; its head would answer with a constant whatever the image.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from sfg_nas.sharing.assignments import Assignments
from sfg_nas.sharing.traced import TracedOp
from sfg_nas.sharing.wiring import Wiring

_INF = float("inf")
_ANY = 1e-6
"""Price of any change, in nats: none is made without need."""


def most_probable(wiring: Wiring, assignments: Assignments) -> Tensor:
    """Return the most probable group of each variable `[V]`, but for what `open_paths` changes.

    Args:
        wiring: Of the supernet.
        assignments: Of the supernet.
    """
    return open_paths(wiring, assignments, assignments.logits.detach().argmax(1))


def open_paths(wiring: Wiring, assignments: Assignments, chosen: Tensor) -> Tensor:
    """Return groups `[V]` with which the image reaches every task, as near to the given ones as is simple.

    Each task without a path gets the one that costs the least log-probability, while nothing leaves the path of another
    task. Where there are too few filters for that, all tasks get one path together. What no change can mend is left.

    Args:
        wiring: Of the supernet.
        assignments: Of the supernet.
        chosen: A group for each variable `[V]`.
    """
    chosen = chosen.cpu()
    lost = without_path(wiring, chosen)
    if not lost:
        return chosen
    log_p = assignments.log_probabilities().detach().double().cpu()
    own = chosen.unsqueeze(1)
    price = (log_p.gather(1, own) - log_p).clamp_min(0) + _ANY * (1 - log_p)
    if assignments.kept is not None:
        kept = (assignments.kept >= 0).cpu().unsqueeze(1)
        price = torch.where(kept, _as_it_is(price, chosen), price)
    apart = _apart(wiring, chosen, price, lost)
    return apart if apart is not None else _together(wiring, chosen, price)


def without_path(wiring: Wiring, chosen: Tensor) -> list[int]:
    """Return the tasks whose head the image does not reach.

    Args:
        wiring: Of the supernet.
        chosen: A group for each variable `[V]`.
    """
    only = torch.full((wiring.variables, len(wiring.groups)), _INF, dtype=torch.double)
    only.scatter_(1, chosen.unsqueeze(1), 0.0)
    return [t for t in range(len(wiring.groups.tasks)) if _Search(wiring, only, t).cost == _INF]


def _as_it_is(price: Tensor, chosen: Tensor) -> Tensor:
    """Return the prices of the given groups alone; all else cannot be had."""
    own = chosen.unsqueeze(1)
    return torch.full_like(price, _INF).scatter(1, own, price.gather(1, own))


def _apart(wiring: Wiring, chosen: Tensor, price: Tensor, lost: list[int]) -> Tensor | None:
    """Return groups with a path for each lost task, the cheapest first; None if filters are too few."""
    here, price, left = chosen.clone(), price.clone(), list(lost)

    def hold(search: _Search) -> None:
        for row, group in search.path():
            here[row] = group
            price[row] = _INF
            price[row, group] = 0.0

    unchanged = _as_it_is(price, chosen)
    for task in range(len(wiring.groups.tasks)):
        if task not in lost:
            hold(_Search(wiring, unchanged, task))
    while left:
        searches = {task: _Search(wiring, price, task) for task in left}
        task = min(left, key=lambda t: searches[t].cost)
        if searches[task].cost == _INF:
            return None
        hold(searches[task])
        left.remove(task)
    return here


def _together(wiring: Wiring, chosen: Tensor, price: Tensor) -> Tensor:
    """Return groups with one path for all tasks, as far as there is one."""
    here, price, groups = chosen.clone(), price.clone(), wiring.groups
    price[:, [group != groups.everyone for group in groups.sets]] = _INF
    for task in range(len(groups.tasks)):
        search = _Search(wiring, price, task)
        if search.cost == _INF:
            return chosen
        for row, group in search.path():
            here[row] = group
            price[row, group] = 0.0
    return here


class _Search:
    """The cheapest path from the image to the head of one task.

    Attributes:
        cost: Of the path, in nats; infinite where there is none.
    """

    def __init__(self, wiring: Wiring, price: Tensor, task: int) -> None:
        """Walk through the operations, in order.

        Args:
            wiring: Of the supernet.
            price: What it costs that a variable is in a group, `[V, G]`.
            task: Index of the task.
        """
        groups = wiring.groups
        owners = len(groups.extended)
        fixed = torch.full((owners, owners), _INF, dtype=torch.double).fill_diagonal_(0.0)
        wide = torch.nn.functional.pad(price, (0, owners - price.shape[1]), value=_INF)
        idle = torch.tensor([task not in group for group in groups.extended])
        self.price = torch.cat([wide, fixed]).masked_fill(idle, _INF)
        self.forbidden = torch.from_numpy(~groups.reads)
        self.wiring = wiring
        self.banks = {op for layer in wiring.reading if not layer.grouped for op in layer.ops}
        self.rows: dict[str, Tensor] = {}  # operation -> rows of its output, each once, [n]
        self.fed: dict[str, Tensor] = {}  # operation -> cost of a path to each of them, [n, E]
        self.ops = {op.name: op for op in wiring.network.ops if op.head in (None, task)}
        for op in self.ops.values():
            self._walk(op)
        self.output = wiring.network.outputs[task]
        self.cost = float(self.fed[self.output].min())

    def _walk(self, op: TracedOp) -> None:
        rows = self._rows(op)
        if op.operation == "input":
            fed = self.price[rows]
        elif op.name in self.banks or op.operation == "read":
            fed = self.price[rows] + self._readable(op).amin(1)
        else:
            every = torch.full_like(self.price, _INF)
            for source in op.sources:
                every[self.rows[source]] = torch.minimum(every[self.rows[source]], self.fed[source])
            fed = every[rows]
        self.rows[op.name], self.fed[op.name] = rows, fed

    def _rows(self, op: TracedOp) -> Tensor:
        known = self.wiring.rows.get(op.name)
        rows = (
            torch.cat([self.rows[source] for source in op.sources]) if known is None else known[1]
        )
        found: Tensor = torch.unique(rows)
        return found

    def _readable(self, op: TracedOp) -> Tensor:
        """Return the cost of a path to what each owner may read, by the owner of that `[E, E]`."""
        source = next(op.sources)
        return self.fed[source].amin(0).expand_as(self.forbidden).masked_fill(self.forbidden, _INF)

    def path(self) -> Iterator[tuple[int, int]]:
        """Yield the variables on the path, from the head back, and the group that each is in."""
        name, place = self.output, int(self.fed[self.output].argmin())
        owners = self.price.shape[1]
        row, owner = int(self.rows[name][place // owners]), place % owners
        while (op := self.ops[name]).operation != "input":
            if row < self.wiring.variables:
                yield row, owner
            if name in self.banks or op.operation == "read":
                name = next(op.sources)
                owner = int(self._readable(op)[owner].argmin())
                row = int(self.rows[name][self.fed[name][:, owner].argmin()])
            else:
                name = min(op.sources, key=lambda source: self._at(source, row, owner))

    def _at(self, name: str, row: int, owner: int) -> float:
        found = self.fed[name][self.rows[name] == row, owner]
        return float(found.min()) if len(found) else _INF
