"""Contexts: each thread has its own values of context variables, but a function is sent with one value of each.

While a run has such a function in other processes, runs of other threads that call it stay in the caller, where each
thread has its context.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from weftwork.graph.python.forks import fresh, in_child
from weftwork.graph.user_function import UserFunction

HOLDERS: dict[UserFunction, Any] = {}
"""The run that a function's context variables belong to."""
_lock = fresh(threading.Lock())
in_child(HOLDERS.clear)


def hold(run: Any, functions: Iterable[UserFunction]) -> bool:
    """Reserve the functions that use context variables for a run. False if another run has one of them."""
    wanted = [function for function in functions if function.captured.variables]
    if not wanted:
        return True
    with _lock:
        if any([HOLDERS.get(function, run) is not run for function in wanted]):
            return False
        HOLDERS.update(dict.fromkeys(wanted, run))
    return True


def let_go(run: Any) -> None:
    """At the end of a run: release its functions."""
    with _lock:
        for function in [function for function, holder in HOLDERS.items() if holder is run]:
            del HOLDERS[function]
