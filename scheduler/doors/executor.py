"""Executor: a `concurrent.futures.Executor` that makes its calls through the engine.

batch     calls that were submitted in quick succession. They become one graph, which runs once (see `batches`). Like
          calls that come while it runs join it
slot      one of `max_workers` calls that may run at once. A batch takes free slots, and returns those that it no longer
needs pending   calls in no batch yet, in order. Those that wait for futures are put aside

A batch has enough work to be worth spreading over processes, as far as the durations of its calls are known.
Threads exist only while there is work, and the program waits for them before it ends.
"""

from __future__ import annotations

import concurrent.futures
import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future
from time import monotonic, sleep
from types import MethodType
from typing import Any, NoReturn, TypeVar
from weakref import WeakValueDictionary

from weftwork.graph.cores import usable_cores
from weftwork.graph.python.amounts import count_of, seconds_of
from weftwork.graph.python.captured_walk import Walk
from weftwork.graph.python.forks import in_child
from weftwork.graph.python.inspection import inside
from weftwork.graph.python.turns import resting
from weftwork.scheduler.doors.batches import Batch, results
from weftwork.scheduler.doors.calls import PLACES, Draws, Raised, Series, Start, calls_here, chunk_of
from weftwork.scheduler.doors.futures import Call, Callee, cancel, finish, start
from weftwork.scheduler.doors.pace import PACES
from weftwork.scheduler.doors.running import code_of

_LOG = logging.getLogger("concurrent.futures")
"""Where Python's pools report an initializer that failed."""
T = TypeVar("T")

_GATHER = 0.001
"""Seconds during which calls are gathered into a batch."""
_WORK = 0.25
"""Seconds of work in a batch, for each slot: several times what it costs to spread it."""
_SHORT, _LONG = 0.1, 0.5
"""If a batch of unknown calls takes less or more than so many seconds, the next one is larger or smaller."""
_CHUNKS = 16
"""Chunks of `map` for each worker. At the end, a worker waits for at most one chunk of another worker."""


