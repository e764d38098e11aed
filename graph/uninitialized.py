"""UNINITIALIZED, which stands for the value of a variable that has none yet."""

from __future__ import annotations


class Uninitialized:
    """The value of a variable that has no value yet."""

    _the: Uninitialized | None = None

    def __new__(cls):
        if cls._the is None:
            cls._the = super().__new__(cls)
        return cls._the

    def __repr__(self) -> str:
        return "UNINITIALIZED"

    def __reduce__(self):
        return Uninitialized, ()


UNINITIALIZED = Uninitialized()
