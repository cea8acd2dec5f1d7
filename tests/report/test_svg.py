from __future__ import annotations

from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from sfg_nas.report.canvas import new_figure, plain_text
from sfg_nas.report.palette import INK, PAPER, TASK_COLOURS
from sfg_nas.report.svg import VARIABLES, inline_svg

HOSTILE = '</svg><script>alert(1)</script> $\\frac{1$ id="x" #20252b 漢'


def sample(text: str = "a") -> Figure:
    with plain_text():
        figure = new_figure(4, 2)
        axes = figure.add_subplot()
        axes.plot([0, 1], color=TASK_COLOURS[0])
        axes.bar([0], [1], color=PAPER, edgecolor=INK)
        axes.set_title(text, color=INK)
    return figure


def test_colours_become_variables_and_the_background_goes() -> None:
    text = inline_svg(sample(), "sample", "A line")
    assert not any(f": {colour}" in text for colour in VARIABLES)
    assert "var(--ink)" in text
    assert "var(--paper)" in text
    assert TASK_COLOURS[0] in text
    assert "#ffffff" not in text


def test_no_id_twice_on_a_page() -> None:
    one, two = inline_svg(sample(), "one", "1"), inline_svg(sample(), "two", "2")
    root = ElementTree.fromstring(f"<html>{one}{two}</html>")  # noqa: S314
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert ids
    assert len(ids) == len(set(ids))
    named = {f"#{name}" for name in ids}
    links = [v for e in root.iter() for k, v in e.attrib.items() if k.endswith("href")]
    assert links
    assert set(links) <= named


def test_names_stay_text() -> None:
    text = inline_svg(sample(HOSTILE), "sample", HOSTILE)
    assert "<script" not in text
    root = ElementTree.fromstring(text)  # noqa: S314
    assert root.get("aria-label") == HOSTILE
    texts = ["".join(e.itertext()) for e in root.iter() if e.tag.endswith("}text")]
    assert HOSTILE in texts


def test_the_same_figure_gives_the_same_text() -> None:
    assert inline_svg(sample(), "s", "l") == inline_svg(sample(), "s", "l")


@pytest.mark.parametrize("what", ["<style", "<metadata", "<?xml", "<!DOCTYPE", "<!--"])
def test_nothing_that_would_act_on_the_page(what: str) -> None:
    assert what not in inline_svg(sample(), "sample", "A line")
