"""How a worker makes the calls of an executor, and what it sends back.

place     one of the calls that an executor may make at once. A call that waits for a future gives its place back, so
          that the calls that it waits for can be made

draws     where a call gets its random numbers from, which is settled when it is submitted. So they do not depend on
          which calls happen to share a graph or a node

An exception is part of the outcome of its call (`Raised`), so that the other calls of the graph go on.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager, nullcontext
from time import perf_counter, thread_time
from typing import Any, NamedTuple, Protocol
from weakref import WeakValueDictionary

from weftwork.actors.processes.messages import describe, described
from weftwork.actors.programs.program import Stopped
from weftwork.graph.errors import add_remote
from weftwork.graph.python.forks import fresh
from weftwork.graph.python.seeded import new_key, seeded
from weftwork.graph.python.turns import alone, resting
from weftwork.scheduler.doors.held import Held


class Raised:
    """The outcome of a call that raised `error`. Calls that need its result raise it, too.

    In another process, the error keeps its causes, and the last one is the traceback of where it was raised.
    """

    __slots__ = ("error",)

    def __init__(self, error: BaseException):
        self.error = error

    def __reduce__(self):
        return _raised_elsewhere, describe(self.error)


def _raised_elsewhere(packed: bytes, traceback: str) -> Raised:
    error = described(packed, traceback)
    if "RemoteTraceback" not in traceback:  # else it has one already
        add_remote(error, traceback)
    return Raised(error)


class Done(Held):
    """The outcome of a call, or the list of outcomes of a chunk.

    seconds: the time per call.   busy: the CPU seconds of its thread in that time.
    """

    __slots__ = ("busy", "seconds")

    def __init__(self, value: Any, seconds: float = 0.0, busy: float = 0.0):
        super().__init__(value)
        self.seconds, self.busy = seconds, busy


class Input(NamedTuple):
    """In the place of an argument that is the result of another call: the index of an input of the node."""

    number: int


class Start(NamedTuple):
    """The initializer of an executor, which has a `key`.

    Each process calls it once; each thread, if it is `per_thread` because it sets attributes of a `threading.local`.
    """

    key: str
    function: Callable | None
    arguments: tuple
    per_thread: bool = False


class Draws(NamedTuple):
    """Where calls draw their random numbers: the key, the number of the first call under it, and the generators."""

    key: tuple[int, int]
    first: int
    generators: int

    def call(self, number: int, function: Callable, /, *args: Any, **kwargs: Any) -> Any:
        """Make one of the calls.   number: how many come before it."""
        with alone(self.generators), seeded((self.key, self.first + number), self.generators):
            return function(*args, **kwargs)


class Series:
    """A series of calls with one key, which is drawn from the program's generators when the first of them may draw."""

    def __init__(self):
        self._key: tuple[int, int] | None = None
        self._next = 0

    def take(self, generators: int, count: int = 1) -> Draws | None:
        """For the next calls.   generators: what they may draw from; None is returned for 0."""
        first, self._next = self._next, self._next + count
        if not generators:
            return None
        self._key = self._key or new_key()
        return Draws(self._key, first, generators)


class Places(Protocol):
    """The places of an executor."""

    def free(self, count: int) -> None:
        """Note that there are so many more free places, or fewer."""

    def begin_anew(self) -> None:
        """After a fork, in the child: leave the calls to the parent."""


PLACES: WeakValueDictionary[str, Places] = WeakValueDictionary()
"""Those of the executors of this process, by the keys of their initializers."""


class _Making(threading.local):
    """The key of the executor whose call a thread makes."""

    key: str | None = None


_making = _Making()


def calls_here() -> str | None:
    """The key of the executor whose call this thread makes, or None."""
    return _making.key


@contextmanager
def _of(start: Start) -> Iterator[None]:
    """A context in which this thread makes calls of an executor."""
    outer, _making.key = calls_here(), start.key
    try:
        yield
    finally:
        _making.key = outer


@contextmanager
def waiting() -> Iterator[None]:
    """A context in which this thread waits. If it makes a call of an executor, another call may be made meanwhile."""
    key = calls_here()
    places = None if key is None else PLACES.get(key)
    if places is not None:
        places.free(1)
    try:
        with resting():
            yield
    finally:
        if places is not None:
            places.free(-1)


