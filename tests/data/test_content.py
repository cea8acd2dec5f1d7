"""The key of files: what it covers, and when a file is not read again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sfg_nas.data import content
from sfg_nas.data.content import content_key


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    found = [tmp_path / "source" / name for name in "abc"]
    found[0].parent.mkdir()
    for path in found:
        path.write_text(f"this is {path.name}")
    return found


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder for digests; files count as settled although they are new."""
    monkeypatch.setattr(content, "_UNSETTLED_NS", -(10**12))
    return tmp_path / "memory"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that fills with the names of the files that are read."""
    names: list[str] = []
    digest = content._digest

    def spy(path: Path) -> str:
        names.append(path.name)
        return digest(path)

    monkeypatch.setattr(content, "_digest", spy)
    return names


def test_the_key_covers_names_content_and_settings_not_order_or_folder(paths: list[Path]) -> None:
    key = content_key(paths, "s")
    assert content_key(paths[::-1], "s") == key
    assert content_key(paths, "t") != key
    assert content_key(paths[:-1], "s") != key
    moved = paths[0].parent.rename(paths[0].parent.with_name("moved"))
    paths = [moved / path.name for path in paths]
    assert content_key(paths, "s") == key
    renamed = paths[0].rename(paths[0].with_name("z"))
    assert content_key([renamed, *paths[1:]], "s") != key


def test_a_known_file_is_not_read_again(paths: list[Path], memory: Path, read: list[str]) -> None:
    key = content_key(paths, "s", memory=memory)
    assert sorted(read) == ["a", "b", "c"]
    assert content_key(paths, "s", memory=memory) == key
    assert content_key(paths, "t", memory=memory) != key
    assert len(read) == 3


def test_a_changed_file_is_read_again_even_with_its_old_size_and_time(
    paths: list[Path], memory: Path, read: list[str]
) -> None:
    key = content_key(paths, "s", memory=memory)
    before = paths[1].stat()
    paths[1].write_text("THIS is b")
    os.utime(paths[1], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert paths[1].stat().st_size == before.st_size
    assert content_key(paths, "s", memory=memory) != key
    assert read[3:] == ["b"]


def test_a_name_that_means_another_file_of_the_same_size_and_time_is_read(
    paths: list[Path], memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Clocks of many file systems tick every few milliseconds only.
    monkeypatch.setattr(content, "_stamp", lambda _path: (9, 1, 1))
    keys = [
        content_key(order, "s", names=["0", "1", "2"], memory=where)
        for order in (paths, paths[::-1])
        for where in (memory, None)
    ]
    assert keys[0] == keys[1] != keys[2] == keys[3]


def test_a_file_that_was_just_written_is_not_trusted(
    paths: list[Path], tmp_path: Path, read: list[str]
) -> None:
    for _ in range(2):
        content_key(paths, "s", memory=tmp_path / "memory")
    assert len(read) == 6


def test_a_damaged_memory_costs_time_only(paths: list[Path], memory: Path, read: list[str]) -> None:
    key = content_key(paths, "s", memory=memory)
    (file,) = memory.iterdir()
    for damage in ('{"a": [1, 2]}', "[]", "{", '{"a": 3}'):
        file.write_text(damage)
        assert content_key(paths, "s", memory=memory) == key
    assert len(read) == 15
    blocked = paths[0]
    assert content_key(paths, "s", memory=blocked) == key


def test_a_file_that_cannot_be_read_has_a_key_of_its_own(paths: list[Path]) -> None:
    key = content_key(paths, "s")
    paths[2].unlink()
    lost = content_key(paths, "s")
    assert lost != key
    assert content_key(paths, "s") == lost


def test_a_file_that_could_not_be_read_is_read_again(
    paths: list[Path], memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = content_key(paths, "s")
    with monkeypatch.context() as context:
        context.setattr(Path, "read_bytes", lambda _: os.open("", os.O_RDONLY))
        assert content_key(paths, "s", memory=memory) != key
    assert content_key(paths, "s", memory=memory) == key
