"""Figures as SVG inside a page: one set of colours for light and dark, no names that two figures share."""

from __future__ import annotations

import io
import re
import warnings
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.figure import Figure

from sfg_nas.report.palette import ALL, FAINT, INK, PAPER

VARIABLES = {INK: "--ink", FAINT: "--faint", PAPER: "--paper", ALL: "--all"}
"""Colours of figures that a page sets by CSS variables, so that they differ in the dark."""

WIDE = 650
"""Pixels from which a figure is not squeezed onto a narrow screen."""
_SVG = "http://www.w3.org/2000/svg"
_LINK = "http://www.w3.org/1999/xlink"
_FONT = "'DejaVu Sans', Verdana, sans-serif"
_NO_METADATA = dict.fromkeys(["Creator", "Date", "Format", "Type"])


def inline_svg(figure: Figure, name: str, label: str) -> str:
    """Return a figure as an `svg` element without a background.

    Args:
        figure: The figure.
        name: Stands before every id in it; letters and hyphens, another for each figure of a page.
        label: What the picture shows, for those who cannot see it.
    """
    file = io.StringIO()
    # Text stays text: it can be selected, read aloud and found.
    with (
        mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "text.parse_math": False}),
        warnings.catch_warnings(),
    ):
        # The browser has the letters that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(file, format="svg", transparent=True, metadata=_NO_METADATA)
    root = ElementTree.fromstring(file.getvalue())  # noqa: S314 (just written by ourselves)
    _strip(root)
    for element in root.iter():
        for key, value in element.attrib.items():
            element.set(key, _rewritten(key, value, name))
    width = float(root.get("viewBox", "0 0 0 0").split()[2]) * 4 / 3  # points to pixels
    # On a narrow screen small figures shrink; of wide ones, which have many panels, a part is seen.
    least = min(width, 300) if width < WIDE else min(0.8 * width, 560)
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-label", label)
    root.set("style", f"width: {width:.0f}px; min-width: {least:.0f}px")
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _LINK)
    return ElementTree.tostring(root, encoding="unicode")


def _strip(root: ElementTree.Element) -> None:
    """Remove the style sheet, which would hold for the whole page, and what is empty without metadata."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}style", f"{{{_SVG}}}metadata"):
                parent.remove(child)


def _rewritten(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key.endswith("href") and value.startswith("#"):
        return f"#{name}-{value[1:]}"
    value = re.sub(r"url\(#([^)]*)\)", rf"url(#{name}-\1)", value)
    if key in ("style", "fill", "stroke"):
        for colour, variable in VARIABLES.items():
            value = value.replace(colour, f"var({variable})")
        value = re.sub(r"(font: [^;]*?px) [^;]*", rf"\1 {_FONT}", value)
    return value
