"""A least-recently-used cache."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Lru(Generic[K, V]):
    """A mapping of at most `most` values. Adding one more drops the least recently used.

    Several threads may use it.
    """

    __slots__ = ("_kept", "_most")

    def __init__(self, most: int):
        self._most = most
        self._kept: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: K) -> V | None:
        """The value of a key, or None."""
        value = self._kept.get(key)
        if value is not None:
            try:
                self._kept.move_to_end(key)
            except KeyError:  # another thread has just dropped it
                pass
        return value

    def peek(self, key: K) -> V | None:
        """The value of a key, or None. That does not count as a use."""
        return self._kept.get(key)

    def drop(self, key: K) -> None:
        """Remove a value, if it is there."""
        self._kept.pop(key, None)

    def keep(self, key: K, value: V) -> V:
        """Add a value and return it."""

        self._kept[key] = value
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return value

    def clear(self) -> None:
        """Remove all values."""
        self._kept.clear()
