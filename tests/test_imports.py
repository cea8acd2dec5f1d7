"""Imports go one way, heavy libraries have homes, modules stay small, tests mirror the package."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import networkx as nx

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "sfg_nas"
MOST_LINES = 300

# A module may import only from stages before its own, and from its own stage without a cycle.
STAGES = (
    "errors", "files", "allocator", "config", "search_space", "tasks", "groups", "allocation", "operations",
    "architecture", "cost", "weights", "data", "backbones", "sharing", "fixed", "baselines", "training",
    "study", "report", "compare", "cli", "__main__",
)  # fmt: skip

# Where each heavy library may be imported.
HOMES = {
    "torch": {
        "operations", "tasks", "cost", "weights", "data", "backbones", "sharing", "fixed", "baselines",
        "training", "study", "compare", "cli",
    },
    "lightning_fabric": {"training"},
    "torchjd": {"training"},
    "tensorboard": {"study"},
    "optuna": {"search_space", "study"},
    "networkx": {"architecture", "cost", "sharing", "fixed", "report"},
    "pandas": {"data", "study", "report", "compare"},
    "matplotlib": {"report"},
    "mpltern": {"report"},
    "jinja2": {"report"},
    "sklearn": {"data", "study", "tasks"},
    "scipy": {"data", "report", "compare", "fixed"},
    "monai": {"data", "training"},
    "nibabel": {"data"},
    "pydantic": {"config", "search_space"},
    "yaml": {"config", "search_space", "study", "cli"},
    "typer": {"cli"},
    "rich": {"cli"},
    "PIL": {"data", "report"},
    "pyarrow": {"data"},
    "safetensors": {"weights"},
    "onnx": {"fixed"},
    "onnxscript": {"fixed"},
    "onnx_ir": {"fixed"},
}  # fmt: skip
HEAVY = sorted(HOMES)
# Tests of what has no module of its own.
CROSS_CUTTING = {
    "test_awkward",
    "test_conftest",
    "test_devices",
    "test_docs",
    "test_imports",
    "test_install",
    "test_notebooks",
    "test_hostile",
    "test_outsider",
    "test_readme",
    "test_services",
    "test_slurm",
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def stage_of(parts: tuple[str, ...]) -> str | None:
    """Return the stage of a dotted path below the package; None if it names none of them."""
    if not parts or parts[0] == "__init__":
        return None
    name = parts[0].removesuffix(".py")
    if name in STAGES:
        return name
    family = [stage for stage in STAGES if name.startswith(f"{stage}_")]
    return max(family, key=len, default=None)


@cache
def imports_of(source: str) -> tuple[tuple[str, ...], ...]:
    """Return every imported dotted path of a source, wherever the statement stands."""
    return tuple(_imports_of(source))


def _imports_of(source: str) -> Iterator[tuple[str, ...]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield tuple(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            base = tuple((node.module or "").split("."))
            for alias in node.names:
                yield (*base, alias.name)


def wrong_directions(stage: str, source: str) -> list[str]:
    """Return the imports of a source of `stage` that point to a later stage or to the face."""
    wrong = []
    for path in imports_of(source):
        if path[0] != "sfg_nas" or path == ("sfg_nas", "__version__"):
            continue
        target = stage_of(path[1:])
        if target is None or STAGES.index(target) > STAGES.index(stage):
            wrong.append(".".join(path))
    return wrong


def strangers(stage: str | None, source: str) -> list[str]:
    """Return the heavy libraries a source imports outside their homes."""
    found = {path[0] for path in imports_of(source)}
    return sorted(name for name in found & set(HOMES) if stage not in HOMES[name])


def dotted(path: Path) -> str:
    """Return the module name of a file of the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def import_graph() -> nx.DiGraph[str]:
    """Return the package's modules with an edge from each to those it names in an import."""
    names = {dotted(path) for path in MODULES}
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(names)
    for path in MODULES:
        for target in imports_of(path.read_text(encoding="utf-8")):
            module, parent = ".".join(target), ".".join(target[:-1])
            name = module if module in names else parent
            if name in names - {dotted(path), "sfg_nas"}:
                graph.add_edge(dotted(path), name)
    return graph


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_there_are_modules() -> None:
    assert PACKAGE / "errors.py" in MODULES


def test_imports_point_up() -> None:
    wrong = {}
    for path in MODULES:
        if path == PACKAGE / "__init__.py":
            continue  # the face stands above all stages
        stage = stage_of(path.relative_to(PACKAGE).parts)
        assert stage is not None, f"{relative(path)} belongs to no stage; add it to STAGES"
        wrong[relative(path)] = wrong_directions(stage, path.read_text(encoding="utf-8"))
    assert {name: imports for name, imports in wrong.items() if imports} == {}


def test_heavy_libraries_stay_at_home() -> None:
    away = {}
    for path in MODULES:
        stage = stage_of(path.relative_to(PACKAGE).parts)
        away[relative(path)] = strangers(stage, path.read_text(encoding="utf-8"))
    assert {name: libraries for name, libraries in away.items() if libraries} == {}


def test_modules_are_small() -> None:
    lines = {relative(path): path.read_text(encoding="utf-8").count("\n") for path in MODULES}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_no_cycles() -> None:
    assert [sorted(c) for c in nx.strongly_connected_components(import_graph()) if len(c) > 1] == []


def test_the_rules_can_fail() -> None:
    inside = "def f():\n    from sfg_nas.cli import main\n"
    hidden = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import sfg_nas.study.run\n"
    assert wrong_directions("report", inside) == ["sfg_nas.cli.main"]
    assert wrong_directions("errors", hidden) == ["sfg_nas.study.run"]
    assert wrong_directions("groups", "from sfg_nas import Study") == ["sfg_nas.Study"]
    assert wrong_directions("study", "from sfg_nas.tasks import Task") == []
    assert strangers("architecture", "def f():\n    import torch.nn\n") == ["torch"]
    assert strangers(None, "import optuna") == ["optuna"]
    assert strangers("study", "import optuna") == []


def test_plain_import_is_light_and_fast() -> None:
    code = (
        "import json, sys, time\n"
        "start = time.perf_counter()\n"
        "import sfg_nas\n"
        "seconds = time.perf_counter() - start\n"
        "print(json.dumps([seconds, sorted({name.split('.')[0] for name in sys.modules})]))"
    )
    runs = []
    for _ in range(3):  # the best of three: another process may hold the core
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        seconds, loaded = json.loads(done.stdout)
        assert sorted(set(HEAVY) & set(loaded)) == []
        runs.append(seconds)
    assert min(runs) < 0.2


def mirrors(path: Path) -> bool:
    """Return whether a test file stands where the module it names stands in the package."""
    place = path.relative_to(ROOT / "tests")
    folder = (ROOT if place.parts[0] == "benchmarks" else PACKAGE) / place.parent
    module = folder / path.stem.removeprefix("test_")
    return (
        module.with_suffix(".py").is_file()
        or (module / "__init__.py").is_file()
        or (path.stem == f"test_{folder.name}" and (folder / "__init__.py").is_file())
    )


def test_tests_mirror_the_package() -> None:
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    assert files
    lost = [relative(path) for path in files if path.stem not in CROSS_CUTTING]
    lost = [name for name in lost if not mirrors(ROOT / name)]
    assert lost == []
