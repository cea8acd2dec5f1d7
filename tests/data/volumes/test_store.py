"""Prepared subjects are kept by content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sfg_nas.data.volumes import store
from sfg_nas.data.volumes.store import stored_subject
from sfg_nas.data.volumes.subjects import find_subjects
from sfg_nas.errors import DataError

PATTERNS = {name: "{subject}/" + f"{name}.nii.gz" for name in ("mr", "ct", "labels")}
SPACING = (8.0, 8.0, 12.0)


def test_prepared_once_and_again_when_a_file_changes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = find_subjects(root / "volumes", PATTERNS)
    first = stored_subject(files[0], SPACING, tmp_path)
    with monkeypatch.context() as patched:
        patched.delattr(store, "prepare_subject")  # a second preparation would fail
        again = stored_subject(files[0], SPACING, tmp_path)
    assert again.key == first.key
    for name in ("mr", "body", "ct", "labels"):
        one, other = getattr(first, name), getattr(again, name)
        assert isinstance(other, np.memmap)
        assert np.array_equal(one, other)
    assert stored_subject(files[0], (8, 8, 6), tmp_path).mr.shape != first.mr.shape
    files[0].mr.write_bytes(files[1].mr.read_bytes())
    files[0].ct.write_bytes(files[1].ct.read_bytes())  # type: ignore[union-attr]
    files[0].labels.unlink()  # type: ignore[union-attr]
    with pytest.raises(DataError, match="no such file"):
        stored_subject(files[0], SPACING, tmp_path)
    changed = stored_subject(find_subjects(root / "volumes", PATTERNS)[0], SPACING, tmp_path)
    assert changed.key != first.key
    assert changed.labels is None


def test_a_damaged_cache_is_made_anew(root: Path, tmp_path: Path) -> None:
    files = find_subjects(root / "volumes", PATTERNS)[0]
    first = np.array(stored_subject(files, SPACING, tmp_path).mr)
    (broken,) = tmp_path.glob("volumes-*/mr.npy")
    broken.write_bytes(b"nothing")
    assert np.array_equal(stored_subject(files, SPACING, tmp_path).mr, first)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="prepared volumes are kept"):
        stored_subject(files, SPACING, tmp_path / "file")
