"""Seeds: keys of random streams, from the graph's seed and the operation's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weftwork.graph.stacks import get_default_graph

if TYPE_CHECKING:
    from weftwork.graph.graph import Graph


def get_seed(op_seed: int | None, graph: Graph | None = None) -> tuple[int, int] | None:
    """(graph seed, op seed) for the next random op; None if neither is set: then the stream differs by session.

    op_seed: the seed that the operation was given, or None.
    """
    graph = graph or get_default_graph()
    if graph.seed is not None:
        return (graph.seed, graph._last_id if op_seed is None else op_seed)
    return None if op_seed is None else (87654321, op_seed)
