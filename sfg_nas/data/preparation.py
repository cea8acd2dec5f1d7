"""What a trained network needs to know about images it has never seen, as a small JSON file beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import NoReturn, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sfg_nas.data.bundle import DataBundle
from sfg_nas.data.grey import Window
from sfg_nas.data.images import ImageSet
from sfg_nas.data.volume_settings import VolumeSettings
from sfg_nas.errors import ConfigError, DataError, explain
from sfg_nas.files import read_json
from sfg_nas.tasks import Encoding, Task, WrongLabelError, encoding_of

PREPARATION_FILE = "prediction.json"
"""Name of the file in a network's folder."""

_SCHEMA = 1
_MOST = 1 << 16  # pixels along a side, channels, classes: beyond what any file of ours holds
_MOST_PIXELS = 1 << 26  # of one image, over all channels
_KEYS = ("schema", "kind", "shape", "pixels", "mean", "std", "tasks")
_OPTIONAL = {"volumes", "columns", "encodings", "whitened", "window"}
_TASK_TYPES: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "kind": (str,),
    "outputs": (int,),
    "unit": (str, type(None)),
    "weight": (int, float),
    "center": (int, float),
    "scale": (int, float),
    "likelihood": (str,),
    "classes": (list,),
    "class_weights": (list, str),
}

T = TypeVar("T")


@dataclass(frozen=True)
class Preparation:
    """How images become a network's input, and what its outputs mean.

    Attributes:
        kind: The data set that the network was trained on.
        shape: C, H, W of an image.
        pixels: Type of the stored pixels, `uint8` or `float32`.
        mean: Of each channel over the training part, in the units of the pixels.
        std: Standard deviation of each channel, likewise.
        tasks: The tasks with their classes, units, centers and scales.
        volumes: How volumes are prepared; None for photos.
        columns: Where the training table held them (see `DataBundle`); empty if there was none.
        encodings: How its label images are read, for each dense task of a table.
        whitened: Whether each image is normalised by itself (see `ImageSet`), not by `mean` and `std`.
        window: The grey values that become black and white, of images with more than eight bits; None for the usual.
    """

    kind: str
    shape: tuple[int, ...]
    pixels: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    tasks: tuple[Task, ...]
    volumes: VolumeSettings | None = None
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    encodings: Mapping[str, Encoding] = field(default_factory=dict)
    whitened: bool = False
    window: Window | None = None

    @classmethod
    def of(cls, data: DataBundle) -> Self:
        """Return the preparation of a data set's images.

        Args:
            data: What the network is trained on.
        """
        train = data.train
        return cls(
            data.name,
            data.image_shape,
            train.pixel_type,
            train.mean,
            train.std,
            data.tasks,
            data.volumes,
            data.columns,
            data.encodings,
            isinstance(train, ImageSet) and train.whitened,
            data.window,
        )

    def to_json(self) -> dict[str, object]:
        """Return the content of the file."""
        tasks = [asdict(task) for task in self.tasks]
        content = {"schema": _SCHEMA, **vars(self), "tasks": tasks}
        del content["volumes"]
        content["encodings"] = {name: asdict(own) for name, own in self.encodings.items()}
        return content | ({"volumes": self.volumes.to_json()} if self.volumes else {})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the preparation in a file.

        Args:
            path: A `prediction.json`.

        Raises:
            DataError: If there is none, or it holds something else.
        """
        if not path.is_file():
            _refuse(path, "the file that says how images become the network's input", "none")
        content = read_json(path, what="how images become the network's input", error=DataError)
        if not isinstance(content, dict) or set(content) - _OPTIONAL != set(_KEYS):
            _refuse(path, f"the keys {', '.join(_KEYS)}", str(content)[:80])
        if content["schema"] != _SCHEMA or content["pixels"] not in ("uint8", "float32"):
            _refuse(path, f"schema {_SCHEMA}, pixels of uint8 or float32", f"{content['schema']!r}")
        shape = _numbers(path, content["shape"], int)
        sound = 2 <= len(shape) <= 4 and all(0 < side <= _MOST for side in shape)
        if not sound or math.prod(shape) > _MOST_PIXELS:
            _refuse(path, "a shape [C, H, W]", str(shape))
        mean, std = (_numbers(path, content[key], float) for key in ("mean", "std"))
        if len(mean) != shape[0] or len(std) != shape[0] or min(std) <= 0:
            _refuse(path, "a mean and a std above 0 of each channel", f"{mean[:8]}, {std[:8]}")
        tasks = _tasks(path, content["tasks"])
        volumes = None
        if "volumes" in content:
            volumes = VolumeSettings.from_json(content["volumes"], f"{path}: volumes")
            if (1, *volumes.patch) != shape:
                _refuse(path, f"a patch of the shape {list(shape[1:])}", str(volumes.patch))
        columns = _columns(path, content.get("columns", {}))
        kind, pixels = str(content["kind"]), content["pixels"]
        encodings = _encodings(path, content.get("encodings", {}), tasks)
        whitened = content.get("whitened", False)
        if not isinstance(whitened, bool):
            _refuse(path, "true or false for `whitened`", str(whitened)[:80])
        window = content.get("window")
        grey = None if window is None else _window(path, window)
        return cls(
            kind, shape, pixels, mean, std, tasks, volumes, columns, encodings, whitened, grey
        )

    def only(self, names: Sequence[str]) -> tuple[Task, ...]:
        """Return some of the tasks, in the order of the names.

        Args:
            names: The tasks of a network.

        Raises:
            DataError: If one is not among them.
        """
        known = {task.name: task for task in self.tasks}
        missing = [name for name in names if name not in known]
        if missing:
            rule, do = "each of the network's tasks must be described", "use the file beside it"
            found = f"nothing about {', '.join(missing)}"
            raise DataError(explain(where=PREPARATION_FILE, rule=rule, found=found, do=do))
        return tuple(known[name] for name in names)

    def image_set(
        self, images: NDArray[np.uint8], targets: Mapping[str, Tensor] | None = None
    ) -> ImageSet:
        """Return images that are normalised as in training.

        Args:
            images: [N, C, H, W].
            targets: Labels [N] of some tasks; the others' are missing.
        """
        given = dict(targets or {})
        labels = {
            task.name: given.get(task.name, task.missing_targets(len(images), images.shape[1:]))
            for task in self.tasks
        }
        return ImageSet(
            images, np.arange(len(images)), labels, self.mean, self.std, whitened=self.whitened
        )


def _numbers(path: Path, value: object, kind: type[T]) -> tuple[T, ...]:
    """Return a list's numbers as a tuple; an integer counts as a float."""
    wide = (int, float) if kind is float else (int,)
    sound = isinstance(value, list) and 0 < len(value) <= _MOST
    if not sound or not all(type(v) in wide and abs(v) < 1e30 for v in value):  # type: ignore[attr-defined]
        _refuse(path, f"a list of {kind.__name__}", str(value)[:80])
    return tuple(kind(v) for v in value)  # type: ignore[attr-defined,call-arg]


