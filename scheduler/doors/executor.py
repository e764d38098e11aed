"""Executor: `concurrent.futures`' way to call functions, on the engine.

batch     calls that were submitted closely one after another: a graph of them, run once (`batches`)
slot      one of the `max_workers` calls that may run at a time; a batch takes the free ones, and gives those back that
          it needs no more
pending   calls in no batch yet, in their order; those that wait for futures are set aside

A batch is as much work as is worth being shared out, as far as it is known what calls take. Threads live only while
there is work, and the program waits for them when it ends.
"""

from __future__ import annotations

import concurrent.futures
import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future
from time import monotonic, sleep
from typing import Any, TypeVar

from weftwork.actors.programs.lru import Lru
from weftwork.graph.ownership import is_atom
from weftwork.scheduler.doors.batches import Batch, Call, code_of, results
from weftwork.scheduler.doors.calls import Start, chunk_of
from weftwork.scheduler.doors.running import changes_given
from weftwork.scheduler.machines.inventory import local_cpus

_LOG = logging.getLogger("concurrent.futures")
"""Where pools tell of an initializer that has failed."""
T = TypeVar("T")

_GATHER = 0.001
"""Seconds for which calls are gathered."""
_WORK = 0.25
"""Seconds of work in a batch, for each slot: some times what it takes to share it out."""
_SHORT, _LONG = 0.1, 0.5
"""Seconds of a batch of unknown calls from which the next ones have more of them, or fewer."""
_CHUNKS = 16
"""Chunks of `map` for each worker: what is lost at the end is at most one of them."""
_KNOWN = 256
"""Functions of which it is known what a call takes."""
_NEW_WEIGHT = 0.5
"""Of a new measurement against what is known."""


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
        self._max_workers = max_workers or local_cpus()
        self._owner = _Owner(self, Start(uuid.uuid4().hex, initializer, tuple(initargs)))
        self._changed = threading.Condition()
        self._pending: deque[Call] = deque()
        self._aside: list[Call] = []
        """Calls that wait for futures."""
        self._woken = False
        """Some of these may be there."""
        self._free = self._size = self._max_workers
        """Free slots, and how many calls of unknown length a batch takes: the first ones wait for each other."""
        self._runners = 0
        self._batches: set[Batch] = set()
        self._gathering = self._down = False
        self._broken: BaseException | None = None

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Call `fn(*args, **kwargs)` some time: its future. Raises RuntimeError after `shutdown`."""
        stays = changes_given(fn) and not is_atom((*args, *kwargs.values()))
        return self._submit([Call(fn, args, kwargs, stays=stays)])[0]

    def submit_as(self, functions: tuple[Callable[..., Any], ...], fn: Callable[..., Any], *args: Any) -> Future:
        """Call `fn(*args)`, which calls these functions: costs are theirs, and what state they refer to is seen."""
        among = tuple({id(each): each for each in functions}.values())
        return self._submit([Call(fn, args, {}, among, key=tuple(map(code_of, among)), weight=max(1, len(functions)))])[
            0
        ]

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        **kwargs: Any,
    ) -> Iterator[T]:
        """The results of `fn` for each tuple of arguments, in their order.

        timeout: seconds from now, after which TimeoutError is raised.   chunksize: calls that go to a worker at once,
        else so many that each worker gets several chunks.
        """
        if chunksize is not None and chunksize < 1:
            raise ValueError(f"chunksize must be 1 or more, not {chunksize!r}.")
        if kwargs:  # buffersize, of Python 3.14
            return super().map(fn, *iterables, timeout=timeout, **kwargs)
        items = list(zip(*iterables, strict=False))
        size = chunksize or max(1, len(items) // (self._max_workers * _CHUNKS))
        stays = changes_given(fn) and not is_atom(tuple(items))
        parts = [items[at : at + size] for at in range(0, len(items), size)]
        calls = [Call(chunk_of(fn), (part,), {}, stays=stays, key=code_of(fn), weight=len(part)) for part in parts]
        end = None if timeout is None else monotonic() + timeout
        return results(self._submit(calls), lambda: None if end is None else max(0.0, end - monotonic()))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no further calls.   wait: until all are done.   cancel_futures: those that are in no batch yet."""
        with self._changed:
            self._down = True
            cancelled: list[Call] = []
            if cancel_futures:
                ready = [call for call in self._pending if all([need.done() for need in call.needs])]
                begun = ready[: self._free] if self._gathering else []  # a batch of them is about to be made
                cancelled = [call for call in (*self._aside, *self._pending) if call not in begun]
                self._aside, self._pending = [], deque(begun)
        _cancel(cancelled)
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: not (self._aside or self._pending or self._runners))

    def terminate_workers(self) -> None:
        """Take no further calls, and end all: also those under way, as soon as the functions can be interrupted.

        Their futures raise CancelledError.
        """
        self.shutdown(wait=False, cancel_futures=True)
        with self._changed:
            batches, left = list(self._batches), list(self._pending)
            self._pending.clear()
        _cancel(left)
        for batch in batches:
            batch.stop()

    def _submit(self, calls: list[Call]) -> list[Future]:
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
            self._woken = True
            self._run_more()

    # Batches

    def _run_more(self) -> None:
        """Let a thread gather a batch, if there are calls and room for them, and none is about to. Under the lock."""
        if (self._pending or (self._woken and self._aside)) and self._free and not self._gathering:
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
                    self._size = max(self._max_workers, self._size // 2)
        with self._changed:
            self._runners -= 1
            if batch is not None:
                self._run_more()
            self._changed.notify_all()

    def _next_batch(self) -> Batch | None:
        """Calls that wait for nothing but each other, and slots for them. Under the lock."""
        chosen = self._chosen()
        if not chosen:
            return None
        slots = min(self._free, len(chosen))
        batch = Batch(self._owner, chosen, slots)
        self._free -= slots
        self._batches.add(batch)
        return batch

    def _chosen(self) -> list[Call]:
        chosen: list[Call] = []
        among: set[Future] = set()
        if self._woken:  # they were submitted before those that are pending
            self._pending.extendleft(reversed(self._aside))
            self._aside, self._woken = [], False
        work, unknown = _WORK * self._free, 0
        while self._pending and (len(chosen) < self._free or (work > 0 and unknown < self._size)):
            call = self._pending.popleft()
            if not all([need.done() or need in among for need in call.needs]):
                self._aside.append(call)
            elif call.begun or call.future.set_running_or_notify_cancel():
                chosen.append(call)
                among.add(call.future)
                seconds = self._owner.seconds_of(call.key)
                unknown += seconds is None
                work -= (seconds or 0.0) * call.weight
        return chosen


class _Owner:
    """What the batches of an executor tell it, and ask."""

    def __init__(self, executor: Executor, start: Start):
        self.start = start
        self._executor = executor
        self._seconds: Lru[Any, float] = Lru(_KNOWN)

    def seconds_of(self, key: Any) -> float | None:
        """What a call of a function takes, as far as is known."""
        try:
            return self._seconds.find(key)
        except TypeError:  # it has no hash
            return None

    def learn(self, key: Any, seconds: float) -> None:
        """A call of a function took so long."""
        known = self.seconds_of(key)
        if known is not None:
            seconds = known + _NEW_WEIGHT * (seconds - known)
        try:
            self._seconds.keep(key, seconds)
        except TypeError:
            pass

    def done_with(self, batch: Batch) -> None:
        """A batch may need fewer slots than it has."""
        executor = self._executor
        with executor._changed:
            spare = batch.slots - max(1, batch.left)
            if spare > 0:
                batch.slots -= spare
                executor._free += spare
                executor._run_more()

    def again(self, calls: list[Call]) -> None:
        """Calls that a batch has not made, though it was to: the next one does, one by one."""
        for call in calls:
            call.begun = True
        if calls:
            with self._executor._changed:
                self._executor._pending.extendleft(reversed(calls))
                self._executor._run_more()

    def broken(self, error: BaseException) -> None:
        """A call has failed. Where that is for the initializer, no call can be made any more."""
        if self.start.function is None or not isinstance(error, BrokenExecutor):
            return
        executor = self._executor
        if executor._broken is None:
            _LOG.critical("Exception in initializer:", exc_info=error.__cause__ or error)
        with executor._changed:
            executor._broken = executor._broken or error
            pending = [*executor._aside, *executor._pending]
            executor._aside, executor._pending = [], deque()
        for call in pending:
            if call.begun or call.future.set_running_or_notify_cancel():
                call.future.set_exception(error)


def _cancel(calls: Iterable[Call]) -> None:
    for call in calls:
        if call.future.cancel():
            call.future.set_running_or_notify_cancel()
