"""Ticker: finds out whether kernels release the GIL while they compute.

A thread takes the GIL now and then, and looks at the calling threads while it holds it. A call that goes on computing
meanwhile does not need the GIL.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import perf_counter, process_time, sleep, thread_time
from typing import NamedTuple
from weakref import WeakSet

from weftwork.actors.programs.exchange import pause
from weftwork.graph.python.forks import in_child
from weftwork.graph.weak import members

_TICK, _LONGEST_TICK, _LATE = 0.1e-3, 0.3e-3, 0.5e-3
"""Seconds for which the thread sleeps between ticks, the maximum that a tick stands for, because sleeping takes longer
than asked for, and what is more than that: the thread has waited for the GIL, or for a core."""
_SETTLES, _HOLD = 15e-6, 15e-6
"""Seconds after which a thread that needs the GIL has gone to sleep, and for which a tick looks what it does."""
_AT_ONCE = 50e-6
"""Maximum seconds to release the GIL and get it back while no other thread wants it; a third of that is usual."""
_SHOWN_FREE, _SHOWN_HELD = 1e-3, 4e-3
"""Total seconds of calls that show that a kernel releases the GIL, and CPU seconds that show that it holds it."""
_SHOWN_BY, _SEEN_AT = 0.1e-3, 0.25
"""Seconds for which ticks must have looked, and the fraction of them that must show that a kernel goes on: some ticks
meet a call that just opens a file."""
_CROWDED, _DOUBTED = 0.25, 10
"""Share of its time for which a call must queue for a core to show that there are too few; and how many times as long
ticks must have looked then, or if they had to wait for the GIL nearly all the time: a thread's clock may move on in a
jump, and a few looks are often wrong."""
_LONG = 20e-3
"""CPU seconds of calls from which the second of the next limits hold, because it takes so long to tell."""
_RELEASES, _STOPS = (0.4, 0.3), (0.8, 0.5)
"""From which share of its usual work on a kernel that goes on while others hold the GIL is taken to release it; and the
fraction of the looks that must find it asleep to show that it needs the GIL."""
_WAITS, _LOCKED = 0.5, 0.2
"""Share of its time for which a call must wait to be taken to release the GIL meanwhile, and up to which ticks may have
waited for the GIL: it may be what the call waits for."""
_MOSTLY_FREE = 0.7
"""Fraction of a call for which the GIL must be free to show that it is released, in pieces that may be too short for
looks: NumPy holds it between any two operations. While pure Python computes, it is hardly ever free."""
_COMPUTING_SHARE = 0.5
"""Share of its time for which a call must compute to be taken to hold the GIL."""
_FREE_SHARE, _LOCKED_OUT = 0.2, 0.5
"""Share of its time for which the GIL may be free if it is what a call waits for; and for which ticks must have waited
for it if that alone is to show that a call which computes holds it."""
_SET_TIMER_SLACK = 29
"""Linux: how late timers of a thread may be (prctl(2)); usually 50 us."""

_library = ctypes.PyDLL(None)
"""Functions that do not release the GIL."""
_library.pread.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64]
_clock_of: Callable[[int], int] = getattr(time, "pthread_getcpuclockid", lambda thread: 0)
"""The number of a thread's CPU clock; 0 where threads have none."""


class Reading(NamedTuple):
    """What a thread reads before and after a call, in seconds so far.

    free: those for which the GIL was free.   locked: those for which the ticker has waited for it.   looked: those for
    which the ticker held it and looked what the thread did.   ran, slept: those of them for which the thread has
    computed, or was asleep. Otherwise it had no core.   busy: those for which the thread has computed.   queued: those
    for which it has waited for a core.
    """

    free: float
    locked: float
    looked: float
    ran: float
    slept: float
    busy: float
    queued: float

    def since(self, before: Reading) -> Reading:
        """The seconds between two readings."""
        return Reading(*[now - then for now, then in zip(self, before, strict=True)])


