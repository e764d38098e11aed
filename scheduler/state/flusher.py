"""Write-behind: what runs in the caller changed is handed to the session's actor in groups, a little later.

Only the newest version of a variable is sent, so many small updates cost one message. The pauses are such that flushing
takes a twentieth of the time at most. Ray is never started for it: while nothing needs Ray, the mirror holds the state.
"""

from __future__ import annotations

import threading
from time import perf_counter

from weftwork.graph.forks import fresh
from weftwork.scheduler.machines import backend
from weftwork.scheduler.state.actor_link import Links
from weftwork.scheduler.state.mirror import Mirror

_PAUSE = 0.25
"""Seconds between two flushes, at least."""
_SHARE = 20
"""A flush is followed by a pause of so many times its own duration."""


class Flusher:
    """The thread of one session that flushes. It starts with the first change that finds Ray running."""

    def __init__(self, mirror: Mirror, links: Links):
        self._mirror, self._links = mirror, links
        self._changed = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = fresh(threading.Lock())

    def wake(self) -> None:
        """A run has changed variables."""
        if self._thread is not None:
            if not self._changed.is_set():  # to look costs a tenth of setting it
                self._changed.set()
        elif backend.is_running():
            with self._starting:
                if self._thread is None and not self._closed.is_set():
                    self._thread = threading.Thread(target=self._work, name="weftwork-flush", daemon=True)
                    self._changed.set()
                    self._thread.start()

    def _work(self) -> None:
        while True:
            self._changed.wait()
            if self._closed.is_set():
                return
            self._changed.clear()
            start = perf_counter()
            try:
                if backend.is_running():
                    self._links.flush(self._mirror.cells())
            except Exception:  # the mirror holds the state: a copy that could not be sent is sent with the next flush
                self._changed.set()
            if self._closed.wait(max(_PAUSE, _SHARE * (perf_counter() - start))):
                return

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._changed.set()
