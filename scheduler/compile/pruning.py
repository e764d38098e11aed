"""Pruning: find the operations that a run needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from weftwork.graph.forgetting import FORGOTTEN
from weftwork.graph.operation import Kind, Operation, Tensor

_GONE = (
    "{} needs a node of a trace that has been dropped: the weftwork.function is gone, or something that it refers to "
    "has changed. Ask the function for its trace again, and hold on to it."
)


def makers_of(elements: Iterable[Tensor | Operation], fed: Collection[Tensor]) -> tuple[Operation, ...]:
    """The operations that make some elements, each once; without those that are fed."""
    return tuple(dict.fromkeys([e.op if isinstance(e, Tensor) else e for e in elements if e not in fed]))


def prune(targets: Iterable[Operation], fed: set[Tensor], ran: Collection[Operation] = frozenset()) -> list[Operation]:
    """The operations that must run for `targets`, in creation order.

    Fed tensors need no operation, and operations in `ran` do not run again.
    """
    wanted = list(targets)
    if not wanted:
        return []
    operations = wanted[0].graph.operations
    needed = bytearray(1 + max([op.index for op in wanted]))
    for op in wanted:
        needed[op.index] = 1
    found: list[Operation] = []
    at = len(needed)
    while (at := needed.rfind(1, 0, at)) >= 0:  # inputs of an operation were created before it
        op = operations[at]
        if op is FORGOTTEN:
            raise ValueError(_GONE.format(", ".join([op.name for op in wanted])))
        found.append(op)
        inputs = op.inputs if op.kind is not Kind.QUEUE else op.valued
        for tensor in inputs if not fed else [tensor for tensor in inputs if tensor not in fed]:
            needed[tensor.op.index] = 1
        for control in op.controls:
            satisfied = control.kind is Kind.PLACEHOLDER and control.outputs[0] in fed
            if not satisfied and control not in ran:
                needed[control.index] = 1
    found.reverse()
    return found
