"""Executor: the interface of `concurrent.futures`, on top of the engine.

batch     calls submitted in quick succession, which become one graph that is run once
slot      one of the `max_workers` calls that may run at once. A batch takes the free slots, and returns those that it
          no longer needs

A future is done as soon as its own call is, whatever the rest of the batch does. Threads live only while there is work,
and the program waits for them before it exits.
"""

from __future__ import annotations

import concurrent.futures
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Future
from time import monotonic, sleep
from typing import Any, TypeVar

from weftwork.graph.callables import named
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Tensor
from weftwork.scheduler.doors.calls import Input, Raised, Start, call_node, chunk_of
from weftwork.scheduler.doors.held import Held
from weftwork.scheduler.doors.running import op_of, run_graph, staying
from weftwork.scheduler.machines.inventory import local_cpus
from weftwork.scheduler.session.session import Session

T = TypeVar("T")

_GATHER = 0.001
"""Seconds for which calls are collected into a batch."""
_SHORT, _LONG = 0.1, 0.5
"""Batches of fewer seconds than the first make the next ones larger; of more than the second, smaller."""
_CHUNKS = 16
"""Chunks of `map` for each worker, to balance the work: at the end a worker idles for at most one chunk."""


class _Call:
    """A function, its arguments, and the future of its result.   among: other functions that it calls."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[Any, Any],
        among: tuple[Callable[..., Any], ...] = (),
    ):
        self.function, self.args, self.kwargs, self.among = function, args, kwargs, among
        self.future: Future = Future()
        self.needs = [a for a in (*args, *kwargs.values()) if isinstance(a, Future)]


class Executor(concurrent.futures.Executor):
    """An executor that calls functions in threads or local workers, whichever is faster; see docs/doors.md.

    max_workers: calls that run at once; the default is the number of CPUs.
    initializer, initargs: called once in each process, before its first call.
    Futures may be arguments: the call waits for them, gets their results, and fails if they fail. Arguments and results
    are passed on unchanged within a process, and pickled between processes.
    Raises ValueError if `max_workers` is below 1, and TypeError if `initializer` is not callable.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        initializer: Callable[..., Any] | None = None,
        initargs: tuple[Any, ...] = (),
    ):
        if max_workers is not None and max_workers < 1:
            raise ValueError(f"max_workers must be 1 or more, not {max_workers!r}.")
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer must be callable, not {initializer!r}.")
        self._most = max_workers or local_cpus()
        self._start = Start(uuid.uuid4().hex, initializer, tuple(initargs))
        self._changed = threading.Condition()
        self._pending: list[_Call] = []
        self._free, self._size = self._most, 4 * self._most
        self._runners = 0
        self._batches: set[_Batch] = set()
        self._gathering = self._down = False
        self._broken: BaseException | None = None

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Schedule `fn(*args, **kwargs)` and return its future. Raises RuntimeError after `shutdown`."""
        return self._submit([_Call(fn, args, kwargs)])[0]

    def submit_as(self, functions: tuple[Callable[..., Any], ...], work: Callable[..., Any]) -> Future:
        """Schedule `work()`, which calls `functions`: costs and captured state are tracked for these."""
        return self._submit([_Call(_done, (work,), {}, tuple({id(each): each for each in functions}.values()))])[0]

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        **kwargs: Any,
    ) -> Iterator[T]:
        """Return an iterator over the results of `fn` for each tuple of arguments, in order.

        timeout: seconds from now until TimeoutError is raised.   chunksize: calls that go to a worker at once; by
        default each worker gets several chunks.
        """
        if chunksize is not None and chunksize < 1:
            raise ValueError(f"chunksize must be 1 or more, not {chunksize!r}.")
        if kwargs:  # buffersize, of Python 3.14
            return super().map(fn, *iterables, timeout=timeout, **kwargs)
        items = list(zip(*iterables, strict=False))
        size = chunksize or max(1, len(items) // (self._most * _CHUNKS))
        calls = [_Call(chunk_of(fn), (items[at : at + size],), {}) for at in range(0, len(items), size)]
        return _results(self._submit(calls), None if timeout is None else monotonic() + timeout)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls. wait: until all are done.   cancel_futures: cancel those not yet in a batch."""
        with self._changed:
            self._down = True
            cancelled = self._pending if cancel_futures else []
            if cancel_futures:
                self._pending = []
        for call in cancelled:
            call.future.cancel()
            call.future.set_running_or_notify_cancel()
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: not (self._pending or self._runners))

    def terminate_workers(self) -> None:
        """Accept no more calls, and cancel all calls, including running ones, as soon as they can be interrupted.

        Their futures raise CancelledError.
        """
        self.shutdown(wait=False, cancel_futures=True)
        with self._changed:
            batches = list(self._batches)
        for batch in batches:
            batch.stop()

    def _submit(self, calls: list[_Call]) -> list[Future]:
        with self._changed:
            if self._broken is not None:
                raise BrokenExecutor(str(self._broken)) from self._broken
            if self._down:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._pending.extend(calls)
            self._run_more()
        for call in calls:
            for future in call.needs:
                future.add_done_callback(self._wake)
        return [call.future for call in calls]

    def _wake(self, _: Any = None) -> None:
        with self._changed:
            self._run_more()

    # Batches

    def _run_more(self) -> None:
        """Start a thread for a batch, if there are calls and free slots and none is starting. Needs the lock."""
        if self._pending and self._free and not self._gathering:
            self._gathering = True
            self._runners += 1
            threading.Thread(target=self._work, name="weftwork-executor").start()

    def _work(self) -> None:
        sleep(_GATHER)
        with self._changed:
            self._gathering = False
            batch = self._next_batch()
        if batch is not None:
            start = monotonic()
            batch.run()
            took = monotonic() - start
            with self._changed:
                self._free += batch.slots
                self._batches.discard(batch)
                if took < _SHORT and len(batch.calls) >= self._size:
                    self._size *= 2
                elif took > _LONG:
                    self._size = max(self._most, self._size // 2)
        with self._changed:
            self._runners -= 1
            if batch is not None:
                self._run_more()
            self._changed.notify_all()

    def _next_batch(self) -> _Batch | None:
        """Take calls that wait only for each other, and slots for them."""
        chosen: list[_Call] = []
        left: list[_Call] = []
        among: set[Future] = set()
        most = max(self._free, self._size * self._free // self._most)
        for call in self._pending:
            if len(chosen) < most and all([need.done() or need in among for need in call.needs]):
                if call.future.set_running_or_notify_cancel():
                    chosen.append(call)
                    among.add(call.future)
            else:
                left.append(call)
        self._pending = left
        if not chosen:
            return None
        slots = min(self._free, len(chosen))
        self._free -= slots
        batch = _Batch(self, chosen, slots)
        self._batches.add(batch)
        return batch

    def _done_with(self, batch: _Batch) -> None:
        """Return slots that a batch no longer needs."""
        with self._changed:
            spare = batch.slots - max(1, batch.left)
            if spare > 0:
                batch.slots -= spare
                self._free += spare
                self._run_more()

    def _break(self, error: BaseException) -> None:
        """Fail all calls, after the initializer has failed."""
        with self._changed:
            self._broken = self._broken or error
            pending, self._pending = self._pending, []
        for call in pending:
            if call.future.set_running_or_notify_cancel():
                call.future.set_exception(error)


class _Batch:
    """Calls that are run as one graph."""

    def __init__(self, executor: Executor, calls: list[_Call], slots: int):
        self.executor, self.calls, self.slots, self.left = executor, calls, slots, len(calls)
        self._session: Session | None = None
        self._stopped = threading.Event()

    def run(self) -> None:
        """Run the calls. Each future is done when its call is."""
        try:
            with Graph().as_default() as graph:
                tensors: dict[Future, Tensor] = {}
                tell = staying(self._tell)
                told = []
                for number, call in enumerate(self.calls):
                    tensors[call.future] = self._node(call, tensors)
                    told.append(tell(number, tensors[call.future]))
                run_graph(graph, [each.op for each in told], {}, self.slots, self._opened)
        except BaseException as error:  # such as a worker that died again and again: the futures raise it
            failure = CancelledError() if self._stopped.is_set() else error
            for call in self.calls:
                if not call.future.done():
                    call.future.set_exception(failure)

    def _opened(self, session: Session) -> None:
        self._session = session
        if self._stopped.is_set():
            session.close()

    def stop(self) -> None:
        """Cancel the running calls."""
        self._stopped.set()
        if self._session is not None:
            self._session.close()

    def _node(self, call: _Call, tensors: dict[Future, Tensor]) -> Tensor:
        start = self.executor._start
        inputs: list = []

        def filled(argument: Any) -> Any:
            if not isinstance(argument, Future):
                return argument
            inputs.append(tensors[argument] if argument in tensors else Held(_outcome(argument)))
            return Input(len(inputs) - 1)

        args = tuple(map(filled, call.args))
        kwargs = {key: filled(value) for key, value in call.kwargs.items()}
        others = call.among if start.function is None else (*call.among, start.function)
        name = named((*call.among, call.function)[0])
        return op_of(call_node, (call.function, *others), name)(Held(start), Held(args), Held(kwargs), *inputs)

    def _tell(self, number: int, outcome: Held) -> None:
        """Complete the future of a call. Runs in this process, as a node."""
        self.left -= 1
        self.executor._done_with(self)
        future, value = self.calls[number].future, outcome.value
        if type(value) is not Raised:
            future.set_result(value)
            return
        if isinstance(value.error, BrokenExecutor):
            self.executor._break(value.error)
        future.set_exception(value.error)


def _done(work: Callable) -> Any:
    return work()


def _outcome(future: Future) -> Any:
    """The result of a finished future, or Raised."""
    try:
        error = future.exception(0)
    except CancelledError as cancelled:
        error = cancelled
    return future.result(0) if error is None else Raised(error)


def _results(futures: list[Future], end: float | None) -> Iterator:
    """The results of chunks, one by one. If the iteration stops early, the remaining chunks are cancelled."""
    futures.reverse()
    try:
        while futures:
            chunk = futures.pop().result(None if end is None else max(0.0, end - monotonic()))
            for value in chunk:
                if type(value) is Raised:
                    raise value.error
                yield value
    finally:
        for future in futures:
            future.cancel()
