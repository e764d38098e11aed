"""Executor: `concurrent.futures`' way to call functions, on the engine.

batch     calls that were submitted closely one after another: a graph of them, run once
slot      one of the `max_workers` calls that may run at a time; a batch takes the free ones, and gives those back that
          it needs no more

A future is done as soon as its own call is, whatever the rest of the batch does. Threads live only while there is
work, and the program waits for them when it ends.
"""

from __future__ import annotations

import concurrent.futures
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Future
from time import monotonic, sleep
from typing import Any

from weftwork.graph.callables import named
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Tensor
from weftwork.graph.ownership import is_atom
from weftwork.scheduler.doors.calls import Input, Raised, Start, call_node, chunk_of
from weftwork.scheduler.doors.held import Held
from weftwork.scheduler.doors.running import changes_given, op_of, run_graph, staying
from weftwork.scheduler.machines.inventory import local_cpus
from weftwork.scheduler.plan.collector import collecting_later
from weftwork.scheduler.session.session import Session

_GATHER = 0.001
"""Seconds for which calls are gathered."""
_SHORT, _LONG = 0.1, 0.5
"""Seconds of a batch from which the next ones are made larger, or smaller."""
_CHUNKS = 16
"""Chunks of `map` for each worker: what is lost at the end is at most one of them."""


class _Call:
    """A function, its arguments, and the future of what it gives.

    among: what functions it calls besides.   stays: it is called in this process.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[Any, Any],
        among: tuple[Callable[..., Any], ...] = (),
        stays: bool = False,
    ):
        self.function, self.args, self.kwargs, self.among, self.stays = function, args, kwargs, among, stays
        self.future: Future = Future()
        self.needs = [a for a in (*args, *kwargs.values()) if isinstance(a, Future)]


class Executor(concurrent.futures.Executor):
    """Calls functions in the program's threads and local workers, whichever is faster; see docs/doors.md.

    max_workers: calls that run at a time, else as many as there are CPUs.
    initializer, initargs: called once in each process before the first of its calls.
    Futures may be arguments: the call waits for them, gets their results, and fails as they do. Arguments and results
    are handed on as they are where the process is the same, and pickled where it is not.
    Raises ValueError for a max_workers below 1, TypeError for an initializer that cannot be called.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        initializer: Callable[..., Any] | None = None,
        initargs: tuple[Any, ...] = (),
    ):
        if max_workers is not None and max_workers < 1:
            raise ValueError(f"max_workers must be greater than 0, not {max_workers!r}.")
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

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Call `fn(*args, **kwargs)` some time: its future. Raises RuntimeError after `shutdown`."""
        stays = changes_given(fn) and not is_atom((*args, *kwargs.values()))
        return self._submit([_Call(fn, args, kwargs, stays=stays)])[0]

    def submit_as(self, functions: tuple[Callable[..., Any], ...], work: Callable[..., Any]) -> Future:
        """Call `work()`, which calls these functions: costs are theirs, and what state they refer to is seen."""
        return self._submit([_Call(_done, (work,), {}, tuple({id(each): each for each in functions}.values()))])[0]

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """The results of `fn` for each tuple of arguments, in their order.

        timeout: seconds from now, after which TimeoutError is raised.   chunksize: calls that go to a worker at once,
        else so many that each worker gets several chunks.
        """
        if chunksize is not None and chunksize < 1:
            raise ValueError(f"chunksize must be 1 or more, not {chunksize!r}.")
        if kwargs:  # buffersize, of Python 3.14
            return super().map(fn, *iterables, timeout=timeout, **kwargs)
        items = list(zip(*iterables, strict=False))
        size = chunksize or max(1, len(items) // (self._most * _CHUNKS))
        stays = changes_given(fn) and not is_atom(tuple(items))
        each = chunk_of(fn)
        calls = [_Call(each, (items[at : at + size],), {}, stays=stays) for at in range(0, len(items), size)]
        return _results(self._submit(calls), None if timeout is None else monotonic() + timeout)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no further calls.   wait: until all are done.   cancel_futures: those that are in no batch yet."""
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
        """Take no further calls, and end all: also those under way, as soon as the functions can be interrupted.

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
        """Let a thread gather a batch, if there are calls and room for them, and none is about to. Under the lock."""
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
        """Calls that wait for nothing but each other, and slots for them."""
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
        """A batch needs fewer slots than it has."""
        with self._changed:
            spare = batch.slots - max(1, batch.left)
            if spare > 0:
                batch.slots -= spare
                self._free += spare
                self._run_more()

    def _break(self, error: BaseException) -> None:
        """The initializer has failed: no call can be made any more."""
        with self._changed:
            self._broken = self._broken or error
            pending, self._pending = self._pending, []
        for call in pending:
            if call.future.set_running_or_notify_cancel():
                call.future.set_exception(error)


class _Batch:
    """Some calls that are run as one graph."""

    def __init__(self, executor: Executor, calls: list[_Call], slots: int):
        self.executor, self.calls, self.slots, self.left = executor, calls, slots, len(calls)
        self._session: Session | None = None
        self._stopped = threading.Event()

    def run(self) -> None:
        """Run them: each future is done when its call is."""
        try:
            with Graph().as_default() as graph:
                tensors: dict[Future, Tensor] = {}
                tell = staying(self._tell)
                told = []
                with collecting_later():
                    for number, call in enumerate(self.calls):
                        tensors[call.future] = self._node(graph, call, tensors)
                        told.append(tell.of_atoms(graph, (number, tensors[call.future])))
                run_graph(graph, [each.op for each in told], {}, self.slots, self._opened)
        except BaseException as error:  # a worker that died, again and again: it is the futures' to raise
            failure = CancelledError() if self._stopped.is_set() else error
            for call in self.calls:
                if not call.future.done():
                    call.future.set_exception(failure)

    def _opened(self, session: Session) -> None:
        self._session = session
        if self._stopped.is_set():
            session.close()

    def stop(self) -> None:
        """Cancel what is under way."""
        self._stopped.set()
        if self._session is not None:
            self._session.close()

    def _node(self, graph: Graph, call: _Call, tensors: dict[Future, Tensor]) -> Tensor:
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
        make = op_of(call_node, (call.function, *others), name, call.stays)
        return make.of_atoms(graph, (Held((start, args, kwargs)), *inputs))

    def _tell(self, number: int, outcome: Held) -> None:
        """A call is done. Runs in this process, as a node."""
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
    """What a future that is done gives, or Raised."""
    try:
        error = future.exception(0)
    except CancelledError as cancelled:
        error = cancelled
    return future.result(0) if error is None else Raised(error)


def _results(futures: list[Future], end: float | None) -> Iterator:
    """The results of chunks, one by one; what is not asked for any more is cancelled."""
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
