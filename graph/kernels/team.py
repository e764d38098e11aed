"""The threads that share the blocks of a kernel, while NumPy or BLAS release the GIL.

block    a part of a kernel's work, large enough for a thread and small enough for the cache
team     the calling thread and its helpers: as many threads as the process may use CPUs, or as `limit` says

The blocks depend only on the shapes, never on the number of threads, so the results are identical to the last bit on
any machine under any load. Only one kernel at a time can use the helpers; a concurrent one works alone. Meanwhile BLAS
uses one thread, or two teams of threads would wait for each other.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any

import numpy as np

from weftwork.graph.cores import usable_cores

WORTH = 1 << 21
"""Elementary steps that justify waking a helper, which takes about 50 us. One element copied or added is a step, and
so are sixteen multiply-adds in BLAS."""
_BLOCK = 1 << 17
"""Elements in a block of an elementwise kernel."""
_NAMES = [f"{prefix}_{{}}_num_threads{suffix}" for prefix in ("scipy_openblas", "openblas") for suffix in ("64_", "")]
"""The functions of OpenBLAS, in its various builds, that get and set its number of threads."""
_LINKED = ("numpy.linalg._umath_linalg", "scipy.linalg._fblas")
"""Modules that are linked with a BLAS."""

_most: int | None = None
_busy = threading.Lock()
_helpers: list[threading.Thread] = []
_calls: SimpleQueue[_Call] = SimpleQueue()


def limit(count: int | None) -> None:
    """Set the number of threads that a kernel may use in this process; None: as many as there are CPUs for it."""
    global _most
    _most = count


def threads() -> int:
    """The number of threads that a kernel may use."""
    if _most is not None:
        return max(1, _most)
    return usable_cores()


def share_out(work: Callable[[Iterator[int]], Any], count: int, steps: float = WORTH) -> None:
    """Call work(numbers) in each thread of the team. Together the iterators yield each number below `count` once.

    steps: the total work; below `WORTH` the calling thread does it alone. Raises the exception of a failed call.
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


def over_rows(rule: Callable, x: np.ndarray, *others: np.ndarray, steps: float) -> np.ndarray:
    """rule(x, *others, out=...) for an elementwise rule, in blocks of rows of equally shaped arrays.

    steps: the work for each element of x.
    """
    out = np.empty(x.shape, x.dtype)
    rows = max(1, _BLOCK // max(1, x[:1].size))

    def work(numbers: Iterator[int]) -> None:
        for number in numbers:
            at = slice(number * rows, (number + 1) * rows)
            rule(x[at], *[other[at] for other in others], out=out[at])

    share_out(work, -(-len(x) // rows), steps * x.size)
    return out


class _Call:
    """One kernel's blocks and the threads that work on them."""

    def __init__(self, work: Callable[[Iterator[int]], Any], count: int):
        self._work, self._left = work, deque(range(count))
        self._changed = threading.Condition()
        self._running, self._over = 0, False
        self._error: BaseException | None = None
        self._float_errors: tuple[Any, Any] = np.geterr(), np.geterrcall()

    def run(self, helpers: int) -> None:
        """Runs in the calling thread and returns when everything is done, without waiting for helpers yet to begin."""
        _start_helpers(helpers)
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
        """Runs in a helper."""
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


def _start_helpers(count: int) -> None:
    while len(_helpers) < count:
        helper = threading.Thread(target=_serve, name="weftwork-helper", daemon=True)
        _helpers.append(helper)
        helper.start()


def _serve() -> None:
    while True:
        _calls.get().help()


def _after_fork() -> None:
    """A forked process has none of its parent's threads."""
    global _busy, _calls
    _busy, _calls = threading.Lock(), SimpleQueue()
    _helpers.clear()
    _blas.forget()


class _OpenBlas:
    """The number of threads of one OpenBLAS."""

    def __init__(self, origin: str):
        """origin: the file of a module that is linked with it. Another BLAS is left alone."""
        library: Any = ctypes.PyDLL(origin)
        self._get: Callable[[], int] = lambda: 1
        self._set: Callable[[int], Any] = lambda _: None
        for name in _NAMES:
            with suppress(AttributeError):
                self._get, self._set = (getattr(library, name.format(verb)) for verb in ("get", "set"))
                break
        self.forget()

    def forget(self) -> None:
        """Leave the number as it is."""
        self._before = 1

    def narrow(self) -> None:
        """Use one thread."""
        if (now := self._get()) > 1:
            self._before = now
            self._set(1)

    def widen(self) -> None:
        """Restore the number of threads."""
        if self._before > 1:
            self._set(self._before)
        self._before = 1


class _Blas:
    """The number of threads of NumPy's BLAS and of SciPy's, once that is loaded: their wheels bring one each."""

    def __init__(self):
        self._loaded: dict[str, _OpenBlas] = {}
        self.forget()

    def forget(self) -> None:
        """Reset: nobody requests a single thread any more."""
        self._lock, self._users, self._left = threading.Lock(), 0, 0
        for library in self._loaded.values():
            library.forget()

    def narrow(self) -> None:
        """Use one thread, until everybody who has called this calls `widen`."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._settle()

    def widen(self) -> None:
        """Restore the number of threads."""
        with self._lock:
            self._users -= 1
            if not self._users:
                self._settle()

    def leave(self, by: int) -> None:
        """Leave the number alone while other code sets it. by: 1 at the beginning, -1 at the end."""
        with self._lock:
            self._left += by
            self._settle()

    def _settle(self) -> None:
        if self._left:
            return
        for name in _LINKED if len(self._loaded) < len(_LINKED) else ():
            if name not in self._loaded and (origin := getattr(sys.modules.get(name), "__file__", None)):
                self._loaded[name] = _OpenBlas(origin)
        for library in self._loaded.values():
            if self._users:
                library.narrow()
            else:
                library.widen()


_blas = _Blas()


@contextmanager
def single_blas() -> Iterator[None]:
    """A context manager: BLAS uses one thread, so that its team does not get in the way of other threads."""
    _blas.narrow()
    try:
        yield
    finally:
        _blas.widen()


@contextmanager
def free_blas() -> Iterator[None]:
    """A context manager in which `single_blas` has no effect, because other code sets the number of threads."""
    _blas.leave(1)
    try:
        yield
    finally:
        _blas.leave(-1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
