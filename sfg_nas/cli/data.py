"""`data`: data sets that are made rather than found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfg_nas.cli.options import Common, with_common
from sfg_nas.cli.output import json_result, note, quoted, result
from sfg_nas.cli.watch import decoding
from sfg_nas.errors import ConfigError, explain

data_app = typer.Typer(help="Make data sets.", no_args_is_help=True)


@data_app.command("phantom")
@with_common()
def phantom(
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Where to write.")],
    subjects: Annotated[int, typer.Option(help="How many subjects.")] = 15,
    seed: Annotated[int, typer.Option(help="Of the shapes and the noise.")] = 0,
    size: Annotated[int, typer.Option(help="Voxels from left to right, at least 32.")] = 96,
    force: Annotated[bool, typer.Option("--force", help="Write over what is there.")] = False,
    *,
    common: Common,
) -> None:
    """Write pelvis phantoms (MR, CT and organ labels as NIfTI): made shapes, no patients."""
    if to.exists() and (not to.is_dir() or (any(to.iterdir()) and not force)):
        rule, do = "an empty or new folder is needed", "choose another one, or give --force"
        raise ConfigError(explain(where="--to", rule=rule, found=str(to), do=do))
    from sfg_nas.data import write_phantoms

    with decoding(common) as progress:
        folders = write_phantoms(to, subjects, seed=seed, size=size, progress=progress)
    if common.as_json:
        json_result({"written": [str(folder) for folder in folders]})
        return
    result("\n".join(str(folder) for folder in folders))
    root, study = quoted(to.resolve().parent), quoted(f"data.folder={to.resolve().name}")
    note(f"next: sfg-nas search phantom --data-root {root} --set {study}", common)
