"""Pace: whether the rest of a cold run is worth sharing out: heavy, by how long nodes took so far, and wide enough.

meeting   a node that reads several nodes. Where work is shared out, it waits for a value of another lane
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from time import perf_counter
from typing import Any

from weftwork.graph.operation import Operation
from weftwork.graph.statistics import CALLED
from weftwork.graph.user_function import UserFunction
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.placement import worth_sharing_once
from weftwork.scheduler.plan.policy import (
    CHUNK,
    COPYING_SHARE,
    HEAVY_CALL,
    LONGEST_WATCH,
    MEETING,
    PARALLEL_GAIN,
    SECONDS_A_BYTE,
    THREAD_MEETING,
)


class Pace:
    """How long nodes take. The remaining work is heavy once two readings of the clock in a row say so.

    A single reading may include a pause of the garbage collector or the machine.   is_suspect: the last reading said
    heavy.   seconds: of a node, by the last reading.
    """

    def __init__(self, at: int, end: int, are_up: bool):
        self.is_suspect = False
        self.seconds = 0.0
        self._are_up = are_up
        self._start = self._at = at
        self._end = end
        self._began = self._looked = perf_counter()

    def is_heavy(self, at: int) -> bool:
        """Whether the remaining work is heavy, if nodes go on taking as long as all, or the last, nodes did."""
        now, left = perf_counter(), self._end - at
        self.seconds = min((now - self._began) / (at - self._start), (now - self._looked) / (at - self._at))
        heavy = left > 0 and worth_sharing_once(self.seconds * left, left, self._are_up)
        before, self.is_suspect = self.is_suspect, heavy
        self._looked, self._at = now, at
        return before and self.is_suspect

    def leave_out(self, at: int) -> bool:
        """Leave out what was called since the last look, unless it took long: first calls also load and prepare."""
        now = perf_counter()
        if now - self._looked >= HEAVY_CALL:
            return False
        self._began += now - self._looked
        self._start += at - self._at
        self._looked, self._at = now, at
        return True


class Width:
    """Whether several lanes would finish the rest of a run sooner, by how many nodes can run at the same time.

    is_open: that depends on whether functions hold the GIL. So the caller watches its calls for a while.
    """

    def __init__(self, ops: Sequence[Operation], done: Collection[Operation], counts: Mapping[Any, int]):
        """done: nodes beyond the front that need not run again.   counts: the calls of each kernel."""
        self.is_open = False
        self._ops, self._done, self._counts = ops, done, counts
        self._functions = [kernel for kernel in counts if isinstance(kernel, UserFunction)]
        self._narrow_until, self._narrow_at = 0, 0.0
        """Up to which node the rest is known to be too narrow, if a node takes the seconds that follow."""
        self._open_until = 0.0

    def is_enough(self, at: int, seconds: float) -> bool:
        """Whether two lanes would finish the nodes from `at` on sooner than the caller, if each takes these seconds.

        If not, others are looked at again halfway, or once nodes take twice as long.
        """
        if at < self._narrow_until and seconds < 2 * self._narrow_at:
            return False
        unknown = [kernel for kernel in self._functions if HISTORY.holds_gil(kernel) is None]
        now = perf_counter()
        if unknown and now < self._open_until:
            return False
        if not self._open_until and any([kernel.interruptible for kernel in unknown]):  # it has to do with arrays
            self.is_open, self._open_until = True, now + LONGEST_WATCH
            return False
        holding = set(map(HISTORY.holds_gil, self._functions))
        copying = SECONDS_A_BYTE * COSTS.copied(self._counts)
        share = COPYING_SHARE if holding == {True} else COPYING_SHARE / 2
        if copying <= share * seconds and is_wide(self._ops, at, self._done, MEETING / seconds):
            return True
        made = copying / 2 / seconds
        if True not in holding and is_wide(self._ops, at, self._done, THREAD_MEETING / seconds, made):
            if not unknown:
                return True
            if not self.is_open:
                self.is_open, self._open_until = True, now + LONGEST_WATCH
                return False
        self.is_open = False
        self._narrow_until, self._narrow_at = (at + len(self._ops)) // 2, seconds
        return False


def is_wide(ops: Sequence[Operation], at: int, done: Collection[Operation], meeting: float, each: float = 0.0) -> bool:
    """Whether it pays to share out the nodes from `at` on, without those that are done.

    Nodes that are not looked at are taken to be one chain, which meets others as often.
    meeting: how many nodes the caller would call in the time that each meeting takes.   each: how many in the time that
    each node takes longer.
    """
    paths: dict[Operation, tuple[int, int]] = {}
    deepest = met = 0
    for begin in range(at, len(ops) + 1, CHUNK):
        for op in ops[begin : begin + CHUNK]:
            if op.kind in CALLED and op not in done:
                depth = meetings = 0
                maker = None
                meets = False
                for before in (*[tensor.op for tensor in op.inputs], *op.controls):
                    if (path := paths.get(before)) is not None:
                        if path[0] > depth:
                            depth = path[0]
                        if path[1] > meetings:
                            meetings = path[1]
                        if maker is None:
                            maker = before
                        elif maker is not before:
                            meets = True
                if meets:
                    meetings += 1
                    if meetings > met:
                        met = meetings
                paths[op] = (depth := depth + 1), meetings
                if depth > deepest:
                    deepest = depth
        left = max(0, len(ops) - begin - CHUNK)
        count = len(paths) + left
        meetings = met * count / max(1, len(paths))
        if count >= PARALLEL_GAIN * (max(count / 2, deepest + left) + meetings * meeting + count * each):
            return True
    return False
