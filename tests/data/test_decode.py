"""One photo from a file: what holds several is refused, unless they are views of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfg_nas.data.decode import (
    SeveralPicturesError,
    decode_photo,
    open_photo,
    reason_of,
    upright_size,
)
from sfg_nas.data.label_images import WrongLabelError, open_label

PICTURES = [Image.fromarray(np.full((8, 8), value, np.uint8)) for value in (40, 90, 200)]


@pytest.mark.parametrize("name", ["a.tif", "a.gif", "a.png", "a.webp"])
def test_several_pages_or_frames_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    PICTURES[0].save(path, save_all=True, append_images=PICTURES[1:])
    with pytest.raises(SeveralPicturesError, match="3 pictures in one") as caught:
        decode_photo(path, (1, 8, 8))
    assert reason_of(caught.value).endswith("save them apart")
    with pytest.raises(WrongLabelError) as wrong:
        open_label(path)
    assert "3 pictures in one" in wrong.value.found


def test_smaller_copies_and_views_of_one_are_no_pictures_of_their_own(tmp_path: Path) -> None:
    small = PICTURES[1].resize((4, 4))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    for name in ("pyramid.tif", "camera.mpo"):
        path = tmp_path / name
        PICTURES[0].save(path, save_all=True, append_images=[small])
        with Image.open(path) as file:
            assert file.n_frames == 2
        assert abs(int(decode_photo(path, (1, 8, 8))[0].mean()) - 40) < 3
        assert open_label(path).shape == (8, 8, 1)


@pytest.mark.parametrize("ending", [".png", ".tif"])
@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
def test_turned_photos_of_all_kinds(tmp_path: Path, mode: str, ending: str) -> None:
    grey = np.add.outer(6 * np.arange(20), 4 * np.arange(30)).astype(np.uint8)
    kinds = {"L": grey, "RGB": np.stack([grey] * 3, axis=2), "I;16": grey.astype(np.uint16) * 257}
    path = tmp_path / f"turned{ending}"
    for orientation, quarters in ((1, 0), (3, 2), (6, -1), (8, 1)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(kinds[mode]).save(path, exif=exif)
        expected = np.rot90(grey, quarters)
        assert upright_size(path) == expected.shape[::-1]
        assert np.array_equal(np.asarray(open_photo(path, 1)[0]), expected)
        labels = np.rot90(kinds[mode], quarters).reshape(*expected.shape, -1)
        assert np.array_equal(open_label(path), labels)
