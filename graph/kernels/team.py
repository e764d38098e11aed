"""The threads among which a kernel shares out its blocks, while NumPy or BLAS hold no GIL.

block    a part of a kernel's work that is large enough for a thread and small enough for the cache
team     the calling thread and its helpers, as many threads in all as the process may use CPUs, or as `limit` says

Which blocks there are depends on the shapes alone, never on the number of threads: so results are the same to the last
bit wherever and however busily they are computed. One kernel at a time has the helpers; another one that runs beside
it works alone. BLAS uses one thread meanwhile: two teams of threads would wait for each other.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from queue import SimpleQueue
from typing import Any

import numpy as np

WORTH = 1 << 21
"""Elementary steps (an element copied or added is one, sixteen multiply-adds of BLAS are one) that pay for a helper,
which takes some 50 us to wake up."""
_NAMES = [f"{prefix}_{{}}_num_threads{suffix}" for prefix in ("scipy_openblas", "openblas") for suffix in ("64_", "")]
"""What NumPy's OpenBLAS calls the functions that tell and set its threads, in the builds that there are."""

_most: int | None = None
_busy = threading.Lock()
_helpers: list[threading.Thread] = []
_calls: SimpleQueue[_Call] = SimpleQueue()


def limit(count: int | None) -> None:
    """How many threads a kernel may use in this process from now on; None: as many as there are CPUs for it."""
    global _most
    _most = count


def threads() -> int:
    """How many threads a kernel may use."""
    if _most is not None:
        return max(1, _most)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_out(work: Callable[[Iterator[int]], Any], count: int, steps: float = WORTH) -> None:
    """Call work(numbers) in each thread of the team; the iterators give the numbers below `count`, each of them once.

    steps: what there is to do in all; below `WORTH` the calling thread does it. Raises what one of the calls raises.
    """
    helpers = min(threads(), count) - 1 if steps >= WORTH else 0
    with single_blas():
        if helpers < 1 or not _busy.acquire(blocking=False):
            work(iter(range(count)))
            return
        try:
            _Call(work, count).run(helpers)
        finally:
            _busy.release()


class _Call:
    """One kernel's blocks, and who works on them."""

    def __init__(self, work: Callable[[Iterator[int]], Any], count: int):
        self._work, self._left = work, deque(range(count))
        self._changed = threading.Condition()
        self._running, self._over = 0, False
        self._error: BaseException | None = None
        self._float_errors: tuple[Any, Any] = np.geterr(), np.geterrcall()

    def run(self, helpers: int) -> None:
        """In the calling thread: returns when all is done. A helper that has not begun by then is not waited for."""
        _hire(helpers)
        for _ in range(helpers):
            _calls.put(self)
        try:
            self._work(self._numbers())
        finally:
            self._left.clear()
            with self._changed:
                self._over = True
                while self._running:
                    self._changed.wait()
        if self._error is not None:
            raise self._error

    def help(self) -> None:
        """In a helper."""
        with self._changed:
            if self._over:
                return
            self._running += 1
        errors, call = self._float_errors
        try:
            with np.errstate(call=call, **errors):
                self._work(self._numbers())
        except BaseException as error:
            self._error = error
            self._left.clear()
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _numbers(self) -> Iterator[int]:
        with suppress(IndexError):
            while True:
                yield self._left.popleft()


def _hire(count: int) -> None:
    while len(_helpers) < count:
        helper = threading.Thread(target=_serve, name="weftwork-helper", daemon=True)
        _helpers.append(helper)
        helper.start()


def _serve() -> None:
    while True:
        _calls.get().help()


def _after_fork() -> None:
    """A child has none of its parent's threads."""
    global _busy, _calls
    _busy, _calls = threading.Lock(), SimpleQueue()
    _helpers.clear()
    _blas.forget()


class _Blas:
    """How many threads NumPy's BLAS uses, where it is an OpenBLAS; any other is left as it is."""

    def __init__(self):
        origin = getattr(find_spec("numpy.linalg._umath_linalg"), "origin", None)
        library: Any = ctypes.PyDLL(origin)
        self._get: Callable[[], int] = lambda: 1
        self._set: Callable[[int], Any] = lambda _: None
        for name in _NAMES:
            with suppress(AttributeError):
                self._get, self._set = (getattr(library, name.format(verb)) for verb in ("get", "set"))
                break
        self.forget()

    def forget(self) -> None:
        """Nobody asks for one thread any more."""
        self._lock, self._users, self._before = threading.Lock(), 0, 1

    def narrow(self) -> None:
        """One thread, until all who have asked for it say `widen`."""
        with self._lock:
            if not self._users:
                self._before = self._get()
                if self._before > 1:
                    self._set(1)
            self._users += 1

    def widen(self) -> None:
        """As many threads as before."""
        with self._lock:
            self._users -= 1
            if not self._users and self._before > 1:
                self._set(self._before)


_blas = _Blas()


@contextmanager
def single_blas() -> Iterator[None]:
    """BLAS uses one thread meanwhile: where several threads compute, two teams would wait for each other."""
    _blas.narrow()
    try:
        yield
    finally:
        _blas.widen()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
