"""The calls that were submitted to an executor. Each call is its own future.

callee    the function of a call, and what the executor has to know about it. Calls of one function may share it

A program may submit calls by the hundred thousand, so a call is a small object. `concurrent.futures` gives every future
a condition and two lists, which are ten objects, although most futures are never waited for. A call makes them when
something first asks for its condition, as `wait`, `as_completed` and most methods of a future do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from concurrent.futures._base import FINISHED, PENDING, RUNNING
from contextlib import suppress
from typing import Any

from weftwork.graph.function import Op
from weftwork.graph.python.amounts import seconds_of
from weftwork.graph.python.callables import named
from weftwork.graph.python.forks import fresh
from weftwork.graph.python.ownership import is_atom
from weftwork.graph.python.seeded import draws_of
from weftwork.scheduler.doors.calls import Draws, Raised, call_node, calls_here, waiting
from weftwork.scheduler.doors.running import changes_given, code_of, holds_nothing, op_of
from weftwork.scheduler.session.future import FORKED

_OPEN = (PENDING, RUNNING)
_light = fresh(threading.Lock())
"""Protects the state of calls without a condition. Whoever holds it takes no other lock."""


class Callee:
    """A function that is called.

    also: other functions that it calls.   key: its duration is remembered under this; by default its code.
    shown: the function that errors name; by default the first of these.
    """

    __slots__ = ("__weakref__", "_generators", "_ops", "also", "changes", "function", "key", "lasting", "shown")

    def __init__(
        self,
        function: Callable[..., Any],
        also: tuple[Callable[..., Any], ...] = (),
        key: Any = None,
        shown: Callable[..., Any] | None = None,
    ):
        for each in also or (function,):
            if not callable(each):
                raise TypeError(f"An executor calls functions, not {each!r}.")
        self.function, self.also = function, also
        self.shown = (*also, function)[0] if shown is None else shown
        self.key = code_of(function) if key is None else key
        self.changes = changes_given(function)
        """Whether its code changes an argument in place."""
        self.lasting = holds_nothing(function)
        """Whether it may be kept: it keeps no object of the program alive."""
        self._ops: dict = {}
        self._generators: int | None = None

    def op(self, runner: Callable, initializer: Callable | None, stays: bool, beside: bool = False) -> Op:
        """The op for nodes that make calls of it.

        runner: makes the calls.   initializer: the executor's.   stays, beside: see `op_of`.
        """
        functions = (self.function, *self.also, *([] if initializer is None else [initializer]))
        made = op_of(runner, functions, named(self.shown), stays, self._ops, beside, self.shown)
        made.kernel.sees_to_draws = True
        return made

    def generators(self, initializer: Callable | None, stays: bool) -> int:
        """The random generators that a call may draw from, as bits."""
        if self._generators is None:
            self._generators = draws_of(self.op(call_node, initializer, stays).kernel)
        return self._generators

    def is_like(self, other: Callee) -> bool:
        """Whether calls of both may share a chunk."""
        return self is other or (self.function is other.function and self.also == other.also)


class Call(Future):
    """A call, and the future of its result.

    weight: how many times it calls the function under which its duration is recorded.   stays: it must be made in this
    process.
    needs: the futures among its arguments.   alone: it is to be a node of its own, as calls like it take long.
    inner: a call of its executor has submitted it.
    draws: where it draws its random numbers, if it may draw some.
    """

    _state = PENDING
    _result = _exception = None
    _made: threading.Condition | None = None
    kwargs: dict[str, Any] | None = None
    needs: Sequence[Future] = ()
    draws: Draws | None = None
    weight = 1
    stays = alone = inner = False

    def __init__(self, callee: Callee, args: Sequence[Any], kwargs: dict[str, Any] | None = None, weight: int = 1):
        # Attributes that most calls never set have their defaults above; those of Future are made with the condition.
        self.callee, self.args = callee, args
        values = args
        if kwargs:
            self.kwargs = kwargs
            values = (*args, *kwargs.values())
        if weight != 1:
            self.weight = weight
        if callee.changes and not is_atom(tuple(values)):
            self.stays = True
        for value in values:
            if isinstance(value, Future):
                self.needs = (*self.needs, value)

    @property
    def _condition(self) -> threading.Condition:  # type: ignore[override]
        made = self._made
        if made is None:
            new = threading.Condition()
            with _light:
                made = self._made
                if made is None:
                    self._waiters, self._done_callbacks = [], []
                    made = self._made = new
        return made

    def done(self) -> bool:
        """Whether it has finished or was cancelled."""
        return self._state not in _OPEN

    def result(self, timeout: float | None = None) -> Any:
        """What the function returned. Raises what it raised, CancelledError, or TimeoutError.

        In a call of an executor, another call may take its place while it waits.
        timeout: the maximum number of seconds to wait.
        """
        if self._state == FINISHED and self._exception is None:
            return self._result
        timeout = seconds_of("timeout", timeout)
        if calls_here() is None or self.done():
            return super().result(timeout)
        with waiting():
            return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What the function raised, or None. Waits as `result` does, and raises CancelledError or TimeoutError.

        timeout: the maximum number of seconds to wait.
        """
        timeout = seconds_of("timeout", timeout)
        with waiting():
            return super().exception(timeout)

    def belong_to_parent(self) -> None:
        """After a fork, in the child: be done, with an error. The locks and callbacks are the parent's."""
        self._made, self._state = None, RUNNING
        self.set_exception(RuntimeError(FORKED))


def start(calls: Iterable[Call]) -> list[Call]:
    """Mark calls as running. Returns those that were not cancelled before."""
    with _light:
        for call in calls:
            if call._made is None:  # so nobody has cancelled it
                call._state = RUNNING
    return [call for call in calls if call._state == RUNNING or call.set_running_or_notify_cancel()]


def finish(calls: Sequence[Call], outcomes: Sequence[Any]) -> None:
    """Give running calls their results, or Raised. Calls that are done are left as they are."""
    watched = []
    with _light:
        for call, outcome in zip(calls, outcomes, strict=True):
            if call._state not in _OPEN:
                continue
            call.callee = call.args = None  # type: ignore[assignment]  # nobody needs them any more
            if call.kwargs or call.needs:
                call.kwargs, call.needs = None, ()
            if call._made is None and type(outcome) is not Raised:
                call._result = outcome
                call._state = FINISHED
            else:
                watched.append((call, outcome))
    for call, outcome in watched:
        with suppress(InvalidStateError):  # another thread was faster
            if type(outcome) is Raised:
                call.set_exception(outcome.error)
            else:
                call.set_result(outcome)


def cancel(calls: Iterable[Call]) -> None:
    """Cancel calls that have not begun. Those that had been taken for a batch, and were given back, raise."""
    for call in calls:
        if call.cancel():
            call.set_running_or_notify_cancel()
        else:
            finish([call], [Raised(CancelledError())])
