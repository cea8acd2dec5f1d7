"""Documentation that cannot rot: references equal the code, and every block is run, page by page."""

from __future__ import annotations

import ast
import json
import os
import random
import re
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.command_server import CLIENT
from tests.scripts import load_script

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(
    path.relative_to(ROOT).as_posix() for path in [ROOT / "README.md", *DOCS.glob("*.md")]
)
GENERATED = ("docs/cli.md", "docs/api.md", "docs/study.md")
ELSEWHERE = {"slurm": "tests/test_slurm.py"}
"""Marks of blocks that another test runs."""
STANDS_FOR = {
    "ADDRESS-OF-THIS-REPOSITORY": str(ROOT),
    "--device cuda": "--device cpu",
    "--ray auto --cpus 2 --gpus 1": "--ray --cpus 1",  # tests/study/test_ray_workers.py joins a cluster
    "--subjects 15": "--subjects 2",
}
"""What is put in place of what a machine without a GPU, a network or much time does not have."""
DATABASE = "postgresql://user@host/database"
"""What stands for the database that `.ci/run` starts."""

SMALL = {
    "digits": "data.train=64 data.validation=32 data.test=32 training.epochs=1 backbone.width=0.0625 "
    "retrain.seeds=1 retrain.epochs=1",
    "labels": "training.epochs=1 backbone.width=0.0625 retrain.seeds=1 retrain.epochs=1",
    "faces": "training.epochs=1 backbone.width=0.0625",
    "utkface": "training.epochs=1 backbone.width=0.0625 retrain.seeds=1 retrain.epochs=1",
}
"""What the test puts in place of a shipped study's values, so that a page takes seconds."""


@dataclass(frozen=True)
class Block:
    """A block of code: its language, what stands behind that, and its text."""

    language: str
    mark: str
    text: str


def blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"^```(\S*) ?(.*)\n((?:.*\n)*?)```$", text, flags=re.MULTILINE)
    return [Block(*parts) for parts in found]


def references() -> dict[str, str]:
    stream = random.getstate()  # importing every command moves it
    try:
        module = load_script("docs/reference.py")
        return {f"docs/{name}": make() for name, make in module.PAGES.items()}
    finally:
        random.setstate(stream)


def test_references_are_those_of_the_code() -> None:
    written = references()
    assert tuple(written) == GENERATED
    for page, text in written.items():
        assert (ROOT / page).read_text(encoding="utf-8") == text, "call `make docs`"


def test_every_command_has_its_entry() -> None:
    from sfg_nas.cli.app import app

    titles = re.findall(r"^## (.*)$", (DOCS / "cli.md").read_text(encoding="utf-8"), re.MULTILINE)
    names = {command.name for command in app.registered_commands}
    assert names
    assert names <= set(titles)


def test_the_pages_are_linked() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "docs/README.md" in readme
    for page in DOCS.glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in index, page.name


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [t for t in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text) if "://" not in t]
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


def test_every_block_is_run_here_or_in_the_test_that_is_named() -> None:
    marks = {b.mark for page in PAGES for b in blocks(page) if b.language in ("sh", "python")}
    assert marks == {"", *ELSEWHERE}
    for mark, test in ELSEWHERE.items():
        assert f"```sh {mark}" in (ROOT / test).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [page for page in PAGES if page not in GENERATED])
