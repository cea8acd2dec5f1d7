"""The most probable allocation within a budget, and a bound on how much better any other could be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, vstack

Array = NDArray[np.float64]
Index = NDArray[np.int64]
_SWEEPS, _HALVINGS, _RAISES = 8, 10, 30


@dataclass(frozen=True)
class Connections:
    """Who reads whom: the cost is the sum over layers, filters k and channels j of R[m_k, m_j].

    Attributes:
        filters: Cost of a connection times how often each row filters in each layer `[L, V + E]`.
        channels: How often each row is a channel that each layer reads `[L, V + E]`.
        reads: The reading rule over the extended owners `[E, E]`.
        groups: G, the owners that a filter may choose; the first of the extended ones.
        everyone: The owner of all tasks.
        fixed: Cost that no allocation changes.
        copies: Costs that each owner of some rows pays once, with these rows.
    """

    filters: Array
    channels: Array
    reads: Array
    groups: int
    everyone: int
    fixed: float
    copies: tuple[tuple[float, Index], ...] = ()

    @property
    def variables(self) -> int:
        """V, the number of sets of tied filters."""
        return int(self.filters.shape[1]) - len(self.reads)

    @property
    def everything(self) -> float:
        """Cost with everything shared."""
        table = np.eye(len(self.reads))
        return self._cost(np.concatenate([table[[self.everyone] * self.variables], table]))

    def cost(self, chosen: Index) -> float:
        """Return the cost of a group for each variable `[V]`."""
        return self._cost(self.table(chosen))

    def table(self, chosen: Index) -> Array:
        """Return the one-hot owners of all rows `[V + E, E]`."""
        owners = np.eye(len(self.reads))
        return np.concatenate([owners[chosen], owners])

    def _cost(self, table: Array) -> float:
        readers, sources = self.filters @ table, self.channels @ table @ self.reads.T
        owners = sum(price * table[rows].any(0).sum() for price, rows in self.copies)
        return float((readers * sources).sum() + owners) + self.fixed

    @property
    def least(self) -> float:
        """Cost that no allocation is without: what is fixed, and of what each owner pays one."""
        return self.fixed + sum(price for price, _ in self.copies)

    @property
    def between(self) -> float:
        """By how much the cost of all copies may exceed that of one each."""
        return sum(price * (min(len(rows), len(self.reads)) - 1) for price, rows in self.copies)

    def copied(self, v: int, chosen: Index) -> Array:
        """Return what a variable costs in each group by being the only one of its owner, the others staying `[G]`."""
        found = np.zeros(self.groups)
        owners = np.concatenate([chosen, np.arange(len(self.reads))])
        for price, rows in self.copies:
            if v in rows:
                there = owners[rows[rows != v]]
                found += price * ~np.isin(np.arange(self.groups), there)
        return found


def solve(connections: Connections, scores: Array, limit: float) -> tuple[Index, float] | None:
    """Return the best allocation found within a limit and an upper bound on every other's score.

    Args:
        connections: What allocations cost.
        scores: Gain of each group for each variable `[V, G]`.
        limit: Greatest cost.

    Returns:
        A group for each variable `[V]`, and the bound; None if nothing that was tried fits.
    """
    best = scores.argmax(1)
    if connections.cost(best) <= limit:
        return best, float(scores.max(1).sum())
    bound, fractional = relaxed(connections, scores, limit)
    starts = [best, *(np.full(len(best), g) for g in range(connections.groups))]
    starts += [split(connections, scores)] + ([fractional.argmax(1)] if len(fractional) else [])
    fitting = _within(connections, scores, limit, np.stack(starts))
    if not fitting:
        return None
    chosen = max(fitting, key=lambda c: _score(scores, c))
    return chosen, min(bound, float(scores.max(1).sum()))


def split(connections: Connections, scores: Array) -> Index:
    """Return the most probable allocation without groups that read less than they could share."""
    narrow = connections.reads[: connections.groups, : connections.groups].sum(1)
    owners = [g for g in range(connections.groups) if narrow[g] == narrow.max()]
    chosen: Index = np.array(owners)[scores[:, owners].argmax(1)]
    return chosen


def _score(scores: Array, chosen: Index) -> float:
    return float(scores[np.arange(len(chosen)), chosen].sum())


def _within(connections: Connections, scores: Array, limit: float, starts: Index) -> list[Index]:
    """Return an allocation within the limit from each start `[S, V]` that leads to one.

    The price of cost is raised until the allocation fits, then halved in on; all starts side by side.
    """

    def fits(chosen: Index) -> NDArray[np.bool_]:
        return np.array([connections.cost(one) <= limit for one in chosen])

    low, high = np.zeros(len(starts)), np.full(len(starts), 1.0 / max(connections.everything, 1.0))
    fitting, open_ = starts.copy(), np.arange(len(starts))
    for _ in range(_RAISES):
        fitting[open_] = _ascend(connections, scores, high[open_], starts[open_])
        open_ = open_[~fits(fitting[open_])]
        if not len(open_):
            break
        low[open_], high[open_] = high[open_], high[open_] * 4
    done = np.setdiff1d(np.arange(len(starts)), open_)
    starts, low, high, fitting = starts[done], low[done], high[done], fitting[done]
    for _ in range(_HALVINGS if len(done) else 0):
        middle = (low + high) / 2
        candidates = _ascend(connections, scores, middle, starts)
        fit = fits(candidates)
        high, low = np.where(fit, middle, high), np.where(fit, low, middle)
        for place in np.flatnonzero(fit):
            if _score(scores, candidates[place]) > _score(scores, fitting[place]):
                fitting[place] = candidates[place]
    return [_improve(connections, scores, limit, chosen) for chosen in fitting]


def _ascend(connections: Connections, scores: Array, prices: Array, starts: Index) -> Index:
    """Return local optima of score less price times cost `[S, V]`, one variable at a time.

    Args:
        connections: What allocations cost.
        scores: Gain of each group for each variable `[V, G]`.
        prices: Of cost, for each start `[S]`.
        starts: `[S, V]`.
    """
    chosen, groups, each = starts.copy(), connections.groups, np.arange(len(starts))
    sums = [_sums(connections, start) for start in starts]
    reads = connections.reads[:, :groups]
    read_by = connections.reads.T[:, :groups]
    # What a filter of each group would read in each layer, and by how much a channel would be read [S, 2L, G].
    read = np.stack([np.concatenate([s @ read_by, r @ reads]) for r, s in sums])
    own = np.concatenate([connections.filters, connections.channels]).T  # [V, 2L]
    other = np.concatenate([connections.channels, connections.filters]).T
    itself = np.einsum("vl,vl->v", connections.filters.T, connections.channels.T)
    by_owner, layers = read_by + reads, len(connections.filters)
    # What a unit of each owner adds to that [E, 2L, G].
    added = np.repeat(np.stack([read_by, reads], 1), layers, 1)
    for _ in range(_SWEEPS):
        before = chosen.copy()
        for v in range(chosen.shape[1]):
            now = chosen[:, v]
            costs = own[v] @ read - itself[v] * by_owner[now]
            gain = scores[v] - prices[:, None] * costs
            new = gain.argmax(1)
            better = (gain[each, new] > gain[each, now] + 1e-12).nonzero()[0]
            if len(better):
                change = added[new[better]] - added[now[better]]
                read[better] += other[v, :, None] * change
                chosen[better, v] = new[better]
        if np.array_equal(before, chosen):
            break
    return chosen


def _sums(connections: Connections, chosen: Index) -> tuple[Array, Array]:
    """Return, for every layer and owner, its filters `[L, E]` and its channels `[L, E]`."""
    table = connections.table(chosen)
    return connections.filters @ table, connections.channels @ table


def _marginal(connections: Connections, v: int, now: int, readers: Array, sources: Array) -> Array:
    """Return what a variable costs in each group, the others staying `[G]`."""
    own_filters, own_channels = connections.filters[:, v], connections.channels[:, v]
    others, theirs = sources.copy(), readers.copy()
    others[:, now] -= own_channels
    theirs[:, now] -= own_filters
    reads = connections.reads
    total = own_filters @ (others @ reads.T) + own_channels @ (theirs @ reads)
    found: Array = total[: connections.groups]
    return found


def _move(
    connections: Connections, v: int, old: int, new: int, readers: Array, sources: Array
) -> None:
    for sums, own in ((readers, connections.filters), (sources, connections.channels)):
        sums[:, old] -= own[:, v]
        sums[:, new] += own[:, v]


def _improve(connections: Connections, scores: Array, limit: float, chosen: Index) -> Index:
    """Return the allocation after every single move that raises the score and still fits."""
    chosen = chosen.copy()
    readers, sources = _sums(connections, chosen)
    cost = connections.cost(chosen)
    for v in np.argsort(scores[np.arange(len(chosen)), chosen] - scores.max(1), kind="stable"):
        costs = _marginal(connections, int(v), chosen[v], readers, sources)
        costs = costs + connections.copied(int(v), chosen)
        after = cost + costs - costs[chosen[v]]
        allowed = np.where(after <= limit, scores[v], -np.inf)
        new = int(allowed.argmax())
        if allowed[new] > scores[v, chosen[v]]:
            _move(connections, int(v), chosen[v], new, readers, sources)
            cost, chosen[v] = float(after[new]), new
    return chosen


def relaxed(connections: Connections, scores: Array, limit: float) -> tuple[float, Array]:
    """Return an upper bound of the score within a limit, and the fractions that attain it `[V, G]`.

    A layer's share of filters of group g times its share of channels of group h is replaced by a
    variable; over h these sum to the first share, over g to the second, since every filter has one
    group (the reformulation-linearization of Sherali and Adams 1992): a linear program, not below
    McCormick's envelopes of each product.
    """
    from scipy.optimize import linprog  # late: half a second

    count, groups = scores.shape
    owners = scores.size
    layers = [
        layer
        for layer in range(len(connections.filters))
        if connections.filters[layer, :count].any() and connections.channels[layer, :count].any()
    ]
    width = owners + len(layers) * groups * groups
    each = np.arange(owners)
    equal = [coo_matrix((np.ones(owners), (each // groups, each)), (count, width))]
    price = np.zeros(width)
    price[:owners] = _linear(connections, groups).reshape(-1)
    reads = connections.reads[:groups, :groups].reshape(-1)
    for index, layer in enumerate(layers):
        filters, channels = connections.filters[layer, :count], connections.channels[layer, :count]
        first = owners + index * groups * groups
        price[first : first + groups * groups] = filters.sum() * channels.sum() * reads
        products = np.arange(groups * groups)
        for part, rows in ((filters, products // groups), (channels, products % groups)):
            shares = coo_matrix(np.kron(part / part.sum(), np.eye(groups)))
            left = coo_matrix((-np.ones(len(rows)), (rows, first + products)), (groups, width))
            right = coo_matrix((shares.data, (shares.row, shares.col)), (groups, width))
            equal.append(left + right)
    base_a, base_b = connections.filters[:, count:], connections.channels[:, count:]
    known = connections.least + float((base_a @ connections.reads * base_b).sum())
    unit = max(connections.everything, 1.0)
    found = linprog(
        np.concatenate([-scores.reshape(-1), np.zeros(width - owners)]),
        A_ub=coo_matrix(price[None] / unit),
        b_ub=[(limit - known) / unit],
        A_eq=vstack(equal).tocsr(),
        b_eq=np.concatenate([np.ones(count), np.zeros(2 * groups * len(layers))]),
        method="highs",
    )
    if not found.success:
        return float("inf"), np.empty((0, groups))
    return float(-found.fun) + 1e-9, found.x[:owners].reshape(count, groups)


def _linear(connections: Connections, groups: int) -> Array:
    """Return what each choice costs by the rows that nobody chooses `[V, G]`."""
    count, reads = connections.variables, connections.reads
    sources = connections.channels[:, count:] @ reads.T[:, :groups]
    readers = connections.filters[:, count:] @ reads[:, :groups]
    found: Array = connections.filters[:, :count].T @ sources
    return found + connections.channels[:, :count].T @ readers
