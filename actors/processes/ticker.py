"""Ticker: finds out whether kernels release the GIL while they compute."""

from __future__ import annotations

import threading
from time import perf_counter, sleep

from weftwork.actors.programs.exchange import pause
from weftwork.graph.forks import in_child

_TICK, _LONGEST_TICK = 0.1e-3, 0.2e-3
"""Seconds for which the thread sleeps between ticks, and the maximum that a tick stands for: sleeping takes longer than
asked for."""
_AT_ONCE = 50e-6
"""Maximum seconds to let go of the GIL and get it back while nobody else wants it; a third of that is usual."""
_SHOWN_FREE, _SHOWN_HELD = 1e-3, 4e-3
"""Total length of calls from which ticks show that a kernel releases the GIL, or that it holds it: a tick can be late
because the machine is busy."""
_RELEASE_SHARE = 0.5
"""Share of its time for which the GIL must be free for a kernel to be taken to release it."""
_WAITS = 0.25
"""Share of its time for which a kernel that computes has a core, even on a busy machine. With less, it waits."""


class Ticker:
    """Measures, in a thread that ticks, for how long the GIL is free. While a kernel holds it, there are no ticks.

    A kernel that lets go of the GIL for a moment, to open a file, lets a waiting tick through. So a tick counts only if
    the thread gets the GIL a second time at once.

    A short call sees few ticks, so the calls of a kernel are added up until they are long enough.
    """

    def __init__(self):
        self.free = 0.0
        """Seconds for which the GIL was free."""
        self._calls: dict[int, tuple[float, float, float]] = {}
        """By kernel, the free seconds, seconds and CPU seconds of the calls that were too short for a verdict."""
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget the thread: it belongs to the parent of this process."""
        self._lock, self._users = threading.Lock(), 0
        self._wanted = threading.Event()
        self._started = False

    def start(self) -> None:
        """Start to tick, until all who have started it call `stop`."""
        with self._lock:
            self._users += 1
            if not self._started:
                self._started = True
                threading.Thread(target=self._count, name="weftwork-ticker", daemon=True).start()
        self._wanted.set()

    def stop(self) -> None:
        """Stop ticking."""
        with self._lock:
            self._users = max(0, self._users - 1)
            if not self._users:
                self._wanted.clear()

    def verdict(self, token: int, free: float, seconds: float, busy: float, alone: bool = True) -> bool | None:
        """Whether a kernel holds the GIL; None while unknown.

        free, seconds, busy: the seconds of this call, those for which the GIL was free, and those for which its thread
        had a core.
        alone: whether no other kernel ran meanwhile. If one did, it may be the one that held the GIL.
        """
        before = self._calls.pop(token, (0.0, 0.0, 0.0))
        free, seconds, busy = free + before[0], seconds + before[1], min(seconds, busy) + before[2]
        surely = free if busy < _WAITS * seconds else free - (seconds - busy)  # without a core, it does not hold it
        if seconds >= _SHOWN_FREE and free >= _RELEASE_SHARE * seconds and surely >= _RELEASE_SHARE * busy:
            return False
        if seconds < _SHOWN_HELD:
            self._calls[token] = free, seconds, busy
            return None
        return True if alone and free < _RELEASE_SHARE * busy else None  # in between, the machine was busy

    def forget(self) -> None:
        """Forget all calls, because tokens stand for other kernels from now on."""
        self._calls.clear()

    def _count(self) -> None:
        while True:
            self._wanted.wait()
            last = perf_counter()
            while self._wanted.is_set():
                sleep(_TICK)
                awake = perf_counter()
                pause()
                now = perf_counter()
                if now - awake < _AT_ONCE:
                    self.free += min(awake - last, _LONGEST_TICK)
                last = now


TICKER = Ticker()
"""That of the program's own process, for functions that are first called in its threads."""
in_child(TICKER.begin_anew)
