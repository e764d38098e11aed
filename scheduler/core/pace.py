"""Pace: whether the rest of a cold run is worth sharing out: heavy, by how long nodes took so far, and no chain."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from time import perf_counter

from weftwork.graph.operation import Operation
from weftwork.graph.statistics import CALLED
from weftwork.scheduler.plan.placement import worth_sharing_once
from weftwork.scheduler.plan.policy import CHUNK, PARALLEL_GAIN


class Pace:
    """How long nodes take. The remaining work is heavy once two readings of the clock in a row say so.

    A single reading may include a pause of the garbage collector or the machine.   is_suspect: the last reading said
    heavy.
    """

    def __init__(self, at: int, end: int, are_up: bool):
        self.is_suspect = False
        self._are_up = are_up
        self._start = self._at = at
        self._end = end
        self._began = self._looked = perf_counter()

    def is_heavy(self, at: int) -> bool:
        """Whether the remaining work is heavy, if nodes go on taking as long as all, or the last, nodes did."""
        now, left = perf_counter(), self._end - at
        pace = min((now - self._began) / (at - self._start), (now - self._looked) / (at - self._at))
        before, self.is_suspect = self.is_suspect, left > 0 and worth_sharing_once(pace * left, left, self._are_up)
        self._looked, self._at = now, at
        return before and self.is_suspect


def is_parallel(ops: Sequence[Operation], at: int, done: Collection[Operation]) -> bool:
    """Whether enough of the nodes from `at` on, without those that are done, could run at the same time."""
    depths: dict[Operation, int] = {}
    deepest = 0
    for begin in range(at, len(ops) + 1, CHUNK):
        for op in ops[begin : begin + CHUNK]:
            if op.kind in CALLED and op not in done:
                depth = 0
                for before in (*[tensor.op for tensor in op.inputs], *op.controls):
                    if depths.get(before, 0) > depth:
                        depth = depths[before]
                depths[op] = depth = depth + 1
                if depth > deepest:
                    deepest = depth
        left = max(0, len(ops) - begin - CHUNK)  # at worst, they are one chain
        if len(depths) + left >= PARALLEL_GAIN * (deepest + left):
            return True
    return False
