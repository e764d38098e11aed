"""Lending: how a function gets values that others can see, too."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from weftwork.graph.python.ownership import ATOMS, copied, own, writable


class Lent(NamedTuple):
    """How a function gets the arguments that are known in advance not to be its own.

    shared: positions of arguments that others see, too.   alone: positions of arguments that nobody else has, except
    the object store for an array in it.   reads: see `lent`.
    """

    shared: tuple[int, ...]
    alone: tuple[int, ...]
    reads: bool | None

    def __call__(self, args: list) -> list:
        """The arguments as the function gets them. One that occurs twice is one object."""
        copies: dict[int, Any] = {}
        for at in self.shared:
            value = args[at]
            if type(value) not in ATOMS:
                if id(value) not in copies:
                    copies[id(value)] = lent(value, self.reads)
                args[at] = copies[id(value)]
        if not self.reads:
            for at in self.alone:
                args[at] = writable(args[at], lazily=self.reads is not None)
        return args


def lent(value: Any, reads: bool | None) -> Any:
    """Lend a value that others see to a function that might modify it.

    reads: the function's code shows that it modifies no array; None: it shows that it may write behind a frame.
    """
    if type(value) in ATOMS:
        return value
    return show(value) if reads else copied(value, lazily=reads is not None)


def all_lent(args: list, reads: bool | None) -> list:
    """Lend all arguments, any of which others may see. One that occurs twice is one object."""
    if ATOMS.issuperset(map(type, args)):
        return args
    return Lent(tuple(range(len(args))), (), reads)(args)


def show(value: Any) -> Any:
    """Lend a value that others see to a function that modifies no array: arrays as views, anything else as a copy."""
    if type(value) is not np.ndarray or value.dtype.hasobject:
        return copied(value)
    if value.flags.writeable:
        value = value.view()
        value.flags.writeable = False
    return value


def last_taken(value: Any, reads: bool | None) -> Any:
    """A value for its last user: the value itself if nobody else holds it."""
    if type(value) in ATOMS:
        return value
    if reads and type(value) is np.ndarray and not value.dtype.hasobject:
        return show(value)
    return writable(own([value], 1), lazily=reads is not None)
