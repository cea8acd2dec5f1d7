"""Python source from values that strangers may have written: nothing of them is ever code."""

from __future__ import annotations

import keyword
import math
import re

import torch
from torch import nn

from sfg_nas.operations import NOT_FINITE

_RESERVED = frozenset({"image", "torch", "nn", "F", "self", "load_file", "NAMES", "TASKS"})
_NAMED = (torch.dtype, torch.layout, torch.memory_format)


def literal(value: object) -> str:
    """Return a plain value as a Python expression.

    Args:
        value: None, a bool, number, string, or lists of these; `torch.float32` and the like become names.
    """
    if isinstance(value, str):
        if value in NOT_FINITE:
            return f'float("{value.removeprefix("float:")}")'
        found = getattr(torch, value.removeprefix("torch."), None)
        if value.startswith("torch.") and isinstance(found, _NAMED):
            return str(found)
        text = repr(value)
        return f'"{text[1:-1]}"' if text[0] == "'" and not set('"\\') & set(text) else text
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, list | tuple):
        inside = ", ".join(map(literal, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside},)"
    assert value is None or isinstance(value, bool | int | float)
    return repr(value)


class Names:
    """Gives out identifiers, each once."""

    def __init__(self, *, attributes: bool = False) -> None:
        """Start with none given out.

        Args:
            attributes: Whether they become attributes of a module, whose own names are then taken.
        """
        self.taken: set[str] = set(_RESERVED)
        self.attributes = attributes

    def new(self, wanted: str, fallback: str) -> str:
        """Return an identifier as close to a text as can be.

        Args:
            wanted: Any text.
            fallback: What to use if nothing of it is left.
        """
        name = re.sub(r"[^A-Za-z0-9]+", "_", wanted[:80]).strip("_") or fallback
        if name[0].isdigit():
            name = f"{fallback}_{name}"
        if keyword.iskeyword(name) or (self.attributes and hasattr(_MODULE, name)):
            name += "_"
        found, count = name, 1
        while found in self.taken:
            count += 1
            found = f"{name}_{count}"
        self.taken.add(found)
        return found


_MODULE = nn.Module()
