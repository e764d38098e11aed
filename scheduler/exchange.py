"""Values that pass between the programs of one run which work beside each other in threads of this process.

send, receive    steps of such programs: a value is put where every thread sees it, or taken once it is there
signal, expect   the same without a value: something that another slot waits for has been done
newest           a step that takes the newest version of a variable, and with it the run's write locks
note             what wakes a thread that sleeps because a value was not there

Each slot's program follows one order that all share, the schedule's, so no two wait for each other.
"""

from __future__ import annotations

import zlib
from queue import SimpleQueue
from typing import Any

from weftwork.actors.program import Stopped

_LOOKS = 24
"""Looks that are taken before a thread sleeps."""
_SOMETHING = bytes(24 * 1024)
"""Its checksum takes some 5 us; with less the GIL is hardly ever free, with more a value is seen later."""
_ABSENT = object()


class Exchange:
    """What the threads of one run share: a place for each value or signal, and a queue of notes for each slot."""

    def __init__(self, run: Any, places: int, slots: int):
        self.run = run
        self.there: list = [_ABSENT] * places
        self.notes: list[SimpleQueue] = [SimpleQueue() for _ in range(slots)]

    def wait(self, place: int, slot: int) -> Any:
        """What comes to `place`. Raises Stopped when the run is stopped first.

        The thread stays awake for a while, for to wake one up takes longer than most waits last. Between two looks it
        must be without the GIL, and long enough that the others get it: a checksum is just that.
        """
        there, notes = self.there, self.notes[slot]
        for _ in range(_LOOKS):
            zlib.crc32(_SOMETHING)
            if there[place] is not _ABSENT:
                return there[place]
        while there[place] is _ABSENT:
            if notes.get() is None:
                raise Stopped
        return there[place]

    def wake(self) -> None:
        """Let every slot that waits stop."""
        for notes in self.notes:
            notes.put(None)


def receive(exchange: Exchange, *, place: int, slot: int) -> Any:
    """The value at `place`, for `slot`."""
    value = exchange.there[place]
    return exchange.wait(place, slot) if value is _ABSENT else value


def expect(exchange: Exchange, *, place: int, slot: int) -> tuple:
    """Wait for the signal at `place`."""
    if exchange.there[place] is _ABSENT:
        exchange.wait(place, slot)
    return ()


def send(exchange: Exchange, value: Any, *, place: int, to: tuple[int, ...]) -> tuple:
    """Put a value at `place`, where the slots `to` look for it."""
    exchange.there[place] = value
    for slot in to:
        exchange.notes[slot].put(place)
    return ()


def signal(exchange: Exchange, *, place: int, to: tuple[int, ...]) -> tuple:
    """Say that what `place` stands for has been done."""
    return send(exchange, None, place=place, to=to)


def newest(exchange: Exchange, *, number: int) -> Any:
    """A variable's newest version: the run holds its write locks from now on."""
    exchange.run.lock()
    return exchange.run.local(number)
