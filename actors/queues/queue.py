"""Queues as state machines: no threads, no waiting. What cannot be done at once waits, and is told when it is done.

element    a tuple of components
attempt    an enqueue, a dequeue or a close that waits for its turn; attempts of one side are served in order of arrival
Enqueues of many fill, and dequeues of many drain, element by element, so they may exceed the capacity.

Invariant: after `pump` neither side's first attempt can go on.
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
    """Something that waits: `told` gets its result, or an error, once."""

    __slots__ = ("elements", "less", "told", "wanted", "word")

    def __init__(self, word: str, told: Callable[[Any], None], elements: Sequence = (), wanted: int = 0, less=False):
        self.word, self.told, self.elements, self.wanted, self.less = word, told, deque(elements), wanted, less


class Queue:
    """One queue."""

    def __init__(self, name: str, definition: Definition):
        self.name, self.definition = name, definition
        self.closed = False
        self._elements: Any = [] if definition.kind in ("PriorityQueue", "RandomShuffleQueue") else deque()
        self._in: deque[Attempt] = deque()
        self._out: deque[Attempt] = deque()
        self._random = np.random.default_rng(definition.seed)
        self._arrival = count()

    @property
    def size(self) -> int:
        """Its elements."""
        return len(self._elements)

    def start(self, attempt: Attempt) -> None:
        """Let an attempt wait for its turn; it may be done before this returns. One for nothing is done at once."""
        if attempt.word != "close" and not attempt.wanted and not attempt.elements:
            attempt.told([])
            return
        (self._out if attempt.word == "dequeue" else self._in).append(attempt)
        self.pump()

    def cancel(self, attempt: Attempt) -> None:
        """Give an attempt up: a dequeue has taken nothing, also where it was done but nobody has looked at it."""
        for side, word in ((self._in, "Enqueue"), (self._out, "Dequeue")):
            if attempt in side:
                side.remove(attempt)
                attempt.told(CancelledError(None, None, f"{word} operation was cancelled"))
        self._put_back(attempt)
        self.pump()

    def cancel_all(self) -> None:
        """Give everything up that waits."""
        for attempt in [*self._in, *self._out]:
            self.cancel(attempt)

    def cancel_enqueues(self) -> None:
        """Give all pending enqueues up."""
        for attempt in [a for a in self._in if a.word == "enqueue"]:
            self.cancel(attempt)

    def pump(self) -> None:
        """Serve both sides as far as they can go."""
        while self._serve_in() or self._serve_out():
            pass

    def _serve_in(self) -> bool:
        if not self._in:
            return False
        attempt = self._in[0]
        if attempt.word == "close":
            self._in.popleft()
            twice, self.closed = self.closed, True
            attempt.told(CancelledError(None, None, f"Queue '{self.name}' is already closed.") if twice else ())
            return True
        if self.closed:
            self._in.popleft()
            attempt.told(CancelledError(None, None, f"{self.definition.kind} '{self.name}' is closed."))
            return True
        moved = False
        while attempt.elements and (self.definition.capacity < 0 or self.size < self.definition.capacity):
            self._add(attempt.elements.popleft())
            moved = True
        if not attempt.elements:
            self._in.popleft()
            attempt.told(())
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
            attempt.told(list(attempt.elements))
            return True
        if not self.closed or self._in:
            return moved
        self._out.popleft()
        if attempt.less and got:
            attempt.told(list(attempt.elements))
            return True
        self._put_back(attempt)
        text = f"(requested {attempt.wanted}, current size {self.size})"
        text = f"{self.definition.kind} '{self.name}' is closed and has insufficient elements {text}"
        attempt.told(OutOfRangeError(None, None, text))
        return True

    def _put_back(self, attempt: Attempt) -> None:
        if attempt.word != "dequeue":
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
