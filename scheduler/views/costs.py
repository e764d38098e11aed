"""Costs of a graph's operations, from the runs that its sessions remember."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from weftwork.actors.checkpoints.files import files_of, write_whole
from weftwork.graph.drawing.svg import Cost
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Operation
from weftwork.graph.python.forks import fresh
from weftwork.graph.seams import seams
from weftwork.scheduler.events.event import Event
from weftwork.scheduler.events.stream import Stream

_STREAMS: WeakKeyDictionary[Graph, WeakSet[Stream]] = WeakKeyDictionary()
_LOCK = fresh(Lock())


def remember(graph: Graph, stream: Stream) -> None:
    """Note that a session runs a graph, so that its stream is a source of costs."""
    with _LOCK:
        _STREAMS.setdefault(graph, WeakSet()).add(stream)


def costs_of(graph: Graph) -> dict[Operation, Cost]:
    """The cost of each operation when it last ran, as far as sessions remember."""
    with _LOCK:
        streams = list(_STREAMS.get(graph, ()))
    events = [event for stream in streams for event in stream.recent(nodes=True)]
    return {op: cost for op, cost in costs_in(events).items() if op.graph is graph}


def costs_in(events: Iterable[Event]) -> dict[Any, Cost]:
    """The costs of operations in some events, when they last ran.

    Nodes without events of their own share the seconds of their segment.
    """
    found: dict[Any, Cost] = {}
    for event in sorted(events, key=lambda event: (event.run, event.kind == "node", event.end)):
        if event.kind in ("segment", "node"):
            cost = Cost(event.seconds / max(1, len(event.ops)), event.lane.place)
            found.update({op.listed: cost for op in event.ops})
    return found


def write_text(path: str, text: str) -> None:
    """Write a file in one step: at any moment, either the old or the new content exists. Raises OpErrors."""
    write_bytes(path, text.encode())


def write_bytes(path: str, data: bytes) -> None:
    """`write_text`, of bytes."""
    write_whole(path, data, files_of(path))


seams.costs_of, seams.write_text, seams.write_bytes = costs_of, write_text, write_bytes
