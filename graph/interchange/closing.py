"""Loops that a program makes by hand, from Enter to Exit, with the back edge that `Operation._update_input` adds.

They are read as those of a GraphDef are: each becomes an operation that owns sections. The nodes that the program made
stay in the graph, but can be neither fed nor fetched any more. Only the Exits can: each is an Identity of what the loop
returns.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from weftwork.graph.graph import Graph
from weftwork.graph.interchange.frames import ENTERS, EXITS
from weftwork.graph.interchange.importing import Import
from weftwork.graph.interchange.writing import GraphWriter
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.rewiring import relist
from weftwork.graph.seams import seams


def close_loops(graph: Graph) -> None:
    """Make the loops of the back edges that were added since the last call.

    Raises UnimplementedError for a frame that is no loop, see `frames.Places`.
    """
    edges = dict(graph.back_edges)
    depths = _depths(edges)
    exits = [op for op, depth in depths.items() if not depth]
    nodes, outside = _written(graph, list(depths), edges)
    work = Import(graph, nodes, "", outside, functions=True)
    with graph.as_default(), graph.name_scope(None), graph.control_dependencies(None):
        work.run()
    for op in exits:
        op.inputs, op.type = (work.made[op.name, 0],), "Identity"
    relist(graph, exits)
    closed = depths.keys() - set(exits)
    graph.closed |= closed
    for op in closed:
        graph.prevent_fetching(op)
        for tensor in op.outputs:
            graph.prevent_feeding(tensor)
    graph.back_edges = {op: edge for op, edge in graph.back_edges.items() if op not in edges}


def _depths(edges: Iterable[Operation]) -> dict[Operation, int]:
    """The operations from the Enters to the Exits of the loops with these Merges, and in how many frames they end."""
    graph = next(iter(edges)).graph
    frames: set[Any] = set()
    seen: set[Operation] = set()
    stack = [tensor.op for op in edges for tensor in op.inputs]
    while stack:
        op = stack.pop()
        if op not in seen:
            seen.add(op)
            if op.type in ENTERS:
                frames.add(op.attrs["frame_name"])
            stack += [tensor.op for tensor in op.inputs]
    depths: dict[Operation, int] = {}
    for op in graph.get_operations():
        depth = max([depths.get(other, 0) for other in [*[tensor.op for tensor in op.inputs], *op.controls]], default=0)
        entered = op.type in ENTERS and op.attrs["frame_name"] in frames
        if entered or depth:
            depths[op] = depth + entered - (op.type in EXITS)
    return depths


def _written(graph: Graph, inside: list[Operation], edges: dict) -> tuple[dict[str, Any], dict]:
    """The operations as NodeDefs, with their back edges, and the tensors and operations outside that they use."""
    writer = GraphWriter(graph)
    writer.all(inside)
    nodes = {node.name: node for node in writer.out}
    for op, edge in edges.items():
        for number, tensor in edge.items():
            nodes[op.name].input[number] = f"{tensor.op.name}:{tensor.index}"
    outside: dict[tuple[str, int], Tensor | Operation] = {}
    for op in inside:
        outside |= {(t.op.name, t.index): t for t in op.inputs if t.op.name not in nodes}
        outside |= {(control.name, -1): control for control in op.controls if control.name not in nodes}
    return nodes, outside


seams.close_loops = close_loops
