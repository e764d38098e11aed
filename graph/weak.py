"""Weak sets that several threads use."""

from __future__ import annotations

from contextlib import suppress
from typing import TypeVar
from weakref import WeakSet

T = TypeVar("T")


def members(weak: WeakSet[T]) -> list[T]:
    """The members of a weak set, to which another thread may be adding one: Python ends a walk over it then."""
    while True:
        with suppress(RuntimeError):
            return list(weak)
