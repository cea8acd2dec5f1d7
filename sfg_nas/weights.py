"""Tensors on disk: one safetensors file with a digest, so that a damaged one is told from a whole one.

Reading executes nothing. See https://huggingface.co/docs/safetensors for the format.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sfg_nas.errors import ArchitectureError, SfgNasError, explain

SCHEMA = 2
BESIDE = "use the file that lies beside the network's architecture"
_KEY = "sfg_nas"  # one for all that we say: safetensors writes several in another order each time
_OLD = 32  # hexadecimal digits of a blake2b digest of 16 bytes
_DAMAGE = (
    json.JSONDecodeError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OSError,
)  # fmt: skip


def write_tensors(path: Path, tensors: Mapping[str, Tensor], values: object) -> None:
    """Write tensors, a JSON value and the digest of both to one file; the same ones give the same bytes.

    Args:
        path: Where the file shall lie; what is there is overwritten, not replaced atomically.
        tensors: Any tensors; copied to the CPU.
        values: Whatever JSON can hold.

    Raises:
        OSError: If the system refuses, as a full disk does.
    """
    # A clone, since safetensors refuses tensors that share memory.
    plain = {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()
    }
    text = json.dumps(values)
    said = {"schema": SCHEMA, "values": text, "digest": digest(plain, text)}
    try:
        save_file(plain, path, {_KEY: json.dumps(said)})
    except SafetensorError as error:
        code = re.search(r"\(os error (\d+)\)", str(error))
        if code is None:
            raise
        number = int(code[1])
        raise OSError(number, os.strerror(number), str(path)) from error


def read_tensors(
    path: Path, *, error: type[SfgNasError] = ArchitectureError, do: str = "restore the file"
) -> tuple[dict[str, Tensor], object]:
    """Return the tensors and the JSON value of a file that `write_tensors` wrote.

    A safetensors file by others has neither value nor digest; it is read without.

    Args:
        path: The file.
        error: What to raise.
        do: What the reader can do about a damaged file.

    Raises:
        SfgNasError: The file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            text, stored = _said(file.metadata() or {})
            values = json.loads(text)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        algorithm = "blake2b" if stored is not None and len(stored) == _OLD else "sha256"
        if stored is not None and stored != digest(tensors, text, algorithm):
            raise ValueError("its content does not fit its digest")
    except (*_DAMAGE, RecursionError, UnicodeDecodeError) as err:
        raise error(
            explain(
                where=str(path),
                rule="a whole safetensors file is needed",
                found=(str(err) or type(err).__name__)[:300],
                do=do,
            )
        ) from err
    return tensors, values


def _said(metadata: Mapping[str, str]) -> tuple[str, str | None]:
    """Return the text of the values and the digest that a file holds, or None for one by others.

    Schema 1 had a key for each.

    Raises:
        TypeError: They are no text.
        ValueError: They are no JSON.
    """
    said = json.loads(metadata[_KEY]) if _KEY in metadata else metadata
    if not isinstance(said, Mapping):
        raise TypeError(f"its `{_KEY}` is no object")
    text, stored = said.get("values", "{}"), said.get("digest")
    if not isinstance(text, str) or not isinstance(stored, str | None):
        raise TypeError(f"the values or the digest of its `{_KEY}` are no text")
    return text, stored


def digest(tensors: Mapping[str, Tensor], text: str, algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of tensors and a text.

    Args:
        tensors: On the CPU, contiguous.
        text: Any text.
        algorithm: sha256, twice as fast as the blake2b (16 bytes) of older files on many processors.
    """
    found = (
        hashlib.sha256(text.encode())
        if algorithm == "sha256"
        else hashlib.blake2b(text.encode(), digest_size=16)
    )
    for name in sorted(tensors):
        value = tensors[name]
        found.update(f"{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().data if value.numel() else b"")
    return found.hexdigest()


def save_weights(path: str | Path, network: nn.Module) -> None:
    """Write a network's parameters and buffers, atomically.

    Args:
        path: Where the file shall lie.
        network: Any module.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write_tensors(part, network.state_dict(), {})
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load_weights(path: str | Path, network: nn.Module, *, do: str = BESIDE) -> None:
    """Read parameters and buffers back into a network of the same shape.

    Args:
        path: A file that `save_weights` wrote.
        network: The network to fill.
        do: What the reader can do about another file.

    Raises:
        ArchitectureError: The file is damaged, belongs to another network, or holds numbers that are not finite.
    """
    path = Path(path)
    tensors, _ = read_tensors(path, do=do)
    own = network.state_dict()
    odd = sorted(set(own) ^ set(tensors))
    wrong = [
        f"{name}: {tensors[name].dtype} {list(tensors[name].shape)} for {list(value.shape)}"
        for name, value in own.items()
        if name in tensors and not _fits(tensors[name], value)
    ]
    wrong += [
        f"{name}: numbers that are not finite"
        for name, value in tensors.items()
        if value.is_floating_point() and not bool(value.isfinite().all())
    ]
    if odd or wrong:
        found = "; ".join([*(f"{name} on one side only" for name in odd), *wrong][:3])
        raise ArchitectureError(
            explain(
                where=str(path),
                rule="the weights must be those of this network",
                found=found[:300],
                do=do,
            )
        )
    network.load_state_dict(tensors)


def _fits(stored: Tensor, own: Tensor) -> bool:
    """Return whether a stored tensor can stand for one of the network, another precision allowed."""
    same_kind = stored.is_floating_point() == own.is_floating_point()
    return stored.shape == own.shape and same_kind and not stored.is_complex()
