"""Stream: the events of one session's runs, for whoever listens. The last ones are kept.

listener    called with each event, in the thread in which it was told
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from itertools import count

from weftwork.scheduler.events.event import Event

LOG = logging.getLogger("weftwork")
KEPT = 10_000
"""Events of a session that are kept."""
Listener = Callable[[Event], None]

_runs = count(1)


def new_run() -> int:
    """The number of a run that begins."""
    return next(_runs)


class Listening:
    """A listener that listens, until `close`, or the end of the `with` block."""

    __slots__ = ("_all", "listener", "nodes")

    def __init__(self, listener: Listener, nodes: bool, among: list[Listening]):
        self.listener, self.nodes, self._all = listener, nodes, among
        among.append(self)

    def close(self) -> None:
        """Listen no more. Safe to call twice."""
        if self in self._all:
            self._all.remove(self)

    def __enter__(self) -> Listening:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_EVERYWHERE: list[Listening] = []


class Stream:
    """The events of one session."""

    __slots__ = ("_kept", "_listening")

    def __init__(self, kept: int = KEPT):
        self._kept: deque[Event] = deque(maxlen=kept)
        self._listening: list[Listening] = []

    @property
    def is_heard(self) -> bool:
        """True when somebody listens: then short segments are told, too."""
        return bool(self._listening or _EVERYWHERE)

    @property
    def wants_nodes(self) -> bool:
        """True when somebody listens who asked for single nodes."""
        return self.is_heard and any([one.nodes for one in (*self._listening, *_EVERYWHERE)])

    def listen(self, listener: Listener, nodes: bool = False) -> Listening:
        """Call `listener` with each event of the session's runs. nodes: with events of kind "node", too."""
        return Listening(listener, nodes, self._listening)

    def tell(self, event: Event) -> None:
        """Keep an event, and tell those who listen. One that raises is logged once and listens no more."""
        if event.kind != "node":
            self._kept.append(event)
        for one in (*self._listening, *_EVERYWHERE):
            if event.kind == "node" and not one.nodes:
                continue
            try:
                one.listener(event)
            except Exception:
                one.close()
                LOG.exception("A listener failed, and listens no more: %r", one.listener)

    def recent(self, run: int | None = None) -> list[Event]:
        """The events that are kept, the oldest first; of one run, or of all."""
        return [event for event in list(self._kept) if run is None or event.run == run]


def listen(listener: Listener, nodes: bool = False) -> Listening:
    """Call `listener` with each event of the runs of all sessions of this program.

    listener: takes one `Event`. It is called in the thread in which the event was told, so it should be quick.
    nodes: call it with events of kind "node" too, which are many.

    Returns what ends it: call `close()`, or use it in a `with` statement.

        with tf.listen(lambda event: print(event.kind)):
            session.run(y)
    """
    return Listening(listener, nodes, _EVERYWHERE)
