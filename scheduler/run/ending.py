"""The end of the program: a run that hangs in a thread which is not a daemon does not keep it from ending.

Python waits for such threads when the main one is over. What makes progress then may finish: training goes on, run
after run. Where no run has begun or ended for a while, those under way are cancelled.

A process that is forked off has none of the threads and processes of its parent's engines: it may not use these.
"""

from __future__ import annotations

import functools
import threading
import weakref
from contextlib import suppress
from time import monotonic, sleep
from typing import Any

from weftwork.graph.forks import in_child

_LAST = 3.0
"""Seconds without progress after which runs are cancelled."""
_LOOK = 0.1

_ways: weakref.WeakSet = weakref.WeakSet()


def cancel_at_end(engine: Any) -> None:
    """Let the runs that `engine.under_way` tells of be cancelled when they hang at the program's end."""
    _ways.add(engine)
    _watcher()


@in_child
def _after_fork() -> None:
    for engine in list(_ways):
        engine.belong_to_parent()
    _ways.clear()
    _watcher.cache_clear()


@functools.cache
def _watcher() -> None:
    threading.Thread(target=_watch, name="weftwork-end", daemon=True).start()


def _watch() -> None:
    threading.main_thread().join()
    before: set = set()
    since = monotonic()
    while True:
        runs = {run for engine in list(_ways) for run in engine.under_way()}
        if runs != before:
            before, since = runs, monotonic()
        elif monotonic() > since + _LAST:
            for run in runs:
                with suppress(Exception):  # its host is gone
                    run.cancel()
        sleep(_LOOK)
