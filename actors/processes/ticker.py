"""Ticker: finds out whether kernels release the GIL while they compute."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from time import perf_counter, process_time, sleep, thread_time
from typing import NamedTuple

from weftwork.actors.programs.exchange import pause
from weftwork.graph.python.forks import in_child

_TICK, _LONGEST_TICK = 0.1e-3, 0.2e-3
"""Seconds for which the thread sleeps between ticks, and the maximum that a tick stands for: sleeping takes longer than
asked for."""
_AT_ONCE = 50e-6
"""Maximum seconds to release the GIL and get it back while no other thread wants it; a third of that is usual."""
_SHOWN_FREE, _SHOWN_HELD = 1e-3, 4e-3
"""Total length of calls from which ticks show that a kernel releases the GIL, or that it holds it: a tick can be late
because the machine is busy."""
_RELEASE_SHARE = 0.5
"""Share of its time for which the GIL must be free for a kernel to be taken to release it."""
_COMPUTING_SHARE = 0.5
"""Share of its time for which a call must compute to be taken to hold the GIL."""
_WAITED = 0.5e-3
"""Seconds, beyond those without a core, by which a tick is late if a thread holds the GIL: that lasts 5 ms."""


class Reading(NamedTuple):
    """What a thread reads before and after a call, in seconds so far.

    free: those for which the GIL was free.   ran: those for which others have computed meanwhile.   busy: those for
    which the thread has computed.   queued: those for which it has waited for a core.
    """

    free: float
    ran: float
    busy: float
    queued: float

    def since(self, before: Reading) -> Reading:
        """The seconds between two readings."""
        return Reading(*[now - then for now, then in zip(self, before, strict=True)])


class Ticker:
    """Measures, in a thread that ticks, for how long the GIL is free. While a kernel holds it, there are no ticks.

    A kernel that releases the GIL for a moment, to open a file, lets a waiting tick through. So a tick counts only if
    the thread gets the GIL a second time at once.

    A short call sees few ticks, so the calls of a kernel are added up until they are long enough.
    """

    def __init__(self):
        self.free = self.ran = 0.0
        """Seconds for which the GIL was free, and CPU seconds of other threads meanwhile."""
        self._calls: dict[int, tuple[float, Reading]] = {}
        """By kernel, the seconds and the readings of the calls that were too short for a verdict, added up."""
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

    def read(self) -> Reading:
        """A reading of this thread."""
        return Reading(self.free, self.ran, thread_time(), _QUEUE.seconds())

    def verdict(self, token: int, seconds: float, read: Reading, alone: bool = True) -> bool | None:
        """Whether a kernel holds the GIL; None while unknown.

        seconds, read: of this call. A thread that waits for a core could not take the GIL, which others then find free.
        So what counts is what the call has computed while the GIL was free, or for how long it has waited for something
        else.
        alone: whether no other kernel ran meanwhile. If one did, it may be the one that held the GIL.
        """
        if token in self._calls:
            before, earlier = self._calls.pop(token)
            seconds, read = seconds + before, Reading(*map(sum, zip(read, earlier, strict=True)))
        free, ran, busy, queued = read
        if busy >= _SHOWN_FREE and ran >= _RELEASE_SHARE * busy:
            return False
        if seconds >= _SHOWN_FREE and min(free, seconds - queued - busy) >= _RELEASE_SHARE * seconds:
            return False
        if seconds < _SHOWN_HELD:
            self._calls[token] = seconds, read
            return None
        computes = busy > _COMPUTING_SHARE * (seconds - queued)  # if not, it waits, and the ticks were late
        return True if alone and computes and ran < _RELEASE_SHARE * busy else None

    def forget(self) -> None:
        """Forget all calls, because tokens stand for other kernels from now on."""
        self._calls.clear()

    def _count(self) -> None:
        while True:
            self._wanted.wait()
            last, others, queued = perf_counter(), process_time() - thread_time(), _QUEUE.seconds()
            while self._wanted.is_set():
                sleep(_TICK)
                awake, until = perf_counter(), _QUEUE.seconds()
                pause()
                now, worked = perf_counter(), process_time() - thread_time()
                if now - awake < _AT_ONCE:
                    self.free += min(awake - last, _LONGEST_TICK)
                    if awake - last - (until - queued) < _WAITED:
                        self.ran += worked - others
                last, others, queued = now, worked, until


class _Queue(threading.local):
    """How long this thread has waited for a core, as Linux tells it (`/proc/thread-self/schedstat`, proc(5))."""

    def __init__(self):
        try:
            self._file = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # another system, or a kernel that does not say
            self._file = -1

    def seconds(self) -> float:
        """The seconds so far; 0 where nobody tells."""
        if self._file < 0:
            return 0.0
        try:
            return int(os.pread(self._file, 64, 0).split()[1]) / 1e9
        except (OSError, ValueError, IndexError):  # the program has closed it, and may have another file of this number
            self._file = -1
            return 0.0

    def __del__(self, close: Callable[[int], None] = os.close):
        if self._file >= 0:
            close(self._file)


_QUEUE = _Queue()


def _forget_queue() -> None:
    """In a forked process, threads of the parent are another process's."""
    global _QUEUE
    _QUEUE = _Queue()


in_child(_forget_queue)
TICKER = Ticker()
"""That of the program's own process, for functions that are first called in its threads."""
in_child(TICKER.begin_anew)
