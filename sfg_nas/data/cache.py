"""Photos decoded and resized once, kept as a memory-mapped array."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageOps

from sfg_nas.data.content import content_key, workers
from sfg_nas.data.decode import check_machine, fit_photo, open_photo, reason_of
from sfg_nas.data.duplicates import SIMILARITY, THUMBNAIL, near_duplicates
from sfg_nas.data.grey import Reach, Window, all_together
from sfg_nas.data.location import Progress
from sfg_nas.errors import DataError, explain

T = TypeVar("T")

_FORMAT = 1
"""Raised when the same photos would be stored in another way."""


@dataclass(frozen=True, eq=False)
class DecodedPhotos:
    """Photos as stored in the cache, one row per file.

    Attributes:
        images: `[N, C, H, W]`, memory-mapped; zeros where a file could not be decoded.
        groups: `[N]`: near-duplicates have the same number.
        failed: Why a file could not be decoded, by its name.
        key: SHA-256 of the names, the sizes and all bytes of the files, and of the settings.
        wide: How far values of more than eight bits go: whole numbers, fractions, of several channels, or none.
    """

    images: NDArray[np.uint8]
    groups: NDArray[np.int64]
    failed: Mapping[str, str]
    key: str
    wide: tuple[Reach, ...] = ()


def decoded_photos(
    paths: Sequence[Path],
    *,
    size: int | Sequence[int],
    cache: Path,
    progress: Progress | None = None,
    channels: int = 3,
    names: Sequence[str] | None = None,
    window: Window | None = None,
) -> DecodedPhotos:
    """Return the photos in one size, from the cache or, the first time, decoded into it.

    A photo of another shape is cut to its middle. The key is that of the content of the source, so
    a copy of the source finds the same cache and a changed photo is never served from an old one.

    Args:
        paths: The files.
        size: Side of squares in pixels, or height and width.
        cache: The folder of all caches; it is made if need be.
        progress: Called with (photos done, photos in all) while photos are decoded.
        channels: 3 for colour, 1 for grey.
        names: One for each file, all different and in order; None for the names without folders.
        window: See `to_bytes`, for grey values of more than eight bits.

    Raises:
        DataError: If the cache cannot be written, or the machine fails to read a file.
    """
    height, width = (size, size) if isinstance(size, int) else size
    shown = height if height == width else f"{height}x{width}"
    settings = f"format {_FORMAT} size {shown} similarity {SIMILARITY}"
    settings += "" if channels == 3 else f" channels {channels}"
    settings += "" if window is None else f" window {window[0]!r} {window[1]!r}"
    shape = (len(paths), channels, height, width)
    named = dict(zip(names or [path.name for path in paths], paths, strict=True))
    key = content_key(paths, settings, names=list(named), memory=cache)
    return kept(
        cache / key[:32],
        lambda folder: _read(folder, shape, key),
        lambda folder: _fill(folder, named, shape, key, window, progress),
        what="decoded photos",
    )


def kept(
    folder: Path, read: Callable[[Path], T | None], fill: Callable[[Path], None], *, what: str
) -> T:
    """Return what a folder of the cache holds, made the first time; other processes never see it half made.

    Args:
        folder: Named by the content.
        read: Gives what a folder holds, None if it is not there, damaged or another's.
        fill: Writes it into an empty folder.
        what: For the message if that fails.

    Raises:
        DataError: If the cache cannot be written.
    """
    found = read(folder)
    if found is not None:
        return found
    try:
        _write(folder, read, fill)
    except OSError as error:
        raise _unusable(folder.parent, what, str(error)) from error
    written = read(folder)
    if written is None:
        raise _unusable(folder.parent, what, f"{folder.name} cannot be read back")
    return written


def _read(folder: Path, shape: tuple[int, ...], key: str) -> DecodedPhotos | None:
    """Return what the folder holds, or None if it is not there, damaged or another's."""
    try:
        notes = json.loads((folder / "source.json").read_text(encoding="utf-8"))
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        groups = np.load(folder / "groups.npy", allow_pickle=False)
        wide = tuple(Reach(**own) for own in notes["wide"])
        failed = {str(name): str(reason) for name, reason in notes["failed"].items()}
    except (OSError, EOFError, ValueError, KeyError, AttributeError, TypeError):
        return None
    if notes["key"] != key or images.shape != shape or groups.shape != shape[:1]:
        return None
    return DecodedPhotos(images, groups, failed, key, wide)


def _write(folder: Path, read: Callable[[Path], object], fill: Callable[[Path], None]) -> None:
    """Fill a folder of another name that takes its own when it is complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
    try:
        fill(partial)
        if folder.exists() and read(folder) is None:
            shutil.rmtree(folder)
        # Another process may have been faster; its cache is as good as this one.
        with contextlib.suppress(FileExistsError):
            _rename(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _fill(
    folder: Path,
    files: Mapping[str, Path],
    shape: tuple[int, ...],
    key: str,
    window: Window | None,
    progress: Progress | None,
) -> None:
    images = np.lib.format.open_memmap(
        folder / "images.npy", mode="w+", dtype=np.uint8, shape=shape
    )
    groups, failed, wide = _decode_all(files, images, window, progress)
    images.flush()
    np.save(folder / "groups.npy", groups)
    notes = {
        "key": key,
        "size": list(shape[2:]),
        "pillow": PIL.__version__,
        "failed": failed,
        "wide": [asdict(own) for own in wide],
    }
    (folder / "source.json").write_text(json.dumps(notes, indent=1), encoding="utf-8")


def _rename(partial: Path, folder: Path) -> None:
    try:
        partial.rename(folder)
    except OSError as error:
        if folder.is_dir():
            raise FileExistsError(folder) from error
        raise


def _decode_all(
    files: Mapping[str, Path],
    images: NDArray[np.uint8],
    window: Window | None,
    progress: Progress | None,
) -> tuple[NDArray[np.int64], dict[str, str], tuple[Reach, ...]]:
    """Return the groups of near-duplicates, why files could not be decoded, and how far wide values go."""
    names, paths = list(files), list(files.values())
    thumbnails = np.zeros((len(paths), THUMBNAIL, THUMBNAIL), dtype=np.uint8)
    wide: list[Reach | None] = [None] * len(paths)

    def decode(row: int) -> str | None:
        try:
            images[row], thumbnails[row], wide[row] = _decode(paths[row], images.shape[1:], window)
        except Exception as error:  # noqa: BLE001  (Pillow's decoders raise many kinds)
            check_machine(error, paths[row])
            return reason_of(error)
        return None

    failed: dict[str, str] = {}
    pool = ThreadPoolExecutor(workers())
    try:
        for row, reason in enumerate(pool.map(decode, range(len(paths)))):
            if reason is not None:
                failed[names[row]] = reason
            if progress is not None:
                progress(row + 1, len(paths))
    finally:
        pool.shutdown(cancel_futures=True)
    return near_duplicates(thumbnails), failed, all_together(wide)


def _decode(
    path: Path, shape: tuple[int, ...], window: Window | None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], Reach | None]:
    """Return one photo, `[C, H, W]`, its grey thumbnail, and how far its values go."""
    image, reach = open_photo(path, shape[0], window)
    # From the full photo, so that groups do not depend on the size chosen.
    grey = ImageOps.fit(image.convert("L"), (THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return fit_photo(image, shape[1:]), np.asarray(grey), reach


def _unusable(cache: Path, what: str, found: str) -> DataError:
    return DataError(
        explain(
            where=str(cache),
            rule=f"{what} are kept in this folder",
            found=found,
            do="free some space or choose a folder that can be written",
        )
    )
