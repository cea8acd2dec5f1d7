"""The command line: the only place that prints, exits, reads the environment and chooses a device.

Exit codes: 0 done; 1 ran and failed; 2 the user's input is wrong; 130 interrupted (Ctrl-C, or told to end),
and what to call to go on.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from sfg_nas.allocator import keep_freed_memory
from sfg_nas.cli.app import app
from sfg_nas.errors import SfgNasError, TrainingError, enough_memory

FAILED, WRONG_INPUT, INTERRUPTED = 1, 2, 130


def main() -> None:
    """Run the command in `sys.argv` and leave with its exit code."""
    keep_freed_memory()
    _open_streams()
    signal.signal(signal.SIGTERM, _as_ctrl_c)
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: What stands behind `sfg-nas`.
    """
    try:
        with enough_memory("sfg-nas"):
            app(_with_address(arguments), prog_name="sfg-nas")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else FAILED
    except SfgNasError as error:
        _complain(str(error))
        return FAILED if isinstance(error, TrainingError) else WRONG_INPUT
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        do = "make room, and call it again" if full else "check the path"
        _complain(f"{where}the system refused; found {error.strerror or error}; {do}")
        return FAILED
    return 0


def _as_ctrl_c(*_: object) -> NoReturn:
    """Take the end that a cluster or `kill` asks for as Ctrl-C: workers are ended, and how to go on is said."""
    raise KeyboardInterrupt


def _open_streams() -> None:
    """Make sure that no result is lost to how the shell set up the streams: closed, or in a code without ± and −."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (until the end)
            setattr(sys, name, nowhere)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")


def _with_address(arguments: list[str]) -> list[str]:
    """Return the arguments with `local` behind a `--ray` that has no address of its own."""
    full: list[str] = []
    for place, argument in enumerate(arguments):
        full.append(argument)
        following = arguments[place + 1 : place + 2]
        if argument == "--ray" and (not following or following[0].startswith("-")):
            full.append("local")
    return full


def _complain(text: str) -> None:
    lines = text.splitlines() or ["unknown error"]
    head = f"error: {lines[0]}" if len(lines) == 1 else f"error: {len(lines)} things are wrong"
    body = [] if len(lines) == 1 else [f"  {line}" for line in lines]
    sys.stderr.write("\n".join([head, *body]) + "\n")


__all__ = ["app", "main", "run"]
