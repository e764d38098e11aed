"""Events as a run would report them, for tests of what is made of them."""

from __future__ import annotations

from typing import Any

from weftwork.scheduler.events.event import Event, Lane

BEGAN = 1000.0
"""When the runs of these tests begin."""
HERE = Lane("caller", "", 1, 1)


def worker(number: int, place: str = "resident", machine: str = "") -> Lane:
    """A lane in another process."""
    return Lane(place, machine, 100 + number, 1)


def ran(ops: Any, start: float, seconds: float, lane: Lane = HERE, kind: str = "segment", **more: Any) -> Event:
    """Nodes that ran; times are seconds from the begin of the run, but those that are 0."""
    more.update({word: more[word] + BEGAN for word in ("ready", "sent", "back") if more.get(word)})
    ops = tuple([getattr(op, "op", op) for op in (ops if isinstance(ops, (list, tuple)) else [ops])])
    return Event(kind, 1, BEGAN + start, seconds, lane, ops, **more)


def moment(kind: str, start: float, seconds: float = 0.0, **more: Any) -> Event:
    """Something that happened in the run."""
    return Event(kind, 1, BEGAN + start, seconds, **more)


def whole(seconds: float, *events: Event, error: str = "") -> list[Event]:
    """A run that took some seconds."""
    return [moment("began", 0.0, text="y:0"), *events, moment("ended", 0.0, seconds, text=error)]
