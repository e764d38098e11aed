"""Looks: how a session shows what it does: reports, a live page, notebooks."""

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
from weftwork.scheduler.request.config import ConfigProto
from weftwork.scheduler.run.explain import Explanation, Waiting
from weftwork.scheduler.session.cluster import ClusterSpec
from weftwork.scheduler.views.account import accounts, told
from weftwork.scheduler.views.costs import write_text
from weftwork.scheduler.views.live import Live
from weftwork.scheduler.views.page import report
from weftwork.scheduler.views.serving import Serving
from weftwork.scheduler.views.stats import Counting, Stats
from weftwork.scheduler.views.timeline import write_timeline


class Looks:
    """The part of a session that shows what it does."""

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
        """The devices of every machine, in TensorFlow 1's form."""
        self._check_open()
        spec = self._cluster or ClusterSpec(self._config.cluster_def)
        return list_devices(max(1, self._config.device_count.get("CPU", 1)), spec.tasks())

    @property
    def placements(self) -> dict[str, tuple[int, int]]:
        """What ran where in this session so far: for "caller", "task" and so on the number of segments and of nodes.

        The caller of a shared session's runs is its host.
        """
        return {place: (segments, nodes) for place, (segments, nodes) in sorted(self._engine.ran.items())}

    def listen(self, listener: Callable[[Event], None], nodes: bool = False) -> Listening:
        """Call `listener` with each event of the session's runs, from now on: docs/events.md lists them.

        listener: takes one event. It is called in the thread in which the event was told, so it should be quick, and
            several threads may call it at a time. One that raises is logged once, and listens no more.
        nodes: call it with events of kind "node" too, which are many; every node is measured then.
        Returns what ends it: call `close()`, or use it in a `with` statement. Raises TypeError for what is no function.
        """
        return self._engine.events.listen(listener, nodes)

    def events(self, run: int | None = None) -> list[Event]:
        """The session's last 10,000 events, the oldest first; of one run, by its number `Event.run`, or of all.

        Segments that took more than a millisecond are there whether somebody listened or not, shorter ones where
        somebody did. Those of kind "node" are left out.
        """
        return self._engine.events.recent(run)

    def timeline(self, path: Any, run: int | None = None) -> None:
        """Write when what ran where to a file, for Perfetto (ui.perfetto.dev) or chrome://tracing.

        It shows the events that are kept, of one run, by its number, or of all; single nodes where somebody asked for
        them (`listen(..., nodes=True)`), and else the segments. Raises NotFoundError or
        PermissionDeniedError, of `tf.errors`, where the file cannot be written.
        """
        write_timeline(self._engine.events.recent(run, nodes=True), path)

    def explain(self, fetches: Any, feed_dict: Mapping[Any, Any] | None = None) -> Explanation:
        """The plan of a run, for a reader: print it. Nothing runs.

        It lists the segments, where each runs and why, what it costs, the critical path and what bounds the run.
        Before the first run of these fetches the costs are what is known from others. The last line tells where the
        time of their last run went, if the session remembers one (`report` tells more).
        """
        self._check_open()
        signature, fed, _ = self._find(fetches, feed_dict)
        return replace(self._engine.explain(signature, fed), last=self._last_run(signature.fetches.elements))

    def waiting(self) -> list[Waiting]:
        """What the runs that are on their way wait for at this moment: which nodes, where, since when."""
        return self._engine.waiting()

    def stats(self) -> Stats:
        """What the session has done so far: runs, nodes and seconds by place, bytes, losses, retries."""
        return self._counting.stats(self._engine)

    # What its runs do

    def report(self, path: str | PathLike[str], runs: int = 1) -> None:
        """Write what the last run did, or the last `runs` ones, to an HTML file that needs nothing but itself.

        It shows the graph, what ran where and when, the critical path with your lines, where the time went in shares
        that add up to the whole run, and what would make it faster. Runs of less than a millisecond are remembered
        only while somebody listens (`session.listen`).
        Raises ValueError if `runs` is less than 1, FailedPreconditionError if no run is remembered, and an OpError if
        the file cannot be written: then what was there stays.
        """
        if not isinstance(runs, int) or runs < 1:
            raise ValueError(f"runs must be a number from 1 on, but got {runs!r}.")
        found = accounts(self._engine.events.recent(nodes=True))[-runs:]
        if not found:
            raise FailedPreconditionError(
                None, None,
                "No run of this session is remembered: run something first. Runs of less than a millisecond are "
                "remembered only while somebody listens, as in `with session.listen(print):`.",
            )  # fmt: skip
        write_text(fspath(path), report(found))

    def serve(self, port: int = 0) -> Serving:
        """Show what the session does while it does it, on a page for browsers on this machine.

        port: of the loopback address; 0 takes a free one. Who opens the page needs the address as it is returned, for
        a token is part of it. The page is served until `close()` of what is returned, or the end of the session.
        Raises OSError if the port cannot be had.

            with session.serve() as page:
                print(page.url)
                session.run(y)
        """
        self._check_open()
        me, live = weakref.ref(self), Live(self._engine.events)

        def view() -> str | None:
            session = me()
            return None if session is None or session._closed else live.content(session.waiting())

        serving = Serving(f"Weftwork: {type(self).__name__}", view, port, lambda: self._engine.events.listen(_hear))
        self._pages.append(serving)
        return serving

    def _last_run(self, elements: Sequence[Tensor | Operation]) -> str:
        """Where the time of the last run of some fetches went, in a line; "" if nothing is remembered of one."""
        wanted = {getattr(element, "op", element) for element in elements}
        for run in reversed(accounts(self._engine.events.recent(nodes=True))):
            if run.over and not run.error and run.fetched == wanted:
                return told(run)
        return ""

    def _repr_html_(self) -> str:
        rows = [(place, f"{segments:,}", f"{nodes:,}") for place, (segments, nodes) in self.placements.items()]
        ran = table(("ran in", "segments", "nodes"), rows, (1, 2)) if rows else "<p>Nothing has run.</p>"
        return f"<div><code>{escape(repr(self))}</code></div>{ran}"


def _hear(event: Any) -> None:
    """A page is open: so short segments are told, too."""
