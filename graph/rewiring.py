"""Rewiring: other inputs and control inputs for an operation that a graph has already.

later     an operation waits for one that was made after it. It moves, with all that depend on it, to the end of the
  creation order, which so remains a topological order
back edge an input of a Merge that depends on the Merge itself: a loop made by hand. The graph keeps it apart until a
  session asks for the loop (`interchange/closing.py`)
cycle     any other input or control input that depends on its operation. The graph keeps it apart, and sessions refuse
  to run, as in TensorFlow
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from weftwork.graph import shapes
from weftwork.graph.errors import InvalidArgumentError, OutOfRangeError
from weftwork.graph.forgetting import FORGOTTEN
from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.graph.seams import seams
from weftwork.graph.sections import sections_of

if TYPE_CHECKING:
    from weftwork.graph.graph import Graph

_MERGES = ("Merge", "RefMerge")

_NAMED = 5
"""How many operations of a cycle an error names."""


def update_input(op: Operation, number: int, tensor: Tensor) -> None:
    """Replace an input. Sessions that have run the operation may go on with its old input.

    number: which input.
    Raises TypeError for anything but a tensor, ValueError for one of another graph, OutOfRangeError for an input that
    there is not, InvalidArgumentError for another dtype or shape.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"tensor must be a Tensor: {tensor}")
    if tensor.graph is not op.graph:
        raise ValueError(f"{tensor!r} must be from the same graph as {op!r}.")
    if not 0 <= number < len(op.inputs):
        raise OutOfRangeError(
            None,
            None,
            f"Cannot update edge. Input index [{number}] is greater than the number of total inputs "
            f"[{len(op.inputs)}].",
        )
    old = op.inputs[number]
    if tensor.dtype.base_dtype is not old.dtype.base_dtype:
        raise InvalidArgumentError(
            op.node_def,
            op,
            f"Input {number} of node {op.name} was passed {tensor.dtype.cpp_name} from {tensor.name} incompatible with "
            f"expected {old.dtype.cpp_name}.",
        )
    if tensor.op.index >= op.index and tensor.op in dependents([op]):
        if op.type not in _MERGES:
            op.graph.cycles[op] = tensor.op
            return
        op.graph.back_edges.setdefault(op, {})[number] = tensor
        return
    if not shapes.compatible(old.raw_shape, tensor.raw_shape):
        new, known = [shapes.bracket_text(t.raw_shape) for t in (tensor, old)]
        raise InvalidArgumentError(op.node_def, op, f"Cannot update edge, incompatible shapes: {new} and {known}.")
    op.inputs = (*op.inputs[:number], tensor, *op.inputs[number + 1 :])
    relist(op.graph, [op])


def wait_for(op: Operation, controls: Iterable[Operation]) -> None:
    """Wait for further operations as well. Sessions that have run the operation may go on without.

    controls: operations of the same graph.
    Raises TypeError for anything else, ValueError for one of another graph.
    """
    for control in controls:
        if not isinstance(control, Operation):
            raise TypeError(f"op must be an Operation: {control}")
        if control.graph is not op.graph:
            raise ValueError(f"{control!r} cannot be a control input of {op!r}: it belongs to another graph.")
        if control in op.controls:
            continue
        if control.index < op.index:
            op.controls = (*op.controls, control)
            continue
        if control in dependents([op]):
            op.graph.cycles[op] = control
            continue
        op.controls = (*op.controls, control)
        relist(op.graph, [op])


def refuse_cycles(graph: Graph) -> None:
    """Raise InvalidArgumentError, naming the operations, if an operation would wait for one that depends on it."""
    for op, other in graph.cycles.items():
        around = dependents([op])
        names = ", ".join([each.name for each in around[:_NAMED]])
        raise InvalidArgumentError(
            op.node_def,
            op,
            f"Graph is invalid, contains a cycle with {len(around)} nodes, including: {names}. {op.name} waits for "
            f"{other.name}, which depends on it.",
        )


def dependents(ops: Iterable[Operation]) -> list[Operation]:
    """These operations and all that use or wait for them, and owners of sections that contain one; oldest first."""
    found = set(ops)
    graph, first = next(iter(found)).graph, min([op.index for op in found])
    for op in graph.operations[first:]:
        if op is FORGOTTEN or op in found:
            continue
        inside = [inner for section in sections_of(op) for inner in section.ops] if op.kind is Kind.CONTROL else []
        if not found.isdisjoint([*[tensor.op for tensor in op.inputs], *op.controls, *inside]):
            found.add(op)
    return sorted(found, key=lambda op: op.index)


def relist(graph: Graph, ops: Iterable[Operation]) -> None:
    """Move operations, and all that depend on them, to the end of the creation order."""
    moved = dependents(ops)
    graph.move(moved)
    for section in {op.section for op in moved if op.section is not None}:
        section.ops.sort(key=lambda op: op.index)


seams.update_input, seams.wait_for, seams.refuse_cycles = update_input, wait_for, refuse_cycles
