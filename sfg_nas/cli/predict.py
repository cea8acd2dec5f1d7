"""`predict`: what a trained network says about images that no data set holds."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfg_nas.cli.find import device_of
from sfg_nas.cli.networks import folder_of, note_unreadable, open_network, preparation_of
from sfg_nas.cli.options import Common, with_common
from sfg_nas.cli.output import json_result, note
from sfg_nas.cli.predict_volumes import predict_volumes
from sfg_nas.cli.watch import decoding
from sfg_nas.errors import ConfigError, explain

if TYPE_CHECKING:
    from torch import Tensor

    from sfg_nas.data import Preparation
    from sfg_nas.fixed import FixedNetwork
    from sfg_nas.tasks import Task

Row = dict[str, object]


@with_common("device", "runs")
def predict(
    network: Annotated[
        Path, typer.Argument(help="A folder such as runs/digits/retrained/<hash>/0; or a run.")
    ],
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Images, folders of them, or CSV files with a column `file`; or NIfTI volumes."
        ),
    ],
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="CSV|DIR",
            help="Where to write, not stdout; for volumes a folder (default: predicted).",
        ),
    ] = None,
    *,
    common: Common,
) -> None:
    """Predict every task for images of your own, one row per image; or for volumes, a NIfTI file per task.

    Volumes are predicted window by window and written in the space of their file: a CT in HU, labels as whole numbers.
    A regression is in its unit; a classification gives the class's number and each class's probability. What cannot be
    read is named and left out; exit code 1 if that is everything.
    """
    folder = folder_of(network, common)
    built = open_network(folder, device_of(common))
    preparation = preparation_of(folder, built)
    tasks = preparation.only(built.architecture.tasks)
    if preparation.volumes is not None:
        predict_volumes(built, preparation.volumes, tasks, files, to, common)
    else:
        _predict_photos(built, preparation, tasks, files, to, common)


def _predict_photos(
    built: FixedNetwork,
    preparation: Preparation,
    tasks: Sequence[Task],
    files: Sequence[Path],
    to: Path | None,
    common: Common,
) -> None:
    if to is not None and to.is_dir():
        rule, do = "a file's path is needed", "give a name such as predictions.csv"
        raise ConfigError(explain(where="--to", rule=rule, found=f"the folder {to}", do=do))
    from sfg_nas.data import find_photos, shown

    paths = find_photos(files)
    if not paths:
        rule, found = "at least one file is needed", "none in what was given"
        raise ConfigError(explain(where="FILES", rule=rule, found=found, do="give images"))
    rows, failed = _rows(built, preparation, tasks, paths, common)
    note_unreadable(failed, len(paths), common)
    if to is not None and rows:
        from sfg_nas.training import write_text

        write_text(to, _csv(rows))
        note(f"{len(rows)} rows: {to}", common)
    if common.as_json:
        json_result(
            {
                "predictions": rows,
                "units": {task.name: task.unit for task in tasks if task.has_unit},
                "unreadable": [{"file": shown(p), "reason": reason} for p, reason in failed],
            }
        )
    elif to is None and rows:
        sys.stdout.write(_csv(rows))
    if not rows:
        raise typer.Exit(1)


def _rows(
    network: FixedNetwork,
    preparation: Preparation,
    tasks: Sequence[Task],
    paths: Sequence[Path],
    common: Common,
) -> tuple[list[Row], list[tuple[Path, str]]]:
    from sfg_nas.data import decode_batches
    from sfg_nas.training import predict as run

    rows: list[Row] = []
    failed: list[tuple[Path, str]] = []
    with decoding(common) as progress:
        for photos in decode_batches(paths, preparation.shape):
            failed += photos.failed
            if photos.paths:
                images = preparation.image_set(photos.images)
                outputs, _ = run(network, images, tasks)
                rows += _described(photos.paths, tasks, outputs)
            progress(len(rows) + len(failed), len(paths))
    return rows, failed


def _described(
    paths: Sequence[Path], tasks: Sequence[Task], outputs: Mapping[str, Tensor]
) -> list[Row]:
    from sfg_nas.data import shown

    rows: list[Row] = [{"file": shown(path)} for path in paths]
    for task in tasks:
        for name, values in task.describe(outputs[task.name]).items():
            for row, value in zip(rows, values, strict=True):
                row[name] = _short(value)
    return rows


def _short(value: object) -> object:
    """Return a number without the digits that single precision does not have."""
    return float(f"{value:.7g}") if isinstance(value, float) else value


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
