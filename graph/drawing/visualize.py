"""Graphs, and parts of graphs, as pictures in files and notebooks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from weftwork.graph.drawing.boxes import collapse
from weftwork.graph.drawing.svg import to_svg
from weftwork.graph.drawing.text import to_dot, to_mermaid
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Tensor
from weftwork.graph.seams import seams

FORMATS = ("svg", "dot", "mermaid")
COLORS = (None, "seconds", "place")
_IN_A_PAGE = 24
"""Maximum number of boxes in a drawing that is part of a page."""
_NAMESPACE = ' xmlns="http://www.w3.org/2000/svg"'
"""Not needed inside HTML; without it, a page contains no URL."""


def visualize(graph: Graph, fetches: Any, by: str, color: str | None, path: Any, format: str) -> str:
    """See `Graph.visualize`."""
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(map(repr, FORMATS))}, but got {format!r}.")
    if color not in COLORS:
        raise ValueError(f"color must be 'seconds', 'place' or None, but got {color!r}.")
    if color is not None and format != "svg":
        raise ValueError(f"Only SVG has colors: color must be None for format {format!r}.")
    costs = None
    if color is not None:
        costs = seams.costs_of(graph)
        if not costs:
            raise ValueError("No run of this graph has been measured: run it in a session first, or leave color out.")
    picture = collapse(graph, None if fetches is None else _listed(fetches), by)
    text = to_svg(picture, color, costs) if format == "svg" else {"dot": to_dot, "mermaid": to_mermaid}[format](picture)
    if path is not None:
        seams.write_text(os.fspath(path), text)
    return text


def _listed(fetches: Any) -> Iterable[Any]:
    """Fetches as a list: a single one, or several in lists, tuples and dicts."""
    if isinstance(fetches, dict):
        fetches = list(fetches.values())
    if not isinstance(fetches, (list, tuple)):
        return [fetches]
    return [element for fetch in fetches for element in _listed(fetch)]


def inline_svg(
    graph: Graph, fetches: Iterable[Any] | None = None, color: str | None = None, costs: Mapping | None = None
) -> str:
    """The graph, or the part that `fetches` depend on, as SVG to embed in an HTML page."""
    return to_svg(collapse(graph, fetches, target=_IN_A_PAGE), color, costs).replace(_NAMESPACE, "")


def graph_html(graph: Graph) -> str:
    """A graph in a notebook: a picture, collapsed to fit."""
    return _scrolling(inline_svg(graph)) if graph.version else f"<code>{escape(repr(graph))}</code>"


def tensor_html(tensor: Tensor) -> str:
    """A tensor in a notebook: what it is, where it was created, and a picture of what it depends on."""
    head = f"<code>{escape(repr(tensor))}</code> of {escape(tensor.op.type)}, made at {escape(tensor.op.source.text)}"
    return f"<div>{head}</div>{_scrolling(inline_svg(tensor.graph, [tensor]))}"


def _scrolling(svg: str) -> str:
    return f'<div style="overflow:auto;max-height:40em">{svg}</div>'


seams.visualize, seams.graph_html, seams.tensor_html = visualize, graph_html, tensor_html
