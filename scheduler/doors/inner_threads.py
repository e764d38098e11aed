"""How many threads BLAS and OpenMP may use inside a job, as joblib's `inner_max_num_threads` says.

BLAS has one setting per process. The first job that runs in a process changes it, the last one to end restores it;
concurrent jobs that ask for different numbers get the one that was asked for last. OpenMP has one per thread, which
each job changes for itself.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from weftwork.graph.kernels.team import free_blas
from weftwork.graph.python.forks import fresh

_lock = fresh(threading.Lock())
_changes: list[Any] = []
"""The changes to undo, in order."""
_users = 0
_now: tuple[int, int] | None = None
"""The number of threads, and how many modules were imported when it was set; a module may load another library."""
_found: tuple[int, Any] = (-1, None)
"""The libraries that were found, and how many modules were imported then."""


def check_available() -> None:
    """Raise ImportError if the number cannot be set."""
    if find_spec("threadpoolctl") is None:
        raise ImportError("inner_max_num_threads needs threadpoolctl: pip install threadpoolctl")


@contextmanager
def inner_threads(count: int) -> Iterator[None]:
    """A context in which BLAS and OpenMP use at most `count` threads for each call."""
    with free_blas(), _limited(count), _thread_limited(count):
        yield


@contextmanager
def _limited(count: int) -> Iterator[None]:
    global _users, _now
    with _lock:
        asked = count, len(sys.modules)
        if asked != _now:
            _changes.append(_libraries().limit(limits=count, user_api="blas"))
            _now = asked
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                while _changes:
                    _changes.pop().restore_original_limits()
                _now = None


@contextmanager
def _thread_limited(count: int) -> Iterator[None]:
    with _lock:
        libraries = _libraries().select(user_api="openmp")
    if not len(libraries):
        yield
        return
    with libraries.limit(limits=count):
        yield


def _libraries() -> Any:
    """The controller of the libraries in this process. Finding them takes about a millisecond."""
    global _found
    modules = len(sys.modules)
    if _found[0] != modules:
        from threadpoolctl import ThreadpoolController

        _found = len(sys.modules), ThreadpoolController()
    return _found[1]
