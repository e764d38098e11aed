"""A run that goes on in the background, as a future."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


class RunFuture(Future):
    """The result of a run that a thread of its own waits for. Cancelling it cancels the run, also while it runs."""

    _run: Any = None

    @classmethod
    def start(cls, work: Callable[[Callable], Any]) -> RunFuture:
        """Begin `work(started)` in a thread; it calls `started` with the Run."""
        future = cls()
        future.set_running_or_notify_cancel()
        threading.Thread(target=future._work, args=(work,), name="weftwork-run", daemon=True).start()
        return future

    def _work(self, work: Callable[[Callable], Any]) -> None:
        try:
            self.set_result(work(self._started))
        except BaseException as error:  # it is the future's to raise
            self.set_exception(error)

    def _started(self, run: Any) -> None:
        self._run = run
        if self._wanted_cancel:
            run.cancel()

    _wanted_cancel = False

    def cancel(self) -> bool:
        """Cancel the run: `result()` then raises CancelledError. False when it was done already."""
        if self.done():
            return False
        self._wanted_cancel = True
        if self._run is not None:
            self._run.cancel()
        return True
