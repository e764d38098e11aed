"""Values kept for objects of the program, which are distinguished by identity: their `==` is never called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar
from weakref import ref

V = TypeVar("V")


class ByIdentity(Generic[V]):
    """A value for each object, kept as long as the object lives."""

    def __init__(self):
        self._kept: dict[int, tuple[ref, V]] = {}

    def find(self, owner: Any, make: Callable[[], V]) -> V:
        """The value of an object, made if there is none. Objects without weak references get a new one each time."""
        known = self._kept.get(id(owner))
        if known is not None and known[0]() is owner:
            return known[1]
        value, key, kept = make(), id(owner), self._kept
        try:
            kept[key] = ref(owner, lambda _: kept.pop(key, None)), value
        except TypeError:
            pass
        return value
