"""Coordinator: how the threads of a training program stop together.

stop       requested once, by any thread; threads check `should_stop` and end
cause      the first exception that a stop was requested with; `join` raises it
clean      exceptions that mean "no more data"; they are a reason to stop, but not an error
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from weftwork.graph.errors import OutOfRangeError

log = logging.getLogger("weftwork")


class Coordinator:
    """Lets threads ask each other to stop, and waits for them.

    clean_stop_exception_types: exceptions that `join` does not raise again; by default OutOfRangeError.
    """

    def __init__(self, clean_stop_exception_types: Sequence[type[Any]] | None = None):
        clean = (OutOfRangeError,) if clean_stop_exception_types is None else clean_stop_exception_types
        self._clean_stop_exception_types = tuple(clean)
        self._lock = threading.Lock()
        self._stop_event = threading.Event()
        self._cause: BaseException | None = None
        self._joined = False
        self._registered_threads: set[threading.Thread] = set()

    @property
    def joined(self) -> bool:
        """True after `join`."""
        return self._joined

    def request_stop(self, ex: Any = None) -> None:
        """Ask all threads to stop. ex: the reason, an exception or the result of `sys.exc_info()`. The first one is
        kept.

        After `join` nobody would see the exception, so it is raised here.
        """
        with self._lock:
            error = ex[1] if isinstance(ex, tuple) else ex
            if isinstance(error, self._clean_stop_exception_types):
                error = None
            if self._joined and error is not None:
                raise error
            if not self._stop_event.is_set():
                if error is not None:
                    log.info("Error reported to Coordinator: %s, %s", type(error), error)
                    self._cause = error
                self._stop_event.set()

    def clear_stop(self) -> None:
        """Withdraw the request to stop, and its reason."""
        with self._lock:
            self._joined = False
            self._cause = None
            self._stop_event.clear()

    def should_stop(self) -> bool:
        """Whether a stop was requested."""
        return self._stop_event.is_set()

    def wait_for_stop(self, timeout: float | None = None) -> bool:
        """Wait for a stop request, at most `timeout` seconds. Returns whether there was one."""
        return self._stop_event.wait(timeout)

    @contextmanager
    def stop_on_exception(self) -> Iterator[None]:
        """A context manager that turns an exception inside into a request to stop, and suppresses it."""
        try:
            yield
        except BaseException:
            self.request_stop(sys.exc_info())

    def register_thread(self, thread: threading.Thread) -> None:
        """Make `join` wait for a thread."""
        with self._lock:
            self._registered_threads.add(thread)

    def join(
        self,
        threads: Collection[threading.Thread] | None = None,
        stop_grace_period_secs: float = 120,
        ignore_live_threads: bool = False,
    ) -> None:
        """Wait for the registered threads, and `threads`, to end.

        After a stop request they have `stop_grace_period_secs` to do so. Raises the exception of the stop request. If
        there is none, raises RuntimeError if threads are still running, unless ignore_live_threads is set.
        """
        with self._lock:
            waited = [*self._registered_threads.union(threads or ())]
        while any([t.is_alive() for t in waited]) and not self.wait_for_stop(0.05):
            pass
        end = time.monotonic() + stop_grace_period_secs
        for thread in waited:
            if thread.is_alive():
                thread.join(max(0.0, end - time.monotonic()))
        running = " ".join([t.name for t in waited if t.is_alive()])
        with self._lock:
            self._joined = True
            self._registered_threads = set()
            cause = self._cause
        if cause is not None:
            raise cause
        if running:
            text = f"Coordinator stopped with threads still running: {running}"
            if not ignore_live_threads:
                raise RuntimeError(text)
            log.info(text)

    def raise_requested_exception(self) -> None:
        """Raise the exception of the stop request, if there is one."""
        with self._lock:
            cause = self._cause
        if cause is not None:
            raise cause


class LooperThread(threading.Thread):
    """A daemon thread that calls a function repeatedly until its coordinator stops it.

    timer_interval_secs: seconds from the start of one call to the next; None means no pause.
    target, args, kwargs: what to call; or override `run_loop`. An exception is a request to stop.
    Raises ValueError for anything but a Coordinator, and for arguments without a target.
    """

    def __init__(
        self,
        coord: Coordinator,
        timer_interval_secs: float | None,
        target: Callable[..., Any] | None = None,
        args: Sequence[Any] = (),
        kwargs: Mapping[Any, Any] | None = None,
    ):
        if not isinstance(coord, Coordinator):
            raise ValueError(f"'coord' argument must be a Coordinator: {coord}")
        super().__init__(daemon=True)
        self._coord, self._timer_interval_secs = coord, timer_interval_secs
        if target is None and (args or kwargs):
            raise ValueError("'args' and 'kwargs' argument require that you also pass 'target'")
        self._called = None if target is None else lambda: target(*(args or ()), **(kwargs or {}))
        coord.register_thread(self)

    @staticmethod
    def loop(
        coord: Coordinator,
        timer_interval_secs: float | None,
        target: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[Any, Any] | None = None,
    ) -> LooperThread:
        """Create and start such a thread."""
        looper = LooperThread(coord, timer_interval_secs, target, args, kwargs)
        looper.start()
        return looper

    def run(self) -> None:
        """Call the function until the stop."""
        with self._coord.stop_on_exception():
            self.start_loop()
            due = time.monotonic()
            while not self._coord.wait_for_stop(max(0.0, due - time.monotonic())):
                if self._timer_interval_secs is not None:
                    due += self._timer_interval_secs
                self.run_loop()
            self.stop_loop()

    def start_loop(self) -> None:
        """Called once before the first call."""

    def stop_loop(self) -> None:
        """Called once after the last call."""

    def run_loop(self) -> None:
        """Make one call."""
        if self._called is not None:
            self._called()
