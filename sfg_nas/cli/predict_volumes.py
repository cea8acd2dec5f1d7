"""`predict` on NIfTI files: a volume per task, in the space of each file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sfg_nas.cli.networks import note_unreadable, nothing_read
from sfg_nas.cli.options import Common
from sfg_nas.cli.output import json_result, note, result
from sfg_nas.cli.targets import check_target
from sfg_nas.errors import ConfigError, DataError, explain

if TYPE_CHECKING:
    from sfg_nas.data import VolumeSettings
    from sfg_nas.fixed import FixedNetwork
    from sfg_nas.tasks import Task

FOLDER = Path("predicted")
"""Where volumes go if nothing is said."""

Row = dict[str, object]


def predict_volumes(
    network: FixedNetwork,
    settings: VolumeSettings,
    tasks: Sequence[Task],
    sources: Sequence[Path],
    to: Path | None,
    common: Common,
) -> None:
    """Write a NIfTI file of each task for each file, and say where.

    Args:
        network: In eval mode.
        settings: How its volumes are prepared.
        tasks: Its tasks.
        sources: Files, and folders whose NIfTI files are meant; a pair `.hdr` and `.img` is one.
        to: The folder to write to, or None for `predicted`.
        common: The shared options.

    Raises:
        ConfigError: If there is no file, two would be written to one place, or an extra is missing.
    """
    from sfg_nas.data import read_scan, shown
    from sfg_nas.training import predict_volume

    folder = FOLDER if to is None else to
    if folder.exists() and not folder.is_dir():
        rule, do = "volumes are written into a folder", "give a folder"
        raise ConfigError(explain(where="--to", rule=rule, found=f"the file {to}", do=do))
    check_target(folder)
    planned = dict(_planned(sources))
    if not planned:
        rule, found = "at least one NIfTI file is needed", "none in what was given"
        raise ConfigError(explain(where="FILES", rule=rule, found=found, do="give .nii files"))
    rows: list[Row] = []
    failed: list[tuple[Path, str]] = []
    for path, stem in planned.items():
        try:
            scan = read_scan(path, settings.spacing)
        except DataError as error:
            failed.append((path, str(error)))
            continue
        predicted = predict_volume(network, scan.prepared.values, settings.patch, tasks)
        row: Row = {"file": shown(path)}
        for task in tasks:
            own = folder / f"{stem}_{task.name}.nii.gz"
            scan.write(task.name, predicted[task.name], settings.organs, own)
            row[task.name] = shown(own)
        rows.append(row)
        note(f"predicted {len(rows) + len(failed)} of {len(planned)}: {shown(path)}", common)
    note_unreadable(failed, len(planned), common)
    if common.as_json:
        json_result(
            {
                "predictions": rows,
                "units": {task.name: task.unit for task in tasks if task.has_unit},
                "labels": dict(settings.organs),
                "unreadable": [{"file": shown(p), "reason": reason} for p, reason in failed],
            }
        )
    else:
        result("\n".join(str(row[task.name]) for row in rows for task in tasks))
    if not rows:
        raise nothing_read(failed)


def _planned(sources: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """Yield each file with the path, below the output folder, that its predictions' names begin with."""
    from sfg_nas.data import is_volume, named_once, volume_stem

    found: list[tuple[Path, Path]] = []
    for source in sources:
        if source.is_dir():
            below = sorted(p for p in source.rglob("*") if p.is_file() and is_volume(p))
            found += [(p, p.relative_to(source).parent / volume_stem(p)) for p in below]
        else:
            found.append((named_once(source), Path(volume_stem(source))))
    often = Counter(stem for _, stem in found)
    # Files of the same name go into folders named as those they lie in.
    chosen = [
        (path, path.resolve().parent.name / stem if often[stem] > 1 else stem)
        for path, stem in dict(found).items()
    ]
    twice = [str(stem) for stem, count in Counter(stem for _, stem in chosen).items() if count > 1]
    if twice:
        rule, do = "predictions need names of their own", "predict these files one by one"
        raise ConfigError(explain(where="FILES", rule=rule, found=", ".join(twice), do=do))
    yield from chosen
