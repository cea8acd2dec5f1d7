"""Scripts beside the package, which nothing can import by name."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent


def load_script(path: str) -> ModuleType:
    """Return a script as a module.

    Args:
        path: From the repository's root, such as `benchmarks/starts.py`.
    """
    spec = spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.path.insert(
        0, str((ROOT / path).parent)
    )  # as Python does: scripts import those beside them
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module
