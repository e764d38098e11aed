"""Log lines for events, by the logger `weftwork`: losses, repairs and detours at INFO, plans at DEBUG.

Retries, and functions that stay in the caller, are logged where they happen. The logger is a passive
listener: no event is reported for its sake, so it costs nothing while there is nothing to say.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from operator import attrgetter

from weftwork.graph.drawing.words import listed
from weftwork.graph.operation import Operation
from weftwork.scheduler.events.event import Event
from weftwork.scheduler.events.stream import LOG, listen_passively


def _named(ops: Sequence[Operation]) -> str:
    return listed(ops, attrgetter("defined_at"))


def _lost(event: Event) -> str:
    where = {"resident": "local worker", "task": "task", "actor": "variable actor"}.get(event.lane.place, "process")
    what = f"{_named(event.ops)} will run again" if event.ops else "what it did will be done again"
    return f"run {event.run}: a {where} was lost, and {what}: {event.text}"


def _planned(event: Event) -> str:
    nodes = f"{len(event.ops):,} node{'s' * (len(event.ops) != 1)}"
    return f"run {event.run}: {nodes}, {event.text} (planned in {1e3 * event.seconds:.3g} ms)"


_MESSAGES: dict[str, tuple[int, Callable[[Event], str]]] = {
    "lost": (logging.INFO, _lost),
    "repaired": (logging.INFO, lambda event: f"run {event.run}: {event.text}"),
    "copied": (
        logging.INFO,
        lambda event: f"run {event.run}: {_named(event.ops)} is far behind, and a copy of it begins",
    ),
    "spilled": (logging.INFO, lambda event: f"run {event.run}: {event.bytes_out / 1e6:.3g} MB of values went to disk"),
    "planned": (logging.DEBUG, _planned),
}
"""The level and text for each kind of event that is logged."""


def _log(event: Event) -> None:
    level, message = _MESSAGES.get(event.kind, (0, None))
    if message is not None and LOG.isEnabledFor(level):
        LOG.log(level, "%s", message(event))


LISTENING = listen_passively(_log)
"""It listens as long as the program runs."""
