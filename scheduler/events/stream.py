"""Stream: the events of one session's runs. It calls listeners, and keeps the latest events.

listener    called with each event, in the thread that reports it
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from operator import attrgetter
from weakref import WeakSet, ref

from weftwork.graph.forgetting import FORGOTTEN
from weftwork.graph.weak import members
from weftwork.scheduler.events.event import Event

LOG = logging.getLogger("weftwork")
KEPT = 10_000
"""Number of events that a session keeps, and again of events of kind "node"."""
Listener = Callable[[Event], None]

_runs = count(1)


def new_run() -> int:
    """A number for a new run."""
    return next(_runs)


class Listening:
    """A registered listener. It listens until `close`, or until the end of a `with` block."""

    __slots__ = ("_among", "_stream", "listener", "nodes", "passive")

    def __init__(
        self,
        listener: Listener,
        nodes: bool,
        among: list[Listening],
        passive: bool = False,
        stream: Stream | None = None,
    ):
        """among: the listeners that it joins.   stream: whose they are, unless they are those of all streams, or of a
        single run.   passive: it receives only events that are reported anyway, so it causes none.
        """
        if not callable(listener):
            raise TypeError(f"A listener must be callable, but got a {type(listener).__name__}.")
        self.listener, self.nodes, self.passive = listener, nodes, passive
        self._among = among if stream is None else None
        self._stream = None if stream is None else ref(stream)  # weak, so a forgotten session is freed at once
        among.append(self)
        _look_again(among, stream)

    def close(self) -> None:
        """Stop listening. A second call does nothing."""
        stream = None if self._stream is None else self._stream()
        among = self._among if stream is None else stream.listening
        if among is not None and self in among:
            among.remove(self)
            _look_again(among, stream)

    def tell(self, *events: Event) -> None:
        """Call the listener with each event. If it raises, log the error once and stop listening."""
        try:
            for event in events:
                self.listener(event)
        except Exception:
            self.close()
            LOG.exception("A listener failed and was removed: %r", self.listener)

    def __enter__(self) -> Listening:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_EVERYWHERE: list[Listening] = []
_streams: WeakSet[Stream] = WeakSet()


def _look_again(among: list[Listening], stream: Stream | None) -> None:
    """Make streams notice that a listener was added or removed."""
    if stream is not None:
        stream.look()
    elif among is _EVERYWHERE:
        for each in members(_streams):
            each.look()


class Stream:
    """The events of one session.

    listening: its own listeners.   is_heard: whether there is a listener, so that short segments are reported too.
    wants_nodes: whether a listener asked for single nodes.
    """

    __slots__ = ("__weakref__", "_kept", "_nodes", "is_heard", "listening", "wants_nodes")

    def __init__(self, kept: int = KEPT):
        self._kept: deque[Event] = deque(maxlen=kept)
        self._nodes: deque[Event] = deque(maxlen=kept)
        self.listening: list[Listening] = []
        _streams.add(self)
        self.look()

    def let_go(self) -> None:
        """Drop the plans of nodes that their graph has forgotten from the events that are kept."""
        for event in list(self._kept):
            if event.plan is not None and any([op.listed is FORGOTTEN for op in event.plan.flow.ops]):
                event.plan = None

    def look(self) -> None:
        """Update `is_heard` and `wants_nodes`."""
        all_ = (*self.listening, *_EVERYWHERE)
        self.wants_nodes = any([one.nodes for one in all_])
        self.is_heard = not all([one.passive for one in all_])

    def listen(self, listener: Listener, nodes: bool = False, passive: bool = False) -> Listening:
        """Call `listener` with each event of the session's runs. nodes: include events of kind "node".

        passive: only events that are reported anyway: rare ones, and those of more than a millisecond.
        """
        return Listening(listener, nodes, self.listening, passive, self)

    def tell(self, event: Event, also: Iterable[Listening] = ()) -> None:
        """Keep an event and pass it to the listeners.   also: listeners to its run alone."""
        if event.kind == "node":
            self.tell_nodes((event,), also)
            return
        self._kept.append(event)
        for one in (*self.listening, *_EVERYWHERE, *also):
            one.tell(event)

    def tell_nodes(self, events: Sequence[Event], also: Iterable[Listening] = ()) -> None:
        """The same for events of kind "node", which only those hear who have asked for nodes."""
        self._nodes.extend(events)
        for one in (*self.listening, *_EVERYWHERE, *also):
            if one.nodes:
                one.tell(*events)

    def recent(self, run: int | None = None, nodes: bool = False) -> list[Event]:
        """The kept events, oldest first, of one run or of all.

        nodes: include events of kind "node", which exist if a listener asked for them.
        """
        found = [event for kept in (self._kept, self._nodes if nodes else ()) for event in _of_run(list(kept), run)]
        return sorted(found, key=attrgetter("end")) if nodes else found


def _of_run(events: list[Event], run: int | None) -> list[Event]:
    """The events of one run, searched from the newest back to the run's beginning."""
    if run is None:
        return events
    found: list[Event] = []
    for event in reversed(events):
        if event.run == run:
            found.append(event)
            if event.kind == "began":
                break
    return found[::-1]


def listen_passively(listener: Listener) -> Listening:
    """Call `listener` with every event of any session that is reported anyway."""
    return Listening(listener, False, _EVERYWHERE, passive=True)


def listen(listener: Listener, nodes: bool = False) -> Listening:
    """Call `listener` with each event of the runs of all sessions of this program.

    listener: takes one `Event`. It is called in the thread that reports the event, so it should be quick. Several
    threads may call it at once. If it raises, the error is logged and it is not called again.
    nodes: also call it with events of kind "node", of which there are many.

    Returns an object with a `close()` method that ends it, also usable in a `with` statement. Raises TypeError if
    `listener` is not callable.

        with tf.listen(lambda event: print(event.kind)):
            session.run(y)
    """
    return Listening(listener, nodes, _EVERYWHERE)