def test_code_stands_between_fences(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    outside = re.sub(r"^```\S* ?.*\n(?:.*\n)*?```$", "", text, flags=re.MULTILINE)
    indented = re.findall(r"\n\n    (?! *[-*\d])\S.*", outside)
    assert indented == [], "blocks that are only indented are not run"


@pytest.mark.parametrize("page", PAGES)
def test_languages_are_those_that_are_run(page: str) -> None:
    for block in blocks(page):
        assert block.language in ("sh", "python", "yaml", ""), block
        if block.language == "python":
            ast.parse(block.text)
        if block.language == "yaml":
            assert block.mark.endswith(".yaml"), "a study's block names its file"


RAY = pytest.mark.xdist_group("ray")  # one cluster on this machine at a time


def with_code() -> list[str]:
    return [p for p in PAGES if any(b.language and b.mark not in ELSEWHERE for b in blocks(p))]


def test_there_are_pages_with_code() -> None:
    assert {"README.md", "docs/tutorial.md", "docs/own-data.md"} <= set(with_code())


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start the process that runs the commands of all pages, and return its socket."""
    place = tmp_path_factory.mktemp("commands") / "socket"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    call = [sys.executable, str(ROOT / "tests/command_server.py"), str(place)]
    process = subprocess.Popen(call, env=environment, cwd=ROOT)
    try:
        while not place.exists():
            assert process.poll() is None
            time.sleep(0.1)
        yield place
    finally:
        process.terminate()
        process.wait()


def commands(folder: Path, server: Path) -> Path:
    """Return a folder with `sfg-nas`, which makes shipped studies small, and harmless `make` and `pip`."""
    folder.mkdir()
    (folder / "client.py").write_text(CLIENT, encoding="utf-8")
    own = f'"{sys.executable}" -SE "{folder}/client.py" "{server}"'
    cases = "".join(
        f'  *{name}.yaml*|*" {name} "*) set -- "$@"{"".join(f" --set {c}" for c in sets.split())} ;;\n'
        for name, sets in SMALL.items()
    )
    shim = f"""#!/bin/sh
case "$1" in search|compare)
case " $* " in
{cases}esac
calls=$(($(cat .calls 2>/dev/null || echo 0) + 1)); echo $calls > .calls
case "$1 $*" in
*--trials*) ;;
search*--ray*) set -- "$@" --trials $((calls + 1)) ;;  # more than an earlier call on the page has left
search*) set -- "$@" --trials 2 ;;
esac ;;
esac
exec {own} "$@"
"""
    # These two are run by CI itself (`make demo`, the tests of the wheel); here their targets and extras are looked up.
    make = f'#!/bin/sh\nexec /usr/bin/env -u MAKEFLAGS PATH=/usr/bin:/bin make -n -C "{ROOT}" "$@" > /dev/null\n'
    pip = f'#!/bin/sh\nexec "{sys.executable}" -S -c "$(cat <<END\n{PIP}\nEND\n)" "$@"\n'
    for name, text in {"sfg-nas": shim, "make": make, "pip": pip}.items():
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(stat.S_IRWXU)
    return folder


PIP = f"""
import re, sys, tomllib
command, what = sys.argv[1:]
assert command == "install", command
project = tomllib.load(open("{ROOT}/pyproject.toml", "rb"))["project"]
name, extras = re.fullmatch(r"([\\w.]+)(?:\\[([\\w,]+)\\])?", what).groups()
assert name in (".", project["name"]), name
assert set((extras or "").split(",")) <= {{"", *project["optional-dependencies"]}}, extras
"""
"""Stands for `pip install`: what is installed must be this project, with extras that it has."""


def faces(folder: Path) -> None:
    """Write noise under names as the photos have them, and `labels.csv` beside the folder."""
    rows = ["file,age,gender"]
    rng = np.random.default_rng(0)
    (folder / "utkface").mkdir(parents=True)
    for number in range(60):
        pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        name = f"{20 + number}_{number % 2}_0_2017010{number % 9}0000{number:05}.jpg.chip.jpg"
        Image.fromarray(pixels).save(folder / "utkface" / name)
        rows.append(f"{folder.name}/utkface/{name},{20 + number},{'fm'[number % 2]}")
    (folder.parent / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


@pytest.mark.ci
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "page", [pytest.param(p, marks=RAY if p == "docs/cluster.md" else ()) for p in with_code()]
)
def test_blocks_run_in_order(page: str, tmp_path: Path, server: Path) -> None:
    work = tmp_path / "work"
    (work / "studies").mkdir(parents=True)
    for study in (ROOT / "studies").glob("*.yaml"):
        (work / "studies" / study.name).write_bytes(study.read_bytes())
    (work / "search_spaces").symlink_to(ROOT / "search_spaces")
    faces(work / "DIR")
    (work / ".venv/bin").mkdir(parents=True)  # as `make demo` leaves it
    (work / ".venv/bin/activate").touch()
    own = work / "studies/faces.yaml"  # of a name that the database does not know yet
    own.write_text(
        (work / "studies/utkface.yaml")
        .read_text()
        .replace("name: utkface", f"name: faces-{uuid.uuid4().hex}")
    )
    places = [str(commands(tmp_path / "bin", server)), str(Path(sys.executable).parent)]
    path = os.pathsep.join([*places, os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    # the checkout may be another user's
    (tmp_path / "gitconfig").write_text("[safe]\ndirectory = *\n", encoding="utf-8")
    environment["GIT_CONFIG_GLOBAL"] = str(tmp_path / "gitconfig")
    environment["SFG_NAS_CACHE"] = str(tmp_path / "cache")
    steps = [
        [b.language, b.mark, small(b.text)]
        for b in blocks(page)
        if b.language and b.mark not in ELSEWHERE
    ]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUNNER],
        input=json.dumps(steps),
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"


RUNNER = """
import json, pathlib, subprocess, sys
names = {"__name__": "page"}  # a page is one story: later blocks use the names of earlier ones
for language, mark, text in json.load(sys.stdin):
    print(text, flush=True)
    if language == "yaml":
        pathlib.Path(mark).write_text(text, encoding="utf-8")
    elif language == "python":
        exec(compile(text, "block", "exec"), names)
    else:
        subprocess.run(["sh", "-ec", text], check=True)
"""


def small(text: str) -> str:
    """Return a block in which the shipped studies that are loaded in Python are small."""
    for name, sets in SMALL.items():
        changes = [*sets.split(), "search.trials=1"]
        called = f'load_study("studies/{name}.yaml"'
        text = text.replace(f"{called})", f"{called}, {changes})")
    here = {**STANDS_FOR, DATABASE: os.environ.get("SFG_NAS_TEST_POSTGRES", DATABASE)}
    for shown, own in here.items():
        text = text.replace(shown, own.replace("+psycopg", ""))
    return text
