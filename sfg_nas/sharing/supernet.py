"""The supernet: the user's own network whose filters learn which tasks they serve."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from typing import Literal

import torch
from torch import Tensor, nn

from sfg_nas.allocation import Allocation
from sfg_nas.errors import ConfigError, explain
from sfg_nas.groups import Groups
from sfg_nas.sharing.assignments import Assignments
from sfg_nas.sharing.cost import ExpectedCost, macs_of, params_of
from sfg_nas.sharing.frozen import frozen_tensors
from sfg_nas.sharing.gate_call import GateCall, statistics_of
from sfg_nas.sharing.guard import Careful, all_finite
from sfg_nas.sharing.holder import TableHolder, outputs_of
from sfg_nas.sharing.initial import Initial
from sfg_nas.sharing.install import install_gates, install_masks
from sfg_nas.sharing.names import plain_parameters, plain_state, searched_weights
from sfg_nas.sharing.paths import most_probable
from sfg_nas.sharing.prediction import Predictions, passes
from sfg_nas.sharing.presets import PRESETS, Preset
from sfg_nas.sharing.streams import StreamRunner
from sfg_nas.sharing.traced import BackboneWithHeads
from sfg_nas.sharing.unfused import checkpoints_in_one_graph
from sfg_nas.sharing.unreached import DampedGradients, Reach
from sfg_nas.sharing.wiring import Wiring

Relaxation = Literal["connections", "streams"]
RELAXATIONS: tuple[Relaxation, ...] = ("connections", "streams")
PredictMode = Literal["hard", "sampled", "relaxed"]


class Supernet(nn.Module):
    """A backbone with heads whose filters carry relaxed assignments to groups of tasks.

    In training mode each forward pass draws new masks; in evaluation mode the probabilities
    themselves weight the connections. After `harden` both use the fixed allocation.

    Attributes:
        network: The user's backbone and heads (copies), with masked weights.
        assignments: Probabilities of the groups, one row per set of tied filters.
        wiring: Which filters are tied and who reads whom.
        relaxation: `connections` or `streams`.
        preset: What differs between the paper's model and its published code.
        initial: Where every value that `static_values` gives stood before any training.
        frozen: Names of the user's tensors that training leaves as they are.
    """

    def __init__(
        self,
        network: BackboneWithHeads,
        wiring: Wiring,
        assignments: Assignments,
        *,
        relaxation: Relaxation = "connections",
        preset: Preset = PRESETS["corrected"],
    ) -> None:
        """Take over a network; `convert` makes a supernet from your own modules."""
        super().__init__()
        self.network = network
        self.wiring = wiring
        self.assignments = assignments
        self.relaxation = relaxation
        self.preset = preset
        self._holder = TableHolder(assignments, wiring.groups)
        self._reach = Reach.of(wiring)
        self._cost = ExpectedCost(macs_of(wiring), wiring.groups)
        self._filters = wiring.filters_of(means=preset.mean_terms)
        self.frozen = frozen_tensors(network)
        self._streams: StreamRunner | None = None
        self._gates: Mapping[str, GateCall] = {}
        if relaxation == "streams":
            self._streams = StreamRunner(network, wiring, self.frozen)
        else:
            made, self._holder.intercepted = install_masks(network, wiring, self._holder)
            self._holder.connections = self._connections = made
            self._gates = install_gates(network, wiring, self._holder)
        kept = (gate.statistics for gate in self._gates.values())
        self._statistics = nn.ModuleList(each for each in kept if each is not None)
        self.initial = Initial.of(wiring.network, self.static_values())

    @property
    def groups(self) -> Groups:
        """The groups a filter may belong to."""
        return self.wiring.groups

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return self.wiring.groups.tasks

    @property
    def temperature(self) -> float:
        """Temperature of the Gumbel-softmax, > 0."""
        return self.assignments.temperature

    @temperature.setter
    def temperature(self, value: float) -> None:
        if not value > 0:
            where, rule = "supernet.temperature", "`temperature > 0` must hold"
            raise ConfigError(explain(where=where, rule=rule, found=str(value), do="raise it"))
        self.assignments.temperature = float(value)

    @property
    def hardened(self) -> bool:
        """Whether a fixed allocation is in force."""
        return self.assignments.hard is not None

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return every task's output for a batch `[N, C, H, W]`."""
        table = self.assignments.current(sample=self.training)
        return self._run(x, table, hard=self.hardened)

    def _run(self, x: Tensor, table: Tensor, *, hard: bool) -> dict[str, Tensor]:
        """Return all outputs; if one is not finite, those of a second pass in which no mask leaks."""
        outputs = self._pass(x, table, hard=hard)
        if all_finite(outputs):
            return outputs
        form = self._holder if self._streams is None else self._streams
        form.careful = True
        try:
            with Careful():
                return self._pass(x, table, hard=hard)
        finally:
            form.careful = False

    def _pass(self, x: Tensor, table: Tensor, *, hard: bool) -> dict[str, Tensor]:
        """Return all outputs; gradients into filters that the image does not reach are damped."""
        drawn = self.training and not hard and not self.preset.mask_first
        if not (drawn and torch.is_grad_enabled() and (found := self._reach.unreached(table))):
            return self._outputs(x, table, hard=hard)
        form = self._holder if self._streams is None else self._streams
        form.unreached = found
        try:
            with DampedGradients(self._reach.unmasked(self.network, found)):
                return self._outputs(x, table, hard=hard)
        finally:
            form.unreached = {}

    def _outputs(self, x: Tensor, table: Tensor, *, hard: bool) -> dict[str, Tensor]:
        if self._streams is not None:
            early, training = self.preset.mask_first and not hard, self.training
            found: dict[str, Tensor] = self._streams(x, table, training=training, mask_first=early)
            return found
        self._holder.hold(table)
        try:
            with checkpoints_in_one_graph():
                features = self.network.backbone(x)
                outputs = outputs_of(self.network, features, self._holder, table, self.wiring)
            self._holder.check_calls()
            return outputs
        finally:
            self._holder.release()

    def predict(
        self,
        x: Tensor,
        *,
        mode: PredictMode = "hard",
        draws: int | None = None,
        batch_statistics: bool = False,
    ) -> Predictions:
        """Return outputs in evaluation mode, `[K, N, ...]` per task, with mean, spread and so on.

        Args:
            x: A batch `[N, C, H, W]`.
            mode: `hard` (the most probable or the hardened allocation), `sampled` (Monte-Carlo over
                masks), or `relaxed` (the probabilities as weights). K is 1 except for `sampled`.
            draws: K, the number of mask samples; None for the preset's.
            batch_statistics: Whether norms use this batch's statistics, as the published code does.

        Raises:
            ConfigError: The mode is unknown.
        """
        count = (self.preset.draws if draws is None else draws) if mode == "sampled" else 1
        tables = (self._table(mode) for _ in range(count))
        run = partial(self._run, x, hard=mode == "hard")
        return passes(self, run, tables, batch_statistics=batch_statistics)

    def _table(self, mode: PredictMode) -> Tensor:
        assignments, hard = self.assignments, self.assignments.hard
        if mode == "sampled":
            return assignments.sample()
        if mode == "relaxed":
            return assignments.table(assignments.probabilities())
        if mode == "hard":
            best = most_probable(self.wiring, assignments) if hard is None else hard
            return assignments.table(assignments._one_hot(best))
        rule, do = "the mode is `hard`, `sampled` or `relaxed`", "choose one"
        raise ConfigError(explain(where="predict", rule=rule, found=repr(mode), do=do))

    def probabilities(self) -> dict[str, Tensor]:
        """Return p of every searchable layer, `[F, G]`, without gradient."""
        table = self.assignments.probabilities().detach()
        return {name: table[rows] for name, rows in self.wiring.layers.items()}

    def allocation(self) -> Allocation:
        """Return the most probable allocation that leaves every task a path (ties go to the first group)."""
        return self.wiring.allocation(most_probable(self.wiring, self.assignments))

    def harden(self, allocation: Allocation) -> Supernet:
        """Fix every filter's group and return this supernet.

        Raises:
            ArchitectureError: The allocation does not fit this supernet.
        """
        self.assignments.hard = self.wiring.variables_of(allocation)
        return self

    def relax(self) -> Supernet:
        """Return to relaxed assignments and return this supernet."""
        self.assignments.hard = None
        return self

    def allocation_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that decide the sharing."""
        return list(self.assignments.parameters())

    def weight_parameters(self) -> list[nn.Parameter]:
        """Return all other parameters."""
        own = {id(p) for p in self.assignments.parameters()}
        return [p for p in self.parameters() if id(p) not in own]

    def entropy(self) -> Tensor:
        """Return the sum of H(p) over layers and filters in nats (a preset: of the layers' means)."""
        rows = self.assignments.entropy()
        return rows @ self._filters.to(rows)

    def weight_penalty(self) -> Tensor:
        """Return the sum of squared weights of all searchable layers, before masks.

        A preset: the mean over the layers of half of it, as TensorFlow's regulariser has it.
        """
        terms = [w.square().sum() for w in searched_weights(self.network, self.wiring)]
        if not terms:
            return self.assignments.filter_logits.new_zeros(())
        found = torch.stack(terms)
        return 0.5 * found.mean() if self.preset.mean_terms else found.sum()

    def expected_macs(self, task: str | None = None) -> Tensor:
        """Return E[MACs] per example under the probabilities, a differentiable scalar.

        Args:
            task: A task that alone is wanted; None for all together.
        """
        return self._expected(self._cost, task)

    def expected_params(self, task: str | None = None) -> Tensor:
        """Return E[parameters], as `expected_macs` does."""
        return self._expected(self._params, task)

    @cached_property
    def _params(self) -> ExpectedCost:
        names = plain_parameters(self.network) - self.frozen
        return ExpectedCost(params_of(self.wiring, self.static_values(), names), self.groups)

    def _expected(self, cost: ExpectedCost, task: str | None) -> Tensor:
        index = None if task is None else self.tasks.index(task)
        return cost(self.assignments.table(self.assignments.probabilities()), index)

    def expected_cost(self) -> Tensor:
        """Return E[MACs] / MACs(all shared), a differentiable scalar."""
        return self.expected_macs() / self._cost.shared

    @property
    def shared_macs(self) -> int:
        """MACs per example when everything is shared."""
        return self._cost.shared

    def generator_state(self) -> Tensor:
        """Return the state of the mask noise `[2]` for a checkpoint: seed and draws so far."""
        return torch.tensor([self.assignments.seed, self.assignments.draws], dtype=torch.int64)

    def set_generator_state(self, state: Tensor) -> None:
        """Continue the mask noise from a state of `generator_state`."""
        self.assignments.seed, self.assignments.draws = (int(v) for v in state.tolist())

    def plain_state(self) -> dict[str, Tensor]:
        """Return the state dict of the network as the user wrote it: no masks, no wrapping."""
        return plain_state(self.network)

    def static_values(self) -> dict[str, Tensor]:
        """Return every parameter, buffer and value computed from them that operations use.

        Keys are those of `TracedOp.statics`. Streams keep norms per group; under a hardened allocation each
        channel's values come from its owner's stream. Norms within a gate have values for every owner `[E, C]`.
        """
        state, traced = self.plain_state(), self.wiring.network
        keys = {key for op in traced.ops for key in op.statics.values()}
        values = {key: traced.static_value(key, state) for key in keys}
        named = statistics_of(self._gates, len(self.groups.extended))
        values |= {k: named[t] for k in keys if (t := traced.static_target(k)) in named}
        if self._streams is not None:
            values.update(self._streams.norm_values(self._table("hard")))
        return values
