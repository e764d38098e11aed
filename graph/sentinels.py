"""Sentinels: objects of which each process has one, also after copying and pickling."""

from __future__ import annotations

from typing import Any


class Sentinel:
    """The base: a subclass has a single object."""

    _the: Any = None

    def __new__(cls):
        if type(cls._the) is not cls:
            cls._the = super().__new__(cls)
        return cls._the

    def __repr__(self) -> str:
        return type(self).__name__.upper()

    def __reduce__(self):
        return type(self), ()


class Uninitialized(Sentinel):
    """The value of a variable that has no value yet."""


UNINITIALIZED = Uninitialized()
