"""Turns: one thread of this process at a time draws random numbers, because all share Python's generator and NumPy's.

turn   the right to draw alone. The calls of executors take it; nodes of runs that go on at once draw at once
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from weftwork.graph.python.forks import fresh, in_child
from weftwork.graph.python.seeded import NUMPY, PYTHON

_PATIENCE = 0.25
"""Seconds to wait for the turn. Then it is taken, because its holder may wait for the very call that wants it."""


class _Turn:
    """Who has the turn."""

    def __init__(self):
        self._changed = threading.Condition(fresh(threading.Lock()))
        self._holder: object | None = None

    def take(self) -> object:
        """Wait for the turn. Returns what `give_back` needs."""
        mine = object()
        with self._changed:
            self._changed.wait_for(lambda: self._holder is None, _PATIENCE)
            self._holder = mine
        return mine

    def give_back(self, mine: object) -> None:
        """Let others have the turn, unless one has taken it."""
        with self._changed:
            if self._holder is mine:
                self._holder = None
                self._changed.notify()

    def forget(self) -> None:
        """After a fork, in the child: no other thread has the turn."""
        self._holder = None


_TURN = _Turn()
in_child(_TURN.forget)
_here = threading.local()
"""Of a thread that draws alone: its turn, and the generators that it draws from."""


@contextmanager
def alone(draws: int) -> Iterator[None]:
    """A context in which one thread of this process draws at a time.   draws: the generators that it draws from."""
    outermost = getattr(_here, "turn", None) is None
    if outermost:
        _here.turn, _here.draws = _TURN.take(), 0
    drawn = _here.draws
    _here.draws = drawn | draws
    try:
        yield
    finally:
        _here.draws = drawn
        if outermost:
            _TURN.give_back(_here.turn)
            _here.turn = None


@contextmanager
def resting() -> Iterator[None]:
    """A context in which this thread waits for others. If it has the turn, they may draw meanwhile."""
    if getattr(_here, "turn", None) is None:
        yield
        return
    python = random.getstate() if _here.draws & PYTHON else None
    numpy = np.random.get_bit_generator() if _here.draws & NUMPY else None  # type: ignore[attr-defined]
    _TURN.give_back(_here.turn)
    try:
        yield
    finally:
        _here.turn = _TURN.take()
        if python is not None:
            random.setstate(python)
        if numpy is not None:
            np.random.set_bit_generator(numpy)  # type: ignore[attr-defined]
