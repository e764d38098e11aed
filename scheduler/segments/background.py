"""Background: work that other threads do for a run. The run's own thread takes note when a piece of it ends."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from typing import Any


class Background:
    """The work of one run in other threads, each piece under a key."""

    def __init__(self, wake: Callable[[], None]):
        """wake: wakes the run's thread if it waits for messages. May be called from any thread."""
        self.under_way: set[Any] = set()
        """The keys of unfinished work."""
        self._wake = wake
        self._came: SimpleQueue[tuple[Any, Callable[[], None]]] = SimpleQueue()

    def tell(self, key: Any, then: Callable[[], None]) -> None:
        """Note the end of work. The run's thread calls `then`. May be called from any thread."""
        self._came.put((key, then))
        self._wake()

    def take(self) -> None:
        """Process finished work. Raises what `then` raises."""
        while not self._came.empty():
            key, then = self._came.get()
            self.under_way.discard(key)
            then()

    def settle(self) -> None:
        """Only note what has ended: the run has failed."""
        while not self._came.empty():
            self.under_way.discard(self._came.get()[0])
