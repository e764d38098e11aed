"""What must hold of the events of any run: tests that look at events check it of theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from weftwork.scheduler.events.event import KINDS, Event

CLOSE = 1e-4
"""Seconds by which two clocks may differ."""
WAITS = ("queue", "loop", "nested")
"""Places that are no lanes: what is in them lies beside each other."""


def traced(session: Any, fetches: Any, feeds: Any = None) -> tuple[Any, list[Event]]:
    """The value of a run, and its events, of single nodes too."""
    heard: list[Event] = []
    with session.listen(heard.append, nodes=True):
        value = session.run(fetches, feeds)
    return value, heard


def of_kind(events: Sequence[Event], *kinds: str) -> list[Event]:
    """The events of some kinds."""
    return [event for event in events if event.kind in kinds]


def lanes(events: Sequence[Event], kind: str) -> dict[tuple, list[Event]]:
    """The events of a kind by the thread that they were in, the earliest first."""
    found: dict[tuple, list[Event]] = {}
    for event in sorted(of_kind(events, kind), key=lambda event: event.start):
        if event.lane.place not in WAITS:
            found.setdefault((event.lane.machine, event.lane.pid, event.lane.thread), []).append(event)
    return found


def check_run(events: Sequence[Event]) -> None:
    """Check the events of one run that went well, in which single nodes were asked for."""
    assert {event.kind for event in events} <= set(KINDS)
    assert len({event.run for event in events}) == 1
    assert [events[0].kind, events[-1].kind] == ["began", "ended"]
    ended = events[-1]
    assert ended.text == ""
    for event in events:
        assert ended.start - CLOSE <= event.start <= event.end <= ended.end + CLOSE, event
    for kind in ("segment", "node"):
        for slices in lanes(events, kind).values():
            for one, other in zip(slices, slices[1:], strict=False):
                assert one.end <= other.start + CLOSE, (one, other)
    for event in of_kind(events, "segment", "node"):
        assert event.lane.pid > 0
        if event.lane.place not in WAITS:
            assert event.lane.thread > 0
        for before, after in ((event.ready, event.start), (event.sent, event.start), (event.end, event.back)):
            assert not before or not after or before <= after + CLOSE, event
    inside = Counter([op for event in of_kind(events, "segment") for op in event.ops])
    assert Counter([event.ops[0] for event in of_kind(events, "node")]) == inside


def check_order(events: Sequence[Event]) -> None:
    """Check that each node has run once, and not before those had whose values it takes."""
    nodes = {event.ops[0]: event for event in of_kind(events, "node")}
    assert len(nodes) == len(of_kind(events, "node"))
    for op, event in nodes.items():
        for other in [tensor.op for tensor in op.inputs]:
            if other in nodes:
                assert nodes[other].end <= event.start + CLOSE, (other, op)
