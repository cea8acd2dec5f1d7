"""The options that many commands share, declared once."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Literal

import typer

from sfg_nas.errors import ConfigError, explain

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["32", "64", "16-mixed", "bf16-mixed"]
PANEL = "Common options"
Found = Annotated[
    str,
    typer.Argument(
        metavar="RUN|ARCHITECTURE",
        help="A run's folder or name, or an architecture's file (.json, .graphml).",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Common:
    """The values of the shared options; what a command does not declare keeps its default here."""

    device: Device = "auto"
    precision: Precision | None = None
    data_root: Path | None = None
    cache: Path | None = None
    runs: Path = Path("runs")
    changes: tuple[str, ...] = ()
    as_json: bool = False
    quiet: bool = False


_OPTIONS: dict[str, object] = {
    "device": Annotated[
        Device, typer.Option("--device", help="Where to compute.", rich_help_panel=PANEL)
    ],
    "precision": Annotated[
        Precision | None,
        typer.Option("--precision", help="Instead of the study's.", rich_help_panel=PANEL),
    ],
    "data_root": Annotated[
        Path | None,
        typer.Option(
            "--data-root",
            envvar="SFG_NAS_DATA",
            help="Folder that holds the data sets.",
            rich_help_panel=PANEL,
        ),
    ],
    "cache": Annotated[
        Path | None,
        typer.Option(
            "--cache",
            envvar="SFG_NAS_CACHE",
            help="Folder for decoded images (default: ~/.cache/sfg_nas).",
            rich_help_panel=PANEL,
        ),
    ],
    "runs": Annotated[
        Path, typer.Option("--runs", help="Folder of the run directories.", rich_help_panel=PANEL)
    ],
    "changes": Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Another value for a key of the study, such as training.epochs=5; may be given again.",
            rich_help_panel=PANEL,
        ),
    ],
    "as_json": Annotated[
        bool, typer.Option("--json", help="Machine-readable output.", rich_help_panel=PANEL)
    ],
    "quiet": Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress, no notes.", rich_help_panel=PANEL)
    ],
}


def whole(option: str, low: int, high: int | None = None) -> Callable[[str], int]:
    """Return what reads an option that is a whole number in a range.

    Args:
        option: Such as `--trials`.
        low: The least.
        high: The greatest; None for any.
    """

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low or (high is not None and value > high):
            raise _out_of_range(option, "a whole number", low, high, text)
        return value

    return read


def number(option: str, low: float) -> Callable[[str], float]:
    """Return what reads an option that is a finite number.

    Args:
        option: Such as `--cpus`.
        low: The least.
    """

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value < math.inf:
            raise _out_of_range(option, "a number", low, None, text)
        return value

    return read


def _out_of_range(
    option: str, what: str, low: float, high: float | None, found: str
) -> ConfigError:
    to = f"at least {low:g}" if high is None else f"{low:g} to {high:g}"
    do = "give one, or leave the option out"
    return ConfigError(
        explain(where=option, rule=f"{what} of {to} is needed", found=repr(found), do=do)
    )


def with_common(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that declares shared options and hands them over as `common=`.

    Args:
        names: Fields of `Common` that the command declares; `as_json` and `quiet` always are.
    """
    chosen = (*names, "as_json", "quiet")
    defaults = {field.name: field.default for field in fields(Common)}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def wrapper(**values: object) -> None:
            given = {name: values.pop(name) for name in chosen}
            changes = given.get("changes")
            if isinstance(changes, list):
                given["changes"] = tuple(changes)
            command(**values, common=Common(**given))  # type: ignore[arg-type]

        own = inspect.signature(command, eval_str=True).parameters
        parameters = [p for name, p in own.items() if name != "common"]
        parameters += [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=_OPTIONS[name],
                default=[] if name == "changes" else defaults[name],
            )
            for name in chosen
        ]
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
        del wrapper.__wrapped__
        return wrapper

    return decorate
