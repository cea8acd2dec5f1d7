"""A first study file for a table of one's own: commented, valid, and small enough to try."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import cast

from sfg_nas.config import Value, flow
from sfg_nas.data import (
    TableGuess,
    base_of,
    below,
    guess_table,
    read_table,
    shown_window,
    usual_size,
    usual_window,
)
from sfg_nas.tasks import TASK_KINDS

_MOST_TASKS = 6
"""Tasks that take part; further ones are written as comments."""
_LOOKED_AT = 50
_LEVELS, _FOLDERS = 3, 500
"""How far below a table its images are looked for: levels, and how many folders."""
_ON_PIXELS = tuple(name for name, kind in TASK_KINDS.items() if kind.dense)


@dataclass(frozen=True)
class Draft:
    """A study file that is not written yet.

    Attributes:
        name: Of the study.
        text: Of the file.
        said: What was guessed, one line each, for a person to read.
    """

    name: str
    text: str
    said: tuple[str, ...]


def draft_study(table: Path, folder: Path, *, schema: str, data_root: Path | None = None) -> Draft:
    """Return a commented study for a table, as far as its columns tell.

    Args:
        table: A CSV or Parquet file.
        folder: Where the study file will lie; the table's path is written relative to it.
        schema: What the file calls its JSON Schema.
        data_root: Where images may lie that are not beside the table.

    Raises:
        DataError: If the table cannot be read, or has no column with paths of images or none with labels.
    """
    content = read_table(table)
    guess = guess_table(content, data_root)
    cells = [cell for cell in content.column(guess.image) if cell]
    some = cells[:: max(1, len(cells) // _LOOKED_AT)]
    base = base_of(cells, table.parent, data_root)
    there = [below(base, cell) for cell in some]
    missing = not any(file.is_file() for file in there)
    elsewhere = _folder_with(some, table.parent) if missing else None
    if elsewhere is not None:
        guess = guess_table(content, elsewhere)
        there = [below(elsewhere, cell) for cell in some]
    pixels, why = _pixels(there)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", table.stem).strip("-._") or "own"
    path = os.path.relpath(table.resolve(), folder.resolve())
    said = [f"{len(content)} rows; images are named by `{guess.image}`"]
    if missing and elsewhere is None:
        said.append(f"none of the images was found below {base}: check their paths")
    elif missing:
        root = shlex.quote(str(elsewhere))
        said.append(
            f"the images lie below {elsewhere}: give every command `--data-root {root}`, or set SFG_NAS_DATA"
        )
    said += [
        f"{own.name}: {own.entry['kind']}, because {own.why}"
        + ("" if place < _MOST_TASKS else "; left out of the first study, which takes 6 tasks")
        for place, own in enumerate(guess.tasks)
    ]
    said += [f"{own.name or 'no name'}: left out, {own.why}" for own in guess.left_out]
    said += [f"parts are read from `{guess.split}`"] if guess.split else []
    said += [f"rows with the same `{guess.group}` stay in one part"] if guess.group else []
    said += why
    file, typed = table.name, shlex.quote(table.name)
    text = _HEAD.format(schema=schema, name=name, rows=len(content), file=file, typed=typed)
    text += f"name: {flow(name)}\n\n"  # quoted where YAML takes it for a number or nothing
    dense = any(own.entry["kind"] in _ON_PIXELS for own in guess.tasks[:_MOST_TASKS])
    backbone = _DENSE if dense else _FLAT
    text += _data(guess, path, pixels)
    text += _REST.format(batch=_batch(len(content)), **backbone)
    return Draft(name, text, tuple(said))


def _folder_with(cells: Sequence[str], top: Path) -> Path | None:
    """Return the first folder below another to which most paths are relative, None if there is none nearby."""
    for place, folders, _ in islice(os.walk(top, followlinks=True), _FOLDERS):
        folder = Path(place)
        if sum(below(folder, cell).is_file() for cell in cells) > len(cells) / 2:
            return folder
        deep = len(folder.relative_to(top).parts) >= _LEVELS
        folders[:] = [] if deep else sorted(name for name in folders if name[0] != ".")
    return None


def _pixels(photos: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Return what a study says of the pixels of its images, and what was guessed about them."""
    size, grey = usual_size(photos)
    reach = usual_window(photos)
    said = []
    if isinstance(size, int):
        lines = [f"  size: {size}  # pixels; cut to the middle square; or [height, width]"]
    else:
        shape = f"[{size[0]}, {size[1]}]"
        lines = [f"  size: {shape}  # pixels: height and width, to whose shape images are cut"]
        said.append(f"size: {shape}, height and width, because nearly all images have that shape")
    lines.append(f"  colour: {'grey' if grey else 'rgb'}")
    if reach is not None:
        said.append(f"window: {shown_window(reach)}, because {reach.lost()}")
        why = f"grey values that become black and white: {reach.lost()}"
        lines.append(f"  window: {shown_window(reach)}  # {why}")
    return lines, said


