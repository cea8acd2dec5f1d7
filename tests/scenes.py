"""Small made photos with label images beside them: a ball that lies left or right before a wall."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 24, 32
HEADER = "file,ball,depth,faces,parts,side"


def write_scenes(folder: Path, count: int) -> Path:
    """Write photos, masks (0 and 255, none of every seventh), depths in mm, normals and coloured parts, and their table."""
    rng = np.random.default_rng(0)
    for name in ("photos", "labels"):
        (folder / name).mkdir(parents=True)
    down, right = np.mgrid[:HEIGHT, :WIDTH]
    lines = [HEADER]
    for number in range(count):
        radius, middle = int(rng.integers(5, 9)), int(rng.integers(9, 23))
        across, along = (right - middle) / radius, (down - 12) / radius
        high = np.sqrt(np.maximum(1 - across**2 - along**2, 0))
        inside = high > 0
        grey = rng.normal(70, 8, (HEIGHT, WIDTH, 1)) + 150 * high[..., None]
        _save(folder / f"photos/{number}.png", grey.clip(0, 255).repeat(3, 2))
        _save(folder / f"labels/{number}_ball.png", 255 * inside)
        depth = np.where(down == 0, 0, 2000 - radius * 50 * high).astype(np.uint16)
        Image.fromarray(depth).save(folder / f"labels/{number}_depth.png")
        flat = np.where(inside, 0, 1)
        faces = np.stack([across * inside, along * inside, high + flat], axis=-1)
        np.save(folder / f"labels/{number}_faces.npy", faces.astype(np.float32))
        colours = np.where(inside[..., None], [255, 128, 0], [0, 0, 0])
        _save(folder / f"labels/{number}_parts.png", colours)
        mask = f"labels/{number}_ball.png" if number % 7 else ""
        rest = [f"labels/{number}_{name}" for name in ("depth.png", "faces.npy", "parts.png")]
        side = "left" if middle < WIDTH / 2 else "right"
        lines.append(",".join([f"photos/{number}.png", mask, *rest, side]))
    table = folder / "scenes.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table


def _save(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels.astype(np.uint8)).save(path)


TASKS: dict[str, object] = {
    "ball": {"kind": "segmentation", "classes": ["wall", "ball"], "values": [0, 255]},
    "depth": {"kind": "dense-regression", "missing": 0, "factor": 0.001, "unit": "m"},
    "faces": {"kind": "normals"},
    "parts": {"kind": "segmentation", "classes": ["wall", "ball"], "values": ["#000000", "#ff8000"]},
    "side": {"kind": "classification"},
}  # fmt: skip
