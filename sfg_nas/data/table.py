"""Your own table: any CSV or Parquet file with image paths and labels in columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from sfg_nas.data.arrays import assemble
from sfg_nas.data.bundle import DataBundle
from sfg_nas.data.cache import DecodedPhotos, decoded_photos
from sfg_nas.data.grey import advice
from sfg_nas.data.label_images import Maps, base_of, below, label_files, stored_labels
from sfg_nas.data.location import Location
from sfg_nas.data.splits import Indices, Splits
from sfg_nas.data.table_options import COLOURS, DUPLICATES, PART, Examined, Labels, examine
from sfg_nas.data.table_parts import (
    drawn_parts,
    far_from_asked,
    filed_parts,
    strata_of,
    together,
)
from sfg_nas.data.tables import Table, listed
from sfg_nas.data.troubles import Trouble
from sfg_nas.errors import DataError, explain


def load(  # noqa: PLR0913 (the options of a data set are its keywords)
    location: Location,
    *,
    table: str = "",
    tasks: Mapping[str, Mapping[str, object]] | None = None,
    image: str | None = None,
    size: int | Sequence[int] = 64,
    colour: str = "rgb",
    window: Sequence[float] | None = None,
    split: str | None = None,
    group: str | None = None,
    stratify: str | Sequence[str] = (),
    validation: float = PART,
    test: float = PART,
    duplicates: str = DUPLICATES[0],
    fraction: float = 1.0,
    seed: int = 0,
) -> DataBundle:  # fmt: skip
    """Return the images and labels of a table of your own, CSV or Parquet.

    Each entry of `tasks` names a kind and a column (`columns` for one yes-or-no column per label),
    and may name `unit`, `likelihood`, `classes` (their order is the order of the outputs; without
    it, numbers by size and words by alphabet) and `class_weights` (`balanced`, a list, or a mapping
    by class). Empty cells, and NA, NaN and null, are missing labels; the task is then not trained or
    scored on that row. An image that cannot be read is left out and counted in a warning.

    The column of a dense task names label images: PNG or whatever Pillow reads, or NumPy files, of the photo's own size,
    cut and thinned with it. `segmentation` has `classes`, their pixels in `values` (numbers, or colours such as
    `#ff8000`; 0, 1, 2, ... if left out) and those that say nothing in `missing` (255 and -1). `dense-regression` has
    `factor`, what pixels are multiplied by, and `missing`; NaN is missing too. `normals` hold x, y and z, from -1 to 1
    or as bytes. An empty cell is a missing label image.

    Args:
        location: Where the study file, the data root and the cache are.
        table: The file, looked for beside the study file, in the working folder and in the data root.
        tasks: Task to its entry.
        image: The column with the paths of the images, relative to the table's folder or to the data
            root; without it the first of `file`, `path`, `image`, `filename` that is there.
        size: Side of the images in pixels, which are cut to their middle square, or `[height, width]`, to whose
            shape they are cut.
        colour: `rgb` or `grey`.
        window: `[low, high]`, the grey values that become black and white in images with more than eight bits (scans
            of 12 bits: `[0, 4095]`); without it 0 and 65535, and 0 and 1 (or 255) of fractions.
        split: The column that says train, validation or test; without it the parts are drawn.
        group: The column whose equal cells stay in one part, such as a patient.
        stratify: The task, or tasks, whose proportions the drawn parts keep.
        validation: The share of the validation part in a draw.
        test: The share of the test part in a draw.
        duplicates: `together` keeps near-duplicate images in one part of a draw; `ignore` does not.
        fraction: The share of the training rows to keep.
        seed: Seed of all draws.

    Raises:
        ConfigError: If an option or a cell is wrong; all of them at once.
        DataError: If no image can be read, or a part is empty.
    """
    given: dict[str, object] = {
        "table": table, "tasks": tasks, "image": image, "size": size, "colour": colour,
        "window": window,         "split": split, "group": group, "stratify": stratify, "validation": validation,
        "test": test, "duplicates": duplicates, "fraction": fraction, "seed": seed,
    }  # fmt: skip
    found = examine({key: value for key, value in given.items() if value is not None}, location)
    found.options.raise_any()
    source = _Source.of(found, location)
    photos = decoded_photos(
        source.paths,
        size=size,
        cache=location.cache_folder(),
        progress=location.progress,
        channels=COLOURS[colour],
        names=source.names,
        window=found.window,
    )
    kept = np.array([i for i, name in enumerate(source.names) if name not in photos.failed])
    failures = source.failures(photos)
    greys = [f"{source.table.path.name}: {text}" for text in advice(photos.wide, found.window)]
    maps = _maps(found, source, photos, location)
    splits, notes = _parts(found, source, photos.groups, kept)
    bundle = assemble(
        "table",
        photos.images,
        {**source.labels, **maps},
        [own.task for own in found.tasks],
        splits.with_fraction(fraction, seed),
        content=photos.key,
        warnings=[*source.warnings, *failures, *greys, *notes, *_alike(found)],
    )
    columns, encodings = found.columns(), found.encodings()
    return replace(bundle, columns=columns, encodings=encodings, window=found.window)


@dataclass(frozen=True, eq=False)
class _Source:
    """The rows that name an image, in the order in which the images are stored.

    Attributes:
        table: These rows.
        names: One for each image, all different.
        paths: The files.
        labels: Of each task, `[rows, ...]`.
        warnings: What was left out.
    """

    table: Table
    names: tuple[str, ...]
    paths: tuple[Path, ...]
    labels: Labels
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, found: Examined, location: Location) -> Self:
        """Return the rows of an examined table."""
        if found.table is None or found.image is None:
            raise AssertionError(found)
        cells = found.table.column(found.image)
        base = base_of(cells, found.table.path.parent, location.root)
        named: dict[str, int] = {}
        for row, cell in enumerate(cells):
            if cell:  # an image that stands in several rows is stored for each of them
                named[cell if cell not in named else f"{cell}\0{row}"] = row
        names = sorted(named)
        order = [named[name] for name in names]
        empty = sum(not cell for cell in cells)
        warnings = (
            [f"{found.table.path.name}: left out because they name no image: {empty} rows"]
            if empty
            else []
        )
        return cls(
            found.table.only(order),
            tuple(names),
            tuple(below(base, cells[row]) for row in order),
            {name: values[order] for name, values in found.labels.items()},
            tuple(warnings),
        )

    def failures(self, photos: DecodedPhotos) -> list[str]:
        """Return one warning that counts and names what cannot be decoded.

        Raises:
            DataError: If that is everything.
        """
        reasons = [f"{name} ({reason})" for name, reason in photos.failed.items()]
        if len(reasons) == len(self.names):
            do = (
                "check the column and its folder; paths are relative to the table or to --data-root"
            )
            first = next(iter(photos.failed.values()))
            found = f"{len(reasons)} that cannot, such as {self.paths[0]} ({first})"
            rule = "at least one image that can be decoded is needed"
            raise DataError(explain(where=str(self.table.path), rule=rule, found=found, do=do))
        what = f"{self.table.path.name}: left out because they cannot be decoded: {len(reasons)}"
        return [f"{what} ({listed(reasons)})"] if reasons else []


def _alike(found: Examined) -> list[str]:
    """Return a warning for each task with classes that differ in capital letters only."""
    warnings = []
    for task in (own.task for own in found.tasks):
        low = [name.lower() for name in task.classes]
        same = [name for name in task.classes if low.count(name.lower()) > 1]
        if same:
            warnings.append(f"{task.name}: classes that differ in capitals only: {listed(same)}")
    return warnings


def _maps(
    found: Examined, source: _Source, photos: DecodedPhotos, location: Location
) -> dict[str, Maps]:
    """Return the labels of the dense tasks, `[rows, *target_shape]`.

    Raises:
        DataError: If label images are wrong; with all of them at once.
    """
    maps: dict[str, Maps] = {}
    troubles: list[Trouble] = []
    for own in (own for own in found.tasks if own.task.dense):
        labels = label_files(source.table, own.columns[0], source.paths, location.root)
        kept = [
            replace(label, file=None) if name in photos.failed else label
            for name, label in zip(source.names, labels, strict=True)
        ]
        maps[own.task.name], wrong = stored_labels(
            own.task,
            own.encoding,
            kept,
            size=photos.images.shape[2:],
            photos=photos.key,
            cache=location.cache_folder(),
            progress=location.progress,
        )
        troubles += wrong
    if troubles:
        raise DataError("\n".join(map(str, troubles)))
    return maps


def _parts(
    found: Examined, source: _Source, alike: Indices, kept: Indices
) -> tuple[Splits, list[str]]:
    """Return the rows of each part among those that could be read, and warnings."""
    options, rows = found.options, source.table.only(kept.tolist())
    found_alike = options.one_of("duplicates", DUPLICATES[0], DUPLICATES) == DUPLICATES[0]
    named = [""] * len(kept) if found.group is None else rows.column(found.group)
    groups, notes = together(alike[kept] if found_alike else np.arange(len(kept)), named)
    validation, seed = options.share("validation", PART), options.whole("seed", 0, 0)
    if found.split is not None:
        splits, said = filed_parts(rows.column(found.split), groups, validation, seed)
    else:
        known = {own.task.name: own.task for own in found.tasks}
        labels = {name: values[kept] for name, values in source.labels.items()}
        strata = strata_of(known, labels, found.stratify)
        test = options.share("test", PART)
        splits = drawn_parts(groups, strata, validation=validation, test=test, seed=seed)
        said = far_from_asked(splits, groups, validation=validation, test=test)
    split = Splits(kept[splits.train], kept[splits.validation], kept[splits.test])
    return split, [f"{rows.path.name}: {text}" for text in [*notes, *said]]
