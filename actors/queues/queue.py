"""Queues as state machines: no threads, no blocking. An operation that must wait is served later, through a callback.

element    a tuple of components
attempt    a waiting enqueue, dequeue or close; each side serves its attempts in order of arrival

Attempts with many elements move them one by one, so they may be larger than the capacity.

Invariant: after `pump`, the first attempt of neither side can make progress.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np

from weftwork.graph.errors import CancelledError, OutOfRangeError
from weftwork.graph.ops.queues import Definition


class Attempt:
    """A waiting operation. `on_done` is called once, with its result or an error."""

    __slots__ = ("action", "allow_fewer", "elements", "on_done", "wanted")

    def __init__(
        self, action: str, on_done: Callable[[Any], None], elements: Sequence = (), wanted: int = 0, allow_fewer=False
    ):
        self.action, self.on_done = action, on_done
        self.elements, self.wanted, self.allow_fewer = deque(elements), wanted, allow_fewer


class Queue:
    """A queue and the attempts that wait for it."""

    def __init__(self, name: str, definition: Definition):
        self.name, self.definition = name, definition
        self.closed = False
        self._elements: Any = [] if definition.kind in ("PriorityQueue", "RandomShuffleQueue") else deque()
        self._in: deque[Attempt] = deque()
        self._out: deque[Attempt] = deque()
        first, second = definition.seeds
        self._random = np.random.default_rng((first * 1_000_003 + second) & 0x7FFF_FFFF if first or second else None)
        self._arrival = count()

    @property
    def size(self) -> int:
        """The number of elements."""
        return len(self._elements)

    def start(self, attempt: Attempt) -> None:
        """Queue an attempt. It may be served before this returns; an attempt at zero elements always is."""
        if attempt.action != "close" and not attempt.wanted and not attempt.elements:
            attempt.on_done([])
            return
        (self._out if attempt.action == "dequeue" else self._in).append(attempt)
        self.pump()

    def cancel(self, attempt: Attempt) -> None:
        """Cancel an attempt. What a dequeue has taken goes back, even if the dequeue was done and its result unused."""
        for side, action in ((self._in, "Enqueue"), (self._out, "Dequeue")):
            if attempt in side:
                side.remove(attempt)
                attempt.on_done(CancelledError(None, None, f"{action} operation was cancelled"))
        self._put_back(attempt)
        self.pump()

    def cancel_all(self) -> None:
        """Cancel all waiting attempts."""
        for attempt in [*self._in, *self._out]:
            self.cancel(attempt)

    def close_at_once(self) -> None:
        """Close it, and cancel all that waits on the side of the enqueues. Does nothing to a queue that is closed."""
        self.closed = True
        for attempt in [*self._in]:
            self.cancel(attempt)
        self.pump()

    def pump(self) -> None:
        """Serve both sides until neither makes progress."""
        while self._serve_in() or self._serve_out():
            pass

    def _serve_in(self) -> bool:
        if not self._in:
            return False
        attempt = self._in[0]
        if attempt.action == "close":
            self._in.popleft()
            was_closed, self.closed = self.closed, True
            attempt.on_done(CancelledError(None, None, f"Queue '{self.name}' is already closed.") if was_closed else ())
            return True
        if self.closed:
            self._in.popleft()
            attempt.on_done(CancelledError(None, None, f"{self.definition.kind} '{self.name}' is closed."))
            return True
        moved = False
        while attempt.elements and (self.definition.capacity < 0 or self.size < self.definition.capacity):
            self._add(attempt.elements.popleft())
            moved = True
        if not attempt.elements:
            self._in.popleft()
            attempt.on_done(())
            return True
        return moved

    def _serve_out(self) -> bool:
        if not self._out:
            return False
        attempt = self._out[0]
        moved = False
        while len(attempt.elements) < attempt.wanted and self.size > (0 if self.closed else self.definition.keep):
            attempt.elements.append(self._take())
            moved = True
        got = len(attempt.elements)
        if got == attempt.wanted:
            self._out.popleft()
            attempt.on_done(list(attempt.elements))
            return True
        if not self.closed or self._in:
            return moved
        self._out.popleft()
        if attempt.allow_fewer and got:
            attempt.on_done(list(attempt.elements))
            return True
        self._put_back(attempt)
        text = f"(requested {attempt.wanted}, current size {self.size})"
        text = f"{self.definition.kind} '{self.name}' is closed and has insufficient elements {text}"
        attempt.on_done(OutOfRangeError(None, None, text))
        return True

    def _put_back(self, attempt: Attempt) -> None:
        if attempt.action != "dequeue":
            return
        while attempt.elements:
            element = attempt.elements.pop()
            if isinstance(self._elements, deque):
                self._elements.appendleft(element)
            else:
                self._add(element)

    def _add(self, element: tuple) -> None:
        if self.definition.kind == "PriorityQueue":
            heapq.heappush(self._elements, (int(element[0]), next(self._arrival), element))
        else:
            self._elements.append(element)

    def _take(self) -> tuple:
        if self.definition.kind == "PriorityQueue":
            return heapq.heappop(self._elements)[2]
        if self.definition.kind == "RandomShuffleQueue":
            at = int(self._random.integers(len(self._elements)))
            self._elements[at], self._elements[-1] = self._elements[-1], self._elements[at]
            return self._elements.pop()
        return self._elements.popleft()
