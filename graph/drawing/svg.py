"""A picture of a graph as SVG, with our own layout, so that no other program is needed.

ink    the color of a box, and its explanation in the legend
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from weftwork.graph.drawing.boxes import Box, Picture
from weftwork.graph.drawing.layout import Layout, Point, lay_out
from weftwork.graph.drawing.words import place_text, time_text
from weftwork.graph.operation import Operation

PLACES = {
    "caller": "#8ecae6",
    "thread": "#95d5b2",
    "resident": "#ffd166",
    "task": "#f4a261",
    "actor": "#cdb4db",
    "queue": "#d5bdaf",
    "nested": "#e9edc9",
}
"""The color of each place, named as in `Lane.place`."""
PLAIN = "#eef2f6"
_HEIGHT = 40.0
_MARGIN = 12.0
_ARROW = 7.0
_LETTER, _SMALL_LETTER = 7.0, 5.8
"""The width of a letter in pixels, slightly more than average."""
_LONGEST = 30
_STYLE = (
    ".weft text{font-family:system-ui,sans-serif;fill:#1b2733;text-anchor:middle}"
    ".weft .t{font-size:12px}.weft .s{font-size:10px;fill:#52616f}"
    ".weft .e{fill:none;stroke:#8a98a6}.weft .c{stroke-dasharray:4 3}.weft .h{fill:#8a98a6}.weft .b{stroke:#52616f}"
)
"""Restricted to our own pictures, because it applies to the whole page that contains it."""


class Cost(NamedTuple):
    """The measured cost of an operation: its seconds, and the kind of place where it ran."""

    seconds: float
    place: str


class Ink(NamedTuple):
    """The color of a box, and an additional text."""

    fill: str = PLAIN
    text: str = ""


def to_svg(picture: Picture, color: str | None = None, costs: Mapping[Operation, Cost] | None = None) -> str:
    """The picture as SVG.   color: "seconds" or "place", which require `costs`, or None."""
    inks = [Ink()] * len(picture.boxes)
    legend: list[Ink] = []
    if color is not None:
        inks, legend = _inks(picture.boxes, color, costs or {})
    texts = [_lines(box, ink) for box, ink in zip(picture.boxes, inks, strict=True)]
    widths = [max(len(title) * _LETTER, len(small) * _SMALL_LETTER) + 20 for title, small in texts]
    layout = lay_out(widths, picture.edges)
    width = max(layout.width + 2 * _MARGIN, 40 + 130 * len(legend))
    height = layout.height + _HEIGHT + 2 * _MARGIN + (28 if legend else 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="weft" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img" aria-label="Graph"><style>{_STYLE}</style>',
        f'<g transform="translate({_MARGIN:g} {_MARGIN + _HEIGHT / 2:g})">',
        *[_edge(layout.ways[edge], control) for edge, control in picture.edges.items()],
        *_boxes(picture.boxes, inks, texts, widths, layout),
        "</g>",
        *_legend(legend, height - 18),
        "</svg>",
    ]
    return "".join(parts)


def _lines(box: Box, ink: Ink) -> tuple[str, str]:
    text = "" if box.text == box.title else box.text
    return _short(box.title), _short(" ".join([part for part in (text, ink.text) if part]))


def _short(text: str) -> str:
    """Text shortened to fit into a box: names keep their ends, which are more specific."""
    return text if len(text) <= _LONGEST else "…" + text[1 - _LONGEST :]


def _boxes(
    boxes: Sequence[Box], inks: Sequence[Ink], texts: Sequence, widths: Sequence[float], layout: Layout
) -> list[str]:
    parts = []
    for box, ink, (title, small), width, (x, y) in zip(boxes, inks, texts, widths, layout.middles, strict=True):
        tooltip = "\n".join([part for part in (box.title, box.text, ink.text, box.first.source.text) if part])
        radius = 14 if box.is_variable else 0 if box.is_constant else 4
        parts.append(
            f'<g><title>{escape(tooltip)}</title><rect class="b" x="{x - width / 2:.1f}" y="{y - _HEIGHT / 2:.1f}" '
            f'width="{width:.1f}" height="{_HEIGHT:g}" rx="{radius}" fill="{ink.fill}"/>'
            f'<text class="t" x="{x:.1f}" y="{y - 2 if small else y + 4:.1f}">{escape(title)}</text>'
            + (f'<text class="s" x="{x:.1f}" y="{y + 12:.1f}">{escape(small)}</text>' if small else "")
            + "</g>"
        )
    return parts


def _edge(way: Sequence[Point], control: bool) -> str:
    """An edge as a curve with an arrow, vertical at both ends, between the rims of the boxes."""
    down = 1 if way[-1][1] > way[0][1] else -1
    points = [(way[0][0], way[0][1] + down * _HEIGHT / 2), *way[1:-1], (way[-1][0], way[-1][1] - down * _HEIGHT / 2)]
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x, y), (to_x, to_y) in zip(points, points[1:], strict=False):
        half = (y + to_y) / 2
        path += f"C{x:.1f} {half:.1f} {to_x:.1f} {half:.1f} {to_x:.1f} {to_y:.1f}"
    x, y = points[-1]
    back = y - down * _ARROW
    arrow = f"M{x:.1f} {y:.1f}L{x - _ARROW / 2:.1f} {back:.1f}L{x + _ARROW / 2:.1f} {back:.1f}z"
    return f'<path class="e{" c" if control else ""}" d="{path}"/><path class="h" d="{arrow}"/>'


def _inks(boxes: Sequence[Box], color: str, costs: Mapping[Operation, Cost]) -> tuple[list[Ink], list[Ink]]:
    """The ink of each box, and the legend."""
    known = [[costs[op] for op in box.ops if op in costs] for box in boxes]
    seconds = [sum([cost.seconds for cost in its]) for its in known]
    if color == "seconds":
        most = max(seconds, default=0.0) or 1.0
        inks = [Ink(_shade(s / most), time_text(s)) if its else Ink() for s, its in zip(seconds, known, strict=True)]
        return inks, [Ink(_shade(part), time_text(part * most)) for part in (0.0, 0.5, 1.0)]
    places = [_main_place(its) if its else "" for its in known]
    inks = [Ink(PLACES.get(place, PLAIN), place_text(place)) for place in places]
    return inks, list(dict.fromkeys([ink for ink in inks if ink.text]))


def _main_place(costs: Sequence[Cost]) -> str:
    """The place where most of the costs arose."""
    sums: dict[str, float] = {}
    for cost in costs:
        sums[cost.place] = sums.get(cost.place, 0.0) + cost.seconds
    return max(sums, key=sums.__getitem__)


def _shade(part: float) -> str:
    """A color between white (0) and orange (1)."""
    low, high = (255, 247, 236), (239, 101, 72)
    red, green, blue = [round(a + (b - a) * part**0.5) for a, b in zip(low, high, strict=True)]
    return f"#{red:02x}{green:02x}{blue:02x}"


def _legend(legend: Sequence[Ink], y: float) -> list[str]:
    return [
        f'<rect class="b" x="{20 + 130 * number}" y="{y - 10:.1f}" width="14" height="14" fill="{ink.fill}"/>'
        f'<text class="s" x="{40 + 130 * number}" y="{y + 1:.1f}" style="text-anchor:start">{escape(ink.text)}</text>'
        for number, ink in enumerate(legend)
    ]
