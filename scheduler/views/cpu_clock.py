"""How much CPU time a run has used so far, in this process and in its workers on this machine.

A node that runs in another process does not report its progress. On a busy machine its elapsed time says little,
because it has to share the cores. The CPU time of its process says how much it has really done.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from statistics import median
from time import process_time
from weakref import WeakKeyDictionary

from weftwork.actors.programs.lru import Lru
from weftwork.graph.operation import Operation
from weftwork.scheduler.events.event import Event
from weftwork.scheduler.events.stream import Stream

_FETCHES, _RUNS = 64, 5
"""Maximum number of fetches of a session whose runs are remembered, and of the last runs of each."""
_BUSY = 0.5
"""CPU seconds per second from which a run counts as one that computes. Any other one waits more than it works."""
_TICK = 1 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01

_used: WeakKeyDictionary[Stream, Lru[tuple[Operation, ...], deque[float]]] = WeakKeyDictionary()
"""CPU seconds of earlier runs, by their fetches."""


class CpuClock:
    """The CPU time of one run, from now on.   stream: the events of its session, which name its workers."""

    def __init__(self, stream: Stream):
        self._stream = stream
        self._begin = process_time()
        self._before = {pid: seconds for pid in _workers(stream.recent()) if (seconds := _seconds_of(pid)) is not None}
        self._whole = True
        """Whether all workers were known from the beginning."""

    def take(self, event: Event) -> None:
        """Note a new worker."""
        if self._whole and not _workers([event]) <= self._before.keys():
            self._whole = False

    def used(self) -> float | None:
        """The CPU seconds used so far, or None if those of some worker are unknown."""
        if not self._whole:
            return None
        now = [(_seconds_of(pid), before) for pid, before in self._before.items()]
        return process_time() - self._begin + sum([new - old for new, old in now if new is not None])

    def usual(self, fetched: tuple[Operation, ...]) -> float | None:
        """The CPU seconds of a whole run of these fetches, if known from earlier runs."""
        known = _used.get(self._stream)
        runs = None if known is None else known.find(fetched)
        return median(runs) if runs else None

    def end(self, fetched: tuple[Operation, ...], took: float) -> None:
        """Remember the CPU seconds of a run that succeeded. took: its seconds."""
        used = self.used()
        if used is not None and used >= _BUSY * took:
            known = _used.setdefault(self._stream, Lru(_FETCHES))
            runs = known.find(fetched) or known.keep(fetched, deque(maxlen=_RUNS))
            runs.append(used)


def _workers(events: Iterable[Event]) -> set[int]:
    """The other processes of this machine in which something ran."""
    lanes = {event.lane for event in events}
    return {lane.pid for lane in lanes if lane.pid and not lane.machine} - {os.getpid()}


def _seconds_of(pid: int) -> float | None:
    """The CPU seconds of another process, at the resolution of its clock; None if it has ended, or if the system does
    not say."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) * _TICK
