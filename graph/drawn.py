"""What shows itself as a picture: the part of Graph that draws, which is done above the language."""

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
        """A picture of the graph, or of what `fetches` depend on, as text; `path`: the file to write it to, too.

        by: "scope" collapses equal functions and name scopes until some 60 boxes are left; "function" draws a box for
            each function; "node" one for each node, 300 at most.
        color: "seconds" or "place": what the nodes took, or where they ran, in the runs that this graph's sessions
            remember; only for SVG.   format: "svg", "dot" (Graphviz) or "mermaid".
        Raises ValueError for other words, for too many nodes, and for `color` where no run was measured; an OpError
        where `path` cannot be written: then what was there stays.
        """
        return seams.visualize(self, fetches, by, color, path, format)

    def _repr_html_(self) -> str:
        return seams.graph_html(self)
