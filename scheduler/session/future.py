"""A run that goes on in the background, as a future of `concurrent.futures`.

cancelled   its run was stopped before it committed, by `cancel` or by the end of its session: nothing has changed

Invariant: a run that commits can be cancelled no more, so what a cancelled future was to change has not changed.
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
from weftwork.scheduler.machines.helpers import borrow
from weftwork.scheduler.run.run import CANCELLED

T = TypeVar("T")


class RunCancelled(CancelledError, concurrent.futures.CancelledError):
    """What the result of a cancelled future raises: the CancelledError of runs, and that of concurrent.futures."""


class RunFuture(Future[T]):
    """The result of a run that a thread of its own waits for. Cancelling it cancels the run, also while it runs.

    A cancelled future is done at once, as its callbacks learn. Its `result` raises, and its `exception` is, a
    CancelledError of both kinds, `tf.errors`' and `concurrent.futures`': as soon as the run has let everything go, or
    after `timeout`.
    """

    def __init__(self):
        super().__init__()
        self._run: Any = None
        self._settling = threading.Lock()
        self._wanted_cancel = self._over = False
        self._ended = threading.Event()

    @classmethod
    def start(cls, work: Callable[[Callable], Any], ends: Callable[[], bool]) -> RunFuture[Any]:
        """Begin `work(started)` in a thread; it calls `started` with the Run.   ends: whether its session is closed."""
        future = cls()
        around = copy_context()
        borrow(1)[0].put(lambda: around.run(lambda: future._work(work, ends)))
        return future

    def _work(self, work: Callable[[Callable], Any], ends: Callable[[], bool]) -> None:
        result: Any = None
        failure: BaseException | None = None
        try:
            result = work(self._started)
        except BaseException as error:  # it is the future's to raise
            failure = error
        with self._settling:
            self._over, self._run = True, None
        self._ended.set()
        if self._wanted_cancel:
            return
        if isinstance(failure, CancelledError) and (failure.message == CANCELLED or ends()):
            self._set_cancelled()
        elif failure is not None:
            self.set_exception(failure)
        else:
            self.set_result(result)

    def _started(self, run: Any) -> None:
        with self._settling:
            self._run = run
            if self._wanted_cancel:
                run.cancel()

    def cancel(self) -> bool:
        """Cancel the run: then it changes nothing. False for one that is done, or so far that it changes something."""
        with self._settling:
            if self._wanted_cancel:
                return True
            if self._over or (self._run is not None and not self._run.cancel()):
                return self.cancelled()
            self._wanted_cancel = True
        self._set_cancelled()
        return True

    async def awaited(self) -> T:
        """What `result` gives, for a coroutine. One that is cancelled, or whose loop is closed, cancels the run.

        Raises asyncio.CancelledError where the run was cancelled, else what `result` raises.
        """
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def tell(_: Any) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(done.set)

        self.add_done_callback(tell)
        try:
            await done.wait()
        finally:  # a coroutine that is given up gets here too
            if not self.done():
                self.cancel()
        if self.cancelled():
            raise asyncio.CancelledError
        return self.result()

    def _set_cancelled(self) -> None:
        super().cancel()
        self.set_running_or_notify_cancel()  # tells those who wait for several futures

    @property
    def state(self) -> str:
        """What has become of it: "running", "cancelled", "failed: ..." or "done"."""
        if not self.done():
            return "running"
        if self.cancelled():
            return "cancelled"
        error = super().exception(0)
        return "done" if error is None else f"failed: {error}"

    def _repr_html_(self) -> str:
        return f"<code>RunFuture</code>: {escape(self.state)}"

    def running(self) -> bool:
        """True until it is done: a run begins when it is submitted."""
        return not self.done()

    def result(self, timeout: float | None = None) -> T:
        """What `run` would return, within `timeout` seconds, else TimeoutError. Raises what `run` would raise."""
        if self._is_cancelled(timeout):
            raise RunCancelled(None, None, CANCELLED)
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What `run` would raise, also where it was cancelled; None if nothing. Raises TimeoutError as `result`."""
        if self._is_cancelled(timeout):
            return RunCancelled(None, None, CANCELLED)
        return super().exception(0)

    def _is_cancelled(self, timeout: float | None) -> bool:
        """Wait until it is done: whether it was cancelled; then also until its run is over."""
        end = None if timeout is None else monotonic() + timeout
        concurrent.futures.wait([self], timeout)
        if self.cancelled():
            self._ended.wait(None if end is None else max(0.0, end - monotonic()))
        return self.cancelled()
