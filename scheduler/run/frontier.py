"""Frontier: the nodes of a dataflow that are ready, the longest path to the end first, and what becomes so.

batch     ready nodes that go to a lane at once: as many as are worth it
rank      of a node: the seconds from its beginning to the end of the run, if nothing but the work took time
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from math import inf

from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.policy import (
    BATCHES_A_LANE,
    CALLS_BEFORE_HERE,
    GUESSED_SECONDS,
    HOP,
    LONGEST_BATCH,
    SHORTEST_BATCH,
    UNSEEN_IN_A_ROW,
)
from weftwork.scheduler.plan.schedule import neighbours, ranks


class Frontier:
    """What of one run is ready, waits and is left."""

    def __init__(self, flow: Dataflow, seconds: Sequence[float | None]):
        """seconds: predicted of each node; None for what was never seen."""
        self.flow, self.seconds = flow, list(seconds)
        self.before, self._after = neighbours(flow)
        self._rank = ranks([GUESSED_SECONDS if s is None else s for s in seconds], self._after)
        self._waits = [len(preds) for preds in self.before]
        self.left = len(flow.ops)
        """How many nodes are not done."""
        self.work = sum([s or 0.0 for s in seconds])
        """Predicted seconds of the nodes that have not begun."""
        self.ready: list[tuple[float, int]] = []
        """A heap of nodes that may go to any lane."""
        self.here: list[tuple[float, int]] = []
        """A heap of nodes that the caller runs."""
        self._own = {n for n, op in enumerate(flow.ops) if not op.traits.user or HISTORY.of(op) is not None}
        """Nodes whose seconds are not taken from other calls of their function."""
        self.singly: set[int] = set()
        """Nodes that go to a lane alone."""

    def first(self) -> list[int]:
        """The nodes that wait for nothing."""
        return [node for node, waits in enumerate(self._waits) if not waits]

    def push(self, heap: list[tuple[float, int]], node: int) -> None:
        """Put a node where it will be taken in its turn."""
        heapq.heappush(heap, (-self._rank[node], node))

    def pop_here(self) -> int:
        """The next node for the caller."""
        return heapq.heappop(self.here)[1]

    def done(self, node: int) -> list[int]:
        """A node is done: those that waited for it alone."""
        self.left -= 1
        ready = []
        for other in self._after[node]:
            if self._waits[other]:
                self._waits[other] -= 1
                if not self._waits[other]:
                    ready.append(other)
        return ready

    def again(self, nodes: Sequence[int]) -> list[int]:
        """Nodes of a batch were not done: those that wait for no others of them."""
        inside = set(nodes)
        for node in nodes:
            self._waits[node] = len([p for p in self.before[node] if p in inside])
        return [node for node in nodes if not self._waits[node]]

    def known(self, node: int) -> tuple[float | None, float]:
        """Seconds that a node is predicted to take, by what is known now, and how many calls that rests on.

        They are infinitely many where it is known of the node itself.
        """
        seconds = self.seconds[node]
        if node in self._own and seconds is not None:
            return seconds, inf
        record = COSTS.find(self.flow.kernels[node], 0)
        if record is not None:
            return record.careful, record.calls
        return (seconds, 0) if self.flow.ops[node].traits.user else (0.0, inf)

    def are_short(self, nodes: Iterable[int], seconds: float | None) -> bool:
        """True for nodes that are not worth a message, as enough calls have shown."""
        return (
            seconds is not None and seconds < HOP and all([self.known(node)[1] >= CALLS_BEFORE_HERE for node in nodes])
        )

    def begun(self, seconds: float | None) -> None:
        """Nodes that were predicted to take so long have begun."""
        self.work -= seconds or 0.0

    def next_batch(self, lanes: int, may_follow: Callable[[int], bool]) -> tuple[list[int], float | None]:
        """Ready nodes that are worth a message to one of so many lanes, or all that there are; their predicted seconds.

        A function whose calls differ is found out about in small steps: no more nodes go together than half of the
        calls that were seen. may_follow: whether a node may go where the batch goes.
        """
        wanted = min(LONGEST_BATCH, max(SHORTEST_BATCH, self.work / (BATCHES_A_LANE * max(1, lanes))))
        nodes: list[int] = []
        total = 0.0
        while self.ready and total < wanted:
            node = self.ready[0][1]
            seconds, calls = self.known(node)
            alone = seconds is None or node in self.singly
            if nodes and (alone or total + seconds > wanted or not may_follow(node)):  # type: ignore[operator]
                break  # what is done would wait for a long one to end, and with it all that needs it
            if nodes and 2 * len(nodes) >= calls:
                break
            heapq.heappop(self.ready)
            nodes.append(node)
            if node in self.singly:
                return nodes, seconds
            total += self._follow(node, seconds, nodes, may_follow)
            if seconds is None:
                return nodes, None
        return nodes, total

    def _follow(self, node: int, first: float | None, nodes: list[int], may_follow: Callable[[int], bool]) -> float:
        """What alone takes a node's value, and waits for nothing else, goes with it: the seconds of all.

        first: those of the node. Behind what was never seen goes what was never seen either: its value, which may be
        large, stays there.
        """
        seconds, last = first or 0.0, len(nodes) + UNSEEN_IN_A_ROW
        while len(self._after[node]) == 1 and seconds < SHORTEST_BATCH and (first is not None or len(nodes) < last):
            node = self._after[node][0]
            more = self.known(node)[0]
            if self._waits[node] != 1 or (more is None) != (first is None) or not may_follow(node):
                break
            self._waits[node] = 0
            nodes.append(node)
            seconds += more or 0.0
        return seconds
