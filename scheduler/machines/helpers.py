"""Helper threads of the caller's process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from weftwork.graph.python.forks import children_end, fresh, in_child

_MOST = 32
"""Idle helpers that are kept. A program that once has waited for a thousand runs at once does not keep its threads."""
_idle: list[SimpleQueue] = []
in_child(_idle.clear)
_lock = fresh(threading.Lock())


def _help(jobs: SimpleQueue) -> None:
    while True:
        job: Callable[[], None] = jobs.get()
        with children_end():
            job()
        del job
        with _lock:
            if len(_idle) >= _MOST:
                return
            _idle.append(jobs)


def borrow(count: int) -> list[SimpleQueue]:
    """Queues of `count` idle helper threads. New threads are started if there are too few."""
    with _lock:
        helpers = [_idle.pop() for _ in range(min(count, len(_idle)))]
    while len(helpers) < count:
        jobs: SimpleQueue = SimpleQueue()
        threading.Thread(target=_help, args=(jobs,), name="weftwork-helper", daemon=True).start()
        helpers.append(jobs)
    return helpers
