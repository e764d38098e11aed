"""GraphStatistics: what a graph counts as it grows, so that a run of all of it need not look at every node first.

number   of a tensor: its place among the tensors of its graph, in creation order
place    where an argument of a call stands: a tensor's number, or -1, -2, ... for a constant
call     of a node: (number of its output, function, place of each argument...), or (node,) where that is not all
plain    a node that may run anywhere, and neither touches variables nor draws, waits in queues or owns sections
end      what nobody wants unless it is asked for: a tensor that no node takes, or a node without outputs
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from weftwork.graph.nest import Slot
from weftwork.graph.operation import Kind, Operation, Tensor

CALLED = frozenset({Kind.PURE, Kind.FUNCTION})
_PLAIN = frozenset({*CALLED, Kind.CONSTANT, Kind.NOOP})
_kernel = attrgetter("kernel")


class GraphStatistics:
    """The counts of a graph, or of some of its nodes.

    tensors, constants: of the graph; the place of the first constant is -1.   calls: of all nodes of the graph.
    last: of each tensor, by its number, the index of the node that takes it last, or -1.   ends: how many there are.
    counts: how often each kernel is called.   first: the first node of each.   others: of the nodes that are not plain.
    devices: the first node of each device that was asked for.
    """

    def __init__(self):
        self.tensors = 0
        self.constants: list[Any] = []
        self.calls: list[tuple] = []
        self.last = array("q")
        self.ends = 0
        self.counts: dict[Callable | None, int] = {}
        self.first: list[Operation] = []
        self.others: list[Operation] = []
        self.devices: dict[str, Operation] = {}

    def add(self, op: Operation) -> None:
        """Number a new node's outputs, find out how it is called, and count it."""
        number, last, index, outputs = self.tensors, self.last, op.index, op.outputs
        self.calls.append(self._call(op, number))
        for tensor in outputs:
            tensor.number = number
            last.append(-1)
            number += 1
        self.tensors = number
        for tensor in op.inputs:
            taken = tensor.number
            if last[taken] < 0:
                self.ends -= 1
            last[taken] = index
        self.ends += len(outputs) or 1
        if op.device:
            self.devices.setdefault(op.device, op)
        kind, traits = op.kind, op.traits
        if kind in CALLED:
            kernel, counts = op.kernel, self.counts
            if kernel in counts:
                counts[kernel] += 1
            else:
                self.first.append(op)
                counts[kernel] = 1
        if kind not in _PLAIN or op.device or op.section is not None or not traits.anywhere:
            self.others.append(op)
        elif traits.user and kind is Kind.PURE:  # equal calls are made once: a plan sees which are equal
            self.others.append(op)

    def part(self, ops: Sequence[Operation]) -> GraphStatistics:
        """The statistics of these nodes of the graph alone, in creation order; its ends are not counted."""
        part = GraphStatistics()
        part.tensors, part.constants, part.calls = self.tensors, self.constants, self.calls
        last = part.last = array("q", [-1]) * self.tensors
        for op in ops:
            index = op.index
            for tensor in op.inputs:
                last[tensor.number] = index
        called = [op for op in ops if op.kind in CALLED]
        part.counts = dict(Counter(map(_kernel, called)))
        part.first = list(dict(zip(map(_kernel, called[::-1]), called[::-1], strict=True)).values())
        needed = set(ops) if self.others else ()
        part.others = [op for op in self.others if op in needed]
        return part

    def copy(self) -> GraphStatistics:
        """The statistics of now. Constants and calls are only ever added to, so they are shared."""
        copy = GraphStatistics()
        copy.tensors, copy.constants, copy.calls = self.tensors, self.constants, self.calls
        copy.last, copy.ends, copy.counts = self.last[:], self.ends, dict(self.counts)
        copy.first, copy.others, copy.devices = self.first[:], self.others[:], dict(self.devices)
        return copy

    def _call(self, op: Operation, number: int) -> tuple:
        kernel = op.kernel
        if op.kind not in CALLED or kernel is None:
            return (op,)
        if not op.traits.user:
            simple = not op.attrs and len(op.outputs) == 1
            return (number, kernel, *[tensor.number for tensor in op.inputs]) if simple else (op,)
        direct = kernel.direct(op.attrs["template"])
        if direct is None or direct[1]:
            return (op,)
        return (number, kernel.function, *[self._place(argument, op.inputs) for argument in direct[0]])

    def _place(self, argument: Any, inputs: Sequence[Tensor]) -> int:
        if type(argument) is Slot:
            return inputs[argument.index].number
        self.constants.append(argument)
        return -len(self.constants)
