"""Ticker: finds out whether a kernel holds the GIL, by a thread that counts ticks while the kernel runs.

tick      the thread wakes up after each millisecond. While a kernel holds the GIL, it hardly does
evidence  what the ticks have said about each kernel so far. A short call sees one tick or none, so the calls of a
          kernel are added up until they are long enough
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator, MutableMapping
from contextlib import contextmanager
from time import sleep

from weftwork.graph.forks import fresh, in_child

_TICK, _LEAST = 1e-3, 4e-3
"""Seconds between ticks; and the total length of calls from which ticks tell whether a kernel releases the GIL."""
_RELEASE_SHARE = 0.5
"""Share of the expected ticks above which a kernel is taken to release the GIL."""
_BUSY_SHARE = 0.8
"""Share of its time for which a kernel must have a core to be taken to compute all the time."""


class Ticker:
    """The counter of this process."""

    def __init__(self) -> None:
        self.ticks = 0
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget the counting thread: it belongs to the parent of this process."""
        self._wanted = threading.Event()
        self._lock = fresh(threading.Lock())
        self._users = 0
        self._started = False

    @contextmanager
    def counting(self, wanted: bool = True) -> Iterator[None]:
        """A context in which ticks are counted, if `wanted`. Any number of threads may be inside."""
        if not wanted:
            yield
            return
        self._change(1)
        try:
            yield
        finally:
            self._change(-1)

    def _change(self, users: int) -> None:
        with self._lock:
            self._users += users
            if not self._users:
                self._wanted.clear()
                return
            self._wanted.set()
            if not self._started:
                self._started = True
                threading.Thread(target=self._count, name="weftwork-ticker", daemon=True).start()

    def _count(self) -> None:
        while True:
            self._wanted.wait()
            sleep(_TICK)
            self.ticks += 1


TICKER = Ticker()


in_child(TICKER.begin_anew)


class Evidence:
    """What the ticks have said about kernels."""

    def __init__(self, calls: MutableMapping[Hashable, tuple[int, float, float]] | None = None):
        """calls: the ticks, seconds and seconds of CPU time of the calls about which nothing was told, by kernel."""
        self._calls = {} if calls is None else calls

    def verdict(
        self, kernel: Hashable, ticks: int, seconds: float, busy: float, alone: bool = True
    ) -> tuple[bool, bool] | None:
        """Whether a kernel holds the GIL, and whether it computes all the time; None while that is not known.

        ticks, seconds, busy: of this call, its ticks, its seconds, and the seconds for which its thread had a core.
        alone: whether no other kernel ran meanwhile. If one did, it may be the one that held the GIL. Only a kernel
        that had to wait is taken to hold it then.
        """
        before = self._calls.pop(kernel, (0, 0.0, 0.0))
        ticks, seconds, busy = ticks + before[0], seconds + before[1], min(seconds, busy) + before[2]
        if seconds < _LEAST:
            self._calls[kernel] = ticks, seconds, busy
            return None
        computes = busy >= _BUSY_SHARE * seconds
        if ticks >= _RELEASE_SHARE * seconds / _TICK:
            return False, computes
        if ticks >= _RELEASE_SHARE * busy / _TICK or (computes and not alone):
            return None  # the machine, or another kernel, was busy
        return True, computes

    def forget(self) -> None:
        """Forget all calls."""
        self._calls.clear()
