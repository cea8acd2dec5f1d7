from __future__ import annotations

import io
from collections.abc import Callable
from itertools import combinations

import pytest
from matplotlib._pylab_helpers import Gcf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from sfg_nas.architecture import Architecture
from sfg_nas.fixed import distill
from sfg_nas.report.drawing import draw_architecture
from sfg_nas.report.palette import ALL, PAPER, TASK_COLOURS
from sfg_nas.sharing import random_allocation
from tests.conversions import pair
from tests.report.samples import Counts, sample, two_tasks


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def fifty() -> Architecture:
    layers: list[Counts] = [{"a+b": 40 - i // 2, "a": 1 + i // 3, "b": 2} for i in range(50)]
    return sample(("a", "b"), layers)


def fifty_residual() -> Architecture:
    layers: list[Counts] = [{"a+b+c": 64, "a": 8 + i, "b": 2, "c": 5} for i in range(50)]
    return sample(("a", "b", "c"), layers, residual=True)


def lattice() -> Architecture:
    counts = {"a": 3, "b": 1, "c": 2, "a+b": 5, "b+c": 2, "a+b+c": 7}
    return sample(("a", "b", "c"), [{"a+b+c": 8}, counts, counts])


def five() -> Architecture:
    tasks = ("depth", "normals", "labels", "edges", "a very long name")
    return sample(tasks, [{"+".join(tasks): 9}, dict.fromkeys(tasks, 4)])


def test_says_tasks_costs_and_channels() -> None:
    architecture = two_tasks()
    found = texts(draw_architecture(architecture))
    assert "age · gender" in found
    assert any("M MACs" in text and "k parameters" in text for text in found)
    counts = [n["channels"] for _, n in architecture.graph.nodes(data=True) if n["op"] == "conv2d"]
    for channels in counts:
        assert str(len(channels)) in found
    assert (
        draw_architecture(architecture, title="The best").axes[0].texts[0].get_text() == "The best"
    )


def test_colours_are_those_of_the_tasks() -> None:
    patches = draw_architecture(two_tasks()).axes[0].patches
    filled = {
        to_hex(p.get_facecolor()) for p in patches if isinstance(p, Rectangle) and p.get_fill()
    }
    assert filled == {TASK_COLOURS[0], TASK_COLOURS[1], ALL, PAPER}


@pytest.mark.parametrize(
    ("make", "kind"),
    [(two_tasks, "svg"), (two_tasks, "png"), (lattice, "png"), (five, "png"), (fifty, "png")],
)
def test_every_text_is_inside_the_figure(make: Callable[[], Architecture], kind: str) -> None:
    figure = draw_architecture(make())
    file = io.BytesIO()
    figure.savefig(file, format=kind)
    assert len(file.getvalue()) > 10_000
    renderer = FigureCanvasAgg(figure).get_renderer()
    page = figure.bbox
    for text in [*figure.axes[0].texts, *figure.legends[0].get_texts()]:
        box = text.get_window_extent(renderer)
        assert page.x0 <= box.x0, text.get_text()
        assert box.x1 <= page.x1, text.get_text()
        assert page.y0 <= box.y0, text.get_text()
        assert box.y1 <= page.y1, text.get_text()


def residual() -> Architecture:
    supernet = pair("resnet", 2, "specialists").connections
    return distill(supernet, random_allocation(supernet, 1))


@pytest.mark.parametrize("make", [two_tasks, lattice, fifty, fifty_residual, residual])
def test_no_two_texts_overlap(make: Callable[[], Architecture]) -> None:
    figure = draw_architecture(make())
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    written = [*figure.axes[0].texts, *figure.legends[0].get_texts()]
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in written if t.get_text()]
    assert len(boxes) > 10
    smallest = min(text.get_fontsize() for text in written)
    assert smallest >= 5.5
    for (one, a), (other, b) in combinations(boxes, 2):
        wide = min(a.x1, b.x1) - max(a.x0, b.x0)
        tall = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert wide <= 1.0 or tall <= 1.0, f"{one!r} and {other!r}"


def test_a_long_network_is_folded() -> None:
    wide = draw_architecture(fifty(), columns_per_row=100).get_size_inches()
    folded = draw_architecture(fifty()).get_size_inches()
    assert folded[0] < wide[0] / 1.5
    assert folded[1] > wide[1]


def test_the_legend_stands_in_one_line_where_it_fits() -> None:
    def lines(figure: Figure) -> int:
        figure.savefig(io.BytesIO(), format="png")
        renderer = FigureCanvasAgg(figure).get_renderer()
        boxes = [t.get_window_extent(renderer) for t in figure.legends[0].get_texts()]
        return len({round((box.y0 + box.y1) / 2 / 10) for box in boxes})

    assert lines(draw_architecture(lattice())) == 1
    assert lines(draw_architecture(five())) == 2


def test_pyplot_is_not_used() -> None:
    draw_architecture(two_tasks())
    assert Gcf.get_all_fig_managers() == []
