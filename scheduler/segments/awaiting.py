"""Awaiting: calls that wait for something outside the program, and take no lane while they do.

loop      the program's event loop, in a thread of its own, which runs the coroutines of all sessions' nodes
limit     a name with a capacity: "at most 5 calls of this API at a time". A call that asks for more than is free waits
          in a line, and takes no thread
done      a callback that receives the outcome of a call, once, in another thread
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from contextvars import copy_context
from typing import Any

from weftwork.actors.programs.float_errors import quiet, turn
from weftwork.actors.programs.program import Stopped, is_from_outside
from weftwork.graph import nest, stacks
from weftwork.graph.python.forks import fresh, in_child
from weftwork.graph.python.lending import all_lent
from weftwork.scheduler.compile.emit import users_function
from weftwork.scheduler.machines.helpers import borrow
from weftwork.scheduler.run.failures import call_in_run, node_error
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.segments.calling import call_nodes

_EVERY = 0.5
"""Seconds between two looks at the loops that are watched."""
Done = Callable[[Any], None]
"""A callback that is given a list of a node's outputs, or an error."""


class Loop:
    """An event loop in a thread of its own, started when first needed."""

    def __init__(self):
        self._lock = fresh(threading.Lock())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._watched: dict[object, tuple[asyncio.AbstractEventLoop, Callable[[], Any]]] = {}
        self._looks = False
        """Whether it will look at the loops that are watched."""

    def forget(self) -> None:
        """After a fork, in the child: drop the loop, whose thread exists only in the parent."""
        self._loop = self._thread = None
        self._watched.clear()
        self._looks = False

    def watch(self, other: asyncio.AbstractEventLoop, closed: Callable[[], Any]) -> Callable[[], Any]:
        """Call `closed` within a second after another loop was closed; asyncio notifies nobody of that.

        Returns a function that ends this.
        """
        key = object()
        self._watched[key] = other, closed
        if not self._looks:
            self._looks = True
            loop = self._running()
            loop.call_soon_threadsafe(loop.call_later, _EVERY, self._look)
        return lambda: self._watched.pop(key, None)

    def _look(self) -> None:
        self._looks = False
        for key, (other, closed) in list(self._watched.items()):
            if other.is_closed() and self._watched.pop(key, None):
                closed()
        if self._watched and not self._looks:
            self._looks = True
            self._running().call_later(_EVERY, self._look)

    def start(self, make: Callable[[], Coroutine], done: Callable[[asyncio.Task], None]) -> Callable[[], None]:
        """Run a coroutine, and pass its finished task to `done`. Returns a function that cancels it.

        It gets this thread's context variables. Cancelling works even before it has begun.
        """
        tasks: list[asyncio.Task] = []
        cancelled: list[bool] = []
        loop = self._running()

        def begin() -> None:
            turn(True)  # it is a user's
            task = loop.create_task(make())
            tasks.append(task)
            task.add_done_callback(done)
            if cancelled:
                task.cancel()

        def cancel() -> None:
            cancelled.append(True)
            for task in tasks:
                loop.call_soon_threadsafe(task.cancel)

        loop.call_soon_threadsafe(begin, context=copy_context())
        return cancel

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                self._loop, self._looks = asyncio.new_event_loop(), False
                self._thread = threading.Thread(target=_serve, args=(self._loop,), name="weftwork-loop", daemon=True)
                self._thread.start()
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    stacks.local.graphs.level = 0  # only functions of nodes run here
    asyncio.set_event_loop(loop)
    while not loop.is_closed():  # whatever a coroutine raises or stops, the others go on
        with suppress(SystemExit, KeyboardInterrupt):  # these are in the task that raised them, and end `run_forever`
            loop.run_forever()


LOOP = Loop()
"""The event loop of this program."""
in_child(LOOP.forget)


