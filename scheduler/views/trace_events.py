"""Trace events: the JSON for chrome://tracing and Perfetto, in the trace event format.

slice     an interval of work in a lane, on the track of its thread, in the group of its process
flow      an arrow from one slice to another
wait      what takes no lane

Times are microseconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timezone
from itertools import count
from typing import Any

_CLOSE = 100.0
"""Microseconds by which two slices of a track may overlap due to clock differences or rounding."""


class Trace:
    """The events of a trace, in the trace event format.

    began: the time at which it starts, in seconds since the epoch. Its times count from there, because viewers store
    times as floats: counted from the epoch, they would be a quarter of a microsecond off, and slices would overlap.
    """

    def __init__(self, began: float = 0.0):
        self._began = began
        self._metadata: list[dict] = []
        self._events: list[dict] = []
        self._flows = count(1)

    def at(self, seconds: float) -> float:
        """Convert a time in seconds since the epoch to one of the trace."""
        return round(1e6 * (seconds - self._began), 3)

    def process(self, pid: int, name: str) -> None:
        """Name the group of a process. Groups are shown in the order in which they are named."""
        self._named("process_name", pid, 0, {"name": name})
        self._named("process_sort_index", pid, 0, {"sort_index": len(self._metadata)})

    def thread(self, pid: int, tid: int, name: str) -> None:
        """Name the track of a thread."""
        self._named("thread_name", pid, tid, {"name": name})

    def _named(self, what: str, pid: int, tid: int, args: dict) -> None:
        self._metadata.append({"name": what, "ph": "M", "pid": pid, "tid": tid, "args": args})

    def slice(self, where: tuple[int, int], category: str, name: str, start: float, took: float, args: dict) -> None:
        """Add an interval. where: its process and thread."""
        self._add("X", where, category, name, start, dur=round(max(took, 0.0), 3), args=args)

    def moment(self, where: tuple[int, int], category: str, name: str, at: float, args: dict) -> None:
        """Add an event without a duration."""
        self._add("i", where, category, name, at, s="p", args=args)

    def wait(self, where: tuple[int, int], category: str, name: str, start: float, took: float, args: dict) -> None:
        """Add an interval outside the lanes."""
        number = next(self._flows)
        self._add("b", where, category, name, start, id=number, args=args)
        self._add("e", where, category, name, start + max(took, 0.0), id=number)

    def flow(self, name: str, start: tuple[tuple[int, int], float], end: tuple[tuple[int, int], float]) -> None:
        """Add an arrow between two slices, each given by a track and a time inside the slice."""
        number = next(self._flows)
        self._add("s", start[0], "flow", name, min(start[1], end[1]), id=number)
        self._add("f", end[0], "flow", name, end[1], id=number, bp="e")

    def counter(self, pid: int, name: str, at: float, values: dict[str, float]) -> None:
        """Add the values of some quantities from a time on."""
        self._add("C", (pid, 0), "memory", name, at, args=values)

    def _add(self, kind: str, where: tuple[int, int], category: str, name: str, at: float, **more: Any) -> None:
        pid, tid = where
        self._events.append({"ph": kind, "cat": category, "name": name, "pid": pid, "tid": tid, "ts": at, **more})

    def to_json(self, indent: int | None = None) -> str:
        """The trace as text: names first, then the events in order of time.

        Of events that begin together, a slice comes before those inside it, and before the arrows from or to it.
        """
        events = sorted(self._events, key=lambda event: (event["ts"], event["ph"] != "X", -event.get("dur", 0.0)))
        _settle([event for event in events if event["ph"] == "X"])
        trace: dict[str, Any] = {"traceEvents": [*self._metadata, *events], "displayTimeUnit": "ms"}
        if self._began:
            trace["otherData"] = {"began": datetime.fromtimestamp(self._began, timezone.utc).isoformat()}
        return json.dumps(trace, indent=indent)


def _settle(slices: Iterable[dict]) -> None:
    """Make the slices of each track disjoint or nested: viewers drop slices that partly overlap.

    A slice that ends a little too late is cut.   slices: in the order in which they begin, outer ones first.
    """
    open_: dict[tuple[int, int], list[dict]] = {}
    for one in slices:
        around = open_.setdefault((one["pid"], one["tid"]), [])
        while around and _end(around[-1]) <= one["ts"]:
            around.pop()
        for outer in around[::-1]:
            over, into = _end(one) - _end(outer), _end(outer) - one["ts"]
            if over <= 0 or min(over, into) > _CLOSE:
                break
            if into <= over:  # it follows the other one
                outer["dur"] = one["ts"] - outer["ts"]
                around.pop()
            else:  # it is nested inside
                one["dur"] = into
        around.append(one)


def _end(one: dict) -> float:
    return one["ts"] + one["dur"]
