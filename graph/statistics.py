"""GraphStatistics: counts kept while a graph grows, so that a run of the whole graph need not visit every node first.

number   of a tensor: its index among the tensors of its graph, in creation order
place    code for an argument of a call: a tensor's number, or -1, -2, ... for a constant
call     of a node: (number of its output, function, place of each argument...), or (node,) if that does not suffice
plain    a node that may run anywhere, and neither uses variables, draws, waits in queues nor owns sections
end      something that runs only if it is fetched: a tensor that no node uses, or a node without outputs
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
_SMALL = frozenset({int, float, bool, type(None)})
"""Types of constants that are kept as long as the graph."""
_kernel = attrgetter("kernel")
_UNKNOWN = -(2**62)
"""The number of ends of a graph that has forgotten nodes. It stays below zero, however large the graph grows."""


class GraphStatistics:
    """The counts for a graph, or for some of its nodes.

    tensors, constants: of the graph; the place of the first constant is -1.   calls: of all nodes of the graph.
    last: for each tensor number, the index of the last node that uses it, or -1.   ends: the number of ends.
    counts: the number of calls of each kernel.   first: the first node of each kernel.   others: nodes that are not
    plain.   devices: the first node that requests each device.
    """

    def __init__(self):
        self.tensors = 0
        self.constants: list[Any] = []
        self._shared: dict[int, int] = {}
        """The places of small constants by their ids: calls with the same one share its place."""
        self.calls: list[tuple] = []
        self.last = array("q")
        self.ends = 0
        self.counts: dict[Callable | None, int] = {}
        self.first: list[Operation] = []
        self.others: list[Operation] = []
        self.devices: dict[str, Operation] = {}

    def add(self, op: Operation) -> None:
        """Number a new node's outputs, work out its call, and count it."""
        number, last, index, outputs = self.tensors, self.last, op.index, op.outputs
        self.calls.append(self._call(op, number))
        for tensor in outputs:
            tensor.number = number
            last.append(-1)
            number += 1
        self.tensors = number
        for tensor in op.inputs:
            input_number = tensor.number
            if last[input_number] < 0:
                self.ends -= 1
            last[input_number] = index
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
        elif traits.user and kind is Kind.PURE:  # equal calls are merged, which takes a plan
            self.others.append(op)

    def leave_out(self) -> None:
        """Count a node that is gone."""
        self.calls.append(())
        self.ends = _UNKNOWN

    def forget(self, gone: set[Operation]) -> None:
        """Forget nodes. From now on, no run is taken to need the whole graph, because its ends are no longer known.

        gone: nodes that no other node uses.
        """
        self.calls, self.constants = self.calls[:], self.constants[:]  # snapshots share the old lists
        shared = set(self._shared.values())
        for op in gone:
            for place in self.calls[op.index][2:]:
                if type(place) is int and place < 0 and place not in shared:
                    self.constants[-1 - place] = None
            self.calls[op.index] = ()
            if op.kind in CALLED:
                self.counts[op.kernel] -= 1
        self.counts = {kernel: count for kernel, count in self.counts.items() if count}
        self.first = [op for op in self.first if op not in gone]
        self.others = [op for op in self.others if op not in gone]
        self.ends = _UNKNOWN

    def move(self, op: Operation, place: int) -> None:
        """Number a node that has moved to the end of the graph anew. From then on, the ends are not known.

        place: where it was.
        """
        self.calls = self.calls[:]  # snapshots share the old list
        self.calls[place] = ()
        self.calls.append(self._call(op, self.tensors))
        for number, tensor in enumerate(op.outputs, self.tensors):
            tensor.number = number
            self.last.append(-1)
        self.tensors += len(op.outputs)
        for tensor in op.inputs:
            self.last[tensor.number] = op.index
        self.ends = _UNKNOWN

    def part(self, ops: Sequence[Operation]) -> GraphStatistics:
        """The statistics of just these nodes of the graph, in creation order; without the ends."""
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
        """A snapshot. Constants and calls are append-only, so they are shared."""
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
        is_small = type(argument) in _SMALL
        place = self._shared.get(id(argument)) if is_small else None
        if place is None:
            self.constants.append(argument)
            place = -len(self.constants)
            if is_small:
                self._shared[id(argument)] = place
        return place
