"""Initial values that depend on other variables, made safe for a run that initializes all of them at once."""

from __future__ import annotations

from weftwork.graph.graph import GraphKeys
from weftwork.graph.operation import WRITES, Kind, Operation, Tensor


def safe_initial(initial: Tensor, graph) -> Tensor:
    """Replace each read of another variable in `initial`, so that one run can initialize dependent variables."""
    affected: dict[Operation, bool] = {}
    stack = [initial.op]
    while stack:
        op = stack[-1]
        if op in affected:
            stack.pop()
            continue
        pending = [t.op for t in op.inputs if t.op not in affected]
        if pending:
            stack.extend(pending)
            continue
        stack.pop()
        affected[op] = op.kind in (Kind.READ, Kind.VARIABLE) or (
            op.kind not in WRITES and op.kind is not Kind.PEEK and any(affected[t.op] for t in op.inputs)
        )
    if not affected[initial.op]:
        return initial
    copies: dict[Operation, tuple[Tensor, ...]] = {}
    for op in sorted((op for op, hit in affected.items() if hit), key=lambda op: op.index):
        copies[op] = _safe_copy(op, copies, graph)
    return copies[initial.op][initial.index]


def _safe_copy(op: Operation, copies: dict, graph) -> tuple[Tensor, ...]:
    if op.kind in (Kind.READ, Kind.VARIABLE):
        name = op.attrs.get("_variable", op.name)
        for variable in graph.get_collection(GraphKeys.GLOBAL_VARIABLES) + graph.get_collection(
            GraphKeys.LOCAL_VARIABLES
        ):
            if variable.op.name == name:
                return (variable.initialized_value(),)
        return tuple(op.outputs)
    if op.type == "ReadVariableOp":
        return copies[op.inputs[0].op]
    inputs = tuple([copies[t.op][t.index] if t.op in copies else t for t in op.inputs])
    twin = graph.add(
        op.kind,
        op.type,
        kernel=op.kernel,
        inputs=inputs,
        attrs=op.attrs,
        outputs=[(t.dtype, t.raw_shape) for t in op.outputs],
        name=op.name.rpartition("/")[2],
        traits=op.traits,
    )
    return tuple(twin.outputs)
