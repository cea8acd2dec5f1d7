"""The commands that a comparison's tables come from, kept beside its trainings and printed in its page."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import TypedDict, cast

from sfg_nas.compare.content import read_content
from sfg_nas.config import CompareConfig
from sfg_nas.study import RunFiles, locked
from sfg_nas.training import write_json

FILE = "calls.json"


def python_call(methods: Sequence[str] | None, seeds: int | None) -> str:
    """Return a call of `compare` from Python, in words; the study is the `study.yaml` of the run.

    Args:
        methods: As given.
        seeds: As given.
    """
    given = [] if methods is None else [f"methods={list(methods)}"]
    given += [] if seeds is None else [f"seeds={seeds}"]
    return f"compare({', '.join(['study', *given])})"


def remember(
    files: RunFiles,
    command: str,
    methods: Collection[str],
    kept: Collection[str],
    section: CompareConfig,
) -> list[str]:
    """Store a call, and return the commands that the tables come from, this one last.

    What an earlier call had otherwise in the study's section, as its file was changed since, stands behind it.

    Args:
        files: Of the run.
        command: Of this call.
        methods: What it trained.
        kept: Methods of earlier calls that stay in the tables.
        section: The study's section on comparing.

    Raises:
        ArchitectureError: The file of the calls is damaged.
    """
    path = files.root / "compared" / FILE
    last: _Call = {
        "command": command,
        "methods": sorted(methods),
        "settings": _flat(section.model_dump(mode="json"), "compare."),
    }
    with locked(files.lock("compare-calls")):
        content = read_content(path, "calls")
        before = cast("list[_Call]", content.get("calls", []))
        before = [call for call in before if not _is_again(last, call)]
        write_json(path, {"calls": [*before, last]})
    left, commands = set(kept) - set(methods), [command]
    for call in reversed(before):
        trained = set(call["methods"]) & left
        if trained:
            commands.insert(0, _as_it_was(call, last["settings"]))
            left -= trained
    return commands


class _Call(TypedDict):
    """A call as it is stored; `settings` is not there in files of earlier versions."""

    command: str
    methods: list[str]
    settings: dict[str, object]


def _is_again(last: _Call, call: _Call) -> bool:
    same = call.get("settings", last["settings"]) == last["settings"]
    return same and call["command"] == last["command"]


def _flat(values: Mapping[str, object], prefix: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in values.items():
        inside = isinstance(value, dict)
        found |= _flat(value, f"{prefix}{key}.") if inside else {f"{prefix}{key}": value}  # type: ignore[arg-type]
    return found


def _as_it_was(call: _Call, now: Mapping[str, object]) -> str:
    """Return a call's command with the settings that the study has otherwise now, unless it gives them itself."""
    command = call["command"]
    if not command.startswith("sfg-nas "):
        return command
    try:
        words = shlex.split(command)
    except ValueError:  # a file that someone else wrote
        return command
    given = {text.partition("=")[0] for flag, text in pairwise(words) if flag == "--set"}
    given |= {f"compare.{name}" for name in ("methods", "seeds") if f"--{name}" in words}
    changed = {
        key: value
        for key, value in call.get("settings", {}).items()
        if key not in given and key in now and now[key] != value
    }
    sets = [word for key, value in changed.items() for word in ("--set", f"{key}={_text(value)}")]
    return " ".join([command, shlex.join(sets)]) if sets else command


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
