"""Pixels and what they stand for, there and back."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sfg_nas.tasks import Encoding, Task, WrongLabelError, encoding_of
from sfg_nas.tasks.pixels import classes_of, directions_of, numbers_of, single

NAN = math.nan


def image(*pixels: float | tuple[float, ...], dtype: str = "uint8") -> np.ndarray:
    """Return a label image `[1, W, C]`."""
    rows = [pixel if isinstance(pixel, tuple) else (pixel,) for pixel in pixels]
    return np.array(rows, dtype=dtype)[None]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int64", "float32"])
def test_classes(dtype: str) -> None:
    pixels = image(0, 2, 1, 255, dtype=dtype)
    np.testing.assert_array_equal(classes_of(pixels, Encoding(), 3), [[0, 2, 1, NAN]])
    given = Encoding(values=(1, 0, 255), missing=(2,))
    np.testing.assert_array_equal(classes_of(pixels, given, 3), [[1, NAN, 0, 2]])
    with pytest.raises(WrongLabelError, match="0 to 1, or 255, -1 where missing") as caught:
        classes_of(pixels, Encoding(), 2)
    assert caught.value.found == "2"


def test_negative_numbers_and_nan_are_missing() -> None:
    pixels = image(0, -1, NAN, 1, dtype="float64")
    np.testing.assert_array_equal(classes_of(pixels, Encoding(), 2), [[0, NAN, NAN, 1]])


def test_colours() -> None:
    pixels = image((255, 128, 0), (0, 0, 0), (1, 2, 3))
    encoding = encoding_of({"values": ["#000000", "#FF8000"], "missing": "#010203"})
    np.testing.assert_array_equal(classes_of(pixels, encoding, 2), [[1, 0, NAN]])
    with pytest.raises(WrongLabelError, match="pixels of #000000, #ff8000") as caught:
        classes_of(image((9, 9, 9)), encoding, 2)
    assert caught.value.found == "#090909"
    with pytest.raises(WrongLabelError, match="an image in colour is needed"):
        classes_of(image(0), encoding, 2)
    with pytest.raises(WrongLabelError, match="one number per pixel"):
        classes_of(pixels, Encoding(), 2)


def test_equal_channels_and_alpha_are_one_number() -> None:
    assert single(image((7, 7, 7, 255), (8, 8, 8, 0))).tolist() == [[7, 8]]
    assert single(image((7, 255), (8, 0))).tolist() == [[7, 8]]


def test_numbers() -> None:
    pixels = image(0, 1500, 65535, dtype="uint16")
    found = numbers_of(pixels, Encoding(missing=(0, 65535), factor=0.001))
    np.testing.assert_allclose(found, [[NAN, 1.5, NAN]])
    assert math.isnan(numbers_of(image(NAN, dtype="float32"), Encoding())[0, 0])
    with pytest.raises(WrongLabelError, match="finite"):
        numbers_of(image(math.inf, dtype="float32"), Encoding())
    assert math.isnan(
        numbers_of(image(math.inf, dtype="float32"), Encoding(missing=(math.inf,)))[0, 0]
    )


def test_directions() -> None:
    found = directions_of(image((0, 0, 1.0), (0, 0, 0), (0, -0.6, 0.8), dtype="float32"))
    np.testing.assert_allclose(found[:, 0, 0], [0, 0, 1])
    assert np.isnan(found[:, 0, 1]).all()
    bytes_ = directions_of(image((128, 128, 255), (0, 0, 0), (128, 127, 128), (255, 128, 128)))
    np.testing.assert_allclose(bytes_[:, 0, 0], [0, 0, 1], atol=0.01)
    assert np.isnan(bytes_[:, 0, 1:3]).all()
    planar = np.moveaxis(image(*[(0, 0, 1.0)] * 5, dtype="float32"), -1, 0)
    np.testing.assert_array_equal(directions_of(planar)[2], np.ones((1, 5)))
    with pytest.raises(WrongLabelError, match="from -1 to 1"):
        directions_of(image((0, 0, 200.0), dtype="float32"))
    with pytest.raises(WrongLabelError, match="three numbers"):
        directions_of(image(3, 4, 5, 6))


@pytest.mark.parametrize(
    "encoding",
    [
        Encoding(),
        Encoding(values=(0, 255, 7), missing=(9,)),
        Encoding(values=(0, 255, 300)),
        Encoding(values=("#000000", "#ff8000", "#808080"), missing=("#ffffff",)),
    ],
)
def test_what_is_written_is_read_again(encoding: Encoding) -> None:
    task = Task("a", "segmentation", 3)
    classes = np.array([[0, 1, 2, -1]])
    written = task.rules.to_pixels(task, classes, encoding)
    assert written.shape[:2] == (1, 4)
    pixels = written if written.ndim == 3 else written[..., None]
    known = pixels[:, :3]
    np.testing.assert_array_equal(task.rules.from_pixels(task, known, encoding), [[0, 1, 2]])
    if encoding.missing or not encoding.values:
        np.testing.assert_array_equal(
            task.rules.from_pixels(task, pixels, encoding), [[0, 1, 2, NAN]]
        )
    else:
        with pytest.raises(WrongLabelError):
            task.rules.from_pixels(task, pixels, encoding)


def test_directions_and_numbers_are_read_again() -> None:
    faces, depth = Task("n", "normals", 3), Task("d", "dense-regression")
    labels = np.array([[0.6, NAN], [0.0, NAN], [0.8, NAN]])[:, None]
    written = faces.rules.to_pixels(faces, labels, Encoding())
    again = faces.rules.from_pixels(faces, written, Encoding())
    np.testing.assert_allclose(again, labels, atol=0.005)
    far = np.array([[1.25, NAN]])
    written = depth.rules.to_pixels(depth, far, Encoding(factor=0.001))
    assert written.dtype == np.float32
    np.testing.assert_array_equal(written, far)


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"values": ["red"]}, "colours such as"),
        ({"values": [0.5]}, "`values`, whole numbers or colours"),
        ({"values": [True]}, "`values`"),
        ({"values": [1, 1]}, "may stand once"),
        ({"values": [1], "missing": 1}, "may stand once"),
        ({"values": [1, "#000000"]}, "all numbers or all colours"),
        ({"missing": [[1]]}, "`missing`, numbers or colours"),
        ({"factor": 0}, "`factor`"),
        ({"factor": math.inf}, "`factor`"),
        ({"factor": "mm"}, "`factor`"),
    ],
)
def test_impossible_encodings(entry: dict[str, object], text: str) -> None:
    with pytest.raises(WrongLabelError, match=text):
        encoding_of(entry)
