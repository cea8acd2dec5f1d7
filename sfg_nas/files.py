"""Text and JSON that strangers may have written: of bounded size, strict, and nothing in it is run."""

from __future__ import annotations

import json
from pathlib import Path

from sfg_nas.errors import ArchitectureError, SfgNasError, explain

MAX_BYTES = 32 * 2**20


def read_text(
    path: Path, *, error: type[SfgNasError] = ArchitectureError, limit: int = MAX_BYTES
) -> str:
    """Return the text of a file of bounded size.

    Args:
        path: A file in UTF-8.
        error: What to raise.
        limit: Greatest size in bytes.

    Raises:
        SfgNasError: The file is missing, no plain file, too large or not text.
    """
    try:
        if path.exists() and not path.is_file():
            raise OSError("not a plain file")  # noqa: TRY301 - a pipe would never end
        size = path.stat().st_size
        if size > limit:
            raise OSError(f"{size} bytes, more than {limit}")  # noqa: TRY301
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as err:
        raise error(
            explain(
                where=str(path),
                rule="a readable text file is needed",
                found=str(err)[:200],
                do="check the path, or restore the file",
            )
        ) from err


def read_json(path: Path, *, what: str, error: type[SfgNasError] = ArchitectureError) -> object:
    """Return the value in a JSON file.

    Args:
        path: The file.
        what: What it should hold, in words.
        error: What to raise.

    Raises:
        SfgNasError: The file is missing or damaged.
    """
    return parse_json(read_text(path, error=error), where=str(path), what=what, error=error)


def parse_json(
    text: str, *, where: str, what: str, error: type[SfgNasError] = ArchitectureError
) -> object:
    """Return the value of a JSON text; keys that stand twice and numbers that are not finite are refused.

    Args:
        text: The text.
        where: Where it comes from, for messages.
        what: What it should hold, in words.
        error: What to raise.

    Raises:
        SfgNasError: The text is no such JSON.
    """
    try:
        return strict_json(text)
    except (ValueError, RecursionError) as err:
        raise error(
            explain(
                where=where,
                rule=f"{what} is JSON",
                found=str(err)[:200] or type(err).__name__,
                do="restore the file, or write it anew",
            )
        ) from err


def strict_json(text: str) -> object:
    """Return the value of a JSON text.

    Raises:
        ValueError: It is no JSON, holds a key twice, or a number that is not finite.
        RecursionError: It is nested too deeply.
    """
    return json.loads(
        text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_different
    )


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:50]} is too large")
    return value


def _different(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:50]!r} stands twice")
    return found
