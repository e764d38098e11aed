"""Frontier: the ready nodes of a dataflow. Urgent ones come first: those with the longest path to the end.

batch     ready nodes that go to a lane in one message
urgent    said of a node whose path to the end takes a good part of the time that is left. The others run depth first,
          so that values are used soon and memory stays small
rank      the predicted seconds from the start of a node to the end of the run, without any overhead
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import pairwise
from math import inf
from typing import Any, NamedTuple

from weftwork.graph.operation import Operation
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.plan.cost import COSTS, Record
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.policy import (
    BATCHES_A_LANE,
    CALLS_BEFORE_HERE,
    COPYING_SHARE,
    GUESSED_SECONDS,
    LONGEST_TURN,
    ROUND_TRIP,
    SECONDS_A_BYTE,
    UNSEEN_IN_A_ROW,
    URGENT,
    WORTH_A_THREAD,
)
from weftwork.scheduler.plan.schedule import ranks
from weftwork.scheduler.sharing.lane import OF_WORKERS, Batch, Lengths, is_certain


class Known(NamedTuple):
    """The known cost of a node.

    calls: the number of calls that it is based on; infinity if the node itself was measured.   variance: of its
    seconds; infinite if that is unknown.   longest: seconds of the longest recent call of its function.
    """

    seconds: float | None
    calls: float
    variance: float
    longest: float = inf


class Frontier:
    """The ready, waiting and remaining nodes of one run."""

    def __init__(self, flow: Dataflow, seconds: Sequence[float | None], lanes: int = 1, lengths: Lengths = OF_WORKERS):
        """seconds: the predicted seconds of each node; None if never seen.   lanes: how many run nodes at once.

        lengths: those of batches for them.
        """
        self.flow, self.seconds, self._lanes, self._lengths = flow, list(seconds), max(1, lanes), lengths
        before, after = flow.neighbours()
        self.before, self._after = list(before), list(after)
        self._rank = ranks([GUESSED_SECONDS if s is None else s for s in seconds], self._after)
        self._place = flow.depth_first()
        self._waits = [len(preds) for preds in self.before]
        self._is_done = bytearray(len(flow.ops))
        self.left = len(flow.ops)
        """The number of nodes that are not done."""
        self._work = sum([s or 0.0 for s in seconds])
        """Predicted seconds of the nodes that have not started."""
        self._unseen = len([s for s in seconds if s is None])
        """The number of nodes that have not started and have no prediction."""
        self._measured, self._calls = 0.0, 0
        """Measured seconds and number of finished nodes that had no prediction."""
        self._expected = self._taken = ROUND_TRIP
        """Predicted and measured seconds of the others, both with a little more, so that short nodes tell little."""
        self.ready: list[tuple[float, int]] = []
        """A heap of ready nodes for any lane."""
        self.threads: list[tuple[float, int]] = []
        """A heap of ready nodes for the crew."""
        self.here: list[tuple[float, int]] = []
        """A heap of ready nodes for the caller."""
        self._own = {n for n, op in enumerate(flow.ops) if not op.traits.user or HISTORY.of(op) is not None}
        """Nodes whose costs are not updated from other calls of their function."""
        self._known: list[Known | None] = [None] * len(flow.ops)
        """The costs of such nodes, once they were asked for."""
        self.singly: set[int] = set()
        """Nodes that are sent to a lane singly."""
        self.since = [0.0] * len(flow.ops)
        """When each node became ready."""
        self._records: dict[int, Record | None] = {}
        """The records of kernels, by id, as of the epoch `_looked_up`."""
        self._looked_up = COSTS.epoch

    def first(self) -> list[int]:
        """The nodes without predecessors, but for those that are shut."""
        return [node for node, waits in enumerate(self._waits) if not waits and not self._is_done[node]]

    def shut(self, nodes: Sequence[int]) -> None:
        """Count nodes that have not begun as done, until they are opened."""
        self._count(nodes, -1)
        self.left -= len(nodes)
        for node in nodes:
            self._is_done[node] = True

    def open(self, nodes: Sequence[int]) -> list[int]:
        """Let nodes run that are done or shut. Returns those that are ready."""
        self.left += len(nodes)
        for node in nodes:
            self._is_done[node] = False
        return self.again(nodes)

    def push(self, heap: list[tuple[float, int]], node: int) -> None:
        """Push a node onto a heap: by rank if it is urgent, else depth first."""
        rank = self._rank[node]
        time_left = (self._work + self._unseen * GUESSED_SECONDS) / self._lanes
        heapq.heappush(heap, (-rank if rank > URGENT * time_left else float(self._place[node]), node))

    def next_turn(
        self,
        heap: list[tuple[float, int]],
        most: int,
        alone: Callable[[int], bool],
        may_follow: Callable[[int], bool],
    ) -> list[int]:
        """Pop nodes off a heap that a thread calls one after another: at least one, at most `most` and what follows.

        They are several if they are known to be short: taking a turn costs as much as a short node. They are more than
        `most` as long as they are not worth calling another thread.
        alone: whether a node is to be called alone, because something is to be learned from it.   may_follow: whether a
        node, once it is ready, would get onto the same heap.
        """
        nodes, others, seconds, popped = list[int](), dict[int, Known](), 0.0, 0
        while heap:
            node = heap[0][1]
            known = self.known(node, others)
            new = known.seconds is None or known.calls < CALLS_BEFORE_HERE or alone(node)
            limit = LONGEST_TURN if popped < most else WORTH_A_THREAD
            if nodes and (new or seconds + known.seconds > limit):  # type: ignore[operator]
                break
            nodes.append(heapq.heappop(heap)[1])
            popped += 1
            if new:
                break
            seconds += known.seconds  # type: ignore[operator]
            while (node := self._only_reader(node)) >= 0 and may_follow(node):
                known = self.known(node, others)
                if known.calls < CALLS_BEFORE_HERE or seconds + known.seconds > LONGEST_TURN:  # type: ignore[operator]
                    break
                self._waits[node] = 0
                nodes.append(node)
                seconds += known.seconds  # type: ignore[operator]
        self._count(nodes, -1)
        return nodes

    def _only_reader(self, node: int) -> int:
        """The node that alone depends on a node, and on no other that is not done; -1 if there is none."""
        after = self._after[node]
        return after[0] if len(after) == 1 and self._waits[after[0]] == 1 and not self._is_done[after[0]] else -1

    def take_back(self) -> list[int]:
        """Take all ready nodes off their heaps."""
        heaps = self.ready, self.threads, self.here
        nodes = [node for heap in heaps for _, node in heap]
        for heap in heaps:
            heap.clear()
        return nodes

    def withdraw(self, among: Collection[int]) -> list[int]:
        """Take those of some nodes that have not begun off their heaps, and return them."""
        nodes = [node for node in among if self._waits[node] and not self._is_done[node]]
        for heap in (self.ready, self.threads, self.here):
            nodes += [node for _, node in heap if node in among]
            heap[:] = [each for each in heap if each[1] not in among]
            heapq.heapify(heap)
        return nodes

    def move_first(self) -> None:
        """Take the first node off the ready heap, for another heap."""
        heapq.heappop(self.ready)

    def move_here(self, entry: tuple[float, int]) -> None:
        """Give an entry of the ready heap to the caller."""
        self.ready.remove(entry)
        heapq.heapify(self.ready)
        heapq.heappush(self.here, entry)

    def done(self, node: int) -> list[int]:
        """Note that a node is done. Returns the nodes that become ready."""
        self.left -= 1
        self._is_done[node] = True
        ready = []
        for other in self._after[node]:
            if self._waits[other]:
                self._waits[other] -= 1
                if not self._waits[other] and not self._is_done[other]:  # else it is shut
                    ready.append(other)
        return ready

    def is_done(self, node: int) -> bool:
        """Whether a node is done."""
        return bool(self._is_done[node])

    def again(self, nodes: Sequence[int]) -> list[int]:
        """Take back nodes of a batch that were not done. Returns those that are ready."""
        self._count(nodes, 1)
        for node in nodes:
            self._waits[node] = len([p for p in self.before[node] if not self._is_done[p]])
        return [node for node in nodes if not self._waits[node]]

    def take_turns(self, nodes: Sequence[int]) -> None:
        """Let those of some nodes that are not done wait for each other, in their order."""
        left = [node for node in nodes if not self._is_done[node]]
        ready = {node for _, node in (*self.ready, *self.threads, *self.here)}
        for node, other in pairwise(left):
            if node not in self.before[other]:
                self.before[other] = (*self.before[other], node)
                self._after[node] = [*self._after[node], other]
                if self._waits[other] or other in ready:  # else it is under way: it waits if it comes back undone
                    self._waits[other] += 1
        for heap in (self.ready, self.threads, self.here):
            heap[:] = [each for each in heap if not self._waits[each[1]]]
            heapq.heapify(heap)

    def known(self, node: int, others: dict[int, Known] | None = None) -> Known:
        """The cost of a node, by what is known now.

        others: by the id of its kernel, what was just found for another call of the same function.
        """
        if (found := self._known[node]) is not None:
            return found
        seconds, op, kernel = self.seconds[node], self.flow.ops[node], self.flow.kernels[node]
        if node in self._own and seconds is not None:
            found = self._known[node] = Known(seconds, inf, self._variance(op, kernel) if op.traits.user else 0.0)
            return found
        if others is not None and (found := others.get(id(kernel))) is not None:
            return found
        if (record := self._record(kernel)) is not None:
            found = Known(record.careful, record.calls, record.variance, record.longest)
            if others is not None:
                others[id(kernel)] = found
            return found
        return Known(seconds, 0, inf) if op.traits.user else Known(0.0, inf, 0.0)

    def made(self, node: int) -> float:
        """The bytes that calls of a node's function have made so far, on average."""
        record = self._record(self.flow.kernels[node])
        return 0.0 if record is None else record.bytes

    def _variance(self, op: Operation, kernel: Any) -> float:
        """The variance of the seconds of a user's node that was measured: its own, or that of its function's calls."""
        record = self._record(kernel)
        return min(HISTORY.variance(op), inf if record is None else record.variance)

    def _record(self, kernel: Any) -> Record | None:
        if self._looked_up != COSTS.epoch:
            self._records, self._looked_up = {}, COSTS.epoch
        if id(kernel) not in self._records:
            self._records[id(kernel)] = COSTS.find(kernel, 0)
        return self._records[id(kernel)]

    def is_better_here(self, batch: Batch, busy: bool) -> bool:
        """True if enough calls have shown that the caller finishes a batch sooner than a lane would.

        Either it is not worth a message, or a lane could run nothing beside it. A long function goes to workers until
        they have found out whether it holds the GIL, because threads may suit it better.   busy: a lane is at work.
        """
        if batch.seconds is None or batch.calls < CALLS_BEFORE_HERE:
            return False
        if batch.seconds < self._lengths.worth:
            return True
        if self.ready or busy:
            return False
        return batch.seconds < self._lengths.round_trip or not self.gil_unknown_in(batch.nodes)

    def took(self, node: int, seconds: float) -> None:
        """Note how long a node took."""
        if (expected := self.seconds[node]) is None:
            self._measured += seconds
            self._calls += 1
        else:
            self._expected += expected
            self._taken += seconds

    def _count(self, nodes: Iterable[int], sign: int) -> None:
        """Add nodes to those that have not started, or remove them."""
        for node in nodes:
            seconds = self.seconds[node]
            if seconds is None:
                self._unseen += sign
            else:
                self._work += sign * seconds

    @property
    def work(self) -> float:
        """Predicted seconds of the nodes that have not started, corrected by how wrong predictions were so far.

        Unseen ones count with the finished ones' mean.
        """
        unseen = self._unseen * (self._measured / self._calls if self._calls else 0.0)
        return self._work * (self._taken / self._expected) + unseen

    def is_plenty(self, lanes: int) -> bool:
        """Whether these lanes are busy for longer than the first ready node may have to wait behind another one.

        So it may wait in a lane, which need not wait for it then. Nobody waits for its value.
        """
        node = self.ready[0][1]
        known = self.known(node)
        seen = known.calls >= CALLS_BEFORE_HERE and not self._after[node]
        return seen and self.work >= BATCHES_A_LANE * lanes * known.longest

    def gil_unknown(self, node: int) -> bool:
        """True for a user function of which it matters, and is not known yet, if it holds or releases the GIL."""
        kernel = self.flow.kernels[node]
        return self.flow.ops[node].traits.user and HISTORY.holds_gil(kernel) is None and not HISTORY.stays(kernel)

    def gil_unknown_in(self, nodes: Sequence[int]) -> bool:
        """`gil_unknown` for any of some nodes."""
        kernels = self.flow.kernels
        return any([self.gil_unknown(node) for node in {id(kernels[node]): node for node in nodes}.values()])

    def next_batch(self, lanes: int, free: int, may_follow: Callable[[int], bool]) -> Batch:
        """Pop a batch of ready nodes, large enough to be worth a message if there are enough nodes.

        A function whose calls vary is explored in small steps: a batch has at most half as many of its nodes as calls
        were measured. Short nodes do not share a batch with long ones, which would delay their results, unless so much
        work is left that this does not matter. Nor does it if nobody waits for them, and all are as short as a round
        trip by the function's recent calls, whatever those before took. Other free lanes get their share of the nodes.
        lanes: their number.   free: how many have room.   may_follow: whether a node may go where the batch goes.
        """
        lengths = self._lengths
        batch, part, awaited, lately = Batch([], 0.0, 0.0, inf), len(self.ready) / free, False, 0.0
        others: dict[int, Known] = {}
        share = max(lengths.shortest, self.work / (BATCHES_A_LANE * max(1, lanes)))
        short, long, among = min(lengths.longest, share), min(lengths.final, share), max(lengths.final, share)
        while self.ready:
            node = self.ready[0][1]
            known, after = self.known(node, others), self._after[node]
            last = known.seconds is None or node in self.singly
            if batch.nodes:
                if last or 2 * len(batch.nodes) >= known.calls or not may_follow(node):
                    break
                seconds: Any = batch.seconds + known.seconds  # type: ignore[operator]
                variance = batch.variance + known.variance
                if seconds > short and (awaited or after):
                    break
                if seconds > short and lately + known.longest > lengths.round_trip:
                    if seconds > long or not is_certain(seconds, variance, among):
                        break
            heapq.heappop(self.ready)
            lately += known.longest
            batch.add(node, known.seconds, known.variance, known.calls)
            if node in self.singly:
                break
            if after:
                self._follow(batch, known.seconds, short, may_follow)
                awaited = awaited or len(self._after[batch.nodes[-1]]) > 0
            seconds = batch.seconds
            if last or (awaited and seconds >= short):
                break
            if len(batch.nodes) >= part and batch.seconds >= lengths.round_trip:  # type: ignore[operator]
                break
        self._count(batch.nodes, -1)
        return batch

    def _follow(self, batch: Batch, first: float | None, most: float, may_follow: Callable[[int], bool]) -> None:
        """Add nodes that depend on the previous one alone and are its only readers: its value stays put.

        first: the seconds of the last node so far. An unseen node is followed by unseen ones.   most: after so many
        seconds of nodes, only those follow that take no longer than copying the value.
        """
        nodes, seconds, last = batch.nodes, first or 0.0, len(batch.nodes) + UNSEEN_IN_A_ROW
        while first is not None or len(nodes) < last:
            node = self._only_reader(nodes[-1])
            if node < 0 or not may_follow(node):
                break
            known = self.known(node)
            if (known.seconds is None) != (first is None):
                break
            if seconds >= most and SECONDS_A_BYTE * self.made(nodes[-1]) < COPYING_SHARE * (known.seconds or 0.0):
                break
            self._waits[node] = 0
            batch.add(node, known.seconds, known.variance, known.calls)
            seconds += known.seconds or 0.0
