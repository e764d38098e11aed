"""Crew: threads of this process that run nodes of a shared-out run concurrently. The caller's thread is one of them.

monitor   guards everything that the threads share. A thread releases it while it calls a node or waits
idle      threads that wait for a node. The one that has waited least is called first: its core is still awake

A thread that has finished a node takes the next one itself. So as long as there are nodes for all threads, none is
handed from one thread to another, and a successor starts within microseconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic

from weftwork.actors.programs.exchange import next_note
from weftwork.actors.programs.float_errors import quiet
from weftwork.graph.kernels.team import single_blas
from weftwork.scheduler.machines.helpers import borrow


class _Outside:
    """A context manager that releases the monitor."""

    __slots__ = ("_enter", "_leave")

    def __init__(self, monitor: threading.RLock):
        self._leave, self._enter = monitor.release, monitor.acquire

    def __enter__(self) -> None:
        self._leave()

    def __exit__(self, *_: object) -> None:
        self._enter()


class Crew:
    """The threads of one run. Hold the monitor to call its methods, unless they say otherwise."""

    def __init__(self, work: Callable[[], bool]):
        """work: what a helper does, holding the monitor: it runs a node, and returns False if there is none for it."""
        self.monitor = threading.RLock()
        self.outside = _Outside(self.monitor)
        self.over = False
        """True once helpers are to end."""
        self.helping = 0
        """The number of helpers that run a node, or are about to."""
        self._work = work
        self._idle: list[SimpleQueue] = []
        self._caller: SimpleQueue = SimpleQueue()

    def call(self, count: int) -> None:
        """Call idle threads to work. There are new helpers if too few are idle."""
        for _ in range(count):
            notes = self._idle.pop() if self._idle else None
            if notes is not self._caller:
                self.helping += 1
            if notes is not None:
                notes.put(None)
            else:
                borrow(1)[0].put(partial(copy_context().run, self._help, SimpleQueue()))

    def wait(self) -> None:
        """Let the caller wait until it is called or woken."""
        self._sleep(self._caller)
        if self._caller in self._idle:
            self._idle.remove(self._caller)

    def wake(self) -> None:
        """Wake the caller from `wait`. May be called from any thread, without the monitor."""
        self._caller.put(None)

    def end(self) -> None:
        """Let helpers end once they have finished their nodes."""
        self.over = True
        self.call(len(self._idle))

    def settle(self, end: float) -> None:
        """Let the caller wait for the end of all helpers' nodes, until `end` by `time.monotonic`. Call `end` before."""
        while self.helping and monotonic() < end:
            with self.outside, suppress(Empty):
                self._caller.get(timeout=max(0.0, end - monotonic()))

    def _help(self, notes: SimpleQueue) -> None:
        with quiet(), single_blas(), self.monitor:
            while True:
                while not self.over and self._work():
                    pass
                self.helping -= 1
                if self.over:
                    self.wake()
                    return
                self._sleep(notes)

    def _sleep(self, notes: SimpleQueue) -> None:
        self._idle.append(notes)
        with self.outside:
            next_note(notes)
