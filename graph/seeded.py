"""Random numbers of users' functions: each call draws from generators of its own, seeded from the program's.

place     (key, number of the node among those of the run that draw, iteration): the key is drawn from the program's
          generators, `random` and `numpy.random`, once for each run in which a function may draw; so they advance by
          one number a run, wherever functions run, and what is drawn from each follows from its own seed
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
"""Generators that a function may draw from: bits of `Captured.draws`."""


def new_key() -> tuple[int, int]:
    """A key for a run: the next number of each of the program's generators.

    NumPy keeps every second normal number for the next call. It is dropped, as it is where a function runs here.
    """
    np.random.set_bit_generator(np.random.get_bit_generator())  # type: ignore[attr-defined]
    return random.getrandbits(64), int.from_bytes(np.random.bytes(8), "little")


class Seeded:
    """The kernel of a user's function that may draw: kernel(place, *values)."""

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
    """Let the generators be those of one call; afterwards they are as they were."""
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
    """A seed of 256 bits for one place."""
    return hashlib.blake2b(repr((key, where)).encode(), digest_size=32).digest()


class _Python:
    """The state of `random`, to be put back."""

    def __init__(self):
        self._state = random.getstate()

    def back(self) -> None:
        """Put it back."""
        random.setstate(self._state)


_spare: list[Any] = []
_lock = fresh(threading.Lock())


class _Numpy:
    """The bit generator of `numpy.random`, which is put aside: that is quicker than to copy its state."""

    def __init__(self):
        with _lock:
            mine = _spare.pop() if _spare else np.random.MT19937()
        self._mine, self._its = mine, np.random.get_bit_generator()  # type: ignore[attr-defined]
        np.random.set_bit_generator(mine)  # type: ignore[attr-defined]

    def back(self) -> None:
        """Put it back."""
        np.random.set_bit_generator(self._its)  # type: ignore[attr-defined]
        with _lock:
            _spare.append(self._mine)
