"""Notifies a run of how long it waited for Ray to start.

The code that asks for Ray knows nothing of runs. The run is found on the stack, in the frame of the function that runs
a dataflow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType

from weftwork.scheduler.machines import backend
from weftwork.scheduler.run.telling import WORTH

_runners: set[CodeType] = set()
_compilers: set[CodeType] = set()


def tell_of_starts(runner: Callable, compiler: Callable) -> None:
    """From now on, tell the runs of this process how long they waited for Ray.

    runner: runs a dataflow of a `run`, its argument.   compiler: compiles a `signature`, its argument, before a run.
    """
    _runners.add(runner.__code__)
    _compilers.add(compiler.__code__)
    if _waited not in backend.WAITED:
        backend.WAITED.append(_waited)


def _waited(since: float, seconds: float) -> None:
    """Tell the run of this thread, if there is one, that it has waited for Ray."""
    frame = sys._getframe() if seconds >= WORTH else None
    while frame is not None and frame.f_code not in _runners and frame.f_code not in _compilers:
        frame = frame.f_back
    if frame is not None and frame.f_code in _compilers:
        frame.f_locals["signature"].starts.append((since, seconds))
    elif frame is not None:
        frame.f_locals["run"].teller().tell("started", since, seconds, text="Ray")
