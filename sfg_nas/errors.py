"""The package's own errors, named by the kind of misuse, and the four-part message they carry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


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


def several(count: int, noun: str) -> str:
    """Return a count and its noun, in the plural unless there is one: `1 seed`, `3 seeds`.

    Example:
        >>> several(1, "seed"), several(1200, "image")
        ('1 seed', '1,200 images')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


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
