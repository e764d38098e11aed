"""How long calls of a function take and how much of that they compute, which decides where a door makes them.

beside    said of calls that run in threads of this process and take no core: they wait, or write the program's state.
          As many run at once as the program allows. Other doors' pools would do the same with all calls
"""

from __future__ import annotations

from typing import Any, NamedTuple

from weftwork.actors.programs.lru import Lru
from weftwork.graph.cores import usable_cores
from weftwork.graph.python.captured import Captured
from weftwork.graph.python.captured_kinds import UNPICKLABLE

_KNOWN = 1024
"""Functions whose calls are remembered."""
_NEW_WEIGHT = 0.5
"""Weight of a new call against what is remembered."""
_WAITS = 0.5
"""A call that computes for less than this part of its time waits."""
_SHORTEST = 1e-3
"""Seconds from which a call is worth a thread."""


class Pace(NamedTuple):
    """The usual call of a function.   seconds: how long it takes.   busy: CPU seconds of its thread in that time."""

    seconds: float
    busy: float


class Paces:
    """The paces of functions, by their keys. Several threads may use it."""

    def __init__(self):
        self._known: Lru[Any, Pace] = Lru(_KNOWN)

    def of(self, key: Any) -> Pace | None:
        """The pace of a function; None if unknown."""
        try:
            return self._known.find(key)
        except TypeError:  # it has no hash
            return None

    def learn(self, key: Any, seconds: float, busy: float) -> None:
        """Take note of a call."""
        known = self.of(key)
        if known is not None:
            seconds = known.seconds + _NEW_WEIGHT * (seconds - known.seconds)
            busy = known.busy + _NEW_WEIGHT * (busy - known.busy)
        try:
            self._known.keep(key, Pace(seconds, busy))
        except TypeError:
            pass


PACES = Paces()
"""The paces of this process."""


def belongs_beside(captured: Captured, changes: bool, pace: Pace | None, most: int, may_write: bool = True) -> bool:
    """Whether calls of a function run beside the others.

    captured: what it refers to.   changes: whether it may change its arguments.   most: calls that may run at once. If
    these are more than there are cores, calls that wait, or that are unknown, run beside.
    may_write: whether it may write the program's state in several threads at once.
    """
    if most < 2 or captured.main or (captured.writes and not may_write):
        return False
    if UNPICKLABLE in captured.writes:  # such as a lock or a barrier, by which calls wait for each other
        return True
    many, writes = most > usable_cores(), changes or bool(captured.writes)
    if pace is None:
        return many or writes
    return pace.seconds >= _SHORTEST and (writes or (many and pace.busy < _WAITS * pace.seconds))
