"""Grey values of more than eight bits: what becomes of them, what would be lost, and who is told."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sfg_nas.data import DataBundle, Preparation, decode_batches, load_data
from sfg_nas.data.grey import (
    Reach,
    advice,
    all_together,
    reach_of,
    shown_window,
    to_bytes,
    usual_window,
)
from sfg_nas.errors import ConfigError
from sfg_nas.study import draft_study

COUNT = 40


def reach_in(path: Path) -> Reach | None:
    with Image.open(path) as file:
        return reach_of(file)


def wide(values: object, kind: str = "uint16") -> Image.Image:
    return Image.fromarray(np.asarray(values, dtype=kind))


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with images of twelve bits, one of them broken, and their table."""
    place = tmp_path_factory.mktemp("scans")
    rng = np.random.default_rng(0)
    lines = ["file,x"]
    for number in range(COUNT):
        pixels = rng.integers(0, 4000, (20, 20))
        pixels[0, 0] = 4095
        wide(pixels).save(place / f"{number}.png")
        lines.append(f"{number}.png,{number}")
    (place / "7.png").write_bytes((place / "7.png").read_bytes()[:200])
    (place / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    return place


def load(place: Path, **options: object) -> DataBundle:
    tasks = {"x": {"kind": "regression"}}
    given = {"size": 20, "colour": "grey", "tasks": tasks, "table": "t.csv"} | options
    return load_data("table", beside=place, cache=place / "cache", **given)  # type: ignore[arg-type]


def test_without_a_window_all_sixteen_bits_count() -> None:
    assert np.asarray(to_bytes(wide([[0, 128, 129, 65535]]))).tolist() == [[0, 0, 1, 255]]


def test_fractions_go_to_one_or_to_255() -> None:
    assert np.asarray(to_bytes(wide([[0, 0.5, 1]], "float32"))).tolist() == [[0, 128, 255]]
    assert np.asarray(to_bytes(wide([[-3, 0.5, 300]], "float32"))).tolist() == [[0, 0, 255]]


@pytest.mark.parametrize("kind", ["uint16", "int32", "float32"])
def test_a_window_says_what_is_black_and_white(kind: str) -> None:
    found = to_bytes(wide([[0, 1000, 1051, 2530, 3550, 5000]], kind), (1000, 3550))
    assert np.asarray(found).tolist() == [[0, 0, 5, 153, 255, 255]]


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        to_bytes(wide([[0, np.nan]], "float32"), (0, 1))


@pytest.mark.parametrize(
    ("images", "kind", "text"),
    [
        ([[0, 65535], [0, 3]], "uint16", ""),
        ([[0, 0], [0, 0]], "uint16", ""),
        ([[-5, -5], [-5, -5]], "float32", ""),
        ([[7, 4090], [0, 3]], "uint16", "0 to 4090, of which 256 grey levels keep 17; `window: [0, 4095]`"),
        ([[-1024, 3071], [0, 3]], "int32", "those outside 0 to 65535 are cut off; `window: [-1024, 4095]`"),
        ([[0, 1], [0, 0.5]], "float32", ""),
        ([[0, 90], [0, 255]], "float32", ""),
        ([[0, 90], [0, 0.5]], "float32", "some images only up to 0.5: those are taken as 0 to 1"),
        ([[-1000, 1400], [0, 3]], "float32", "outside 0 to 255 are cut off; `window: [-1000, 1400]`"),
    ],
)  # fmt: skip
def test_what_would_be_lost_is_said(
    images: list[list[float]], kind: str, text: str, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number}.tif" for number in range(len(images))]
    for path, values in zip(paths, images, strict=True):
        wide([values, values], kind).save(path)
    reaches = all_together(map(reach_in, paths))
    assert [(own.images, own.floating) for own in reaches] == [(2, kind == "float32")]
    said = advice(reaches, None)
    assert (len(said), text in "".join(said)) == (bool(text), True), said
    assert (usual_window(paths) is None) == (not text)
    assert advice(reaches, (0, 1)) == []


def test_whole_numbers_and_fractions_are_told_apart(tmp_path: Path) -> None:
    wide([[5, 9]]).save(tmp_path / "a.tif")
    wide([[0.5, -9]], "float32").save(tmp_path / "b.tif")
    Image.new("L", (2, 1)).save(tmp_path / "c.tif")
    reaches = all_together(reach_in(tmp_path / f"{name}.tif") for name in "abc")
    assert [shown_window(own) for own in reaches] == ["[0, 15]", "[-9, 0.5]"]
    assert len(advice(reaches, None)) == 2


def test_twelve_bits_in_a_table(scans: Path) -> None:
    dull, full = load(scans), load(scans, window=[0, 4095])
    said = "\n".join(dull.warnings)
    assert "t.csv: 39 images hold whole numbers from 0 to 4095" in said
    assert "`window: [0, 4095]` keeps all" in said
    assert len(np.unique(dull.train.images)) == 17  # type: ignore[union-attr]
    assert len(np.unique(full.train.images)) > 200  # type: ignore[union-attr]
    assert "whole numbers" not in "\n".join(full.warnings)
    assert dull.fingerprint != full.fingerprint
    assert load(scans).warnings == dull.warnings  # from the cache


def test_unseen_images_get_the_window_of_training(scans: Path, tmp_path: Path) -> None:
    data = load(scans, window=[0, 4095])
    path = tmp_path / "prediction.json"
    path.write_text(json.dumps(Preparation.of(data).to_json()), encoding="utf-8")
    kept = Preparation.load(path)
    paths = [scans / f"{number}.png" for number in range(3)]
    (found,) = decode_batches(paths, kept.shape, kept.window)
    names = sorted(f"{number}.png" for number in range(COUNT))
    rows = [names.index(path.name) for path in paths]
    np.testing.assert_array_equal(found.images, data.train.images[rows])  # type: ignore[union-attr]


def test_a_window_for_eight_bits_is_no_secret(tmp_path: Path) -> None:
    for number in range(9):
        Image.fromarray(np.full((9, 9), 28 * number, dtype=np.uint8)).save(
            tmp_path / f"{number}.png"
        )
    lines = ["file,x", *(f"{number}.png,{number}" for number in range(9))]
    (tmp_path / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    assert "`window` changes nothing" in "\n".join(load(tmp_path, size=8, window=[0, 9]).warnings)


@pytest.mark.parametrize("window", [[5, 5], [1], "0-4095", [0, True], [0, float("nan")], 4095])
def test_wrong_windows(scans: Path, window: object) -> None:
    with pytest.raises(ConfigError, match=r"data\.window.*low below high"):
        load(scans, window=window)


def deep_png(path: Path, pixels: NDArray[np.int64]) -> None:
    """Write `[H, W, C]` as sixteen bits per channel, which Pillow cannot."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with path.open("ab") as file:
        for name, content in ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
            file.write(struct.pack(">I", len(content)) + name + content)
            file.write(struct.pack(">I", zlib.crc32(name + content)))


@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("window", [None, [0, 4095]])
def test_twelve_bits_in_colour_are_nearly_black_and_said(
    tmp_path: Path, channels: int, window: list[int] | None
) -> None:
    rng = np.random.default_rng(0)
    for number in range(9):
        pixels = rng.integers(0, 4000, (9, 9, channels))
        pixels[0, 0] = 4095
        deep_png(tmp_path / f"{number}.png", pixels)
    Image.new("RGB", (9, 9)).save(tmp_path / "9.png")
    lines = ["file,x", *(f"{number}.png,{number}" for number in range(10))]
    (tmp_path / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    given = {"size": 9, "colour": "rgb"} | ({} if window is None else {"window": window})
    for _ in range(2):  # the second time from the cache
        said = "\n".join(load(tmp_path, **given).warnings)
        assert "9 images of several channels hold whole numbers from about 0 to about 3855" in said
        assert "256 levels keep 16; write them with eight bits per channel first" in said
        assert ("`window` changes nothing" in said) == (window is not None)
    assert usual_window(sorted(tmp_path.glob("*.png"))) is None


def test_all_sixteen_bits_in_colour_are_no_matter(tmp_path: Path) -> None:
    deep_png(tmp_path / "a.png", np.arange(0, 60000, 1000).reshape(5, 4, 3))
    reach = reach_in(tmp_path / "a.png")
    assert reach is not None
    assert (reach.colour, reach.lost(), advice([reach], None)) == (True, "", [])


def test_a_first_study_has_the_window(scans: Path) -> None:
    draft = draft_study(scans / "t.csv", scans, schema="s.json")
    assert "  window: [0, 4095]  # grey values that become black and white: " in draft.text
    assert any("window: [0, 4095], because" in said for said in draft.said)
