"""`evaluate`: a trained network on one part of its study's data, or on labelled images of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfg_nas.cli.find import STUDY_FILE, device_of, ready_study
from sfg_nas.cli.networks import folder_of, note_lost, note_unreadable, open_network, preparation_of
from sfg_nas.cli.options import Common, with_common
from sfg_nas.cli.output import json_result, note, table
from sfg_nas.cli.targets import check_target
from sfg_nas.cli.watch import decoding
from sfg_nas.errors import ConfigError, DataError, explain, shaped

if TYPE_CHECKING:
    from sfg_nas.architecture import Architecture
    from sfg_nas.data import LabelledPhotos, Preparation
    from sfg_nas.fixed import FixedNetwork
    from sfg_nas.study import Study
    from sfg_nas.tasks import Task

PARTS = ("test", "validation", "train")
PICTURES = (".png", ".svg", ".pdf")
Row = dict[str, object]


@with_common("device", "data_root", "cache", "runs")
def evaluate(
    network: Annotated[
        Path,
        typer.Argument(
            help="A run that was retrained, or a folder such as runs/digits/retrained/<hash>/0."
        ),
    ],
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            metavar="test|validation|train|FILE[:NAME]",
            help="A part of the study's data (default: test), or a CSV file's rows, of its split NAME.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Folder of the images that the CSV names; alone: with labels in the file names.",
        ),
    ] = None,
    study: Annotated[
        Path | None, typer.Option(help="The study, if the network lies in no run.")
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            "--pictures", metavar="FILE", help="Draw a slice of each volume there (.png, .svg)."
        ),
    ] = None,
    *,
    common: Common,
) -> None:
    """Measure a trained network again, on the images that are asked for."""
    folder = folder_of(network, common)
    if data is not None and not data.is_dir():
        rule, do = "a folder that exists is needed", "check the path"
        raise ConfigError(explain(where="--data", rule=rule, found=str(data), do=do))
    files = _table_and_part(split)
    if pictures is not None:
        _check_pictures(pictures)
    built = open_network(folder, device_of(common))
    if files is None and (data is None or split is not None):
        ready = _study_of(folder, built, study, data, common)
        row = _on_study(folder, built, split or PARTS[0], ready)
        if pictures is not None:
            _draw(built, split or PARTS[0], ready, pictures)
    elif pictures is not None:
        rule, do = "pictures are drawn of the study's own volumes", "leave out --split and --data"
        raise ConfigError(explain(where="--pictures", rule=rule, found="other images", do=do))
    else:
        row = _on_files(folder, built, files, data, common)
    if common.as_json:
        json_result(row)
    else:
        table([row])


def _table_and_part(split: str | None) -> tuple[Path, str | None] | None:
    """Return a table and the name of its part, or None for a part of the study."""
    if split is None or split in PARTS:
        return None
    if Path(split).is_file():
        return Path(split), None
    file, _, name = split.rpartition(":")
    if file and Path(file).is_file():
        return Path(file), name
    raise ConfigError(
        explain(
            where="--split",
            rule=f"{', '.join(PARTS)} or a CSV file with the name of a part, FILE:NAME, is needed",
            found=repr(split),
            do="check the path" if file else "give one of these",
        )
    )


def _study_of(
    folder: Path, built: FixedNetwork, study: Path | None, root: Path | None, common: Common
) -> Study:
    from dataclasses import replace

    given = common if root is None else replace(common, data_root=root)
    if study is not None:
        from sfg_nas.study.fits import check_fits

        ready = ready_study(study, given, {})
        check_fits(built.architecture, ready, where=str(folder))
        _note_size(built.architecture, ready, common)
        return ready
    own = _study_above(folder)
    ready = ready_study(own, given, {})
    _warn_of_other_data(own.parent, ready, common)
    return ready


def _note_size(architecture: Architecture, study: Study, common: Common) -> None:
    own, other = architecture.input_shape[1:], study.data.image_shape[1:]
    if own != other:
        sizes = f"{shaped(own)} and {shaped(other)}"
        text = f"the network was built for another size of images than these: {sizes}"
        note(f"warning: {text}", common)


def _warn_of_other_data(run: Path, study: Study, common: Common) -> None:
    """Say that a run's data have changed since: what is a test image now may have been one to train with."""
    from sfg_nas.study import Run

    if Run.load(run).provenance.get("data_fingerprint") != study.data.fingerprint:
        text = "warning: the data are others than those of the run (images, labels or parts): images that the network was "
        note(f"{text}trained with may be in this part", common)


