"""map: apply a function to more items than fit into memory, a few at a time, with the results in order.

window the maximum number of items taken ahead of the results handed out
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from time import monotonic
from typing import Any, Generic, TypeVar, overload

from weftwork.graph.build import placeholder
from weftwork.graph.cores import usable_cores
from weftwork.graph.function import Op, op
from weftwork.graph.graph import Graph
from weftwork.graph.python.amounts import count_of
from weftwork.graph.python.callables import check_callable, is_coroutine_function, named
from weftwork.scheduler.doors.executor import Executor
from weftwork.scheduler.doors.running import plainly
from weftwork.scheduler.segments.awaiting import LOOP
from weftwork.scheduler.session.session import Session

A = TypeVar("A")
T = TypeVar("T")
_WAITING, _EACH = 100, 4
"""Default windows: for a coroutine function, and for any other function, for each CPU."""
_SLOW = 1e-3
"""If an item takes more seconds to come, results are not held back for the next one. Otherwise the window is filled
first: then calls go on while the loop works on a result."""


class Mapped(Generic[T]):
    """The results of a function for each of many items, in order. Made by `map`.

    Works with `for` and `async for`; each loop starts again. Leaving a loop early cancels the calls in progress.
    """

    def __init__(self, function: Callable, items: Any, window: int):
        self._function, self._items, self._window = function, items, window

    def __iter__(self) -> Iterator[T]:
        if not isinstance(self._items, Iterable):
            raise TypeError(f"A {type(self._items).__name__} needs `async for`, and so does a map of it.")
        ahead: deque[Future] = deque()
        with ExitStack() as stack:
            start = _starter(self._function, stack)
            stack.callback(_cancel, ahead)
            items = iter(self._items)
            ending: Exception | None = None
            slow = False
            while ahead or ending is None:
                if ahead and (ending or len(ahead) >= self._window or (slow and ahead[0].done())):
                    yield plainly(ahead.popleft().result)
                    continue
                began = monotonic()
                try:
                    item = next(items)
                except Exception as error:  # the end of the items, or an error of theirs
                    ending = error
                else:
                    slow = monotonic() - began > _SLOW
                    ahead.append(start(item))
            if not isinstance(ending, StopIteration):
                raise ending

    async def __aiter__(self) -> AsyncIterator[T]:
        ahead: deque[Future] = deque()
        loop, came = asyncio.get_running_loop(), asyncio.Event()

        def tell_loop(_: Future) -> None:
            with suppress(RuntimeError):  # the loop is closed, so nobody waits
                loop.call_soon_threadsafe(came.set)

        with ExitStack() as stack:
            start = _starter(self._function, stack)
            stack.callback(_cancel, ahead)
            items = _each(self._items)
            taking: asyncio.Task | None = None
            stack.callback(lambda: taking and taking.cancel())
            ending: Exception | None = None
            while ahead or ending is None:
                if taking is None and ending is None and len(ahead) < self._window:
                    taking = asyncio.create_task(_taken(items))
                    taking.add_done_callback(lambda _: came.set())
                    await asyncio.sleep(0)  # it is done now, unless the source waits
                if taking is not None and taking.done():
                    item, ending = taking.result()
                    taking = None
                    if ending is None:
                        ahead.append(start(item))
                        ahead[-1].add_done_callback(tell_loop)
                elif ahead and ahead[0].done():
                    yield plainly(ahead.popleft().result)
                else:
                    await came.wait()
                    came.clear()
            if not isinstance(ending, StopAsyncIteration):
                raise ending


async def _each(items: Any) -> AsyncIterator[Any]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


async def _taken(items: AsyncIterator[Any]) -> tuple[Any, Exception | None]:
    """The next item, or the end of the items, or an error of theirs."""
    try:
        return await anext(items), None
    except Exception as error:
        return None, error


def _cancel(ahead: deque[Future]) -> None:
    for future in ahead:
        future.cancel()


def _starter(function: Callable, stack: ExitStack) -> Callable[[Any], Future]:
    """A function that starts a call. Contexts that it needs are entered into the stack."""
    node = function if isinstance(function, Op) else None
    if is_coroutine_function(function if node is None else node.function) and (node is None or node.traits.awaited):
        kernel = (node or op(function)).kernel
        return lambda item: _on_loop(lambda: kernel.wait((item,), {}))
    if node is None or (node.traits.anywhere and not node.traits.retries and node.kernel.outputs is None):
        executor = stack.enter_context(Executor())
        plain = function if node is None else node.function
        return lambda item: executor.submit(plain, item)
    with Graph().as_default() as graph:
        x = placeholder(object)
        made = node(x)
    session = stack.enter_context(Session(graph=graph))
    return lambda item: session.submit(made, {x: item})


def _on_loop(make: Callable) -> Future:
    """A future for a coroutine on the program's event loop. Cancelling the future cancels the coroutine."""
    future: Future = Future()

    def pass_on(task: asyncio.Task) -> None:
        if task.cancelled():
            if future.cancel():
                future.set_running_or_notify_cancel()
        elif not future.cancelled():
            error = task.exception()
            future.set_result(task.result()) if error is None else future.set_exception(error)

    cancel = LOOP.start(make, pass_on)
    future.add_done_callback(lambda done: cancel() if done.cancelled() else None)
    return future


@overload
def lazy_map(function: Op[[A], T], iterable: Iterable[A] | AsyncIterable[A], window: int | None = ...) -> Mapped[T]: ...
@overload
def lazy_map(
    function: Callable[[A], Coroutine[Any, Any, T]], iterable: Iterable[A] | AsyncIterable[A], window: int | None = ...
) -> Mapped[T]: ...
@overload
def lazy_map(
    function: Callable[[A], T], iterable: Iterable[A] | AsyncIterable[A], window: int | None = ...
) -> Mapped[T]: ...
def lazy_map(
    function: Callable[..., Any], iterable: Iterable[Any] | AsyncIterable[Any], window: int | None = None
) -> Mapped[Any]:
    """Apply a function to each item of an iterable, lazily and in order, for data that does not fit into memory.

    function: a plain function or an `@op`, called in threads or local workers, or a coroutine function, called on an
    event loop.
    iterable: may be endless, and asynchronous for `async for`.
    window: the maximum number of items in progress or waiting for their turn. The default is 4 for each CPU, or 100 for
    coroutines. Each result is available as soon as it and those before it are. An error of a call or of the iterable is
    raised in its place, unchanged, and cancels the calls in progress. Raises TypeError or ValueError for invalid
    arguments.

        for page in weftwork.map(fetch, urls, window=20): ...
    """
    if not isinstance(function, Op):
        check_callable(function)
    elif function.traits.limits:
        raise ValueError(
            f"{named(function)} has limits, which a session sets, but map has no session: use `window=` instead."
        )
    if not isinstance(iterable, (Iterable, AsyncIterable)):
        raise TypeError(f"map takes an iterable, not {iterable!r}.")
    if window is not None:
        window = count_of("window", window)
    waits = is_coroutine_function(function.function if isinstance(function, Op) else function)
    return Mapped(function, iterable, window or (_WAITING if waits else _EACH * usable_cores()))
