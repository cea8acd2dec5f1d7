from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfg_nas.data.cache import decoded_photos
from sfg_nas.data.unseen import decode_batches, decode_photo, find_photos, shown
from sfg_nas.errors import ConfigError, DataError

SHAPE = (3, 8, 8)


def picture(height: int = 10, width: int = 14, channels: int = 3) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, values: np.ndarray) -> Path:
    Image.fromarray(values).save(path)
    return path


def test_photos_are_made_as_those_of_training(tmp_path: Path) -> None:
    image = Image.fromarray(picture())
    turned = Image.Exif()
    turned[0x0112] = 6
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "b.jpg", exif=turned)
    image.convert("RGBA").save(tmp_path / "c.png")
    image.convert("P").save(tmp_path / "d.gif")
    paths = sorted(tmp_path.iterdir())
    wanted = decoded_photos(paths, size=8, cache=tmp_path / "cache").images
    for path, row in zip(paths, wanted, strict=True):
        np.testing.assert_array_equal(decode_photo(path, SHAPE)[0], row)
    assert not np.array_equal(wanted[0], wanted[1])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_are_brought_to_eight(tmp_path: Path, channels: int) -> None:
    grey = picture(8, 8, 1)
    narrow = decode_photo(save(tmp_path / "8.png", grey), (channels, 8, 8))[0]
    for name, values in (
        ("16.png", grey.astype(np.uint16) * 257),
        ("16.tif", grey.astype(np.uint16) * 257),
        ("32.tif", grey.astype(np.int32) * 257),
        ("unit.tif", grey.astype(np.float32) / 255),
        ("wide.tif", grey.astype(np.float32)),
    ):
        found = decode_photo(save(tmp_path / name, values), (channels, 8, 8))[0]
        np.testing.assert_array_equal(found, narrow, err_msg=name)
    np.testing.assert_array_equal(narrow[0], grey)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    good = save(tmp_path / "good.png", picture())
    cut = tmp_path / "cut.png"
    cut.write_bytes(good.read_bytes()[:200])
    text = tmp_path / "text.jpg"
    text.write_text("no image")
    holes = save(tmp_path / "holes.tif", np.full((4, 4), np.nan, dtype=np.float32))
    missing = tmp_path / "missing.png"
    paths = [cut, good, text, holes, missing, tmp_path, good]
    batches = list(decode_batches(paths, SHAPE, batch_size=4))
    assert [list(batch.places) for batch in batches] == [[1], [6]]
    assert [path for batch in batches for path, _ in batch.failed] == [
        cut, text, holes, missing, tmp_path,
    ]  # fmt: skip
    assert all(reason for batch in batches for _, reason in batch.failed)
    np.testing.assert_array_equal(batches[0].images[0], batches[1].images[0])


def test_files_folders_and_tables(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.png", "a.png", "deep/c.png", ".hidden.png"):
        (tmp_path / name).touch()
    inside = [tmp_path / name for name in ("a.png", "b.png", "deep/c.png")]
    assert find_photos([tmp_path, tmp_path / "x.png"]) == [*inside, tmp_path / "x.png"]
    table = tmp_path / "list.csv"
    table.write_text("\ufeffimage,age\ndeep/c.png,3\n/abs.png\n", encoding="utf-8")
    assert find_photos([table]) == [tmp_path / "deep/c.png", Path("/abs.png")]


def test_tables_name_photos_as_training_tables_do(tmp_path: Path) -> None:
    """The column of training goes before the usual ones, backslashes are slashes, and a row may name nothing."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/c.png").touch()
    table = tmp_path / "list.csv"
    table.write_text("file,Bild\ndisc,deep\\c.png\nsquare,\n")
    wanted = [tmp_path / "deep/c.png", Path(f"{table}: line 3")]
    assert find_photos([table], ("Bild",)) == wanted
    assert find_photos([table], ("gone",)) == [tmp_path / "disc", tmp_path / "square"]


@pytest.mark.parametrize("content", [b"", b"file\n", b"name,age\nx,1\n", b"\xff\xfe\x00"])
def test_tables_that_name_no_photo(tmp_path: Path, content: bytes) -> None:
    table = tmp_path / "list.csv"
    table.write_bytes(content)
    with pytest.raises(DataError, match=r"list\.csv"):
        find_photos([table])


def test_photos_have_one_three_or_four_channels() -> None:
    for shape in ((2, 8, 8), (1, 8, 8, 8)):
        with pytest.raises(ConfigError, match="photos"):
            list(decode_batches([Path("x")], shape))


def test_names_of_any_bytes_can_be_shown() -> None:
    assert shown(Path("a\udcff.png")) == "a\\xff.png"
