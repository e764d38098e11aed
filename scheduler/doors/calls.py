"""Calls that run as nodes for an executor: what a worker does with one, and what comes of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import BrokenExecutor
from time import perf_counter
from typing import Any, NamedTuple

from weftwork.actors.programs.program import Stopped
from weftwork.scheduler.doors.held import Held


class Raised:
    """What a call came to that raised: it is handed on to the calls that need its result."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException):
        self.error = error


class Done(Held):
    """What came of a call, or a list of what came of several.   seconds: that each took."""

    __slots__ = ("seconds",)

    def __init__(self, value: Any, seconds: float = 0.0):
        super().__init__(value)
        self.seconds = seconds


class Input(NamedTuple):
    """Stands for an argument that another call gives: the number among the inputs of the node."""

    number: int


class Start(NamedTuple):
    """An executor's initializer, by a key of its own: each process calls it once."""

    key: str
    function: Callable | None
    arguments: tuple


def call_node(*bound: Any) -> Done:
    """Call a function: bound are it (and the initializer), then Start and arguments, and the inputs. Runs as a node."""
    function = bound[0]
    at = next(place for place, item in enumerate(bound) if type(item) is Held)
    start, args, kwargs = bound[at].value
    inputs = [held.value for held in bound[at + 1 :]]
    for each in inputs:
        if type(each) is Raised:
            return Done(each)
    filled = [inputs[a.number] if type(a) is Input else a for a in args]
    named = {key: inputs[a.number] if type(a) is Input else a for key, a in kwargs.items()}
    began = perf_counter()
    return Done(_outcome(function, start, filled, named), perf_counter() - began)


def call_chunk(*bound: Any) -> Done:
    """Call a function several times: bound are it (and the initializer), and Start and arguments. Runs as a node.

    Ends early once that takes longer than it may: the list is shorter then.
    """
    function = bound[0]
    start, calls, limit = bound[-1].value
    outcomes: list = []
    began = now = perf_counter()
    for args, kwargs in calls:
        outcomes.append(_outcome(function, start, args, kwargs))
        now = perf_counter()
        if now - began > limit:
            break
    return Done(outcomes, (now - began) / len(outcomes))


def _outcome(function: Callable, start: Start, args: Sequence, kwargs: dict) -> Any:
    try:
        if start.function is not None:
            _begin(start)
        return function(*args, **kwargs)
    except BaseException as error:
        return _raised(error)


def _raised(error: BaseException) -> Raised:
    """What a call raised. A stop is raised on; Ctrl-C never comes here, for calls run in other threads than it."""
    if isinstance(error, Stopped):
        raise error
    return Raised(error)


_begun: dict[str, BaseException | None] = {}
"""The executors whose initializer this process has called, with what it raised."""


def _begin(start: Start) -> None:
    if start.key not in _begun:
        _begun[start.key] = None
        try:
            start.function(*start.arguments)  # type: ignore[misc]
        except Exception as error:
            _begun[start.key] = error
    if (failed := _begun[start.key]) is not None:
        raise BrokenExecutor(f"the initializer failed: {type(failed).__name__}: {failed}") from failed


def call_each(function: Callable, items: Iterable[tuple]) -> list:
    """The results of several calls, as far as the first that raises, which is the last of the list then."""
    results: list = []
    for item in items:
        try:
            results.append(function(*item))
        except BaseException as error:
            return [*results, _raised(error)]
    return results


def chunk_of(function: Callable) -> Callable:
    """`call_each` of a function. Equal ones are one function to those who remember costs."""
    return functools.partial(call_each, function)
