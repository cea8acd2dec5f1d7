"""The package's own errors, named by the kind of misuse, and the four-part message they carry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_PASSWORD = re.compile(r"(://[^:/@]*:).*@", re.DOTALL)
_PASSWORD_KEY = re.compile(r"(password\s*=\s*)[^&\s]+", re.IGNORECASE)
_NO_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "bad_alloc",
    "status_alloc_failed",
)
"""What torch's processor, CUDA, cuDNN and Metal say, in small letters, where there is too little memory."""
_LESS_TO_TRAIN = (
    "lower training.batch_size, data.size or backbone.width, set training.precision to bf16-mixed, or let fewer --workers "
    "train at a time"
)


class SfgNasError(Exception):
    """Base of every error that `sfg_nas` raises on purpose."""


class ConfigError(SfgNasError):
    """A study file, a search space or a command-line argument is wrong."""


class DataError(SfgNasError):
    """A data set is missing, empty or damaged."""


class ConversionError(SfgNasError):
    """A network holds an operation that cannot be turned into a searchable one."""


class ArchitectureError(SfgNasError):
    """An allocation, an architecture, weights or a file of a run is damaged or breaks its rules."""


class TrainingError(SfgNasError):
    """Training ran and failed, for example with a loss that is not finite."""


class OutOfMemoryError(TrainingError):
    """There is too little memory; what was asked for is right, and may succeed with more of it."""


def explain(*, where: str, rule: str, found: str, do: str) -> str:
    """Return one message that says where, the rule, what was found and what to do.

    Args:
        where: The file and key, module path or argument that is concerned.
        rule: What must hold.
        found: What was found instead.
        do: What the reader can do about it.

    Example:
        >>> explain(where="study.yaml: depth", rule="depth > 0 must hold", found="0", do="set 1")
        'study.yaml: depth: depth > 0 must hold; found 0; set 1'
    """
    return f"{where}: {rule}; found {found}; {do}"


def without_password(address: str) -> str:
    """Return a storage's address, or any other argument, with the word PASSWORD where it may hold one.

    Args:
        address: One argument.

    Example:
        >>> without_password("postgresql://me:s3cr@t@host/faces?sslmode=require")
        'postgresql://me:PASSWORD@host/faces?sslmode=require'
    """
    masked = _PASSWORD.sub(r"\1PASSWORD@", address)
    return _PASSWORD_KEY.sub(r"\1PASSWORD", masked)


def several(count: int, noun: str) -> str:
    """Return a count and its noun, in the plural unless there is one: `1 seed`, `3 seeds`.

    Example:
        >>> several(1, "seed"), several(1200, "image")
        ('1 seed', '1,200 images')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def shaped(sizes: Iterable[int]) -> str:
    """Return a shape as messages write it.

    Args:
        sizes: Of each axis.

    Example:
        >>> shaped([3, 48, 48])
        '3x48x48'
    """
    return "x".join(map(str, sizes))


@contextmanager
def within(where: str) -> Iterator[None]:
    """Put where it happened before the message of a training that fails inside a `with`.

    Args:
        where: Such as `hard-sharing, seed 1`.

    Raises:
        TrainingError: The one that was raised, with the longer message.

    Example:
        >>> with within("hard-sharing, seed 1"):
        ...     raise TrainingError("every loss must be finite")
        Traceback (most recent call last):
        sfg_nas.errors.TrainingError: hard-sharing, seed 1: every loss must be finite
    """
    try:
        yield
    except TrainingError as error:
        raise type(error)(f"{where}: {error}") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that there is too little memory, of the processor or of an accelerator.

    Args:
        error: Python's, NumPy's or torch's, which is a `RuntimeError` that only its text tells from others.

    Example:
        >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
        True
        >>> is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
        False
    """
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        sign in str(error).lower() for sign in _NO_MEMORY
    )


@contextmanager
def enough_memory(where: str, do: str = _LESS_TO_TRAIN) -> Iterator[None]:
    """Say what to do where there is too little memory for what stands inside a `with`; also a decorator.

    Args:
        where: Such as `training`.
        do: What the reader can do about it.

    Raises:
        OutOfMemoryError: In place of whatever said so.

    Example:
        >>> with enough_memory("export", do="take a smaller network"):
        ...     raise MemoryError
        Traceback (most recent call last):
        sfg_nas.errors.OutOfMemoryError: export: all of it must fit into memory; found too little; take a smaller network
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        said = (str(error).strip().splitlines() or [""])[0][:200]
        found = f"too little ({said})" if said else "too little"
        rule = "all of it must fit into memory"
        raise OutOfMemoryError(explain(where=where, rule=rule, found=found, do=do)) from error
