"""How many seconds a run will still take, by the work that is left and by how fast it has been done so far.

lane      what runs one node at a time: there are as many as nodes were seen running at once
pace      work that a lane does each second, in this run and in earlier runs of the same fetches
slow      how many times as long as predicted nodes take in this run, as on a busy machine

The lanes carry out what is left, in order. So the last nodes of a run, for which not all lanes are needed, count as
long as they take.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

_BEGINNING = 0.1
"""Fraction of the work before which the pace is not reliable."""
_WEIGHT = 0.25
"""The pace of earlier runs counts as if this fraction of such a run had been observed in this one."""


class Work(NamedTuple):
    """The work of a run at one moment, in seconds by what its nodes are known to cost.

    finished, whole: of finished nodes, and of all.   credit: of running nodes, what they have done.
    spent: the seconds that running nodes have taken.   running, waiting: what is left of each node that runs, and of
    those to come.
    """

    finished: float
    whole: float
    credit: float
    spent: float
    running: list[float]
    waiting: list[float]


class Remaining:
    """Estimates the seconds left of one run."""

    def __init__(self):
        self._lanes, self._before, self._given = 1, 0.0, 0.0
        """How many lanes there are; the time of the last estimate, and the seconds that all lanes had had by then."""

    def left(self, now: float, since: float, work: Work, slow: float, usual: float) -> float | None:
        """Seconds left at a moment; None if nothing shows them.

        since: when the first node started.   usual: the seconds of earlier runs, 0.0 if unknown.
        """
        self._lanes = max(self._lanes, len(work.running))
        needed = self._lanes if work.waiting else max(1, len(work.running))  # lanes without work do not count
        self._given += needed * (now - max(self._before, since))
        self._before = now
        seen = _WEIGHT if usual else 0.0
        seconds = self._given + seen * usual * self._lanes
        pace = (work.finished + work.spent / slow + seen * work.whole) / seconds if seconds > 0 else 0.0
        if work.finished + work.credit < _BEGINNING * work.whole:  # workers may still be starting
            pace = max(pace, 1.0)
        return makespan(work.running, work.waiting, self._lanes) / pace if pace > 0 else None


def makespan(running: Sequence[float], waiting: Sequence[float], lanes: int) -> float:
    """Seconds until all nodes have ended, if each waiting one begins, in order, on the lane that is free first.

    running: the seconds left of the nodes that have begun.
    """
    free = [*running, *[0.0] * (lanes - len(running))]
    heapq.heapify(free)
    for seconds in waiting:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free, default=0.0)
