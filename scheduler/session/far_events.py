"""Events of runs that a shared session's host executes, and how they reach the session.

Operations are sent by name, and plans are not sent. The session converts times to its own clock, and numbers the run
itself. Events come with the reply and, if there is a listener, also during the run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import time
from typing import Any, NamedTuple

from weftwork.graph.graph import Graph
from weftwork.graph.operation import Operation
from weftwork.scheduler.events.clock import OFFSETS
from weftwork.scheduler.events.event import Event
from weftwork.scheduler.events.stream import Stream, new_run
from weftwork.scheduler.machines import backend, inventory
from weftwork.scheduler.views.metadata import Metadata

_POLL_SECONDS = 0.2
"""Seconds between two requests for events while a run is going on."""


class PackedEvents(NamedTuple):
    """Events of a run, from number `first` on, with names instead of operations.

    machine: Ray's id of the host's machine.   came, left: times of the request and of the answer, by the host's clock.
    """

    events: list[Event]
    first: int
    machine: str
    came: float
    left: float


def packed_events(events: Sequence[Event], first: int, came: float) -> PackedEvents:
    """Pack the events of a run from number `first` on."""
    named = [replace(event, ops=tuple([op.name for op in event.ops]), plan=None) for event in events[first:]]
    return PackedEvents(named, first, inventory.this_machine(), came, time())


class HostListener:
    """Listens to one run, at the host, for the session that requested the run.

    heard: the session has a listener, so events are recorded.   nodes: a listener wants events of single nodes.
    """

    def __init__(self, metadata: Metadata | None, heard: bool, nodes: bool):
        self.events: list[Event] = []
        self.nodes = nodes or (metadata is not None and metadata.nodes)
        self._metadata, self._heard, self._wants_nodes = metadata, heard, nodes

    def __call__(self, event: Event) -> None:
        if self._metadata is not None:
            self._metadata(event)
        if self._heard and (self._wants_nodes or event.kind != "node"):
            self.events.append(event)


class RemoteRun:
    """Reports the host's events of one run to the session's stream, each event once.

    The run begins when the session asks for it, and ends when the reply is there.
    """

    def __init__(self, stream: Stream, graph: Graph):
        self._stream, self._graph = stream, graph
        self._number, self._reported, self._began = 0, 0, time()
        self._lock, self._over = threading.Lock(), threading.Event()

    def take(self, packed: PackedEvents, sent: float) -> None:
        """Report events that came from the host in answer to a request made at `sent`."""
        offset = OFFSETS.learn(f"host on {packed.machine}", sent, packed.came, packed.left, time())
        there = inventory.address_of(packed.machine)
        with self._lock:
            self._number = self._number or new_run()
            for event in packed.events[max(0, self._reported - packed.first) :]:
                self._reported += 1
                self._stream.tell(self._converted(event, offset, there))

    def follow(self, ask: Callable[[int], PackedEvents | None]) -> None:
        """Request new events from time to time, until `end`."""
        while not self._over.wait(_POLL_SECONDS):
            sent = time()
            try:
                packed = ask(self._reported)
            except backend.WorkerLost:
                return
            if packed is not None:
                self.take(packed, sent)

    def end(self) -> None:
        """Stop requesting events, because the run is over."""
        self._over.set()

    def _converted(self, event: Event, offset: float, there: str) -> Event:
        """Convert an event to this program's clock, run number and operations.

        there: this program's name of the machine.
        """
        lane = event.lane
        machine = inventory.address_of(inventory.machine_at(lane.machine)) if lane.machine else there
        times = {name: at + offset for name in ("start", "ready", "sent", "back") if (at := getattr(event, name))}
        ops = tuple([op for name in event.ops if (op := self._operation(name)) is not None])
        if event.kind in ("began", "ended"):
            times["start"] = self._began
        if event.kind == "ended":
            times["seconds"] = time() - self._began
        return replace(event, run=self._number, lane=lane._replace(machine=machine), ops=ops, **times)

    def _operation(self, name: Any) -> Operation | None:
        """An operation by name. None for a part of one, which is in no graph."""
        try:
            return self._graph.get_operation_by_name(name)
        except KeyError:
            return None
