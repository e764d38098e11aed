"""What the names in some code reveal: whether it changes its surroundings, and whether it depends on its process."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from weftwork.graph.python.captured_kinds import (
    FILTERING,
    LOGGING,
    MAIN_ONLY,
    NAMESPACES,
    OF_PROCESS,
    OPENERS,
    PRECISION,
    SURROUNDINGS,
    is_logging,
)
from weftwork.graph.python.codes import Facts
from weftwork.graph.python.inspection import found_in
from weftwork.graph.python.origins import SPACE, Passing, is_plain
from weftwork.graph.python.reached import value_at

_SENDERS = frozenset([("os", "kill"), ("signal", "raise_signal"), ("signal", "pthread_kill")])
"""Functions that may send a signal to this process."""
_HANDLED = tuple(
    [number for name in ("SIGUSR1", "SIGUSR2", "SIGALRM", "SIGHUP") if (number := getattr(signal, name, 0))]
)
"""Signals whose handlers belong to the program alone."""


def writes_of_names(facts: Facts, roots: dict, is_handled: Callable[[int], bool]) -> set:
    """The keys of the writes that the names in some code reveal.

    roots: the values of its names.   is_handled: whether the program has a handler for a signal.
    """
    writes: set = set()
    names = {*facts.attributes, *facts.globals}
    if not NAMESPACES.isdisjoint(facts.globals):
        writes.add((MAIN_ONLY, "names"))
    if "exec" in facts.globals or any([change.root == SPACE for change in facts.changes]):  # it may bind any name
        writes.add(SURROUNDINGS)
    if "pass_fds" in names or any([_takes_number(passing, roots) for passing in facts.passings]):
        writes.add((MAIN_ONLY, "process"))
    if not LOGGING.isdisjoint(facts.attributes) and any([is_logging(value) for value in roots.values()]):
        writes.add(SURROUNDINGS)
    if not PRECISION.isdisjoint(facts.stores) and "getcontext" in names:
        writes.add(SURROUNDINGS)
    if not FILTERING.isdisjoint(names) and "catch_warnings" not in names:
        writes.add(SURROUNDINGS)
    modules: dict[Any, str] = {root: value.__name__ for root, value in roots.items() if type(value) is ModuleType}
    asked = {(modules.get(root), name) for root, name in facts.asks}
    if not OF_PROCESS.isdisjoint(asked) and OPENERS.isdisjoint(asked) and "open" not in facts.globals:
        writes.add((MAIN_ONLY, "process"))
    if not _SENDERS.isdisjoint(asked) and any([is_handled(number) for number in _HANDLED]):
        writes.add((MAIN_ONLY, "process"))
    if any([(passing.root, passing.path) == _IDENTITY and _is_known(passing, roots) for passing in facts.passings]):
        writes.add((MAIN_ONLY, "process"))
    if "__subclasses__" in names or not _COUNTED.isdisjoint(asked):
        writes.add((MAIN_ONLY, "process"))
    for name in facts.imports:
        if sys.modules.get(name, sys) is None:  # the program has forbidden this import
            writes.add((MAIN_ONLY, "modules"))
    return writes


def _takes_number(passing: Passing, roots: dict) -> bool:
    """True for a call that opens a file by its number, or hands it to a child: it is one of the program's."""
    name = (passing.path or passing.root)[-1]
    given = [each for each in passing.given if is_plain(each[2])]
    if name in _STARTS:
        return any([at in _STREAMS and type(roots.get(root)) is not ModuleType for at, root, _ in given])
    found = functools.partial(found_in, roots)
    return name in _BY_NUMBER and any([at in _AT and type(value_at(found, *rest)) is int for at, *rest in given])


def _is_known(passing: Passing, roots: dict) -> bool:
    _, root, path = passing.given[0]
    return root in roots and is_plain(path)


_IDENTITY = (("global", "id"), ())
"""The origin of `id`. The ids of what code refers to are other ones in other processes."""
_COUNTED = frozenset(
    [
        *[("gc", name) for name in ("get_objects", "get_referrers")],
        *[("threading", name) for name in ("enumerate", "active_count")],
        *[("sys", name) for name in ("_current_frames", "_current_exceptions")],
        ("multiprocessing", "active_children"),
    ]
)
"""Functions that list what there is in a process: its objects, threads and children."""
_BY_NUMBER = frozenset(["open", "fdopen", "FileIO", "socket", "mmap"])
_STARTS = frozenset(["run", "Popen", "call", "check_call", "check_output", "create_subprocess_exec"])
_STREAMS = ("stdin", "stdout", "stderr")
"""Where a call that starts a child takes files: what the code itself has opened has no known root."""
_AT = (0, "file", "fd", "fileno")
"""Where such a call takes the number."""
