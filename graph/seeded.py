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
from typing import Any

import numpy as np

from weftwork.graph.forks import fresh

PYTHON, NUMPY = 1, 2
"""Generators that a function may draw from, as bits of `Captured.draws`."""


def new_key() -> tuple[int, int]:
    """A key for a run: the next number from each of the program's generators.

    NumPy caches every second normal number for the next call. It is dropped here, as it is when a function runs here.
    """
    np.random.set_bit_generator(np.random.get_bit_generator())  # type: ignore[attr-defined]
    return random.getrandbits(64), int.from_bytes(np.random.bytes(8), "little")


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
    swap = _Python() if draws & PYTHON else None
    other = _Numpy() if draws & NUMPY else None
    try:
        if swap is not None:
            random.seed(int.from_bytes(_digest(python, where), "little"))
        if other is not None:
            np.random.seed(np.frombuffer(_digest(numpy, where), np.uint32))
        yield
    finally:
        if other is not None:
            other.back()
        if swap is not None:
            swap.back()


def _digest(key: int, where: list) -> bytes:
    """A 256-bit seed for one place."""
    return hashlib.blake2b(repr((key, where)).encode(), digest_size=32).digest()


class _Python:
    """The saved state of `random`."""

    def __init__(self):
        self._state = random.getstate()

    def back(self) -> None:
        """Restore the state."""
        random.setstate(self._state)


_spare: list[Any] = []
_lock = fresh(threading.Lock())


class _Numpy:
    """The saved bit generator of `numpy.random`: swapping it is faster than copying its state."""

    def __init__(self):
        with _lock:
            generator = _spare.pop() if _spare else np.random.MT19937()
        self._mine, self._its = generator, np.random.get_bit_generator()  # type: ignore[attr-defined]
        np.random.set_bit_generator(generator)  # type: ignore[attr-defined]

    def back(self) -> None:
        """Restore the bit generator."""
        np.random.set_bit_generator(self._its)  # type: ignore[attr-defined]
        with _lock:
            _spare.append(self._mine)
