"""Gates: nodes that a run gets to whenever they are opened, such as calls that a program submits while others run.

A graph cannot grow while it runs. So whoever builds it puts nodes behind gates, and gives them something to do when a
gate is opened. It shuts once they are done, and may be opened again. A run ends when all gates are shut and its other
nodes are done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from weftwork.graph.operation import Operation
from weftwork.scheduler.compile.dataflow import Dataflow

if TYPE_CHECKING:
    from weftwork.scheduler.sharing.sharing import Sharing


class Gates:
    """The gates of a graph that runs once. Only a run that is shared out can open them; others take all as open."""

    def __init__(self, to_come: Callable[[], float] = float):
        """to_come: tells how many seconds of work wait for a gate; called with the run's monitor, so takes no lock."""
        self.to_come = to_come
        self._behind: list[tuple[Operation, ...]] = []
        self._open: set[int] = set()
        self._shut: deque[int] = deque()
        self._nodes: list[list[int]] = []
        self._first: dict[int, int] = {}
        self._last: dict[int, int] = {}
        """The gates of their first and last nodes."""
        self._sharing: Sharing | None = None

    def add(self, operations: Collection[Operation], is_open: bool) -> None:
        """Add a gate while the graph is built. It gets the next number.   operations: those behind it, in order."""
        if is_open:
            self._open.add(len(self._behind))
        self._behind.append(tuple(operations))

    def open(self, prepare: Callable[[int], None]) -> bool:
        """Open a gate. False if none is shut, or if no run can open it. May be called from any thread.

        prepare: called with its number just before.
        """
        sharing = self._sharing
        if sharing is None:
            return False
        with sharing.crew.monitor:
            if sharing.is_over or not self._shut:
                return False
            number = self._shut.popleft()
            prepare(number)
            self._open.add(number)
            _count_uses(sharing, self._nodes[number], 1)
            sharing.take_in(sharing.frontier.open(self._nodes[number]))
        return True

    def withdraw(self) -> list[int]:
        """Shut the gates whose nodes have not begun. Returns their numbers. May be called from any thread."""
        sharing = self._sharing
        if sharing is None:
            return []
        with sharing.crew.monitor:
            if sharing.is_over:
                return []
            numbers = [self._first[node] for node in sharing.frontier.withdraw(self._first)]
            for number in numbers:
                self._leave_out(sharing, number)
                self._is_shut(number)
            sharing.rouse()
        return numbers

    # What the run calls, holding its monitor

    def begin(self, sharing: Sharing) -> None:
        """Note that a run has begun. It may have begun before: what was open then still is."""
        node = {op: number for number, op in enumerate(sharing.flow.ops)}
        self._nodes = [[node[op] for op in operations] for operations in self._behind]
        self._first = {nodes[0]: number for number, nodes in enumerate(self._nodes)}
        self._last = {nodes[-1]: number for number, nodes in enumerate(self._nodes)}
        self._shut = deque([number for number in range(len(self._nodes)) if number not in self._open])
        for number in self._shut:
            self._leave_out(sharing, number)
        self._sharing = sharing

    def done(self, node: int) -> None:
        """Note that a node is done. If it is the last one behind a gate, that shuts."""
        number = self._last.get(node)
        if number is not None:
            self._is_shut(number)

    def _leave_out(self, sharing: Sharing, number: int) -> None:
        _count_uses(sharing, self._nodes[number], -1)
        sharing.frontier.shut(self._nodes[number])

    def _is_shut(self, number: int) -> None:
        self._open.discard(number)
        self._shut.append(number)


def _count_uses(sharing: Sharing, nodes: Collection[int], sign: int) -> None:
    for node in nodes:
        for value in sharing.flow.inputs[node]:
            sharing.uses[value] += sign


def gates_of(flow: Dataflow) -> Gates | None:
    """The gates of the graph of a dataflow, if it has some."""
    return flow.ops[0].graph.gates if flow.ops else None