def _window(path: Path, value: object) -> Window:
    given = _numbers(path, value, float)
    if len(given) != 2 or given[0] >= given[1]:
        _refuse(path, "a window [low, high]", str(value)[:80])
    return given[0], given[1]


def _columns(path: Path, value: object) -> dict[str, tuple[str, ...]]:
    sound = isinstance(value, dict) and all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) and names
        for names in value.values()
    )
    if not sound:
        _refuse(path, "a mapping from task to columns", str(value)[:80])
    return {task: tuple(names) for task, names in value.items()}  # type: ignore[attr-defined]


def _encodings(path: Path, value: object, tasks: Sequence[Task]) -> dict[str, Encoding]:
    keys = {key.name for key in fields(Encoding)}
    sound = isinstance(value, dict) and all(
        isinstance(entry, dict) and set(entry) == keys for entry in value.values()
    )
    if not sound:
        _refuse(path, f"a mapping from task to {', '.join(sorted(keys))}", str(value)[:80])
    try:
        found = {task: encoding_of(entry) for task, entry in value.items()}  # type: ignore[attr-defined]
    except WrongLabelError as error:
        _refuse(path, error.rule, str(error.found)[:80])
    counts = {task.name: task.outputs for task in tasks}
    for name, own in found.items():
        if name not in counts or len(own.values) not in (0, counts[name]):
            _refuse(path, "a value for each class of a task", f"{name}: {own.values}"[:80])
    return found


def _tasks(path: Path, value: object) -> tuple[Task, ...]:
    names = {field.name for field in fields(Task)}
    if not isinstance(value, list) or not 0 < len(value) <= _MOST:
        _refuse(path, "a list of tasks", str(value)[:80])
    tasks = []
    for entry in value:
        sound = isinstance(entry, dict) and set(entry) == names
        if not sound or not all(type(entry[key]) in kinds for key, kinds in _TASK_TYPES.items()):
            _refuse(path, f"a task with {', '.join(_TASK_TYPES)}", str(entry)[:80])
        if not all(isinstance(name, str) for name in entry["classes"]):
            _refuse(path, "a list of names of classes", str(entry["classes"])[:80])
        if not 1 <= entry["outputs"] <= _MOST:
            _refuse(path, f"from 1 to {_MOST} outputs", str(entry["outputs"])[:80])
        try:
            tasks.append(Task(**entry))
        except (ConfigError, OverflowError) as error:
            raise DataError(f"{path}: {error}") from error
    if len({task.name for task in tasks}) < len(tasks):
        _refuse(path, "each task once", ", ".join(task.name for task in tasks)[:80])
    return tuple(tasks)


def _refuse(path: Path, rule: str, found: str) -> NoReturn:
    do = "use the file that `sfg-nas retrain` wrote beside the network; the same call writes it again"
    raise DataError(explain(where=str(path), rule=f"{rule} is needed", found=found, do=do))