def _batch(rows: int) -> int:
    return next((size for size in (64, 32, 16) if rows >= 20 * size), 8)


def _data(guess: TableGuess, path: str, pixels: Sequence[str]) -> str:
    lines = [
        "data:",
        "  kind: table",
        f"  table: {flow(path)}  # relative to this file",
        f"  image: {flow(guess.image)}  # column with the paths of the images, relative to the table or to --data-root",
        *pixels,
    ]
    lines += (
        [f"  group: {flow(guess.group)}  # equal cells stay in one part"] if guess.group else []
    )
    if guess.split:
        lines.append(f"  split: {flow(guess.split)}  # says train, validation or test")
    else:
        lines += ["  validation: 0.15  # share of the rows", "  test: 0.15  # share of the rows"]
        classes = [t.name for t in guess.tasks[:_MOST_TASKS] if t.entry["kind"] == "classification"]
        if classes:
            lines.append(f"  stratify: {flow(classes[0])}  # its proportions are kept in each part")
    lines += ["  augment: [flip, crop]  # remove flip where left and right matter", "  tasks:"]
    for place, own in enumerate(guess.tasks):
        mark = "    " if place < _MOST_TASKS else "    # "
        entry = cast("Value", own.entry)
        lines += [f"    # {own.why}", f"{mark}{flow(own.name)}: {flow(entry)}"]
    lines += [f"    # {own.name}: left out, {own.why}" for own in guess.left_out]
    return "\n".join(line.replace("\n", " ") for line in lines) + "\n"


_HEAD = """\
# yaml-language-server: $schema={schema}
# {file}: {rows} rows; written by `sfg-nas init --from {typed}`, which guessed: look at the tasks.
#
# Command:  sfg-nas validate {name}.yaml --data     reads the images, says what cannot be read
#           sfg-nas search {name}.yaml --smoke      a minute, to see that all of it runs
#           sfg-nas search {name}.yaml

"""

_FLAT = {"kind": "vgg11", "depth": "6  # convolutions", "split": 4, "last": 5}
_DENSE = {
    "kind": "unet",
    "depth": "3  # levels; a map of the image's size comes out",
    "split": 8,
    "last": 11,
}
"""Where the last layers are, the branched start of a search is sought."""
_REST = """
backbone:
  kind: {kind}  # see `sfg-nas list backbones`
  width: 0.25  # factor on the number of filters; 1 is the published network
  depth: {depth}

sharing:
  groups: specialists  # one group per task, and one of all; `lattice` for every subset
  start: {{kind: branched, split: {split}, confidence: 0.9}}
  temperature: {{shape: exponential, start: 1.0, end: 0.2}}

training:
  epochs: 8
  batch_size: {batch}  # images
  learning_rate: 2e-3

search:
  trials: 10
  sampler: {{kind: tpe, startup: 4}}
  objectives: [delta]  # mean relative gain over single-task networks, on validation; advantage: beside hard sharing at equal MACs
  finals: {{trials: 0}}  # 3: the best three are trained from scratch before one is chosen
  space:
    sharing.lambda2: {{type: float, low: -1.0, high: 1.0}}
    sharing.lambda3: {{type: float, low: 0.001, high: 0.3, log: true}}  # weight of the network's cost
    sharing.start.split: {{type: int, low: 2, high: {last}}}  # layer
    training.learning_rate: {{type: float, low: 1e-3, high: 5e-3, log: true}}

retrain:
  seeds: 3
"""
