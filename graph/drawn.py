"""The part of Graph that draws. The drawing itself is done by a wing above the language."""

from __future__ import annotations

from typing import Any

from weftwork.graph.seams import seams


class Drawn:
    """A graph that can be drawn."""

    def visualize(
        self,
        fetches: Any = None,
        by: str = "scope",
        color: str | None = None,
        path: Any = None,
        format: str = "svg",
    ) -> str:
        """Draw the graph, or the part that `fetches` depend on, and return the picture as text.

        by: "scope" collapses equal functions and name scopes until about 60 boxes are left; "function" draws a box for
            each function; "node" one for each node, 300 at most.
        color: "seconds" (how long the nodes took) or "place" (where they ran), in the runs that this graph's sessions
            remember; only for SVG.   format: "svg", "dot" (Graphviz) or "mermaid".   path: also write it to this file.
        Raises ValueError for other words, for too many nodes, and for `color` if no run was measured; an OpError if
        `path` cannot be written, which leaves an existing file as it was.
        """
        return seams.visualize(self, fetches, by, color, path, format)

    def _repr_html_(self) -> str:
        return seams.graph_html(self)
