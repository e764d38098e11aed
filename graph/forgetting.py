"""Forgetting: a graph lets go of nodes that no program can run any more, such as those of a trace that is gone.

place     the position of a node in the graph, which stays. `FORGOTTEN` stands there, for all nodes that have gone
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any, Protocol
from weakref import WeakSet

from weftwork.graph.marks import Marks
from weftwork.graph.operation import LIBRARY, Kind, Operation, Tensor
from weftwork.graph.seams import seams
from weftwork.graph.sections import sections_of
from weftwork.graph.source import Source
from weftwork.graph.weak import members

_NO_GRAPH: Any = None
FORGOTTEN = Operation(_NO_GRAPH, -1, "forgotten", "NoOp", Kind.NOOP, None, (), {}, [], (), LIBRARY, Source(None, 0))
"""Stands in the places of nodes that are gone."""


class Keeper(Protocol):
    """Something that keeps data about nodes."""

    def let_go(self) -> None:
        """Drop the data about nodes that their graph has forgotten. May be called by any thread."""


class Forgetting(Marks):
    """The part of a graph that forgets nodes."""

    _operations: list[Operation]
    _by_name: dict[str, Operation]
    _statistics: Any
    _unfeedable: set[Tensor]
    _unfetchable: set[Operation]
    _sources: dict[tuple[int, int], Source]
    weak: set[Tensor]

    def __init__(self):
        super().__init__()
        self._dropped: list[array] = []
        """Places of nodes that may be forgotten."""
        self.keepers: WeakSet[Keeper] = WeakSet()
        """The keepers of data about nodes of this graph."""
        self.rewired = 0
        """How often inputs of nodes have been replaced. What a session compiled before is not used again."""
        self.back_edges: dict[Operation, dict[int, Tensor]] = {}
        """The inputs of Merges that close loops made by hand (`rewiring.py`), until a session asks for the loops."""
        self.cycles: dict[Operation, Operation] = {}
        """Operations that would wait for one that depends on them (`rewiring.py`): no session runs the graph."""
        self.closed: set[Operation] = set()
        """The operations of loops made by hand that have become loops: they are not run, nor written to GraphDefs."""

    def drop(self, places: array) -> None:
        """Let `forget` consider the nodes in these places. May be called at any time, as from a finalizer."""
        self._dropped.append(places)  # atomic, because the lock may be held by the very thread that is interrupted

    def leave_out(self) -> None:
        """Leave the next place empty."""
        self._operations.append(FORGOTTEN)
        self._statistics.leave_out()

    def finalize(self) -> None:
        """Make any further change raise RuntimeError. The graph can still be run."""
        if self.back_edges:
            seams.close_loops(self)
        super().finalize()

    def move(self, ops: Sequence[Operation]) -> None:
        """Move operations to the end of the creation order.

        ops: in creation order, with all that depend on them.
        """
        with self._lock:
            self.rewired += 1
            for op in ops:
                place, op.index = op.index, len(self._operations)
                self._operations[place] = FORGOTTEN
                self._operations.append(op)
                self._statistics.move(op, place)

    def forget(self) -> None:
        """Forget the nodes that were dropped, except variables, and whatever is used by them or by other nodes."""
        if not self._dropped:
            return
        with self._lock:
            places: set[int] = set()
            while self._dropped:
                places.update(self._dropped.pop())
            gone = {op for place in places if (op := self._operations[place]) is not FORGOTTEN}
            self._keep_used(gone)
            if gone:
                self._forget(gone)
        for keeper in members(self.keepers) if gone else ():
            keeper.let_go()

    def _keep_used(self, gone: set[Operation]) -> None:
        """Remove those that others use. Whatever a node uses is older than itself, or in a section that it owns."""
        for op in [op for op in gone if op.kind is Kind.VARIABLE]:
            gone.discard(op)
        for items in self._collections.values():
            for item in items:
                if not isinstance(item, (Tensor, Operation)):
                    gone.difference_update(held_by(item))
        first = min([op.index for op in gone], default=len(self._operations))
        for op in reversed(self._operations[first:]):
            if op not in gone:
                gone.difference_update([tensor.op for tensor in op.inputs])
                gone.difference_update(op.controls)
                if op.kind is Kind.CONTROL:
                    gone.difference_update([inner for section in sections_of(op) for inner in section.ops])

    def _forget(self, gone: set[Operation]) -> None:
        self._statistics.forget(gone)
        tensors = {tensor for op in gone for tensor in op.outputs}
        self._unfeedable -= tensors
        self.weak -= tensors
        self._unfetchable -= gone
        self.dead -= gone
        self.closed -= gone
        self._sources.clear()  # they keep code, that of gone functions too
        for name, items in self._collections.items():
            kept = [item for item in items if not isinstance(item, (Tensor, Operation)) or item not in gone | tensors]
            if len(kept) < len(items):
                self._collections[name][:] = kept
        for op in gone:
            self._operations[op.index] = FORGOTTEN
            if self._by_name.get(op.name) is op:
                del self._by_name[op.name]  # but its name stays taken: a session may have looked it up by name
            self.marks.pop(op, None)
            self.originals.pop(op, None)
            if op.kind is Kind.CONTROL:
                for section in sections_of(op):
                    section.ops, section.parameters, section.outputs, section.targets = [], [], [], []
            _empty(op)


def held_by(item: Any) -> Iterator[Operation]:
    """The operations that an object, such as a variable, refers to."""
    for value in getattr(item, "__dict__", {}).values():
        for part in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(part, Tensor):
                yield part.op
            elif isinstance(part, Operation):
                yield part


def _empty(op: Operation) -> None:
    """Keep of a node only what a listener may still ask for: its name, its line, and its type."""
    op.inputs, op.controls, op.attrs, op.compiled, op.section = (), (), {}, None, None
    op.kernel, op.kind, op.outputs = None, Kind.NOOP, []