class Ticker:
    """Measures, in a thread that ticks, for how long the GIL is free, and what calls compute while others hold it.

    While a kernel holds the GIL, there are no ticks. A kernel that releases it for a moment, to open a file, lets a
    waiting tick through. So the GIL counts as free only if the thread gets it a second time at once.

    A short call sees few ticks, so the calls of a kernel are added up until they are long enough.
    """

    def __init__(self):
        self.free = self.locked = 0.0
        """Seconds for which the GIL was free, and for which this waited for it."""
        self._calls: dict[int, tuple[float, Reading]] = {}
        """By kernel, the seconds and the readings of the calls that were too short for a verdict, added up."""
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget the thread: it belongs to the parent of this process."""
        self._lock, self._users, self._lookers = threading.Lock(), 0, 0
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

    @contextmanager
    def looking(self) -> Iterator[None]:
        """A context in which ticks hold the GIL and look, for `verdict`. It makes calls a little slower."""
        with self._lock:
            self._lookers += 1
        try:
            yield
        finally:
            with self._lock:
                self._lookers -= 1

    def read(self) -> Reading:
        """A reading of this thread."""
        thread = _HERE.thread
        return Reading(self.free, self.locked, thread.looked, thread.ran, thread.slept, thread_time(), thread.queued())

    def verdict(self, token: int, seconds: float, read: Reading) -> bool | None:
        """Whether a kernel holds the GIL; None while unknown.

        seconds, read: of this call. It releases the GIL if it goes on to compute while others hold it; or if it waits
        while the GIL is free.
        """
        if token in self._calls:
            before, earlier = self._calls.pop(token)
            seconds, read = seconds + before, Reading(*map(sum, zip(read, earlier, strict=True)))
        free, locked, looked, ran, slept, busy, queued = read
        goes_on, long = ran * seconds / (busy * looked) if busy and looked else 0.0, busy > _LONG
        is_seen, held = looked >= _SHOWN_BY, locked > _LOCKED_OUT * seconds
        doubtful = held or queued > _CROWDED * seconds
        shown = busy >= _SHOWN_FREE and looked >= _SHOWN_BY * (_DOUBTED if doubtful else 1)
        if shown and goes_on >= _RELEASES[long] and ran >= _SEEN_AT * looked:
            return False
        waits = seconds >= _SHOWN_FREE and seconds - queued - busy >= _WAITS * seconds
        if waits and (free >= _WAITS * seconds or (is_seen and locked < _LOCKED * seconds)):
            return False
        if seconds >= _SHOWN_HELD and free >= _MOSTLY_FREE * seconds and not doubtful:
            return False
        computes = busy > _COMPUTING_SHARE * (seconds - queued)
        stops = is_seen and slept >= _STOPS[long] * looked and (computes or free < _FREE_SHARE * seconds)
        if busy >= _SHOWN_HELD and goes_on < _RELEASES[1] and (stops or (computes and held)):
            return True
        self._calls[token] = seconds, read
        return None

    def forget(self) -> None:
        """Forget all calls, because tokens stand for other kernels from now on."""
        self._calls.clear()

    def _count(self) -> None:
        with suppress(AttributeError):  # another system
            _library.prctl(_SET_TIMER_SLACK, 1)
        while True:
            self._wanted.wait()
            last, queued, own = perf_counter(), _HERE.thread.queued(), _HERE.thread
            while self._wanted.is_set():
                sleep(_TICK)
                awake, until = perf_counter(), own.queued()
                self.locked += max(0.0, awake - last - (until - queued) - _LATE)
                queued = until
                if self._lookers:
                    self._look(awake)
                then = perf_counter()
                pause()
                now = perf_counter()
                if now - then < _AT_ONCE:
                    self.free += min(then - last, _LONGEST_TICK)
                last = now

    def _look(self, since: float) -> None:
        """Look which threads compute while this one holds the GIL.   since: when it got it."""
        _wait_until(perf_counter() + _SETTLES)
        before = [(thread, thread.busy()) for thread in members(_threads)]
        begin = perf_counter()
        _wait_until(begin + _HOLD)
        looked = perf_counter() - begin
        found = [(thread, thread.busy() - busy, thread.sleeps) for thread, busy in before]
        if perf_counter() - since > sys.getswitchinterval() / 2:  # after a whole one, this thread has to give it back
            return
        for thread, ran, sleeps in found:
            thread.looked += looked
            thread.ran += min(ran, looked)
            thread.slept += looked if sleeps else 0.0


def _wait_until(end: float) -> None:
    """Wait without releasing the GIL, and not asleep: waking takes longer."""
    while perf_counter() < end:
        pass


class _File:
    """A file of this thread in Linux's `/proc/thread-self`, proc(5). One thread, whichever, may read it."""

    def __init__(self, name: str):
        self._text = ctypes.create_string_buffer(512)
        try:
            self.number = os.open(f"/proc/thread-self/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # another system, or a kernel that does not say
            self.number = -1

    def word(self, number: int) -> bytes:
        """A word of what it says, counted after the name of the program, if it says that; b"" where it says nothing.

        The GIL is not released, because a thread that waits for it would get it.
        """
        found = self.number >= 0 and _library.pread(self.number, self._text, 511, 0) > 0
        words = self._text.value.rpartition(b") ")[2].split() if found else []
        if len(words) <= number:  # the program has closed it, and may have another file of this number
            self.number = -1
            return b""
        return words[number]

    def __del__(self, close: Callable[[int], None] = os.close):
        if self.number >= 0:
            close(self.number)


class _Thread:
    """What is known of the thread that makes this.   looked, ran, slept: see `Reading`."""

    def __init__(self):
        self._clock = _clock_of(threading.get_ident())
        self.waits, self._state = _File("schedstat"), _File("stat")
        self.looked = self.ran = self.slept = 0.0
        _threads.add(self)

    def busy(self) -> float:
        """The CPU seconds so far; those of all threads but the asking one where threads have no clocks.

        A process's own clock is no help on Linux: it learns of the threads on other cores every few milliseconds only.
        """
        try:
            return time.clock_gettime(self._clock) if self._clock else process_time() - thread_time()
        except OSError:  # the thread has ended
            return 0.0

    def queued(self) -> float:
        """The seconds of waiting for a core so far; 0 where nobody tells."""
        said = self.waits.word(1)
        return int(said) / 1e9 if said.isdigit() else 0.0

    @property
    def sleeps(self) -> bool:
        """Whether it waits for something like the GIL, not for a core or for memory; True where nobody tells."""
        return self._state.word(0) in (b"S", b"")


class _Here(threading.local):
    """The thread that asks."""

    def __init__(self):
        self.thread = _Thread()


_threads: WeakSet[_Thread] = WeakSet()
"""Those that read, in this process."""
_HERE = _Here()


def _forget_threads() -> None:
    """In a forked process, threads of the parent are another process's."""
    global _HERE
    _threads.clear()
    _HERE = _Here()


in_child(_forget_threads)
TICKER = Ticker()
"""That of the program's own process, for functions that are first called in its threads."""
in_child(TICKER.begin_anew)
