"""Random numbers in users' functions: each call draws from generators of its own, seeded from the program's.

place     (key, index of the node among the run's random nodes, iteration). The key is drawn from the program's
  generators, `random` and `numpy.random`, once for each run in which a function may draw. So these advance by one
  number a run, wherever functions run, and everything drawn is determined by the program's seed
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from weftwork.graph.forks import fresh
from weftwork.graph.turns import TURNS

PYTHON, NUMPY, PACKAGES = 1, 2, 4
"""What a function may draw from, as bits of `Captured.draws`: generators that its own code names, and either of them in
the code of an installed package."""


class _Aside:
    """The program's `random`, set aside while functions draw from it after it was seeded for their calls.

    With several threads, it is set aside from the first call to the end of the last one: so nobody puts back a
    state that another thread has drawn from meanwhile.
    """

    def __init__(self):
        self._kept: Any = None
        self._threads = 0
        self._here = threading.local()
        self._lock = fresh(threading.Lock())

    def begin(self) -> Any:
        """A call begins. Returns what `end` needs."""
        self._here.depth = depth = getattr(self._here, "depth", 0) + 1
        if depth > 1:  # a run inside a function
            return random.getstate()
        with self._lock:
            if not self._threads:
                self._kept = random.getstate()
            self._threads += 1
        return None

    def end(self, before: Any) -> None:
        """A call ends."""
        self._here.depth -= 1
        if before is not None:
            random.setstate(before)
            return
        with self._lock:
            self._threads -= 1
            if not self._threads:
                random.setstate(self._kept)

    def number(self) -> int:
        """A number of 64 bits from the generator in use here."""
        with self._lock:
            if not self._threads or getattr(self._here, "depth", 0):
                return random.getrandbits(64)
            generator = random.Random()
            generator.setstate(self._kept)
            number, self._kept = generator.getrandbits(64), generator.getstate()
            return number


_ASIDE = _Aside()


def new_key() -> tuple[int, int]:
    """A key for a run: the next number from each of the program's generators."""
    return _ASIDE.number(), TURNS.number()


def draws_of(function: Any) -> int:
    """What is seeded for the calls of a user function, as bits.

    A `threadsafe` one may be called in several threads at once, where only NumPy's generators are seeded for what
    packages draw.
    """
    draws = function.captured.draws
    return draws | PYTHON if draws & PACKAGES and not function.threadsafe else draws


class Seeded:
    """The kernel of a user's function that may draw random numbers: kernel(place, *values)."""

    def __init__(self, kernel: Any, draws: int):
        self.kernel, self.draws = kernel, draws
        self.__name__ = kernel.__name__

    def __eq__(self, other: object) -> bool:
        return other is self.kernel or (isinstance(other, Seeded) and other.kernel is self.kernel)

    def __hash__(self) -> int:
        return hash(self.kernel)

    def __call__(self, place: tuple, *values: Any, **attrs: Any) -> Any:
        with seeded(place, self.draws):
            return self.kernel(*values, **attrs)


@contextmanager
def seeded(place: tuple, draws: int) -> Iterator[None]:
    """Use generators seeded for one call; restore the program's generators afterwards."""
    (python, numpy), *where = place
    before = _ASIDE.begin() if draws & PYTHON else None
    try:
        if draws & PYTHON:
            random.seed(int.from_bytes(_digest(python, where), "little"))
        if draws == PYTHON:
            yield
        else:
            with TURNS.call(partial(_digest, numpy, where), surely=bool(draws & NUMPY)):
                yield
    finally:
        if draws & PYTHON:
            _ASIDE.end(before)


def _digest(key: int, where: list) -> bytes:
    """A 256-bit seed for one place."""
    return hashlib.blake2b(repr((key, where)).encode(), digest_size=32).digest()
