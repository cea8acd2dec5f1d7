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
from sfg_nas.cli.networks import (
    folder_of,
    note_lost,
    note_unreadable,
    nothing_read,
    open_network,
    preparation_of,
)
from sfg_nas.cli.options import Common, with_common
from sfg_nas.cli.output import json_result, note
from sfg_nas.cli.predict_volumes import predict_volumes
from sfg_nas.cli.targets import check_target
from sfg_nas.cli.watch import decoding
from sfg_nas.errors import ConfigError, explain, several

if TYPE_CHECKING:
    from torch import Tensor

    from sfg_nas.data import Preparation, Reach
    from sfg_nas.fixed import FixedNetwork
    from sfg_nas.tasks import Task

Row = dict[str, object]
TABLE = "predictions.csv"
"""Name of the table beside label images."""


@with_common("device", "runs")
def predict(
    network: Annotated[
        Path,
        typer.Argument(
            help="A run that was retrained, or a folder such as runs/digits/retrained/<hash>/0."
        ),
    ],
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Images, folders of them, or tables with a column `file` or that of training; or NIfTI volumes."
        ),
    ],
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="CSV|DIR",
            help="Where to write, not stdout; a folder for volumes (default: predicted) and label images.",
        ),
    ] = None,
    *,
    common: Common,
) -> None:
    """Predict every task for images of your own, one row per image; or for volumes, a NIfTI file per task.

    Volumes are predicted window by window and written in the space of their file: a CT in HU, labels as whole numbers.
    A regression is in its unit; a classification gives the class's number and each class's probability. Of a task with
    labels on the pixels the table holds a summary, and --to DIR writes an image for each photo, of its size: classes and
    normals as PNG, as they were trained on, numbers as .npy in their unit. What cannot be read is named and left out;
    exit code 1 if that is everything.
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
    from sfg_nas.data import find_photos, shown

    folder, to = _folder_and_table(tasks, to, common)
    paths = find_photos(files, preparation.columns.get("", ()))
    if not paths:
        rule, found = "at least one file is needed", "none in what was given"
        raise ConfigError(explain(where="FILES", rule=rule, found=found, do="give images"))
    rows, failed = _rows(built, preparation, tasks, paths, folder, common)
    note_unreadable(failed, len(paths), common)
    if to is not None and rows:
        from sfg_nas.training import write_text

        write_text(to, _csv(rows))
        note(f"{several(len(rows), 'row')}: {to}", common)
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
        raise nothing_read(failed)


def _folder_and_table(
    tasks: Sequence[Task], to: Path | None, common: Common
) -> tuple[Path | None, Path | None]:
    """Return where label images and the table go; None for nowhere, and for stdout."""
    dense = [task.name for task in tasks if task.dense]
    if to is not None and dense and (to.is_dir() or not to.suffix):
        if to.is_file():
            rule, do = "label images are written into a folder", "give a folder"
            raise ConfigError(explain(where="--to", rule=rule, found=f"the file {to}", do=do))
        check_target(to / TABLE)
        return to, to / TABLE
    if to is not None and to.is_dir():
        rule, do = "a file's path is needed", "give a name such as predictions.csv"
        raise ConfigError(explain(where="--to", rule=rule, found=f"the folder {to}", do=do))
    if to is not None:
        check_target(to)
    if dense:
        note(f"a summary of {', '.join(dense)}; --to DIR writes their images", common)
    return None, to


def _rows(
    network: FixedNetwork,
    preparation: Preparation,
    tasks: Sequence[Task],
    paths: Sequence[Path],
    folder: Path | None,
    common: Common,
) -> tuple[list[Row], list[tuple[Path, str]]]:
    from sfg_nas.data import decode_batches, stems_of
    from sfg_nas.training import predict as run

    stems = stems_of(paths)
    rows: list[Row] = []
    failed: list[tuple[Path, str]] = []
    wide: list[Reach] = []
    with decoding(common) as progress:
        for photos in decode_batches(paths, preparation.shape, preparation.window):
            failed += photos.failed
            wide += photos.wide
            if photos.paths:
                images = preparation.image_set(photos.images)
                outputs, _ = run(network, images, tasks)
                described = _described(photos.paths, tasks, outputs)
                if folder is not None:
                    starts = [folder / stems[path] for path in photos.paths]
                    _write_images(described, photos.paths, starts, preparation, outputs)
                rows += described
            progress(len(rows) + len(failed), len(paths))
    note_lost(wide, preparation, common)
    return rows, failed


def _described(
    paths: Sequence[Path], tasks: Sequence[Task], outputs: Mapping[str, Tensor]
) -> list[Row]:
    from sfg_nas.data import FILE_COLUMNS, shown

    taken = [task.name for task in tasks]
    column = next((name for name in FILE_COLUMNS if name not in taken), "photo")
    rows: list[Row] = [{column: shown(path)} for path in paths]
    for task in tasks:
        for name, values in task.describe(outputs[task.name]).items():
            for row, value in zip(rows, values, strict=True):
                row[name] = _short(value)
    return rows


def _write_images(
    rows: Sequence[Row],
    paths: Sequence[Path],
    starts: Sequence[Path],
    preparation: Preparation,
    outputs: Mapping[str, Tensor],
) -> None:
    """Write the label images of some photos, and add their paths to the rows."""
    from sfg_nas.data import label_image, shown, upright_size, write_label_image
    from sfg_nas.tasks import Encoding

    for task in preparation.only(list(outputs)):
        encoding = preparation.encodings.get(task.name, Encoding())
        for row, path, start, output in zip(rows, paths, starts, outputs[task.name], strict=True):
            if task.dense:
                pixels = label_image(task, output, upright_size(path), encoding)
                stem = start.with_name(f"{start.name}_{task.name}")
                row[f"{task.name}/image"] = shown(write_label_image(stem, pixels))


def _short(value: object) -> object:
    """Return a number without the digits that single precision does not have."""
    return float(f"{value:.8g}") if isinstance(value, float) else value


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
