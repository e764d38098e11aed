"""RunFuture: a run in the background, as a future of `concurrent.futures`.

cancelled   the run was stopped before its commit, by `cancel` or because its session was closed; it has changed nothing

Invariant: once a run commits, it cannot be cancelled. So a cancelled future's run has changed nothing.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from html import escape
from time import monotonic
from typing import Any, TypeVar

from weftwork.graph.errors import CancelledError
from weftwork.graph.python.amounts import seconds_of
from weftwork.graph.python.forks import in_child
from weftwork.scheduler.machines.helpers import borrow
from weftwork.scheduler.run.run import CANCELLED
from weftwork.scheduler.segments.awaiting import LOOP

T = TypeVar("T")


FORKED = "This future belongs to the process that this one was forked off: what it stands for goes on there."
_running: set[RunFuture] = set()


class RunCancelled(CancelledError, concurrent.futures.CancelledError):
    """Raised by the `result` of a cancelled future. It is both the library's CancelledError and concurrent.futures'."""


class RunFuture(Future[T]):
    """The result of a run that a thread of its own waits for. Cancelling it cancels the run, even while it is running.

    A cancelled future is done at once, and its callbacks are called. Its `result` raises, and its `exception` returns,
    a CancelledError of both `tf.errors` and `concurrent.futures`: as soon as the run has released everything, or after
    `timeout`.
    """

    def __init__(self):
        super().__init__()
        self._run: Any = None
        self._settling = threading.Lock()
        self._wanted_cancel = self._over = False
        self._ended = threading.Event()

    @classmethod
    def start(cls, work: Callable[[Callable], Any], ends: Callable[[], bool]) -> RunFuture[Any]:
        """Start `work(started)` in a thread.

        `work` calls `started` with the Run.   ends: whether the session is closed.
        """
        future = cls()
        _running.add(future)
        around = copy_context()
        borrow(1)[0].put(lambda: around.run(lambda: future._work(work, ends)))
        return future

    def _work(self, work: Callable[[Callable], Any], ends: Callable[[], bool]) -> None:
        result: Any = None
        failure: BaseException | None = None
        try:
            result = work(self._started)
        except BaseException as error:  # the future raises it
            failure = error
        with self._settling:
            self._over, self._run = True, None
        _running.discard(self)
        self._ended.set()
        if self._wanted_cancel:
            return
        if isinstance(failure, CancelledError) and (failure.message == CANCELLED or ends()):
            self._set_cancelled()
        elif failure is not None:
            self.set_exception(failure)
        else:
            self.set_result(result)

    def _belong_to_parent(self) -> None:
        """After a fork, in the child: be done, with an error. The locks and callbacks are the parent's."""
        self.__init__()  # type: ignore[misc]
        self._over = True
        self._ended.set()
        self.set_exception(RuntimeError(FORKED))

    def _started(self, run: Any) -> None:
        with self._settling:
            self._run = run
            if self._wanted_cancel:
                run.cancel()

    def cancel(self) -> bool:
        """Cancel the run, which then changes nothing. Returns False if the run is done or already commits."""
        with self._settling:
            if self._wanted_cancel:
                return True
            if self._over or (self._run is not None and not self._run.cancel()):
                return self.cancelled()
            self._wanted_cancel = True
        self._set_cancelled()
        return True

    async def awaited(self) -> T:
        """The result, for a coroutine. Cancelling the coroutine, or closing its loop, cancels the run.

        Raises asyncio.CancelledError if the run was cancelled, else what `result` raises.
        """
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def tell(_: Any) -> None:
            with suppress(RuntimeError):  # the loop is closed, so nobody waits
                loop.call_soon_threadsafe(done.set)

        self.add_done_callback(tell)
        unwatch = LOOP.watch(loop, self.cancel)
        try:
            await done.wait()
        finally:  # also reached when the coroutine is abandoned
            unwatch()
            if not self.done():
                self.cancel()
        if self.cancelled():
            raise asyncio.CancelledError
        return self.result()

    def _set_cancelled(self) -> None:
        super().cancel()
        self.set_running_or_notify_cancel()  # notifies waiters for several futures

    @property
    def state(self) -> str:
        """The state of the run: "running", "cancelled", "failed: ..." or "done"."""
        if not self.done():
            return "running"
        if self.cancelled():
            return "cancelled"
        error = super().exception(0)
        return "done" if error is None else f"failed: {error}"

    def _repr_html_(self) -> str:
        return f"<code>RunFuture</code>: {escape(self.state)}"

    def running(self) -> bool:
        """True until the future is done, because a run begins when it is submitted."""
        return not self.done()

    def result(self, timeout: float | None = None) -> T:
        """The value that `run` would return. Raises what `run` would raise, or TimeoutError after `timeout` seconds."""
        if self._is_cancelled(timeout):
            raise RunCancelled(None, None, CANCELLED)
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What `run` would raise, or None.

        For a cancelled run it is the CancelledError. Raises TimeoutError like `result`.
        """
        if self._is_cancelled(timeout):
            return RunCancelled(None, None, CANCELLED)
        return super().exception(0)

    def _is_cancelled(self, timeout: float | None) -> bool:
        """Wait until the future is done. Returns whether it was cancelled; if so, also waits for the end of its run."""
        timeout = seconds_of("timeout", timeout)
        end = None if timeout is None else monotonic() + timeout
        concurrent.futures.wait([self], timeout)
        if self.cancelled():
            self._ended.wait(None if end is None else max(0.0, end - monotonic()))
        return self.cancelled()


@in_child
def _after_fork() -> None:
    for future in _running:
        future._belong_to_parent()
    _running.clear()
