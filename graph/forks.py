"""Forks: what must be anew in a process that is forked off a program, for it has none of the program's threads.

A lock that another thread held would be held for ever, and nobody serves what a thread of the program's served.
SIGTERM ends such a process, as multiprocessing's pools expect: Ray's handlers, if there are any, are its parent's, and
one that comes while a process is being forked off waits, or it would be lost in what Python calls then.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from weakref import WeakSet

Lock = TypeVar("Lock")
_locks: WeakSet[Any] = WeakSet()
_tasks: list[Callable[[], None]] = []


def fresh(lock: Lock) -> Lock:
    """A Lock or RLock that nobody holds in a process that is forked off."""
    _locks.add(lock)
    return lock


def in_child(task: Callable[[], None]) -> Callable[[], None]:
    """Call `task` in each process that is forked off, before anything else happens there."""
    _tasks.append(task)
    return task


@contextmanager
def children_end() -> Iterator[None]:
    """A process that a function forks off meanwhile, and that goes on after the function, ends here.

    It is a second one of this process, whose work is not its own.
    """
    process = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != process:
            os._exit(0)


_forking = threading.local()
"""The signals that the thread which forks had blocked before."""


def _before_fork() -> None:
    _forking.blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])


def _in_parent() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.blocked)


def _after_fork() -> None:
    for lock in list(_locks):
        lock._at_fork_reinit()
    for task in _tasks:
        task()
    handler = signal.getsignal(signal.SIGTERM)
    if not callable(handler) or (getattr(handler, "__module__", None) or "").partition(".")[0] == "ray":
        with suppress(ValueError):  # not where a signal may be set
            signal.signal(signal.SIGTERM, signal.SIG_DFL if handler is not signal.SIG_IGN else handler)
    _in_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_after_fork)
