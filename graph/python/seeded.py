"""Random numbers in users' functions: each call draws from generators of its own, seeded from the program's.

position  (key, index of the node among the run's random nodes, iteration). The key is drawn from the program's
  generators, `random` and `numpy.random`, once for each run in which a function may draw. So these advance by one
  number a run, wherever functions run, and everything drawn is determined by the program's seed
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from weftwork.graph.python.forks import fresh

PYTHON, NUMPY, PACKAGES = 1, 2, 4
"""What a function may draw from, as bits of `Captured.draws`: generators that its code names, and either of them in the
code of an installed package."""


class _Aside:
    """A generator of the program, set aside while functions draw from others, which are seeded for their calls.

    With several threads, it is set aside from the first call to the end of the last one: so nobody puts back a
    state that another thread has drawn from meanwhile.
    """

    def __init__(self, now: Callable[[], Any], use: Callable[[Any], None]):
        """now: returns the state in use, or what holds it.   use: puts a state to use."""
        self._now, self._use = now, use
        self._kept: Any = None
        self._threads = 0
        self._here = threading.local()
        self._lock = fresh(threading.Lock())

    def begin(self) -> Any:
        """A call begins. Returns what `end` needs."""
        self._here.depth = depth = getattr(self._here, "depth", 0) + 1
        if depth > 1:  # a run inside a function
            return self._now()
        with self._lock:
            if not self._threads:
                self._kept = self._now()
            self._threads += 1
        return None

    def end(self, before: Any) -> None:
        """A call ends."""
        self._here.depth -= 1
        if before is not None:
            self._use(before)
            return
        with self._lock:
            self._threads -= 1
            if not self._threads:
                self._use(self._kept)

    def draw(self, now: Callable[[], int], aside: Callable[[Any], tuple[int, Any]]) -> int:
        """A number from the generator in use here.   aside: draws it from a kept state, and returns the next state."""
        with self._lock:
            if not self._threads or getattr(self._here, "depth", 0):
                return now()
            number, self._kept = aside(self._kept)
            return number


_PYTHON = _Aside(random.getstate, random.setstate)
_NUMPY = _Aside(np.random.get_bit_generator, np.random.set_bit_generator)  # type: ignore[attr-defined]


def _python_aside(state: Any) -> tuple[int, Any]:
    generator = random.Random()
    generator.setstate(state)
    return generator.getrandbits(64), generator.getstate()


def _numpy_now() -> int:
    """NumPy caches every second normal number for the next call. It is dropped, as when a function runs here."""
    np.random.set_bit_generator(np.random.get_bit_generator())  # type: ignore[attr-defined]
    return int.from_bytes(np.random.bytes(8), "little")


def _numpy_aside(generator: Any) -> tuple[int, Any]:
    return int.from_bytes(np.random.RandomState(generator).bytes(8), "little"), generator


def new_key() -> tuple[int, int]:
    """A key for a run: the next number from each of the program's generators."""
    return _PYTHON.draw(lambda: random.getrandbits(64), _python_aside), _NUMPY.draw(_numpy_now, _numpy_aside)


def draws_of(function: Any) -> int:
    """The generators that are to be seeded for the calls of a user function, as bits.

    What an installed package draws in a `threadsafe` function is left to it: the library that this was written for runs
    its tasks at once, in threads that share the generators.
    """
    draws = function.captured.draws
    return PYTHON | NUMPY if draws & PACKAGES and not function.threadsafe else draws & (PYTHON | NUMPY)


class Seeded:
    """The kernel of a user's function that may draw random numbers: kernel(position, *values)."""

    def __init__(self, kernel: Any, draws: int):
        self.kernel, self.draws = kernel, draws
        self.__name__ = kernel.__name__

    def __eq__(self, other: object) -> bool:
        return other is self.kernel or (isinstance(other, Seeded) and other.kernel is self.kernel)

    def __hash__(self) -> int:
        return hash(self.kernel)

    def __call__(self, position: tuple, *values: Any, **attrs: Any) -> Any:
        with seeded(position, self.draws):
            return self.kernel(*values, **attrs)


@contextmanager
def seeded(position: tuple, draws: int) -> Iterator[None]:
    """Use generators seeded for one call; restore the program's generators afterwards."""
    (python, numpy), *where = position
    before = _PYTHON.begin() if draws & PYTHON else None
    other = _NUMPY.begin() if draws & NUMPY else None
    mine = None
    try:
        if draws & PYTHON:
            random.seed(int.from_bytes(_digest(python, where), "little"))
        if draws & NUMPY:
            with _lock:
                mine = _spare.pop() if _spare else np.random.MT19937()
            np.random.set_bit_generator(mine)  # type: ignore[attr-defined]
            np.random.seed(np.frombuffer(_digest(numpy, where), np.uint32))
        yield
    finally:
        if draws & NUMPY:
            _NUMPY.end(other)
            if mine is not None:
                with _lock:
                    _spare.append(mine)
        if draws & PYTHON:
            _PYTHON.end(before)


def _digest(key: int, where: list) -> bytes:
    """A 256-bit seed for one position."""
    return hashlib.blake2b(repr((key, where)).encode(), digest_size=32).digest()


_spare: list[Any] = []
"""Bit generators of NumPy, to be reused: swapping them is faster than copying a state."""
_lock = fresh(threading.Lock())
