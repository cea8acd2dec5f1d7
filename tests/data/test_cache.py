"""The cache: what it holds, when it is used, and that it is never half written."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sfg_nas.data import cache as module
from sfg_nas.data.cache import decoded_photos
from sfg_nas.errors import DataError


@pytest.fixture
def paths(tmp_path: Path, photo: Callable[..., NDArray[np.uint8]]) -> list[Path]:
    """Write six photos without loss; the last is a copy of the first."""
    found = [tmp_path / f"{name}.png" for name in "abcdef"]
    for number, path in enumerate(found):
        Image.fromarray(photo(number % 5)).save(path)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "below"


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every decoding fail the test."""

    def decode(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(module, "_decode_all", decode)


def test_pixels_groups_and_progress(
    paths: list[Path], folder: Path, photo: Callable[..., NDArray[np.uint8]]
) -> None:
    calls: list[tuple[int, int]] = []
    found = decoded_photos(
        paths, size=32, cache=folder, progress=lambda done, of: calls.append((done, of))
    )
    assert isinstance(found.images, np.memmap)
    assert not found.images.flags.writeable
    for row in range(6):
        np.testing.assert_array_equal(found.images[row], photo(row % 5).transpose(2, 0, 1))
    assert found.groups.tolist() == [0, 1, 2, 3, 4, 0]
    assert found.failed == {}
    assert calls == [(done, 6) for done in range(1, 7)]


def test_the_second_time_nothing_is_decoded(
    paths: list[Path], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = decoded_photos(paths, size=16, cache=folder)
    forbid(monkeypatch)
    second = decoded_photos(paths, size=16, cache=folder)
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.groups, second.groups)
    with pytest.raises(AssertionError, match="decoded again"):
        decoded_photos(paths, size=24, cache=folder)


def test_a_moved_source_is_known_a_changed_one_is_not(
    paths: list[Path], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded_photos(paths, size=16, cache=folder)
    moved = [tmp_path / "moved" / path.name for path in paths]
    moved[0].parent.mkdir()
    for path, target in zip(paths, moved, strict=True):
        shutil.copy(path, target)
    content = bytearray(moved[2].read_bytes())
    content[-1] ^= 1  # the same name, size and length, one bit of the content
    forbid(monkeypatch)
    decoded_photos(moved, size=16, cache=folder)
    moved[2].write_bytes(content)
    with pytest.raises(AssertionError, match="decoded again"):
        decoded_photos(moved, size=16, cache=folder)


def test_photos_that_cannot_be_decoded_are_named(paths: list[Path], folder: Path) -> None:
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[: len(whole) // 2])
    paths[3].write_bytes(b"")
    paths[4].unlink()
    found = decoded_photos(paths, size=16, cache=folder)
    assert sorted(found.failed) == ["b.png", "d.png", "e.png"]
    assert all(reason for reason in found.failed.values())
    assert (found.images[[1, 3, 4]] == 0).all()
    assert (found.images[[0, 2, 5]] != 0).any(axis=(1, 2, 3)).all()
    again = decoded_photos(paths, size=16, cache=folder)
    assert again.failed == found.failed


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_other_colour_modes_and_shapes_become_rgb_squares(
    folder: Path, tmp_path: Path, mode: str
) -> None:
    path = tmp_path / ("photo.jpg" if mode == "CMYK" else "photo.png")
    Image.new("RGB", (40, 20), (200, 10, 30)).convert(mode).save(path)
    found = decoded_photos([path], size=8, cache=folder)
    assert found.failed == {}
    assert found.images.shape == (1, 3, 8, 8)
    red, green, blue = found.images[0].mean((1, 2))
    assert (red > green + 100) == (mode != "L")
    assert (abs(green - blue) < 60) is np.True_


def test_an_interrupted_decoding_leaves_nothing_and_can_be_repeated(
    paths: list[Path], folder: Path
) -> None:
    def interrupt(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decoded_photos(paths, size=16, cache=folder, progress=interrupt)
    assert list(folder.glob("*/")) == []
    assert len(decoded_photos(paths, size=16, cache=folder).images) == 6


@pytest.mark.parametrize("file", ["images.npy", "groups.npy", "source.json"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_cache_is_made_anew(
    paths: list[Path], folder: Path, file: str, damage: str
) -> None:
    first = np.array(decoded_photos(paths, size=16, cache=folder).images)
    (stored,) = folder.glob("*/")
    if damage == "gone":
        (stored / file).unlink()
    else:
        content = (stored / file).read_bytes()
        (stored / file).write_bytes(content[: len(content) - 20])
    found = decoded_photos(paths, size=16, cache=folder)
    np.testing.assert_array_equal(found.images, first)
    assert [path.name for path in folder.glob("*/")] == [stored.name]


def test_another_process_may_be_faster(paths: list[Path], folder: Path, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    decoded_photos(paths, size=16, cache=ready)

    def overtake(done: int, _: int) -> None:
        if done == 6:
            (stored,) = ready.glob("*/")
            shutil.copytree(stored, folder / stored.name)

    found = decoded_photos(paths, size=16, cache=folder, progress=overtake)
    assert len(found.images) == 6
    assert len(list(folder.glob("*/"))) == 1


def test_a_cache_that_cannot_be_written_is_named(paths: list[Path], tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(DataError, match=r"file.*: decoded photos are kept .*; found .*; free"):
        decoded_photos(paths, size=16, cache=blocked)


@pytest.mark.parametrize("failure", [MemoryError(), OSError(errno.EMFILE, "too many open files")])
def test_what_the_machine_fails_to_read_is_not_kept_as_a_broken_file(
    paths: list[Path], folder: Path, failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as context:
        context.setattr(module, "open_photo", Mock(side_effect=failure))
        with pytest.raises(DataError, match=r"[a-f]\.png: the machine must be able to read"):
            decoded_photos(paths, size=32, cache=folder)
    assert decoded_photos(paths, size=32, cache=folder).failed == {}
