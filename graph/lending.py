"""Lending: how a function gets values that others see too."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from weftwork.graph.ownership import ATOMS, copied, own, writable


class Lent(NamedTuple):
    """How a function gets its arguments that are not its own by what is known beforehand.

    shared: positions of those that others see too.   alone: of those that nobody else has, but for the store that an
    array may lie in.   reads: see `lent`.
    """

    shared: tuple[int, ...]
    alone: tuple[int, ...]
    reads: bool | None

    def __call__(self, args: list) -> list:
        """The arguments as the function gets them: one that comes twice is one object."""
        made: dict[int, Any] = {}
        for at in self.shared:
            value = args[at]
            if type(value) not in ATOMS:
                if id(value) not in made:
                    made[id(value)] = lent(value, self.reads)
                args[at] = made[id(value)]
        if not self.reads:
            for at in self.alone:
                args[at] = writable(args[at], lazily=self.reads is not None)
        return args


def lent(value: Any, reads: bool | None) -> Any:
    """A value that others see too, for a function that may change what it gets.

    reads: its code shows that it changes no array. None: its code shows that it may write behind a frame.
    """
    if type(value) in ATOMS:
        return value
    return show(value) if reads else copied(value, lazily=reads is not None)


def all_lent(args: list, reads: bool | None) -> list:
    """Arguments of which others may see all, as a function gets them: one that comes twice is one object."""
    if ATOMS.issuperset(map(type, args)):
        return args
    return Lent(tuple(range(len(args))), (), reads)(args)


def show(value: Any) -> Any:
    """A value that others see too, for a function that changes no array: a view of one, a copy of anything else."""
    if type(value) is not np.ndarray or value.dtype.hasobject:
        return copied(value)
    if value.flags.writeable:
        value = value.view()
        value.flags.writeable = False
    return value


def last_taken(value: Any, reads: bool | None) -> Any:
    """A value for the last function that takes it: itself, if nobody else holds it."""
    if type(value) in ATOMS:
        return value
    if reads and type(value) is np.ndarray and not value.dtype.hasobject:
        return show(value)
    return writable(own([value], 1), lazily=reads is not None)
