"""Forks: what must be anew in a process that is forked off a program, for it has none of the program's threads.

A lock that another thread held would be held for ever, and nobody serves what a thread of the program's served.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


def _after_fork() -> None:
    for lock in list(_locks):
        lock._at_fork_reinit()
    for task in _tasks:
        task()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
