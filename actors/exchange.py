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
from typing import Any

from weftwork.actors.mesh import Mesh
from weftwork.actors.messages import pack_parts, unpack_parts
from weftwork.actors.program import Stopped

_LOOKS = 24
"""Looks that are taken before a thread sleeps."""
_SOMETHING = bytes(24 * 1024)
"""Its checksum takes some 5 us; with less the GIL is hardly ever free, with more a value is seen later."""
_ABSENT = object()


class Exchange:
    """What the threads of one run share: a place for each value or signal, and a queue of notes for each slot.

    note    what wakes a thread that sleeps because a value was not there
    """

    def __init__(self, run: Any, places: int, slots: int):
        self.run = run
        self.there: Any = [_ABSENT] * places
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


class _Places(dict):
    """Values by place; those that have not come are absent."""

    def __missing__(self, place: int) -> Any:
        return _ABSENT


class Unsendable(Exception):
    """A value does not pickle, so it cannot cross between processes."""


class ProcessExchange:
    """One process's end of an exchange between processes: values come and go as messages.

    number: of the run; a message of another one is old.   stop: true once the run is to end.
    run: the caller's, None in other processes.
    """

    def __init__(self, mesh: Mesh, number: int, stop: Any, run: Any = None):
        self.mesh, self.number, self.stop, self.run = mesh, number, stop, run
        self.there = _Places()

    def give(self, place: int, value: Any, to: tuple[int, ...]) -> None:
        """Send a value to the slots `to`. Raises Unsendable, or Gone."""
        try:
            message = pack_parts(["value", self.number, place, value])
        except Exception as error:
            raise Unsendable(f"a {type(value).__name__} does not pickle: {error}") from error
        for slot in to:
            self.mesh.send(slot, message, self.stop)

    def wait(self, place: int, slot: int) -> Any:
        """What comes to `place`. Raises Stopped when the run is stopped first."""
        while True:
            if self.stop:  # to ask may take in what has come
                raise Stopped
            if place in self.there:
                return self.there[place]
            self.look(None)

    def look(self, seconds: float | None) -> None:
        """Take the next message, if one comes within so many seconds."""
        came = self.mesh.next(seconds)
        if came is not None:
            slot, message = came
            self.take(slot, None if message is None else unpack_parts(message))

    def take(self, slot: int, message: list | None) -> None:
        """A message came from a slot; None: its process has gone."""
        if message is None or message[0] != "value":
            self.told(slot, message)
        elif message[1] == self.number:
            self.there[message[2]] = message[3]

    def told(self, slot: int, message: list | None) -> None:
        """Something came that is no value: what that means depends on the process."""
        raise NotImplementedError


def receive(exchange: Exchange | ProcessExchange, *, place: int, slot: int) -> Any:
    """The value at `place`, for `slot`."""
    value = exchange.there[place]
    return exchange.wait(place, slot) if value is _ABSENT else value


def expect(exchange: Exchange | ProcessExchange, *, place: int, slot: int) -> tuple:
    """Wait for the signal at `place`."""
    if exchange.there[place] is _ABSENT:
        exchange.wait(place, slot)
    return ()


def send(exchange: Exchange | ProcessExchange, value: Any, *, place: int, to: tuple[int, ...]) -> tuple:
    """Give a value to the slots `to`."""
    exchange.give(place, value, to)
    return ()


def signal(exchange: Exchange | ProcessExchange, *, place: int, to: tuple[int, ...]) -> tuple:
    """Say that what `place` stands for has been done."""
    exchange.give(place, None, to)
    return ()


def newest(exchange: Exchange | ProcessExchange, *, number: int) -> Any:
    """A variable's newest version: the run holds its write locks from now on."""
    exchange.run.lock()
    return exchange.run.local(number)
