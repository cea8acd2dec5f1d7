from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from sfg_nas.report.dot import to_dot
from sfg_nas.report.sketch import sketch
from tests.report.samples import sample, two_tasks

NODE = re.compile(r'^  "((?:[^"\\]|\\.)*)" \[label', re.MULTILINE)
EDGE = re.compile(r'^  "((?:[^"\\]|\\.)*)" -> "((?:[^"\\]|\\.)*)" \[label="(\d+)"', re.MULTILINE)


def test_writes_every_block_and_flow() -> None:
    architecture = two_tasks()
    drawn, text = sketch(architecture), to_dot(architecture)
    assert NODE.findall(text) == list(drawn.blocks)
    edges = {(u, v): int(n) for u, v, n in EDGE.findall(text)}
    assert edges == {(f.source, f.target): f.channels for f in drawn.flows}
    assert text.startswith("digraph architecture {\n")
    assert text.endswith("}\n")


def test_writes_every_operation() -> None:
    architecture = two_tasks()
    text = to_dot(architecture, every_operation=True)
    assert set(NODE.findall(text)) == set(architecture.graph)
    assert {(u, v) for u, v, _ in EDGE.findall(text)} == set(architecture.graph.edges)


def test_names_cannot_break_out_of_their_quotes() -> None:
    evil = 'a"];x[label="\\'
    text = to_dot(sample((evil, "b"), [{f"{evil}+b": 2}, {evil: 1, "b": 1}]))
    for line in text.splitlines()[4:-1]:
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", line)
        assert '"' not in bare
        assert "\\" not in bare
        assert re.fullmatch(r"\s*(->)?\s*\[[\w=, .]*\];", bare.replace("  ", " "))


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz")
def test_graphviz_reads_it() -> None:
    text = to_dot(two_tasks())
    done = subprocess.run(["dot", "-Tsvg"], input=text, capture_output=True, text=True, check=True)
    assert "</svg>" in done.stdout
