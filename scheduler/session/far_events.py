"""Events of runs that a shared session's host runs, on their way to that session.

Operations go by their names; plans stay behind. Times are brought to the session's clock, and the run gets a number of
the session's program. They come with the reply; and, where somebody listens, while the run goes on.
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

_ASKED_EVERY = 0.2
"""Seconds between two looks for what a run at the host has told meanwhile."""


class Carried(NamedTuple):
    """Events of a run, from the `first` one on: with names in the place of operations.

    machine: Ray's id of the host's.   came, left: when the host was asked, and answered, by its clock.
    """

    events: list[Event]
    first: int
    machine: str
    came: float
    left: float


def carried(events: Sequence[Event], first: int, came: float) -> Carried:
    """The events of a run from the `first` one on, as they are sent."""
    named = [replace(event, ops=tuple([op.name for op in event.ops]), plan=None) for event in events[first:]]
    return Carried(named, first, inventory.this_machine(), came, time())


class Ear:
    """At the host: listens to one run for the session that has asked for it.

    heard: somebody listens there: the events are kept.   nodes: single nodes are wanted, there or in the metadata.
    """

    def __init__(self, metadata: Metadata | None, heard: bool, nodes: bool):
        self.events: list[Event] = []
        self.nodes = nodes or (metadata is not None and metadata.nodes)
        self._metadata, self._heard, self._tells_nodes = metadata, heard, nodes

    def __call__(self, event: Event) -> None:
        if self._metadata is not None:
            self._metadata(event)
        if self._heard and (self._tells_nodes or event.kind != "node"):
            self.events.append(event)


class FarRun:
    """At the session: tells its stream what the host tells of one run, each event once."""

    def __init__(self, stream: Stream, graph: Graph):
        self._stream, self._graph = stream, graph
        self._number, self._told = 0, 0
        self._lock, self._over = threading.Lock(), threading.Event()

    def take(self, told: Carried, sent: float) -> None:
        """Tell of what came from the host, which was asked for it at `sent`."""
        offset = OFFSETS.learn(f"host on {told.machine}", sent, told.came, told.left, time())
        there = inventory.address_of(told.machine)
        with self._lock:
            self._number = self._number or new_run()
            for event in told.events[max(0, self._told - told.first) :]:
                self._told += 1
                self._stream.tell(self._rebound(event, offset, there))

    def follow(self, ask: Callable[[int], Carried | None]) -> None:
        """Ask for the events from the next one on, until `end`."""
        while not self._over.wait(_ASKED_EVERY):
            sent = time()
            try:
                told = ask(self._told)
            except backend.WorkerLost:
                return
            if told is not None:
                self.take(told, sent)

    def end(self) -> None:
        """The run is over."""
        self._over.set()

    def _rebound(self, event: Event, offset: float, there: str) -> Event:
        """An event as one of this program. there: how the host's machine is called here."""
        lane = event.lane
        machine = inventory.address_of(inventory.machine_at(lane.machine)) if lane.machine else there
        times = {name: at + offset for name in ("start", "ready", "sent", "back") if (at := getattr(event, name))}
        ops = tuple([op for name in event.ops if (op := self._found(name)) is not None])
        return replace(event, run=self._number, lane=lane._replace(machine=machine), ops=ops, **times)

    def _found(self, name: Any) -> Operation | None:
        """An operation; None for a part of one, which is in no graph."""
        try:
            return self._graph.get_operation_by_name(name)
        except KeyError:
            return None
