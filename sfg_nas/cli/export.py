"""`export`: architectures in the forms that other programs read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfg_nas.cli.find import choose_trials, is_architecture, open_architecture, open_run
from sfg_nas.cli.options import Common, with_common
from sfg_nas.cli.output import json_result, result
from sfg_nas.errors import ConfigError, explain

if TYPE_CHECKING:
    from sfg_nas.architecture import Architecture

STEM = "architecture"


@with_common("runs")
def export(
    found: Annotated[str, typer.Argument(metavar="RUN|ARCHITECTURE", help="What to export.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Where to write.")],
    trial: Annotated[str, typer.Option(help="best, pareto, or a trial's number.")] = "best",
    formats: Annotated[
        str, typer.Option("--format", help="Some of json, graphml, dot, png, svg; by commas.")
    ] = "json,graphml,png",
    *,
    common: Common,
) -> None:
    """Write an architecture as JSON, GraphML, Graphviz source or a drawing."""
    writers = _chosen_writers(formats)
    if to.exists() and not to.is_dir():
        rule, do = "a folder is needed", "choose another path"
        raise ConfigError(explain(where="--to", rule=rule, found=f"the file {to}", do=do))
    if is_architecture(found):
        chosen = {Path(): open_architecture(found)}
    else:
        trials = choose_trials(open_run(found, common), trial)
        many = trial == "pareto"
        chosen = {Path(f"trial-{t.number}" if many else ""): t.architecture for t in trials}
    written: list[str] = []
    for folder, architecture in chosen.items():
        (to / folder).mkdir(parents=True, exist_ok=True)
        for suffix, write in writers.items():
            path = to / folder / f"{STEM}.{suffix}"
            write(architecture, path)
            written.append(str(path))
    if common.as_json:
        json_result({"written": written})
    else:
        result("\n".join(written))


def _json(architecture: Architecture, path: Path) -> None:
    architecture.save(path)


def _graphml(architecture: Architecture, path: Path) -> None:
    architecture.to_graphml(path)


def _dot(architecture: Architecture, path: Path) -> None:
    from sfg_nas.report import to_dot

    path.write_text(to_dot(architecture), encoding="utf-8")


def _drawing(architecture: Architecture, path: Path) -> None:
    from sfg_nas.report import draw_architecture

    draw_architecture(architecture).savefig(path, dpi=150)


FORMATS: dict[str, Callable[[Architecture, Path], None]] = {
    "json": _json,
    "graphml": _graphml,
    "dot": _dot,
    "png": _drawing,
    "svg": _drawing,
}


def _chosen_writers(text: str) -> dict[str, Callable[[Architecture, Path], None]]:
    from sfg_nas.config import did_you_mean

    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names or [text]:
        if name not in FORMATS:
            do = did_you_mean(name, FORMATS, what="formats")
            rule = "formats that exist are needed, separated by commas"
            raise ConfigError(explain(where="--format", rule=rule, found=repr(name), do=do))
    return {name: FORMATS[name] for name in names}
