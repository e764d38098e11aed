"""How a session shows what it does: events, plans, reports, a live page, notebooks."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from html import escape
from os import PathLike, fspath
from typing import Any

from weftwork.graph.drawing.html import table
from weftwork.graph.errors import FailedPreconditionError
from weftwork.graph.operation import Operation, Tensor
from weftwork.scheduler.events.event import Event
from weftwork.scheduler.events.stream import Listening
from weftwork.scheduler.machines.devices import list_devices
from weftwork.scheduler.plan.explain import Explanation
from weftwork.scheduler.request.config import ConfigProto
from weftwork.scheduler.run.waiting import Waiting, Waits
from weftwork.scheduler.session.cluster import ClusterSpec
from weftwork.scheduler.views.account import accounts, summary
from weftwork.scheduler.views.costs import write_text
from weftwork.scheduler.views.live import Live
from weftwork.scheduler.views.page import report
from weftwork.scheduler.views.serving import Serving
from weftwork.scheduler.views.stats import Counting, Stats
from weftwork.scheduler.views.timeline import write_timeline


class Inspection:
    """The part of a session's interface that shows what it does."""

    _engine: Any
    _graph: Any
    _closed: bool
    _pages: list[Serving]
    _counting: Counting
    _config: ConfigProto
    _cluster: ClusterSpec | None
    _check_open: Any
    _find: Any

    def list_devices(self) -> list[Any]:
        """The devices of all machines, as TensorFlow 1 describes them."""
        self._check_open()
        spec = self._cluster or ClusterSpec(self._config.cluster_def)
        return list_devices(max(1, self._config.device_count.get("CPU", 1)), spec.tasks())

    @property
    def placements(self) -> dict[str, tuple[int, int]]:
        """What ran where so far: maps "caller", "task" and so on to (number of segments, number of nodes).

        In a shared session, "caller" is the host.
        """
        return {place: (segments, nodes) for place, (segments, nodes) in sorted(self._engine.ran.items())}

    def listen(self, listener: Callable[[Event], None], nodes: bool = False) -> Listening:
        """Call `listener` with each event of the session's runs from now on. docs/events.md lists the events.

        listener: takes one event. It is called in the thread that reports the event, so it should be quick. Several
        threads may call it at once. If it raises, the error is logged and it is not called again.
        nodes: also call it with events of kind "node". They are many, and every node is measured then.
        Returns an object with a `close()` method that ends it, also usable in a `with` statement. Raises TypeError if
        `listener` is not callable.
        """
        return self._engine.events.listen(listener, nodes)

    def events(self, run: int | None = None) -> list[Event]:
        """The session's last 10,000 events, oldest first: of one run, by its number `Event.run`, or of all runs.

        Segments that took more than a millisecond are always recorded, shorter ones only while there is a listener.
        Events of kind "node" are left out.
        """
        return self._engine.events.recent(run)

    def timeline(self, path: Any, run: int | None = None) -> None:
        """Write a timeline to a file, for Perfetto (ui.perfetto.dev) or chrome://tracing.

        It shows the recorded events of one run, by its number, or of all runs: single nodes if a listener asked for
        them (`listen(..., nodes=True)`), else segments. Raises FailedPreconditionError if no run, or not this one,
        is remembered, and an OpError if the file cannot be written, which leaves an existing file unchanged.
        """
        write_timeline(self._remembered(run), path)

    def _remembered(self, run: int | None = None) -> list[Event]:
        """The events of one run or of all, single nodes too. Raises FailedPreconditionError if there are none."""
        events = self._engine.events.recent(run, nodes=True)
        if not events:
            which = "No run of this session is remembered" if run is None else f"Run {run!r} is not remembered"
            raise FailedPreconditionError(
                None, None,
                f"{which}: run something first. Runs of less than a millisecond are remembered only while there is a "
                "listener, as in `with session.listen(print):`.",
            )  # fmt: skip
        return events

    def explain(self, fetches: Any, feed_dict: Mapping[Any, Any] | None = None) -> Explanation:
        """The plan of a run as readable text: print it. Nothing runs.

        It lists the segments, where each one runs and why, what it costs, the critical path, and what bounds the run.
        Before the first run of these fetches, costs are taken from other runs. The last line says where the time of
        their last run went, if the session remembers one (`report` tells more).
        """
        self._check_open()
        signature, fed, _ = self._find(fetches, feed_dict)
        signature.asked = None  # no run has to wait for it
        return replace(self._engine.explain(signature, fed), last=self._last_run(signature.fetches.elements))

    def waiting(self) -> list[Waiting]:
        """What the active runs wait for at this moment: which nodes, where, and since when."""
        return Waits(self._engine.waiting())

    def stats(self) -> Stats:
        """Totals for the session so far: runs, nodes and seconds by place, bytes, losses, retries."""
        return self._counting.stats(self._engine)

    # Reports and pages

    def report(self, path: str | PathLike[str], runs: int = 1) -> None:
        """Write a report on the last run, or the last `runs` ones, to a self-contained HTML file.

        It shows the graph, what ran where and when, the critical path with your lines, where the time went, in shares
        that add up to the whole run, and what would make it faster. Runs of less than a millisecond are remembered only
        while there is a listener (`session.listen`).
        Raises ValueError if `runs` is less than 1, FailedPreconditionError if no run is remembered, and an OpError if
        the file cannot be written, which leaves an existing file unchanged.
        """
        if not isinstance(runs, int) or runs < 1:
            raise ValueError(f"runs must be at least 1, but got {runs!r}.")
        found = accounts(self._remembered())[-runs:]
        write_text(fspath(path), report(found))

    def serve(self, port: int = 0) -> Serving:
        """Show what the session does, live, on a page for browsers on this machine.

        port: a port of the loopback address; 0 picks a free one. To open the page you need the address as returned,
        because a token is part of it. The page is served until you call `close()` on the returned object, or close the
        session. Raises ValueError if `port` is no port, and OSError if it is not available.

            with session.serve() as page:
                print(page.url)
                session.run(y)
        """
        self._check_open()
        me, live = weakref.ref(self), Live(self._engine.events)

        def view() -> str | None:
            session = me()
            return None if session is None or session._closed else live.content(session.waiting())

        serving = Serving(f"Weftwork: {type(self).__name__}", view, port, lambda: self._engine.events.listen(_ignore))
        self._pages.append(serving)
        return serving

    def _last_run(self, elements: Sequence[Tensor | Operation]) -> str:
        """A line on where the time of the last run of some fetches went, or "" if none is remembered."""
        wanted = {getattr(element, "op", element) for element in elements}
        for run in reversed(accounts(self._engine.events.recent(nodes=True))):
            if run.over and not run.error and run.fetched == wanted:
                return summary(run)
        return ""

    def _repr_html_(self) -> str:
        rows = [(place, f"{segments:,}", f"{nodes:,}") for place, (segments, nodes) in self.placements.items()]
        ran = table(("ran in", "segments", "nodes"), rows, (1, 2)) if rows else "<p>Nothing has run.</p>"
        return f"<div><code>{escape(repr(self))}</code></div>{ran}"


def _ignore(event: Any) -> None:
    """Listen to everything, so that short segments are reported too while a page is open."""
