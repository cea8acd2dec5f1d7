"""The commands that a comparison's tables come from, kept beside its trainings and printed in its page."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import cast

from sfg_nas.compare.content import read_content
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
    files: RunFiles, command: str, methods: Collection[str], kept: Collection[str]
) -> list[str]:
    """Store a call, and return the commands that the tables come from, this one last.

    Args:
        files: Of the run.
        command: Of this call.
        methods: What it trained.
        kept: Methods of earlier calls that stay in the tables.

    Raises:
        ArchitectureError: The file of the calls is damaged.
    """
    path = files.root / "compared" / FILE
    with locked(files.lock("compare-calls")):
        content = read_content(path, "calls")
        before = cast("list[dict[str, object]]", content.get("calls", []))
        before = [call for call in before if call["command"] != command]
        last = {"command": command, "methods": sorted(methods)}
        write_json(path, {"calls": [*before, last]})
    left, commands = set(kept) - set(methods), [command]
    for call in reversed(before):
        trained = set(cast("list[str]", call["methods"])) & left
        if trained:
            commands.insert(0, str(call["command"]))
            left -= trained
    return commands
