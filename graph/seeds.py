"""Seeds: keys of random streams, from the graph's seed and the operation's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weftwork.graph.stacks import get_default_graph

if TYPE_CHECKING:
    from weftwork.graph.graph import Graph

_LARGEST = (1 << 31) - 1


def get_seed(op_seed: int | None) -> tuple[int | None, int | None]:
    """(graph seed, op seed) for the next random operation of the default graph; (None, None) if neither is set.

    op_seed: the seed that the operation was given, or None.
    """
    graph_seed, own_seed = stream_seeds(op_seed) or (None, None)
    if graph_seed is None or own_seed is None:
        return None, None
    pair = graph_seed % _LARGEST, own_seed % _LARGEST
    return (0, _LARGEST) if pair == (0, 0) else pair  # (0, 0) stands for no seed in TensorFlow's kernels


def stream_seeds(op_seed: int | None, graph: Graph | None = None) -> tuple[int, int] | None:
    """(graph seed, op seed) for the next random op; None if neither is set: then the stream differs by session."""
    graph = graph or get_default_graph()
    if graph.seed is not None:
        return (graph.seed, graph._last_id if op_seed is None else op_seed)
    return None if op_seed is None else (87654321, op_seed)
