"""Values that pass between the programs of one run which work beside each other.

place            the number of a value, or of a signal, that crosses between programs
send, receive    steps of such programs: a value is put where those who need it see it, or taken once it is there
signal, expect   the same without a value: something that another slot waits for has been done
newest           a step that takes the newest version of a variable, and with it the run's write locks

Each slot's program follows one order that all share, the schedule's, so no two wait for each other.
"""

from __future__ import annotations

import zlib
from queue import SimpleQueue
from typing import Any, Protocol

from weftwork.actors.programs.program import Stopped

_LOOKS = 24
"""Looks that are taken before a thread sleeps."""
_SOMETHING = bytes(24 * 1024)
"""Its checksum takes some 5 us; with less the GIL is hardly ever free, with more a value is seen later."""
ABSENT = object()
"""Stands at a place until its value has come."""


class Meeting(Protocol):
    """What a program's steps ask of an exchange, whether its slots are threads or processes."""

    run: Any
    there: Any

    def give(self, place: int, value: Any, to: tuple[int, ...]) -> None:
        """Put a value at `place`, where the slots `to` look for it."""
        ...

    def wait(self, place: int, slot: int) -> Any:
        """What comes to `place`. Raises Stopped when the run is stopped first."""
        ...


class Exchange:
    """What the threads of one run share: a place for each value or signal, and a queue of notes for each slot.

    note    what wakes a thread that sleeps because a value was not there
    """

    def __init__(self, run: Any, places: int, slots: int):
        self.run = run
        self.there: Any = [ABSENT] * places
        self.notes: list[SimpleQueue] = [SimpleQueue() for _ in range(slots)]

    def give(self, place: int, value: Any, to: tuple[int, ...]) -> None:
        """Put a value at `place`, where the slots `to` look for it."""
        self.there[place] = value
        for slot in to:
            self.notes[slot].put(place)

    def wait(self, place: int, slot: int) -> Any:
        """What comes to `place`. Raises Stopped when the run is stopped first.

        The thread stays awake for a while, for to wake one up takes longer than most waits last. Between two looks it
        must be without the GIL, and long enough that the others get it: a checksum is just that.
        """
        there, notes = self.there, self.notes[slot]
        for _ in range(_LOOKS):
            zlib.crc32(_SOMETHING)
            if there[place] is not ABSENT:
                return there[place]
        while there[place] is ABSENT:
            if notes.get() is None:
                raise Stopped
        return there[place]

    def wake(self) -> None:
        """Let every slot that waits stop."""
        for notes in self.notes:
            notes.put(None)


def receive(exchange: Meeting, *, place: int, slot: int) -> Any:
    """The value at `place`, for `slot`."""
    value = exchange.there[place]
    return exchange.wait(place, slot) if value is ABSENT else value


def expect(exchange: Meeting, *, place: int, slot: int) -> tuple:
    """Wait for the signal at `place`."""
    if exchange.there[place] is ABSENT:
        exchange.wait(place, slot)
    return ()


def send(exchange: Meeting, value: Any, *, place: int, to: tuple[int, ...]) -> tuple:
    """Give a value to the slots `to`."""
    exchange.give(place, value, to)
    return ()


def signal(exchange: Meeting, *, place: int, to: tuple[int, ...]) -> tuple:
    """Say that what `place` stands for has been done."""
    exchange.give(place, None, to)
    return ()


def newest(exchange: Meeting, *, number: int) -> Any:
    """A variable's newest version: the run holds its write locks from now on."""
    exchange.run.lock()
    return exchange.run.local(number)
