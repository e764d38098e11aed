"""The end of the program, which must not hang because of a run that hangs in a non-daemon thread.

Python waits for such threads after the main thread has ended. Work that makes progress may finish: training goes on,
run after run. If no run has started or ended for a while, the active runs are cancelled.

A forked child has none of the threads and processes of its parent's engines, and must not use these engines.
"""

from __future__ import annotations

import functools
import threading
import weakref
from contextlib import suppress
from time import monotonic, sleep
from typing import Any

from weftwork.graph.python.forks import in_child
from weftwork.graph.weak import members

_LAST = 3.0
"""Seconds without progress after which runs are cancelled."""
_LOOK = 0.1

_ways: weakref.WeakSet = weakref.WeakSet()


def cancel_at_end(engine: Any) -> None:
    """Cancel the runs in `engine.under_way` if they hang at the end of the program."""
    _ways.add(engine)
    _watcher()


@in_child
def _after_fork() -> None:
    for engine in members(_ways):
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
        runs = {run for engine in members(_ways) for run in engine.under_way()}
        if runs != before:
            before, since = runs, monotonic()
        elif monotonic() > since + _LAST:
            for run in runs:
                with suppress(Exception):  # its host has gone
                    run.cancel()
        sleep(_LOOK)
