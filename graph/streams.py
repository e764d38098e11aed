"""Random streams: one for each random operation and session, with each draw at a position of its own.

A stream is counter-based (Philox, Salmon et al. 2011): draw n is a pure function of (key, n). So a draw can be made in
any process, and repeated if a run is retried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

_MASK = (1 << 64) - 1
_ITERATION_DISTANCE = 0x9E3779B97F4A7C15
"""The distance between iterations of an outer loop, so that their inner loops' draws lie far apart."""


def generator(key: tuple[int, int], draw: int, iteration: int = 0) -> np.random.Generator:
    """The generator for draw number `draw` of the stream `key`, in one iteration of a loop."""
    words = np.array([key[0] & _MASK, key[1] & _MASK], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=words, counter=np.array([0, 0, draw, iteration], dtype=np.uint64)))


def in_iteration(position: tuple, iteration: int) -> tuple:
    """A position in a random stream for one iteration of a loop, which may be nested in an iteration of another."""
    key, draw, *outer = position
    return key, draw, ((outer[0] if outer else 0) * _ITERATION_DISTANCE + iteration) & _MASK


class Positions:
    """Positions in random streams that move with each iteration of a loop.   draws: their indices among some values."""

    def __init__(self, draws: Sequence[int], values: Sequence):
        self._first = [(at, values[at]) for at in draws]

    def move(self, values: list, iteration: int) -> None:
        """Update the positions among `values` to those of an iteration."""
        for at, position in self._first:
            values[at] = in_iteration(position, iteration)


class Draw:
    """The kernel of a random operation, as a pure function of (key, draw number) and its inputs."""

    __slots__ = ("__name__", "__weakref__", "kernel")

    def __init__(self, kernel: Callable):
        self.kernel = kernel
        self.__name__ = kernel.__name__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Draw) and self.kernel is other.kernel

    def __hash__(self) -> int:
        return hash(self.kernel)

    def __call__(self, position: tuple[tuple[int, int], int], *values: Any, **attrs: Any) -> Any:
        return self.kernel(generator(*position), *values, **attrs)
