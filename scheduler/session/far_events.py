"""Events of runs that a shared session's host runs, on their way to that session.

Operations go by their names; plans stay behind. Times are brought to the session's clock, and the run gets a number of
the session's program.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from time import time
from typing import Any, NamedTuple

from weftwork.graph.graph import Graph
from weftwork.scheduler.events.clock import OFFSETS
from weftwork.scheduler.events.event import Event
from weftwork.scheduler.events.stream import Stream, new_run
from weftwork.scheduler.machines import inventory
from weftwork.scheduler.views.metadata import Metadata


class Ear:
    """Listens to one run for the session that has asked for it. nodes: with single nodes."""

    def __init__(self, metadata: Metadata | None, nodes: bool):
        self._metadata = metadata
        self.nodes = nodes or (metadata is not None and metadata.nodes)

    def __call__(self, event: Event) -> None:
        if self._metadata is not None:
            self._metadata(event)


class Carried(NamedTuple):
    """The events of a run: with names in the place of operations.

    machine: Ray's id of the host's.   came, left: when the host was asked, and answered, by its clock.
    """

    events: list[Event]
    machine: str
    came: float
    left: float


def carried(stream: Stream, run: Any, came: float, nodes: bool) -> Carried | None:
    """What was told of a run; None where there was nothing to tell. nodes: also of single nodes."""
    if run is None or run.telling is None:
        return None
    events = stream.recent(run.telling.number, nodes)
    named = [replace(event, ops=tuple([op.name for op in event.ops]), plan=None) for event in events]
    return Carried(named, inventory.this_machine(), came, time())


def rebound(told: Carried, graph: Graph, sent: float) -> Iterator[Event]:
    """The events, as those of a run of this program on a graph of its own. sent: when the host was asked."""
    offset = OFFSETS.learn(f"host on {told.machine}", sent, told.came, told.left, time())
    there, number = inventory.address_of(told.machine), new_run()
    for event in told.events:
        machine = inventory.address_of(inventory.machine_at(event.lane.machine)) if event.lane.machine else there
        times = {name: at + offset for name in ("start", "ready", "sent", "back") if (at := getattr(event, name))}
        ops = tuple([op for name in event.ops if (op := _found(graph, name)) is not None])
        yield replace(event, run=number, lane=event.lane._replace(machine=machine), ops=ops, **times)


def _found(graph: Graph, name: str) -> Any:
    """An operation; None for a part of one, which is in no graph."""
    try:
        return graph.get_operation_by_name(name)
    except KeyError:
        return None
