"""Write-behind: values that runs in the caller have changed are sent to the session's actors a little later, in groups.

Only the newest version of a variable is sent, so many small updates cost one message. Pauses limit flushing to a
twentieth of the time. Ray is never started for it: as long as nothing needs Ray, the mirror alone holds the state.
"""

from __future__ import annotations

import threading
from time import perf_counter

from weftwork.graph.python.forks import fresh
from weftwork.scheduler.machines import backend
from weftwork.scheduler.state.actor_link import Links
from weftwork.scheduler.state.mirror import Mirror

_PAUSE = 0.25
"""Minimum number of seconds between two flushes."""
_SHARE = 20
"""The pause after a flush, as a multiple of its duration."""


class Flusher:
    """The flushing thread of a session. It starts with the first change after Ray is running."""

    def __init__(self, mirror: Mirror, links: Links):
        self._mirror, self._links = mirror, links
        self._changed = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = fresh(threading.Lock())

    def wake(self) -> None:
        """Note that a run has changed variables."""
        if self._thread is not None:
            if not self._changed.is_set():  # checking takes a tenth of the time of setting
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
            except Exception:  # the mirror holds the state, and the next flush sends it again
                self._changed.set()
            if self._closed.wait(max(_PAUSE, _SHARE * (perf_counter() - start))):
                return

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._changed.set()