class Executor(concurrent.futures.Executor):
    """Calls functions in the program's threads and local workers, whichever is faster; see docs/doors.md.

    max_workers: how many calls may run at once; by default as many as there are CPUs.
    initializer, initargs: a function that each process calls once before its first call, and its arguments. If it
    refers to a `threading.local`, each thread calls it.
    A call may have futures as arguments: it waits for them, gets their results, and fails if one of them fails. While a
    call waits for the `result` of another one, a third may take its place.
    Within a process, arguments and results are passed as they are; between processes, they are pickled.
    If the process that makes a call dies again and again, the call raises an error that is both an UnavailableError and
    a BrokenProcessPool of `concurrent.futures`, and names the function. The executor goes on.
    Raises ValueError for a max_workers below 1, TypeError for one that is not an integer, and for an initializer that
    cannot be called.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        initializer: Callable[..., Any] | None = None,
        initargs: tuple[Any, ...] = (),
    ):
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer must be callable, not {initializer!r}.")
        if not isinstance(initargs, Iterable):
            raise TypeError(f"initargs must be a tuple, not {initargs!r}.")
        self._max_workers = usable_cores() if max_workers is None else count_of("max_workers", max_workers)
        per_thread = _is_per_thread(initializer)
        self._owner = _Owner(self, Start(uuid.uuid4().hex, initializer, tuple(initargs), per_thread))
        PLACES[self._owner.start.key] = self._owner
        self._callee: Callee | None = None
        """The last one, for the next call of the same function."""
        self._callees: WeakValueDictionary[Callable, Callee] = WeakValueDictionary()
        self._size = self._max_workers
        """How many calls of unknown duration a batch takes, which the first calls will show."""
        self._down = False
        self._broken: BaseException | None = None
        self._begin()

    def _begin(self) -> None:
        """Begin without calls."""
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._pending: deque[Call] = deque()
        self._aside: list[Call] = []
        """Calls that wait for futures."""
        self._woken = False
        """Whether one of these futures may be done."""
        self._free = self._max_workers
        """The free slots, which may be below 0 once calls have waited."""
        self._runners = 0
        self._batches: set[Batch] = set()
        self._gathering = False

    def _begin_anew(self) -> None:
        """After a fork, in the child: leave the calls to the parent."""
        left = [call for batch in self._batches for node in batch.nodes for call in node]
        left += [*self._aside, *self._pending]
        self._begin()
        for call in left:
            call.belong_to_parent()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Schedule the call `fn(*args, **kwargs)`, and return its future.

        Raises RuntimeError after `shutdown`, and TypeError if `fn` cannot be called.
        """
        callee = self._callee
        if callee is None or callee.function is not fn:
            callee = self._callee_of(fn)
        call = Call(callee, args, kwargs)
        if callee.generators(self._owner.start.function, call.stays):
            call.draws = self._draws(Series(), call)
        self._submit((call,))
        return call

    def _callee_of(self, fn: Callable) -> Callee:
        """A callee, shared with pending calls of the same function."""
        try:
            callee = self._callees.get(fn)
        except TypeError:  # it has no hash
            return Callee(fn)
        if callee is None or not (callee.function is fn or isinstance(fn, MethodType)):
            callee = self._callees[fn] = Callee(fn)
        if callee.lasting:
            self._callee = callee
        return callee

    def _draws(self, series: Series, call: Call, count: int = 1) -> Draws | None:
        """Where a call draws its random numbers.   count: the calls that it stands for."""
        return series.take(call.callee.generators(self._owner.start.function, call.stays), count)

    def submit_as(
        self, functions: tuple[Callable[..., Any], ...], fn: Callable[..., Any], series: Series, *args: Any
    ) -> Future:
        """Schedule `fn(draws, *args)`, which calls the given functions: its duration is recorded under them, and it
        runs where they can run.

        series: of which these calls are the next; `draws` is for them.
        """
        also = tuple({id(each): each for each in functions}.values())
        call = Call(Callee(fn, also, tuple(map(code_of, also))), args, weight=max(1, len(functions)))
        call.args = (self._draws(series, call, len(functions)), *args)
        self._submit([call])
        return call

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        **kwargs: Any,
    ) -> Iterator[T]:
        """The results of `fn` for each tuple of arguments, in order.

        timeout: seconds from now, after which TimeoutError is raised.   chunksize: how many calls are sent to a worker
        together; by default such that each worker gets several chunks.
        """
        if chunksize is not None:
            chunksize = count_of("chunksize", chunksize)
        timeout = seconds_of("timeout", timeout)
        if kwargs or type(self).submit is not Executor.submit:  # buffersize, of Python 3.14; a subclass's own `submit`
            return super().map(fn, *iterables, timeout=timeout, chunksize=chunksize or 1, **kwargs)
        end = None if timeout is None else monotonic() + timeout
        items = list(zip(*iterables, strict=False))
        size = chunksize or max(1, len(items) // (self._max_workers * _CHUNKS))
        one, chunk = Callee(fn), Callee(chunk_of(fn), shown=fn)
        chunk.key, chunk.changes = one.key, one.changes
        parts = [items[at : at + size] for at in range(0, len(items), size)]
        series = Series()
        calls = [Call(chunk, (part,), weight=len(part)) for part in parts]
        for call in calls:
            call.draws = self._draws(series, call)
        self._submit(calls)
        return results(calls, lambda: None if end is None else max(0.0, end - monotonic()))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls.

        wait: return when all calls are done.   cancel_futures: cancel those that are in no batch yet.
        Raises RuntimeError if one of the calls waits for all of them.
        """
        with self._changed:
            self._down = True
            cancelled: list[Call] = []
            if cancel_futures:
                ready = [call for call in self._pending if all([need.done() for need in call.needs])]
                begun = ready[: max(0, self._free)] if self._gathering else []  # the next batch, which is being made
                cancelled = [call for call in (*self._aside, *self._pending) if call not in begun]
                self._aside, self._pending = [], deque(begun)
        cancel(cancelled)
        if wait and calls_here() == self._owner.start.key:
            raise RuntimeError("A call cannot wait for the end of all calls of its executor: use shutdown(wait=False).")
        with resting(), self._changed:
            if wait:
                self._changed.wait_for(lambda: not (self._aside or self._pending or self._runners))

    def terminate_workers(self) -> None:
        """Accept no more calls, and end those that are running as soon as they can be interrupted.

        Their futures raise CancelledError.
        """
        self.shutdown(wait=False, cancel_futures=True)
        with self._changed:
            batches, left = list(self._batches), list(self._pending)
            self._pending.clear()
        cancel(left)
        for batch in batches:
            batch.stop()

    def _submit(self, calls: Sequence[Call]) -> None:
        with self._lock:
            if self._down or self._broken is not None:
                self._refuse()
            if calls_here() == self._owner.start.key:
                for call in calls:
                    call.inner = True
            self._pending.extend(calls)
            for batch in self._batches:
                self._top_up(batch)
            if self._free > 0 and not self._gathering:
                self._run_more()
        for call in calls:
            if call.needs:
                for future in call.needs:
                    future.add_done_callback(self._wake)

    def _refuse(self) -> NoReturn:
        if self._broken is not None:
            raise BrokenExecutor(str(self._broken)) from self._broken
        raise RuntimeError("cannot schedule new futures after shutdown")

    def _wake(self, _: Any = None) -> None:
        with self._changed:
            self._woken = True
            self._run_more()

    # Batches

    def _run_more(self) -> None:
        """Start a thread for a batch if there are calls and free slots, and no other gathers one. Under the lock.

        If the next call can join a batch that is about to begin, it will.
        """
        if self._pending and any([not each.has_begun and each.takes(self._pending[0]) for each in self._batches]):
            return
        if (self._pending or (self._woken and self._aside)) and self._free > 0 and not self._gathering:
            self._gathering = True
            self._runners += 1
            threading.Thread(target=self._work, name="weftwork-executor").start()

    def _work(self) -> None:
        sleep(_GATHER)
        batch = self._next_batch()
        if batch is not None:
            began = monotonic()
            batch.run()
            took = monotonic() - began
            with self._changed:
                self._free += batch.slots
                self._batches.discard(batch)
                if took < _SHORT and batch.size >= self._size:
                    self._size *= 2
                elif took > _LONG:
                    self._size = max(self._max_workers, self._size // 2)
        with self._changed:
            self._runners -= 1
            if batch is not None:
                self._run_more()
            self._changed.notify_all()

    def _next_batch(self) -> Batch | None:
        """A batch of calls that wait for nothing but each other, with slots for it."""
        with self._changed:
            self._await_slots()
            self._gathering = False
            calls: list[Call] = []
            while self._free > 0 and not calls and (taken := self._take()):
                calls = start(taken)
            if not calls:
                return None
            batch = Batch(self._owner, calls, min(self._free, len(calls)))
            self._free -= batch.slots
            self._batches.add(batch)
            self._run_more()  # slots are left if calls were cancelled
            return batch

    def _top_up(self, batch: Batch) -> None:
        """Let pending calls join a batch, as many as it has slots, or can get. Under the lock.

        One that has all slots, and calls of known duration, gets as many again, so that nobody waits for the next.
        """
        pending = self._pending
        while pending and batch.takes(call := pending[0]):
            full = batch.left >= batch.slots
            more = full and self._free > 0 and batch.slots < batch.most
            ahead = batch.slots == self._max_workers and batch.left < 2 * batch.slots
            if full and not more and not (ahead and PACES.of(call.callee.key)):
                return
            if not batch.add(call):
                return
            pending.popleft()
            if more:
                batch.slots, self._free = batch.slots + 1, self._free - 1

    def _await_slots(self) -> None:
        """Wait a moment for the end of the batches that are running, if more calls are pending than slots are free.

        One batch with all slots has its calls in processes of their own. Of two beside each other, one runs here, where
        it holds the GIL. A batch that does not end soon is not waited for again. Under the lock.
        """
        pace = PACES.of(self._pending[0].callee.key) if len(self._pending) > self._free else None
        if pace is None or not self._batches or any([batch.late for batch in self._batches]):
            return
        if not self._changed.wait_for(self._has_slots, min(2 * pace.seconds, _SHORT)):
            for batch in self._batches:
                batch.late = True

    def _has_slots(self) -> bool:
        return not self._batches or len(self._pending) <= self._free

    def _take(self) -> list[Call]:
        """Remove the calls of the next batch from those that are pending. Under the lock."""
        taken: list[Call] = []
        among: set[Future] = set()
        if self._woken:  # they were submitted before those that are pending
            self._pending.extendleft(reversed(self._aside))
            self._aside, self._woken = [], False
        pending, free = self._pending, self._free
        work, unknown = _WORK * free, 0
        key, pace = None, None
        while pending and (len(taken) < free or (work > 0 and unknown < self._size)):
            call = pending.popleft()
            if call.needs and not all([need.done() or need in among for need in call.needs]):
                self._aside.append(call)
                continue
            taken.append(call)
            among.add(call)
            if call.callee.key is not key:
                key = call.callee.key
                pace = PACES.of(key)
            if pace is None:
                unknown += 1
            else:
                work -= pace.seconds * call.weight
        return taken


@in_child
def _after_fork() -> None:
    for owner in list(PLACES.values()):
        owner.begin_anew()


def _is_per_thread(initializer: Callable | None) -> bool:
    """Whether an initializer refers to a `threading.local`, whose attributes only the thread that sets them sees."""
    if initializer is None:
        return False
    held = Walk(initializer, (), []).objects.values()
    return any([isinstance(each, threading.local) for value in held for each in (value, *inside(value))])


class _Owner:
    """The side of an executor that its batches see."""

    def __init__(self, executor: Executor, start: Start):
        self.start = start
        self._executor = executor
        self.most = executor._max_workers

    def begin_anew(self) -> None:
        """Let the executor begin anew, in a forked child."""
        self._executor._begin_anew()

    def done_with(self, batch: Batch) -> None:
        """Let a batch of which a node is done have more calls, or take back the slots that it no longer needs."""
        executor = self._executor
        with executor._changed:
            batch.left -= 1
            executor._top_up(batch)
            spare = batch.slots - max(1, batch.left)
            if spare > 0:
                batch.slots -= spare
                executor._free += spare
                executor._run_more()

    def to_come(self) -> float:
        """How many seconds of work are in no batch yet, if all calls are like the next one."""
        pending = self._executor._pending
        try:  # without the lock: whoever has it may wait for the run that asks
            pace = PACES.of(pending[0].callee.key)
        except (IndexError, AttributeError):  # it was taken, and is done
            return 0.0
        return 0.0 if pace is None else pace.seconds * len(pending)

    def has_begun(self, batch: Batch) -> None:
        """Let calls join a batch that have come while it was prepared."""
        with self._executor._changed:
            self._executor._top_up(batch)
            self._executor._run_more()

    def free(self, count: int) -> None:
        """Note that a call waits, or no longer does: there are so many more free slots, or fewer.

        Calls that have not begun then get to a batch of their own, because it may wait for them.
        """
        executor = self._executor
        with executor._changed:
            executor._free += count
            if count > 0:
                for batch in executor._batches:
                    executor._pending.extendleft(reversed(batch.withdraw()))
            executor._run_more()

    def again(self, calls: list[Call], alone: bool) -> None:
        """Take back calls that a chunk did not get to.   alone: each will be a node of its own."""
        for call in calls:
            call.alone = alone
        if calls:
            with self._executor._changed:
                self._executor._pending.extendleft(reversed(calls))
                self._executor._run_more()

    def broken(self, error: BaseException) -> None:
        """Note a call's exception. If it is that of the initializer, all calls raise it from now on."""
        if self.start.function is None or type(error) is not BrokenExecutor:
            return
        executor = self._executor
        if executor._broken is None:
            _LOG.critical("Exception in initializer:", exc_info=error.__cause__ or error)
        with executor._changed:
            executor._broken = executor._broken or error
            pending = [*executor._aside, *executor._pending]
            executor._aside, executor._pending = [], deque()
        pending = start(pending)
        finish(pending, [Raised(error)] * len(pending))
