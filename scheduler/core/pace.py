"""Pace: whether the rest of a cold run is heavy, judging by how long its nodes have taken so far."""

from __future__ import annotations

from time import perf_counter

from weftwork.scheduler.plan.placement import worth_sharing_once


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