class Limits:
    """The named limits of a session: how much of each is free, and which calls wait for it."""

    def __init__(self, most: Mapping[str, int]):
        self._free = dict(most)
        self._waiting: dict[Any, tuple[Sequence[tuple[str, int]], Callable[[], None]]] = {}
        self._lock = fresh(threading.Lock())

    def ask(self, key: Any, asked: Sequence[tuple[str, int]], begin: Callable[[], None]) -> None:
        """Call `begin` once everything asked for is free, and reserve it. Calls are served in the order of asking."""
        with self._lock:
            self._waiting[key] = asked, begin
        self._let_begin()

    def forget(self, key: Any) -> bool:
        """Stop waiting. False if the call has begun."""
        with self._lock:
            return self._waiting.pop(key, None) is not None

    def give_back(self, asked: Sequence[tuple[str, int]]) -> None:
        """Release what a finished call had taken."""
        with self._lock:
            for name, amount in asked:
                self._free[name] += amount
        if asked:
            self._let_begin()

    def _let_begin(self) -> None:
        begun = []
        with self._lock:
            before: set[str] = set()  # names that earlier calls wait for
            for key, (asked, begin) in list(self._waiting.items()):
                names = {name for name, _ in asked}
                if before.isdisjoint(names) and all([self._free[name] >= amount for name, amount in asked]):
                    for name, amount in asked:
                        self._free[name] -= amount
                    del self._waiting[key]
                    begun.append(begin)
                else:
                    before |= names
        for begin in begun:
            begin()


class Awaiting:
    """The waiting calls of a session."""

    def __init__(self, limits: Mapping[str, int]):
        self._limits = Limits(limits)

    def start(self, run: Run, node: int, done: Done) -> Callable[[], None]:
        """Start a node's call once its limits allow, and pass its outputs or an error to `done`.

        Returns a function that cancels it; a cancelled call passes Stopped, once it has ended.
        """
        call = _Call(run, node, done, self._limits)
        self._limits.ask(call, call.asked, call.begin)
        return call.cancel


class _Call:
    """One call."""

    def __init__(self, run: Run, node: int, done: Done, limits: Limits):
        self._run, self._node, self._done, self._limits = run, node, done, limits
        op = run.flow.ops[node]
        self.asked = op.traits.limits
        self._is_async = op.traits.waits
        self._context = copy_context()
        self._cancel: Callable[[], None] | None = None
        self._cancelled = False

    def begin(self) -> None:
        """Call the function, now that the limits allow it."""
        if self._run.stop:
            self._limits.give_back(self.asked)
            self._done(Stopped())
            return
        if self._is_async:
            self._cancel = self._context.run(self._on_loop)
            if self._cancelled:
                self._cancel()
        else:
            borrow(1)[0].put(lambda: self._context.run(self._in_thread))

    def cancel(self) -> None:
        """Cancel the call as soon as possible."""
        self._cancelled = True
        if self._limits.forget(self):
            self._done(Stopped())
        elif self._cancel is not None:
            self._cancel()

    def _on_loop(self) -> Callable[[], None]:
        flow = self._run.flow
        kernel, attrs = flow.kernels[self._node], flow.attrs[self._node]
        function = users_function(kernel)
        inputs = flow.inputs[self._node]
        if kernel is not function:  # it would draw from the program's generators while others run
            inputs = inputs[1:]
        values = all_lent([self._run.local(number) for number in inputs], function.reads)
        args, kwargs = nest.fill_call(attrs["template"], values, lambda: function.reads)
        return LOOP.start(lambda: function.wait(args, kwargs), self._task_done)

    def _task_done(self, task: asyncio.Task) -> None:
        self._limits.give_back(self.asked)
        if task.cancelled():
            self._done(Stopped() if self._run.stop else asyncio.CancelledError("the coroutine was cancelled"))
            return
        error = task.exception()
        result = None if error is not None else task.result()
        self._done(error if error is not None else self._outputs(result))

    def _outputs(self, result: Any) -> list:
        return [result] if len(self._run.flow.outputs[self._node]) == 1 else list(result)

    def _in_thread(self) -> None:
        outcome: Any
        try:
            if self._run.stop:
                raise Stopped
            with quiet():
                call_nodes(self._run, [self._node], [])
            outcome = [self._run.values[number] for number in self._run.flow.outputs[self._node]]
        except BaseException as error:
            outcome = error
        self._limits.give_back(self.asked)
        self._done(outcome)


def raise_outcome(run: Run, node: int, outcome: Any) -> None:
    """Raise the outcome of a node's call if it is an error, naming the node and keeping the call."""
    if isinstance(outcome, Stopped) or (isinstance(outcome, BaseException) and is_from_outside(outcome)):
        raise outcome
    if isinstance(outcome, BaseException):
        raise node_error(run.flow.ops[node], outcome, call=call_in_run(run, node)) from outcome
