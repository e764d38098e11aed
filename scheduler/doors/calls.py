"""Calls: the nodes of an executor. How a worker makes a call, and what it returns."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor
from typing import Any, NamedTuple

from weftwork.scheduler.doors.held import Held


class Raised:
    """The result of a call that raised. Calls that need the result receive this instead."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException):
        self.error = error


class Input(NamedTuple):
    """Stands for an argument that another call computes: its position among the inputs of the node."""

    number: int


class Start(NamedTuple):
    """An executor's initializer, with a unique key: each process calls it once."""

    key: str
    function: Callable | None
    arguments: tuple


def call_node(*bound: Any) -> Held:
    """Call a function, as a node. bound: the function (and the initializer), Start, the arguments, and the inputs."""
    function = bound[0]
    at = next(place for place, item in enumerate(bound) if type(item) is Held)
    start, args, kwargs, *inputs = [held.value for held in bound[at:]]
    for each in inputs:
        if type(each) is Raised:
            return Held(each)
    try:
        if start.function is not None:
            _begin(start)
        filled = [inputs[a.number] if type(a) is Input else a for a in args]
        named = {key: inputs[a.number] if type(a) is Input else a for key, a in kwargs.items()}
        return Held(function(*filled, **named))
    except Exception as error:
        return Held(Raised(error))


_begun: dict[str, BaseException | None] = {}
"""By key, the initializers that this process has called, with the error that each raised, or None."""


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
    """The results of several calls. If one raises, the list ends with its Raised."""
    results: list = []
    for item in items:
        try:
            results.append(function(*item))
        except Exception as error:
            return [*results, Raised(error)]
    return results


@functools.lru_cache(256)
def chunk_of(function: Callable) -> Callable:
    """`call_each` for a function, cached, so that its costs are remembered under one object."""
    return functools.partial(call_each, function)
