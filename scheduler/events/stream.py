"""Stream: the events of one session's runs, for whoever listens. The last ones are kept.

listener    called with each event, in the thread in which it was told
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from itertools import count
from operator import attrgetter
from weakref import WeakSet

from weftwork.scheduler.events.event import Event

LOG = logging.getLogger("weftwork")
KEPT = 10_000
"""Events of a session that are kept; and as many of kind "node"."""
Listener = Callable[[Event], None]

_runs = count(1)


def new_run() -> int:
    """The number of a run that begins."""
    return next(_runs)


class Listening:
    """A listener that listens, until `close`, or the end of the `with` block."""

    __slots__ = ("_all", "listener", "modest", "nodes")

    def __init__(self, listener: Listener, nodes: bool, among: list[Listening], modest: bool = False):
        """modest: it takes what is told anyway; nothing is told for its sake."""
        if not callable(listener):
            raise TypeError(f"A listener is called with each event, but {type(listener).__name__} cannot be called.")
        self.listener, self.nodes, self.modest, self._all = listener, nodes, modest, among
        among.append(self)
        _look_around()

    def close(self) -> None:
        """Listen no more. Safe to call twice."""
        if self in self._all:
            self._all.remove(self)
            _look_around()

    def tell(self, event: Event) -> None:
        """Call the listener. One that raises is logged once and listens no more."""
        if event.kind == "node" and not self.nodes:
            return
        try:
            self.listener(event)
        except Exception:
            self.close()
            LOG.exception("A listener failed, and listens no more: %r", self.listener)

    def __enter__(self) -> Listening:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_EVERYWHERE: list[Listening] = []
_streams: WeakSet[Stream] = WeakSet()


def _look_around() -> None:
    """Somebody has begun to listen, or listens no more: each stream knows whether it is heard."""
    for stream in list(_streams):
        stream.look()


class Stream:
    """The events of one session.

    is_heard: somebody listens: then short segments are told, too.   wants_nodes: of these, somebody who asked for
    single nodes.
    """

    __slots__ = ("__weakref__", "_kept", "_listening", "_nodes", "is_heard", "wants_nodes")

    def __init__(self, kept: int = KEPT):
        self._kept: deque[Event] = deque(maxlen=kept)
        self._nodes: deque[Event] = deque(maxlen=kept)
        self._listening: list[Listening] = []
        _streams.add(self)
        self.look()

    def look(self) -> None:
        """See who listens."""
        all_ = (*self._listening, *_EVERYWHERE)
        self.wants_nodes = any([one.nodes for one in all_])
        self.is_heard = not all([one.modest for one in all_])

    def listen(self, listener: Listener, nodes: bool = False, modest: bool = False) -> Listening:
        """Call `listener` with each event of the session's runs. nodes: with events of kind "node", too.

        modest: with those that are told anyway: what is rare, and what takes more than a millisecond.
        """
        return Listening(listener, nodes, self._listening, modest)

    def tell(self, event: Event, also: Iterable[Listening] = ()) -> None:
        """Keep an event, and tell those who listen.   also: those who listen to its run alone."""
        (self._nodes if event.kind == "node" else self._kept).append(event)
        for one in (*self._listening, *_EVERYWHERE, *also):
            one.tell(event)

    def recent(self, run: int | None = None, nodes: bool = False) -> list[Event]:
        """The events that are kept, the oldest first; of one run, or of all.

        nodes: with events of kind "node", of which there are some where somebody has asked for them.
        """
        found = [event for kept in (self._kept, self._nodes if nodes else ()) for event in _of_run(list(kept), run)]
        return sorted(found, key=attrgetter("end")) if nodes else found


def _of_run(events: list[Event], run: int | None) -> list[Event]:
    """Those of one run: they are looked for from the newest on, back to its begin."""
    if run is None:
        return events
    found: list[Event] = []
    for event in reversed(events):
        if event.run == run:
            found.append(event)
            if event.kind == "began":
                break
    return found[::-1]


def overhear(listener: Listener) -> Listening:
    """Call `listener` with each event, of all sessions of this program, that is told anyway."""
    return Listening(listener, False, _EVERYWHERE, modest=True)


def listen(listener: Listener, nodes: bool = False) -> Listening:
    """Call `listener` with each event of the runs of all sessions of this program.

    listener: takes one `Event`. It is called in the thread in which the event was told, so it should be quick, and
        several threads may call it at a time. One that raises is logged once, and listens no more.
    nodes: call it with events of kind "node" too, which are many.

    Returns what ends it: call `close()`, or use it in a `with` statement. Raises TypeError where it cannot be called.

        with tf.listen(lambda event: print(event.kind)):
            session.run(y)
    """
    return Listening(listener, nodes, _EVERYWHERE)
