"""Runs exported networks in a process in which this package cannot be imported.

Called as `python alone.py FOLDER...`; prints one JSON line: folder and file to the greatest
difference from the outputs that the folder's `expected.safetensors` holds, over all tasks.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path


class Refuse:
    """An import hook that knows one package and refuses it."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        del path, target
        if name.partition(".")[0] == "sfg_nas":
            raise ModuleNotFoundError(name)


sys.meta_path.insert(0, Refuse())  # type: ignore[arg-type]

import torch  # noqa: E402
from safetensors.torch import load_file  # noqa: E402


def main() -> None:
    """Run every network of every folder."""
    torch.set_num_threads(1)
    found: dict[str, dict[str, float]] = {}
    for folder in map(Path, sys.argv[1:]):
        stored = load_file(folder / "expected.safetensors")
        images = stored.pop("image")
        found[str(folder)] = {
            path.name: run(path, images, stored)
            for path in sorted(folder.iterdir())
            if path.suffix in {".py", ".pt2", ".onnx"}
        }
    assert not [name for name in sys.modules if name.partition(".")[0] == "sfg_nas"]
    print(json.dumps(found))  # noqa: T201


def run(path: Path, images: torch.Tensor, expected: dict[str, torch.Tensor]) -> float:
    """Return the greatest difference over batches of two sizes and all tasks of a file."""
    differences = []
    for rows in (slice(None), slice(0, 1)):
        for task, value in outputs(path, images[rows]).items():
            assert value.shape == expected[task][rows].shape, (path, task, value.shape)
            differences.append(float((value - expected[task][rows]).abs().max()))
    return max(differences)


def outputs(path: Path, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return what the network in a file gives."""
    with torch.no_grad():
        if path.suffix == ".py":
            spec = importlib.util.spec_from_file_location("exported", path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return dict(module.load()(images))
        if path.suffix == ".pt2":
            return dict(torch.export.load(path).module()(images))
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]
    values = session.run(names, {image.name: images.numpy()})
    return {name: torch.from_numpy(value) for name, value in zip(names, values, strict=True)}


if __name__ == "__main__":
    main()
