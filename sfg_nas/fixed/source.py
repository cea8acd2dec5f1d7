"""A fixed network as one readable `.py` file that needs nothing but torch and safetensors.

One class for each group of tasks: the trunk serves all of them, a branch some. A group reads only
groups that contain it, so the classes run one after the other, the largest groups first. Names in
the file are made from those of the architecture; text that a stranger may have written only ever
becomes an escaped literal.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field

from sfg_nas.architecture import Architecture, Node, tied
from sfg_nas.fixed.network import FixedNetwork
from sfg_nas.fixed.sizes import bound, is_resize
from sfg_nas.fixed.source_calls import expression, joined
from sfg_nas.fixed.source_helpers import HELPERS
from sfg_nas.fixed.source_layers import constructor, contiguous
from sfg_nas.fixed.source_text import Names, literal

_HEADER = '''"""A network with a trunk that all tasks share and branches of their own.

    network = load("{weights}")
    outputs = network(image)  # image: [N, {shape}]; outputs: one tensor for each task

Needs torch, and safetensors to load the weights. Written by sfg_nas; architecture {hash}.
"""

import torch
import torch.nn.functional as F
from torch import nn
'''
_LOAD = '''

def load(path=None):
    """Return the network with the weights in a safetensors file, by default the one beside this, in evaluation mode."""
    from pathlib import Path

    from safetensors.torch import load_file

    stored = load_file(Path(__file__).with_name("{weights}") if path is None else path)
    network = Network()
    network.load_state_dict({{name: stored[key] for name, key in NAMES.items()}})
    return network.eval()
'''


def network_source(network: FixedNetwork, *, weights: str = "network.safetensors") -> str:
    """Return Python source that defines a network and loads its weights.

    Args:
        network: The network; only its architecture and the names of its layers are used.
        weights: Name of the file with its weights, as `export` writes them beside it.
    """
    writer = _Writer(network.architecture, network.module_of)
    parts = writer.parts()
    shape = ", ".join(map(str, network.architecture.input_shape))
    text = [_HEADER.format(weights=weights, shape=shape, hash=network.architecture.hash)]
    body = "".join(part.source() for part in parts)
    text += [f"\n{HELPERS[name]}" for name in HELPERS if f" = {name}(" in body]
    text += [body, _whole(writer, parts), _names(network, writer), _LOAD.format(weights=weights)]
    return "".join(text)


@dataclass
class _Part:
    """The class of one group of tasks.

    Attributes:
        group: The tasks.
        kind: Name of the class.
        name: Name of its instance.
        takes: Instances of the parts it reads.
        layers: Lines of its constructor.
        steps: Lines of its forward pass.
        gives: Variables that others read.
    """

    group: tuple[str, ...]
    kind: str
    name: str
    takes: list[str] = field(default_factory=list)
    layers: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    gives: list[str] = field(default_factory=list)
    attributes: Names = field(default_factory=lambda: Names(attributes=True))
    variables: Names = field(default_factory=Names)

    def source(self) -> str:
        """Return the class as source."""
        tasks = literal(f"Layers that serve {', '.join(self.group)}.")
        lines = ["", "", f"class {self.kind}(nn.Module):", f"    {tasks}", ""]
        lines += ["    def __init__(self):", "        super().__init__()"]
        lines += [f"        {line}" for line in self.layers]
        arguments = ", ".join(["self", "image", *self.takes])
        lines += ["", f"    def forward({arguments}):"]
        lines += [f"        {line}" for line in self.steps]
        given = ", ".join(f'"{name}": {name}' for name in self.gives)
        return "\n".join([*lines, f"        return {{{given}}}", ""])


class _Writer:
    """Writes the classes of an architecture."""

    def __init__(self, architecture: Architecture, module_of: Mapping[str, str]) -> None:
        self.architecture = architecture
        self.module_of = module_of
        self.made: dict[str, str] = {}  # layer of the network -> attribute, for a further call
        self.holders: dict[Hashable, str] = {}  # weight -> attribute that has it, for other layers
        self.place: dict[str, tuple[_Part, str]] = {}  # node -> part and variable
        self.stored: dict[str, str] = {}  # node -> prefix of its weights in the class
        self._parts: dict[frozenset[str], _Part] = {}

    def parts(self) -> list[_Part]:
        """Return the classes in the order in which they run."""
        if self._parts:
            return list(self._parts.values())
        architecture = self.architecture
        groups = {frozenset(architecture.node(n)["group"]) for n in architecture.graph}
        kinds = Names()
        kinds.taken |= {"Network", "load", *HELPERS}
        names = Names(attributes=True)
        for group in sorted(groups, key=lambda g: (-len(g), sorted(g))):
            tasks = tuple(task for task in architecture.groups.tasks if task in group)
            trunk = len(group) == len(architecture.groups.tasks)
            name = names.new("trunk" if trunk else "_".join(tasks).lower(), "branch")
            kind = "Trunk" if trunk else "".join(w.title() for w in name.split("_"))
            self._parts[group] = _Part(tasks, kinds.new(kind, "Branch"), name)
        for part in self._parts.values():
            part.variables.taken |= names.taken  # a part's argument keeps its meaning throughout
        for name in architecture.in_order():
            self._write(name)
        return list(self._parts.values())

    def _write(self, name: str) -> None:
        node = self.architecture.node(name)
        part = self._parts[frozenset(node["group"])]
        variable = part.variables.new(node["layer"], "x")
        self.place[name] = (part, variable)
        part.steps.append(f"{variable} = {self._value(name, node, part)}")
        if node["op"] == "output":
            part.gives.append(variable)

    def _value(self, name: str, node: Node, part: _Part) -> str:
        if node["op"] == "input":
            return "image"
        read = [[self._read(s, part) for s in found] for found in self.architecture.sources(name)]
        if node["op"] == "output":
            return read[0][0]
        built = constructor(self.architecture, name)
        if built is None:
            return self._without_layer(name, node, part, read)
        attribute = self._layer(name, node, part, built)
        if node["op"] == "constant":
            return f"self.{attribute}(image)"
        axis = 1
        if node["op"] == "select":
            axis = node["axis"] or 1
        elif built.startswith("ReadNorm"):
            axis = int(str(node["settings"]["axis"]))
        elif node["op"] == "linear":
            axis = -1
        operand = read[1] if built.startswith("ReadNorm") else read[0]
        return f"self.{attribute}({joined(operand, axis)})"

    def _layer(self, name: str, node: Node, part: _Part, built: str) -> str:
        """Return the attribute with the layer of a node: a new one, or that of an earlier call."""
        key = self.module_of[name]
        if key in self.made:
            return self.made[key]
        attribute = self.made[key] = part.attributes.new(node["layer"], "layer")
        self.stored[name] = f"{part.name}.{attribute}."
        part.layers.append(f"self.{attribute} = {built}")
        for label, record in node["params"].items():
            if not record["trained"]:
                continue
            own = f"self.{attribute}.{label}"
            holder = self.holders.setdefault(tied(self.architecture, name, label), own)
            if holder != own:
                part.layers.append(f"{own} = {holder}")
            elif record.get("frozen", False):
                part.layers.append(f"{own}.requires_grad_(False)")
        return attribute

    def _without_layer(self, name: str, node: Node, part: _Part, read: list[list[str]]) -> str:
        if node["op"] == "select":
            positions = node["settings"]["positions"]
            assert isinstance(positions, list)
            assert contiguous(positions)
            axis = node["axis"] or 1
            whole = joined(read[0], axis)
            return f"{whole}.narrow({axis}, {positions[0]}, {len(positions)})"
        tensors: dict[str, str] = {}
        for label, record in node["params"].items():
            again = self.made.get(f"{self.module_of[name]}\n{label}")
            tie = tied(self.architecture, name, label)
            if again is None and record["trained"] and tie in self.holders:
                again = self.holders[tie]  # of another layer or operation
                self.stored[f"{name}\n{label}"] = f"{part.name}.{again.removeprefix('self.')}"
            if again is not None:
                tensors[label] = again
                continue
            attribute = part.attributes.new(f"{node['layer']}_{label}", "value")
            self.stored[f"{name}\n{label}"] = f"{part.name}.{attribute}"
            values = record["values"]
            truths = ", dtype=torch.bool" if values and isinstance(values[0], bool) else ""
            held = ", requires_grad=False" if record.get("frozen", False) else ""
            zeros = f"torch.zeros({literal(record['shape'])}{truths})"
            part.layers.append(
                f"self.{attribute} = nn.Parameter({zeros}{held})"
                if record["trained"]
                else f'self.register_buffer("{attribute}", {zeros})'
            )
            tensors[label] = self.made[f"{self.module_of[name]}\n{label}"] = f"self.{attribute}"
            if record["trained"]:
                self.holders[tie] = tensors[label]
        return expression(node, dict(zip(node["operands"], read, strict=True)), tensors)

    def _read(self, source: str, reader: _Part) -> str:
        part, variable = self.place[source]
        if part is reader:
            return variable
        if variable not in part.gives:
            part.gives.append(variable)
        if part.name not in reader.takes:
            reader.takes.append(part.name)
        return f'{part.name}["{variable}"]'

    def outputs(self) -> Iterator[tuple[str, _Part, str]]:
        """Yield every task with the part and the variable that hold its output."""
        for task, name in self.architecture.outputs().items():
            yield task, *self.place[name]


def _whole(writer: _Writer, parts: list[_Part]) -> str:
    lines = ["", "", "class Network(nn.Module):", '    """All tasks, from one image."""', ""]
    lines += ["    def __init__(self):", "        super().__init__()"]
    lines += [f"        self.{part.name} = {part.kind}()" for part in parts]
    lines += ["", "    def forward(self, image):"]
    nodes = {name: writer.architecture.node(name) for name in writer.architecture.in_order()}
    resizes = any(is_resize(node["op"], node["settings"]) for node in nodes.values())
    if resizes or bound(writer.architecture):
        shape = writer.architecture.input_shape
        lines.append(f"        if image.shape[1:] != {tuple(shape)}:")
        said = f"images of {' x '.join(map(str, shape))} are needed: steps hold sizes of these"
        lines.append(f"            raise ValueError({literal(said)})")
    for part in parts:
        call = f"self.{part.name}({', '.join(['image', *part.takes])})"
        lines.append(f"        {part.name} = {call}")
    lines.append("        return {")
    for task, part, variable in writer.outputs():
        lines.append(f'            {literal(task)}: {part.name}["{variable}"],')
    return "\n".join([*lines, "        }", ""])


def _names(network: FixedNetwork, writer: _Writer) -> str:
    """Return the table from the names in the source to those in the file of weights."""
    lines = ["", "", "NAMES = {  # here: in the file of weights"]
    state = network.state_dict()
    seen: set[str] = set()
    for node, key in network.module_of.items():
        stored = f"layers.{key}."
        if key in seen:  # a further call
            continue
        seen.add(key)
        for name in state:
            if not name.startswith(stored):
                continue
            label = name.removeprefix(stored)
            own = writer.stored.get(f"{node}\n{label}") or f"{writer.stored[node]}{label}"
            lines.append(f"    {literal(own)}: {literal(name)},")
    return "\n".join([*lines, "}", ""])