def call_node(*bound: Any) -> Done:
    """Make one call. Runs as a node.

    bound: the function, any others that it is bound to, a Held of (Start, arguments, keyword arguments, Draws or None),
    and inputs. It is a Held of the outcome if the call was made before.
    """
    function = bound[0]
    at = next(place for place, item in enumerate(bound) if type(item) is Held)
    if type(bound[at].value) is Done:
        return bound[at].value
    start, args, kwargs, draws = bound[at].value
    inputs = [held.value for held in bound[at + 1 :]]
    for each in inputs:
        if type(each) is Raised:
            return Done(each)
    if inputs:
        args = [inputs[a.number] if type(a) is Input else a for a in args]
        kwargs = {key: inputs[a.number] if type(a) is Input else a for key, a in (kwargs or {}).items()}
    began, before = perf_counter(), thread_time()
    with _of(start):
        outcome = _outcome(function, start, args, kwargs, draws)
    return Done(outcome, perf_counter() - began, thread_time() - before)


def call_chunk(*bound: Any) -> Done:
    """Make several calls of one function, one after another. Runs as a node.

    bound: the function, any others that it is bound to, and a Held of (Start, calls, seconds), or of the outcome.
    The list of outcomes is shorter than that of calls if these take longer than `seconds`.
    """
    function = bound[0]
    if type(bound[-1].value) is Done:
        return bound[-1].value
    start, calls, most = bound[-1].value
    outcomes: list = []
    began, before = perf_counter(), thread_time()
    now = began
    with _of(start):
        for args, kwargs, draws in calls:
            outcomes.append(_outcome(function, start, args, kwargs, draws))
            now = perf_counter()
            if now - began > most:
                break
    return Done(outcomes, (now - began) / len(outcomes), (thread_time() - before) / len(outcomes))


def _outcome(function: Callable, start: Start, args: Sequence, kwargs: dict | None, draws: Draws | None) -> Any:
    try:
        if start.function is not None:
            _initialize(start)
        if draws is not None:
            return draws.call(0, function, *args, **(kwargs or {}))
        return function(*args, **kwargs) if kwargs else function(*args)
    except BaseException as error:
        return _raised(error)


def _raised(error: BaseException) -> Raised:
    """The outcome for an exception. Stopped, which ends a run, passes.

    Ctrl-C never gets here, because calls run in other threads than the main one.
    """
    if isinstance(error, Stopped):
        raise error
    return Raised(error)


_initialized: dict[str, BaseException | None] = {}
"""The executors whose initializer this process has called, with the exception if it raised one."""
_here = threading.local()
"""The same for those whose initializer each thread calls."""
_lock = fresh(threading.Lock())
_locks: dict[str, Any] = {}
"""One for each initializer that a thread is calling: the other threads wait for its end."""


def _initialize(start: Start) -> None:
    known = _here.__dict__ if start.per_thread else _initialized
    if start.key not in known:
        with _lock:
            lock = _locks.setdefault(start.key, threading.Lock())
        with nullcontext() if start.per_thread else lock:
            if start.key not in known:
                known[start.key] = _error_of(start)
        _locks.pop(start.key, None)
    if (failed := known[start.key]) is not None:
        raise BrokenExecutor(f"the initializer failed: {type(failed).__name__}: {failed}") from failed


def _error_of(start: Start) -> Exception | None:
    """Call an initializer. Returns the exception that it raised."""
    try:
        start.function(*start.arguments)  # type: ignore[misc]
    except Exception as error:
        return error
    return None


def call_each(function: Callable, items: Iterable[tuple]) -> list:
    """Make a chunk of `map`'s calls. If one raises, its Raised is the last element, and the calls after it are left."""
    results: list = []
    for item in items:
        try:
            results.append(function(*item))
        except BaseException as error:
            return [*results, _raised(error)]
    return results


def chunk_of(function: Callable) -> Callable:
    """`call_each` bound to a function."""
    return functools.partial(call_each, function)
