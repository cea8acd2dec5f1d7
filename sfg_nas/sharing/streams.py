"""The paper's form: every layer computed once per group, streams mixed by the masks.

Bragman et al. 2019, section 3.2: layer l applies all its filters to the stream of each group h,
giving y_h, and the stream of group g that the next layer reads is the sum over h >= g of
m[:, h] * y_h. It is kept as the reference that the connection form is tested and timed against.
One deviation: y_h is mixed where it is read (by the next filters), so that with relaxed masks a
pooling stands before the sum; with hard masks the order makes no difference.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from sfg_nas.operations import BANKS, Kind, default_eps, is_centred, run_operation, vocabulary
from sfg_nas.sharing.guard import times
from sfg_nas.sharing.norms import affine, norm_axes, norm_eps, norm_segments
from sfg_nas.sharing.stream_norms import StreamNorm
from sfg_nas.sharing.traced import BATCH, BackboneWithHeads, TracedOp, conv_groups, is_kind
from sfg_nas.sharing.unreached import damped
from sfg_nas.sharing.wiring import Wiring

Streams = dict[int, Tensor]  # extended owner -> all channels as if they belonged to it


class StreamRunner(nn.Module):
    """Runs a traced network stream by stream.

    Attributes:
        norms: Batch and instance norms.
        norm_of: Which of them an operation is.
        measuring: Whether batch norms run in training mode though nothing else does.
    """

    def __init__(
        self, network: BackboneWithHeads, wiring: Wiring, frozen: Collection[str] = ()
    ) -> None:
        """Prepare per-stream norms; weights stay those of `network`.

        Args:
            network: Backbone and heads.
            wiring: Who reads whom.
            frozen: Names of tensors that training leaves as they are, see `frozen_tensors`.
        """
        super().__init__()
        self.wiring = wiring
        self._network = [network]  # a list, so that it is not registered a second time
        self.reads = wiring.groups.reads
        self.mask_first = False
        self.measuring = False
        self.careful = False
        self.unreached: Mapping[str, Tensor] = {}
        state = dict(network.state_dict())
        trained = {name for name, _ in network.named_parameters(remove_duplicate=False)}
        self.held: set[str] = set()  # operations that are norms in evaluation mode throughout
        self.norms = nn.ModuleList()
        self.norm_of: dict[str, int] = {}
        known: dict[tuple[str, ...], int] = {}  # a norm that is called several times is one
        for op in wiring.network.ops:
            if is_kind(op, Kind.CHANNEL_NORM) and op.statics:
                place = known.setdefault(tuple(op.statics.values()), len(self.norms))
                self.norm_of[op.name] = place
                if place == len(self.norms):
                    self.norms.append(self._norm(op, state, trained))
                self._hold(op, frozen)

    def _norm(self, op: TracedOp, state: Mapping[str, Tensor], trained: set[str]) -> StreamNorm:
        traced = self.wiring.network
        values = {name: traced.static_value(key, state) for name, key in op.statics.items()}
        names = frozenset(
            n for n, key in op.statics.items() if traced.static_target(key) in trained
        )
        # the trace shows a cumulative average (None) as 0
        cumulative = op.operation == "batch_norm" and op.settings.get("momentum") == 0
        owners = len(self.wiring.groups.extended)
        return StreamNorm(values, names, owners, cumulative=cumulative)

    def _hold(self, op: TracedOp, frozen: Collection[str]) -> None:
        """Leave what is frozen of the norm of an operation as it is."""
        norm = self.norms[self.norm_of[op.name]]
        for name, key in op.statics.items():
            if self.wiring.network.static_target(key) in frozen:
                value = getattr(norm, name)
                if isinstance(value, nn.Parameter):
                    value.requires_grad_(False)
                elif name == "running_mean":
                    self.held.add(op.name)

    def forward(
        self, x: Tensor, table: Tensor, *, training: bool, mask_first: bool = False
    ) -> dict[str, Tensor]:
        """Return every task's output.

        Args:
            x: A batch `[N, C, H, W]`.
            table: Masks `[V + E, E]`.
            training: Whether norms and dropout run in training mode.
            mask_first: Whether each stream is masked as soon as its filters have been applied, as in
                the published code, and streams are added as they are: a masked channel then comes out
                of the following norm as its beta.
        """
        self.mask_first = mask_first
        network = self._network[0]
        state = {  # tied weights under each of their names
            **dict(network.named_parameters(remove_duplicate=False)),
            **dict(network.named_buffers(remove_duplicate=False)),
        }
        streams: dict[str, Streams] = {}
        for op in self.wiring.network.ops:
            if op.operation == "input":
                streams[op.name] = {self.wiring.groups.owner_of_image(): x}
            elif op.operation == "constant":
                sizes = [*op.shape]
                sizes[op.free] = sizes[op.free] // BATCH * x.shape[0]
                zeros = x.new_zeros(sizes)
                streams[op.name] = dict.fromkeys(self._owners(op, streams), zeros)
            elif op.operation in ("read", "own"):
                streams[op.name] = self._passed_on(op, streams, table)
            else:
                streams[op.name] = self._run(op, streams, table, state, training)
        outputs = zip(self.wiring.groups.tasks, self.wiring.network.outputs, strict=True)
        return {
            task: _stream(streams[name], self.wiring.groups.owner_of_head(t))
            for t, (task, name) in enumerate(outputs)
        }

    def _passed_on(self, op: TracedOp, streams: Mapping[str, Streams], table: Tensor) -> Streams:
        """Return what heads and gates read, or for all channels what a gate gives."""
        source = op.operands["self"][0]
        if op.operation == "read":
            owners = self._owners(op, streams)
            return {owner: self._read(source, owner, streams, table) for owner in owners}
        sizes = [op.shape[1] if d == 1 else -1 for d in range(len(op.shape))]
        return {owner: value.expand(sizes) for owner, value in streams[source].items()}

    def _run(
        self,
        op: TracedOp,
        streams: Mapping[str, Streams],
        table: Tensor,
        state: Mapping[str, Tensor],
        training: bool,
    ) -> Streams:
        traced = self.wiring.network
        operation = vocabulary()[op.operation]
        reading = is_kind(op, *BANKS)
        reading = reading and conv_groups(op) == 1 and not self.wiring.is_copied(op.name)
        measured = self.measuring and op.operation == "batch_norm"
        training = (training or measured) and op.name not in self.held
        norm = self.norms[self.norm_of[op.name]] if op.name in self.norm_of else None
        assert norm is None or isinstance(norm, StreamNorm)
        settings = norm.begin(op.settings) if norm is not None and training else op.settings
        result: Streams = {}
        for owner in self._owners(op, streams):
            tensors: dict[str, Tensor | list[Tensor]] = {}
            for name, sources in op.operands.items():
                if reading:
                    tensors[name] = self._read(sources[0], owner, streams, table)
                    continue
                found = [_stream(streams[s], owner) for s in sources]
                several = op.operation in ("cat", "concat", "stack", "hstack")
                tensors[name] = found if several else found[0]
            if norm is not None:
                tensors.update(norm.of(owner))
            else:
                for name, key in op.statics.items():
                    tensors[name] = traced.static_value(key, state)
            if is_kind(op, Kind.MIXING_NORM):
                result[owner] = self._mixing_norm(op, owner, streams, table, tensors)
                continue
            value = run_operation(operation, tensors, settings, training=training)
            value = value if op.item is None else value[op.item]
            assert isinstance(value, Tensor)
            if (key := op.statics.get("weight", "")) in self.unreached and is_kind(op, *BANKS):
                axis = value.dim() - 1 if is_kind(op, Kind.LINEAR) else 1
                value = damped(value, self.unreached[key], axis)
            if reading and self.mask_first and op.name in self.wiring.rows:
                value = value * self._mask(op.name, owner, table, value)
            result[owner] = value
        return result

    def _owners(self, op: TracedOp, streams: Mapping[str, Streams]) -> list[int]:
        """Return the owners for which a stream of this operation's output is needed."""
        if op.head is not None and (is_kind(op, *BANKS) or op.operation == "read"):
            return [self.wiring.groups.owner_of_head(op.head)]
        if op.name not in self.wiring.rows:
            return sorted({owner for s in op.sources for owner in streams[s]})
        return self.wiring.owners(op.name)

    def _read(
        self, source: str, owner: int, streams: Mapping[str, Streams], table: Tensor
    ) -> Tensor:
        """Return the stream that `owner` reads: the sum over h >= owner of m[:, h] * y_h."""
        parts = [
            times(
                tensor,
                self._mask(source, h, table, tensor, again=self.mask_first),
                careful=self.careful,
            )
            for h, tensor in streams[source].items()
            if self.reads[owner, h]
        ]
        if not parts:
            return torch.zeros_like(next(iter(streams[source].values())))
        return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]

    def _mask(
        self, source: str, owner: int, table: Tensor, like: Tensor, *, again: bool = False
    ) -> Tensor:
        """Return the mask of a stream; `again` is 1 where searchable channels are masked already."""
        axis, rows = self.wiring.rows[source]
        column = table[rows.to(table.device), owner].to(like.dtype)
        if again:
            column = column.where(rows.to(table.device) >= self.wiring.variables, 1.0)
        view = [1] * like.dim()
        if axis is not None:
            view[axis] = len(column)
        return column.view(view)

    def _mixing_norm(
        self,
        op: TracedOp,
        owner: int,
        streams: Mapping[str, Streams],
        table: Tensor,
        tensors: Mapping[str, Tensor | list[Tensor]],
    ) -> Tensor:
        """Normalise one stream by what its group may read."""
        source = op.operands["input"][0]
        axis, rows = self.wiring.rows[source]
        own = tensors["input"]
        weight, bias = tensors.get("weight"), tensors.get("bias")
        assert isinstance(own, Tensor)
        over = norm_axes(op, axis) if axis is not None else None
        affine_axis = axis if op.operation == "group_norm" else None
        eps = norm_eps(op.settings.get("eps", default_eps(op.operation)), own.dtype)
        assert not isinstance(weight, list)
        assert not isinstance(bias, list)
        if axis is None or over is None:
            result = run_operation(vocabulary()[op.operation], tensors, op.settings)
            assert isinstance(result, Tensor)
            return result
        segments = norm_segments(op, len(rows)).to(own)
        readable = [h for h in streams[source] if self.reads[owner, h]]
        parts = [(self._mask(source, h, table, own), streams[source][h]) for h in readable]
        count = own.new_zeros(len(rows))
        for mask, _ in parts:
            count = count + mask.reshape(-1).expand(len(rows))
        count = (count @ segments).clamp_min(1e-12)

        def pooled(values: list[Tensor]) -> Tensor:
            total = torch.stack(values).sum(0)
            total = total.mean(dim=over, keepdim=True) if over else total
            per_segment = total.movedim(axis, -1) @ segments / count
            return (per_segment @ segments.T).movedim(-1, axis)

        careful = self.careful
        mean = own.new_zeros(())
        if is_centred(op.operation):
            mean = pooled([times(stream, mask, careful=careful) for mask, stream in parts])
        apart = [((stream - mean).square(), mask) for mask, stream in parts]
        variance = pooled([times(value, mask, careful=careful) for value, mask in apart])
        return affine((own - mean) * (variance + eps).rsqrt(), weight, bias, affine_axis)

    def norm_values(self, hard: Tensor) -> dict[str, Tensor]:
        """Return each norm's values by static key with every channel's from its owner's stream; in a gate all `[E, C]`.

        Args:
            hard: Masks `[V + E, E]` of a hard allocation.
        """
        found: dict[str, Tensor] = {}
        for op in self.wiring.network.ops:
            if op.name not in self.norm_of or op.name not in self.wiring.rows:
                continue
            if self.wiring.is_copied(op.name):
                norm = self.norms[self.norm_of[op.name]]
                found.update({key: getattr(norm, name) for name, key in op.statics.items()})
                continue
            owner = hard[self.wiring.rows[op.name][1]].argmax(1)
            norm = self.norms[self.norm_of[op.name]]
            for name, key in op.statics.items():
                copies: Tensor = getattr(norm, name)
                found[key] = copies[owner.expand(copies.shape[1]), torch.arange(copies.shape[1])]
        return found


def _stream(streams: Streams, owner: int) -> Tensor:
    """Return the stream of an owner; channels it never owns may come from any stream."""
    return streams[owner] if owner in streams else next(iter(streams.values()))
