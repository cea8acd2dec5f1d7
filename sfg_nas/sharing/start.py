"""Where the assignment probabilities start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sfg_nas.allocation import Allocation
from sfg_nas.errors import ConfigError, explain
from sfg_nas.groups import Groups

StartKind = Literal["thirds", "dirichlet", "vertices", "near-shared", "branched"]
STARTS: tuple[StartKind, ...] = ("thirds", "dirichlet", "vertices", "near-shared", "branched")
_TINY = 1e-6


@dataclass(frozen=True)
class Start:
    """The probabilities p before the first step.

    Attributes:
        kind: `thirds` (uniform over the G groups; 1/3 each for two tasks), `dirichlet` (a draw per
            filter), `vertices` (each filter near one group, by `proportions`), `near-shared`
            (`confidence` on the largest group), or `branched` (near-shared before layer `split`,
            from there on each task's smallest group, which is its own where it has one; filters are
            divided evenly).
        confidence: Probability of the favoured group, between 1/G and 1.
        concentration: Parameter of the symmetric Dirichlet distribution.
        proportions: Share of filters per group for `vertices`; None means equal shares.
        split: First specialised layer for `branched`, counted from 0; None means the middle.
        near: An allocation that the layers it names start near, with `confidence`, whatever the kind; their
            filters may be fewer or more here.
    """

    kind: StartKind = "thirds"
    confidence: float = 0.9
    concentration: float = 1.0
    proportions: tuple[float, ...] | None = None
    split: int | None = None
    near: Allocation | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: The kind is unknown or a number is out of its range.
        """
        if self.kind not in STARTS:
            raise _error("kind", f"the start is one of {list(STARTS)}", repr(self.kind))
        if not 0 < self.confidence < 1:
            raise _error("confidence", "`0 < confidence < 1` must hold", str(self.confidence))
        if self.concentration <= 0:
            raise _error("concentration", "`concentration > 0` must hold", str(self.concentration))

    def probabilities(
        self, groups: Groups, layers: Mapping[str, Sequence[int]], count: int, seed: int
    ) -> Tensor:
        """Return the starting probabilities of all variables, `[V, G]`.

        Args:
            groups: The G groups.
            layers: Searchable layers in order: name to the variable of each filter.
            count: V, the number of variables.
            seed: Seed of the random draws.

        Raises:
            ConfigError: `proportions` does not fit the groups, `split` the layers, or `branched` has
                no group but that of all tasks.
        """
        table = self._of_kind(groups, layers, count, seed)
        return table if self.near is None else self._transfer(table, groups, layers)

    def _of_kind(
        self, groups: Groups, layers: Mapping[str, Sequence[int]], count: int, seed: int
    ) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        if self.kind == "thirds":
            return torch.full((count, len(groups)), 1 / len(groups))
        if self.kind == "dirichlet":
            return self._dirichlet((count, len(groups)), generator)
        if self.kind == "near-shared":
            return self._near(torch.full((count,), _largest(groups)), len(groups))
        if self.kind == "vertices":
            return self._near(self._vertices(groups, count, generator), len(groups))
        return self._near(self._branched(groups, layers, count), len(groups))

    def _dirichlet(self, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        """Return draws `[V, G]` as gamma variables over their sum (Marsaglia & Tsang 2000).

        Below a concentration of 1 they are drawn in logarithms, as gamma(a) = gamma(a + 1) u^(1 / a): of a small one nearly
        all are too small for a float, and a row in which all of them are would become thirds.
        """
        small = self.concentration < 1
        alpha = torch.full(shape, float(self.concentration) + small)
        gamma = torch._standard_gamma(alpha, generator=generator)
        if small:
            uniform = torch.rand(shape, generator=generator, dtype=torch.double)
            logs = gamma.log() + uniform.log() / self.concentration
            gamma = logs.softmax(1).to(gamma)
        gamma = gamma.clamp_min(_TINY)
        return gamma / gamma.sum(1, keepdim=True)

    def _transfer(
        self, table: Tensor, groups: Groups, layers: Mapping[str, Sequence[int]]
    ) -> Tensor:
        """Return the table with the rows of known layers near the other allocation's groups."""
        assert self.near is not None
        known = _members(groups)
        here = [known.index(g) if g in known else None for g in _members(self.near.groups)]
        favoured: dict[int, int] = {}
        for layer, variables in layers.items():
            source = self.near.layers.get(layer, ())
            for place, variable in enumerate(variables if source else ()):
                group = here[source[place * len(source) // len(variables)]]
                if group is not None:
                    favoured.setdefault(variable, group)
        rows = torch.tensor(list(favoured), dtype=torch.long)
        table[rows] = self._near(
            torch.tensor(list(favoured.values()), dtype=torch.long), len(groups)
        )
        return table

    def _near(self, favoured: Tensor, groups: int) -> Tensor:
        """Return `confidence` on the favoured group `[V]` and the rest shared equally."""
        if groups == 1:
            return torch.ones(len(favoured), 1)
        rest = (1 - self.confidence) / (groups - 1)
        table = torch.full((len(favoured), groups), rest)
        table[torch.arange(len(favoured)), favoured] = self.confidence
        return table

    def _vertices(self, groups: Groups, count: int, generator: torch.Generator) -> Tensor:
        shares = self.proportions or (1.0,) * len(groups)
        if len(shares) != len(groups) or min(shares) < 0 or sum(shares) <= 0:
            rule = f"one share >= 0 for each of the {len(groups)} groups {list(groups.names)}"
            raise _error("proportions", rule, str(shares))
        bounds = torch.tensor(shares, dtype=torch.float64).cumsum(0) / sum(shares)
        places = (torch.randperm(count, generator=generator) + 0.5) / count
        return torch.searchsorted(bounds, places.double()).clamp_max(len(groups) - 1)

    def _branched(self, groups: Groups, layers: Mapping[str, Sequence[int]], count: int) -> Tensor:
        split = len(layers) // 2 if self.split is None else self.split
        if not 0 <= split <= len(layers):
            rule = f"`0 <= split <= {len(layers)}` (the number of searchable layers) must hold"
            raise _error("split", rule, str(split))
        own = _smallest(groups)
        favoured = torch.full((count,), _largest(groups))
        settled: set[int] = set()
        for depth, filters in enumerate(layers.values()):
            fresh = [v for v in dict.fromkeys(filters) if v not in settled]
            settled.update(fresh)
            if depth >= split:
                for i, v in enumerate(fresh):
                    favoured[v] = own[i * len(own) // len(fresh)]
        return favoured


def _members(groups: Groups) -> list[frozenset[str]]:
    """Return the names of the tasks of each group."""
    return [frozenset(groups.tasks[task] for task in members) for members in groups.sets]


def _smallest(groups: Groups) -> list[int]:
    """Return the smallest group of each task, none twice: the branches of a tree.

    Raises:
        ConfigError: Every task's smallest group is that of all tasks.
    """
    found = []
    for task in range(len(groups.tasks)):
        serving = [g for g, members in enumerate(groups.sets) if task in members]
        found.append(min(serving, key=lambda g: len(groups.sets[g])))
    branches = list(dict.fromkeys(found))
    if len(branches) == 1 and len(groups.tasks) > 1:
        rule = "`branched` needs a group that leaves out some task, to branch into"
        raise _error("kind", rule, f"{list(groups.names)}")
    return branches


def _largest(groups: Groups) -> int:
    return max(range(len(groups)), key=lambda g: len(groups.sets[g]))


def _error(key: str, rule: str, found: str) -> ConfigError:
    return ConfigError(explain(where=f"start.{key}", rule=rule, found=found, do="correct it"))
