"""What a comparison's small JSON files hold, checked."""

from __future__ import annotations

from pathlib import Path

from sfg_nas.study.stored import Check, are_numbers, is_number, is_text, read_object


def _are_readings(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_reading, value))


def _is_reading(value: object) -> bool:
    if not isinstance(value, dict) or set(value) != {"label", "macs", "params", "scores"}:
        return False
    sound = is_text(value["label"]) and is_number(value["macs"]) and is_number(value["params"])
    return sound and are_numbers(value["scores"])


def _are_calls(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_call, value))


def _is_call(value: object) -> bool:
    if not isinstance(value, dict) or set(value) - {"settings"} != {"command", "methods"}:
        return False
    methods = value["methods"]
    sound = is_text(value["command"]) and isinstance(value.get("settings", {}), dict)
    return sound and isinstance(methods, list) and all(map(is_text, methods))


_IDENTITY: dict[str, Check] = {"identity": lambda value: isinstance(value, dict)}
_CONTENT: dict[str, dict[str, Check]] = {
    "metrics": {
        **_IDENTITY,
        "training_seconds": is_number,
        "flatness": lambda value: value is None or is_number(value),
        "architecture": lambda value: value is None or is_text(value),
        "readings": _are_readings,
        "seconds": is_number,
    },
    "test": {**_IDENTITY, "readings": _are_readings},
    "failed": {**_IDENTITY, "reason": is_text, "again": lambda value: isinstance(value, bool)},
    "width": {
        "key": lambda value: isinstance(value, dict),
        "factor": lambda value: value is None or (is_number(value) and value > 0),  # type: ignore[operator]
        "same": lambda value: isinstance(value, bool),
        "reason": is_text,
    },
    "calls": {"calls": _are_calls},
}

_LATER = {"width": ("reason",), "failed": ("again",)}
"""Keys that files of earlier versions lack."""


def read_content(path: Path, name: str) -> dict[str, object]:
    """Return the content of a file, empty if there is none.

    Args:
        path: The file.
        name: `metrics`, `test` or `failed` of a training, the `width` of a method at equal MACs, or the `calls` that
            the tables come from.

    Raises:
        ArchitectureError: The file is damaged.
    """
    if not path.exists():
        return {}
    what = "the calls of a comparison" if name == "calls" else f"the {name} of a training"
    return read_object(path, what=what, keys=_CONTENT[name], optional=_LATER.get(name, ()))