def _on_study(folder: Path, network: FixedNetwork, part: str, study: Study) -> Row:
    from dataclasses import replace

    from sfg_nas.data import Patches
    from sfg_nas.training import evaluate as measure

    images = getattr(study.data, part)
    if isinstance(images, Patches):  # all windows of the volumes, also where an epoch draws some
        images = replace(images, count=None)
    values = measure(network, images, study.tasks)
    return {"network": str(folder), "part": part, "images": len(images), **values}


def _check_pictures(to: Path) -> None:
    if to.suffix not in PICTURES:
        rule, do = f"a name that ends in {' or '.join(PICTURES)} is needed", "change the ending"
        raise ConfigError(explain(where="--pictures", rule=rule, found=str(to), do=do))
    check_target(to, "--pictures")


def _draw(network: FixedNetwork, part: str, study: Study, to: Path) -> None:
    from sfg_nas.report import plot_slices
    from sfg_nas.study import slice_views

    views = slice_views(network, study, getattr(study.data, part))
    settings = study.data.volumes
    to.parent.mkdir(parents=True, exist_ok=True)
    plot_slices(views, () if settings is None else tuple(settings.organs)).savefig(to, dpi=110)


def _on_files(
    folder: Path,
    network: FixedNetwork,
    files: tuple[Path, str | None] | None,
    data: Path | None,
    common: Common,
) -> Row:
    from sfg_nas.data import photos_of_folder, photos_of_table

    preparation = preparation_of(folder, network)
    if preparation.volumes is not None:
        rule, do = "a network of volumes is measured on its study", "leave out --split and --data"
        raise ConfigError(explain(where="evaluate", rule=rule, found="other images", do=do))
    tasks = preparation.only(network.architecture.tasks)
    if files is not None:
        part = f"{files[0]}:{files[1]}" if files[1] is not None else str(files[0])
        photos = photos_of_table(
            *files, data, kind=preparation.kind, tasks=tasks, columns=preparation.columns
        )
    else:
        part = str(data)
        photos = photos_of_folder(data or Path(), kind=preparation.kind, tasks=tasks)
    scored = _scored(network, preparation, photos, tasks, common)
    return {"network": str(folder), "part": part, **scored}


def _scored(
    network: FixedNetwork,
    preparation: Preparation,
    photos: LabelledPhotos,
    tasks: tuple[Task, ...],
    common: Common,
) -> Row:
    import numpy as np

    from sfg_nas.data import decode_batches, read_targets
    from sfg_nas.tasks import Encoding
    from sfg_nas.training import evaluate as measure

    batches = []
    with decoding(common) as progress:
        for batch in decode_batches(photos.paths, preparation.shape, preparation.window):
            batches.append(batch)
            progress(sum(len(b.paths) + len(b.failed) for b in batches), len(photos.paths))
    failed = [pair for batch in batches for pair in batch.failed]
    note_unreadable(failed, len(photos.paths), common)
    note_lost([reach for batch in batches for reach in batch.wide], preparation, common)
    images = np.concatenate([batch.images for batch in batches])
    if len(images) == 0:
        rule, do = "at least one image that can be read is needed", "check --data"
        found = f"none of {len(photos.paths)}"
        raise DataError(explain(where="images", rule=rule, found=found, do=do))
    places = np.concatenate([batch.places for batch in batches])
    targets = {name: labels[places] for name, labels in photos.targets.items()}
    for task in (task for task in tasks if task.name in photos.label_images):
        labels = [photos.label_images[task.name][place] for place in places.tolist()]
        encoding = preparation.encodings.get(task.name, Encoding())
        targets[task.name] = read_targets(task, encoding, labels, preparation.shape[1:])
    chosen = [task for task in tasks if task.name in targets]
    for task in tasks:
        if task not in chosen:
            note(f"no labels of {task.name}: not scored", common)
    values = measure(network, preparation.image_set(images, targets), chosen)
    return {"images": len(images), "unreadable": len(failed), **values}


def _study_above(folder: Path) -> Path:
    for parent in folder.resolve().parents:
        if (parent / STUDY_FILE).is_file():
            return parent / STUDY_FILE
    rule, do = "a network that lies in no run needs its study", "give --study, or --split FILE:NAME"
    raise ConfigError(explain(where=str(folder), rule=rule, found="none", do=do))
