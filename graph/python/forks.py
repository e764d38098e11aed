"""Forks: what must be reset in a forked process, which has none of the program's threads.

A lock that another thread held would stay locked forever, and services that other threads provided are gone. SIGTERM
ends a forked process, as multiprocessing's pools expect: Ray's signal handlers belong to the parent. A signal that
arrives during a fork is held back, or it would get lost in the handlers that Python runs then.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, TypeVar
from weakref import WeakSet

Lock = TypeVar("Lock")
_locks: WeakSet[Any] = WeakSet()
_tasks: list[Callable[[], None]] = []


def fresh(lock: Lock) -> Lock:
    """A Lock or RLock that is replaced by an unlocked one in a forked process."""
    _locks.add(lock)
    return lock


def in_child(task: Callable[[], None]) -> Callable[[], None]:
    """Call `task` in each forked process, before anything else happens there."""
    _tasks.append(task)
    return task


@contextmanager
def children_end() -> Iterator[None]:
    """A context manager: a process that a function forks inside the block, and that outlives the function, ends here.

    It is a second copy of this process, and must not do this one's work again.
    """
    process = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != process:
            os._exit(0)


_forking = threading.local()
"""The signals that were already blocked in the forking thread."""


def _before_fork() -> None:
    _forking.blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])


def _in_parent() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.blocked)


def _after_fork() -> None:
    for lock in list(_locks):
        lock._at_fork_reinit()
    with ExitStack() as last_first:  # it goes on if a task fails: the child must not get stuck half reset
        last_first.callback(_in_parent)
        last_first.callback(_let_sigterm_end)
        for task in reversed(_tasks):
            last_first.callback(task)


def _let_sigterm_end() -> None:
    handler = signal.getsignal(signal.SIGTERM)
    if not callable(handler) or (getattr(handler, "__module__", None) or "").partition(".")[0] == "ray":
        with suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGTERM, signal.SIG_DFL if handler is not signal.SIG_IGN else handler)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_after_fork)
