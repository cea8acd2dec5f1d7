"""One photo from a file: what holds several is refused, unless they are views of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfg_nas.data.decode import SeveralPicturesError, decode_photo, reason_of
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
