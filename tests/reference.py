"""The reference interpreter: what a run means, said as plainly as possible. No plan, no Ray, no speed."""

from __future__ import annotations

import numpy as np

from weftwork.graph.operation import REFERENCES, UNINITIALIZED, WRITES, Kind, Operation, Tensor
from weftwork.graph.streams import generator


class Reference:
    """A session that runs a graph node by node."""

    def __init__(self):
        self.variables: dict[str, object] = {}
        self.draws: dict[str, int] = {}

    def run(self, fetches: list, feeds: dict | None = None) -> list:
        """The values of a flat list of tensors and operations. A run that raises changes no variable."""
        feeds = feeds or {}
        ops = self._needed([f.op if isinstance(f, Tensor) else f for f in fetches if f not in feeds], feeds)
        variables, draws, values = dict(self.variables), dict(self.draws), dict(feeds)
        for op in self._order(ops, feeds):
            results = self._evaluate(op, values, variables, draws)
            values.update({t: v for t, v in zip(op.outputs, results, strict=False) if t not in feeds})
        fetched = [None if isinstance(f, Operation) else self._read(f, values, variables) for f in fetches]
        self.variables, self.draws = variables, draws
        return fetched

    def _needed(self, targets: list, feeds: dict) -> list:
        needed: set[Operation] = set()
        stack = list(targets)
        while stack:
            op = stack.pop()
            if op not in needed:
                needed.add(op)
                stack += [t.op for t in op.inputs if t not in feeds]
                stack += [c for c in op.controls if not (c.kind is Kind.PLACEHOLDER and c.outputs[0] in feeds)]
        return sorted(needed, key=lambda op: op.index)

    def _order(self, ops: list, feeds: dict) -> list:
        """Reads before writes, writes in creation order, wherever the graph leaves it open."""
        before = {op: {t.op for t in op.inputs if t not in feeds} | set(op.controls) for op in ops}

        def depends(op: Operation, other: Operation) -> bool:
            seen, stack = set(), [op]
            while stack:
                at = stack.pop()
                if at is other:
                    return True
                if at not in seen:
                    seen.add(at)
                    stack += before.get(at, ())
            return False

        touches: dict[str, list] = {}
        for op in ops:
            mine = {self._variable(t): False for t in op.inputs if t.op.kind in REFERENCES and t not in feeds}
            if op.kind in WRITES:
                mine[op.attrs["_variable"]] = True
            if op.kind in REFERENCES:
                mine = {}
            for name, writes in sorted(mine.items()):
                for other, other_writes in touches.get(name, []):
                    first, then = (other, op) if writes else (op, other)
                    if (writes or other_writes) and not depends(first, then):
                        before[then].add(first)
                touches.setdefault(name, []).append((op, writes))
        order: list = []
        while len(order) < len(ops):
            order.append(next(op for op in ops if op not in order and before[op] & set(ops) <= set(order)))
        return order

    def _variable(self, tensor: Tensor) -> str:
        return tensor.op.name if tensor.op.kind is Kind.VARIABLE else tensor.op.attrs["_variable"]

    def _read(self, tensor: Tensor, values: dict, variables: dict, peek: bool = False):
        if tensor in values:
            return values[tensor]
        value = variables.get(self._variable(tensor), UNINITIALIZED)
        if value is UNINITIALIZED and not peek:
            raise LookupError(f"uninitialized {self._variable(tensor)}")
        return value

    def _evaluate(self, op: Operation, values: dict, variables: dict, draws: dict) -> tuple:
        attrs = {key: value for key, value in op.attrs.items() if not key.startswith("_")}
        if op.kind is Kind.CONSTANT:
            return (op.attrs["value"],)
        if op.kind is Kind.PLACEHOLDER:
            if op.outputs[0] not in values:
                raise LookupError(f"unfed {op.name}")
            return (values[op.outputs[0]],)
        if op.kind in REFERENCES or op.kind is Kind.NOOP:
            return ()
        if op.kind in WRITES:
            arguments = [self._read(t, values, variables) for t in op.inputs[1:]]
            name = op.attrs["_variable"]
            if op.kind is Kind.UPDATE:
                old = variables.get(name, UNINITIALIZED)
                if old is UNINITIALIZED:
                    raise LookupError(f"uninitialized {name}")
                arguments.insert(0, old)
            variables[name] = op.kernel(*arguments, **attrs)
            return (variables[name],)
        arguments = [self._read(t, values, variables, op.kind is Kind.PEEK) for t in op.inputs]
        if op.kind is Kind.RANDOM:
            arguments.insert(0, generator(op.attrs["_seed"], draws.get(op.name, 0)))
            draws[op.name] = draws.get(op.name, 0) + 1
        result = op.kernel(*arguments, **attrs)
        return (result,) if len(op.outputs) == 1 else tuple(result)


def same(a, b) -> bool:
    """Equal values: NaN equals itself, dtypes count."""
    if isinstance(a, (np.ndarray, np.generic)) and isinstance(b, (np.ndarray, np.generic)):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    return type(a) is type(b) and a == b
