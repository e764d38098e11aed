"""How programs of one run that run concurrently pass values to each other.

number           identifies a value or signal that crosses between programs
send, receive    steps that pass a value on, and that wait for it
signal, expect   the same without a value: something that another slot waits for is done
begin            a step that starts a node outside the programs. Its values arrive later
newest           a step that takes the run's write locks, and then a variable's newest version

All slots follow one common order, that of the schedule, so no two wait for each other.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from weftwork.actors.programs.program import Stopped

_CHECKS = 24
"""Number of checks before a waiting thread sleeps."""
NAP = 1.0
"""Maximum seconds that a thread sleeps at once: a signal that comes just before it falls asleep does not wake it."""
_CHECKSUMMED = bytes(24 * 1024)
"""Its checksum takes about 5 us. With less, the GIL is hardly ever free; with more, a value is seen later."""
ABSENT = object()
"""Stands for a value that has not arrived yet."""


class AnyExchange(Protocol):
    """The interface of an exchange, whether its slots are threads or processes."""

    run: Any
    there: Any

    def give(self, number: int, value: Any, to: tuple[int, ...]) -> None:
        """Pass value `number` to the slots `to`."""
        ...

    def wait(self, number: int, slot: int) -> Any:
        """Wait for value `number`. Raises Stopped if the run is stopped first."""
        ...


def pause() -> None:
    """Release the GIL for some microseconds, long enough for others to get it: computing a checksum does just that."""
    zlib.crc32(_CHECKSUMMED)


def next_note(notes: SimpleQueue) -> Any:
    """Wait for a note. The thread stays awake for a while, because waking it takes longer than most waits last."""
    for _ in range(_CHECKS):
        if not notes.empty():
            break
        pause()
    return asleep(notes)


def asleep(notes: SimpleQueue) -> Any:
    """Wait for a note, and wake up now and then to notice signals."""
    while True:
        with suppress(Empty):
            return notes.get(timeout=NAP)


class Exchange:
    """The exchange of a run whose slots are threads: a list of values, and a queue of notes for each slot.

    note    wakes a thread that sleeps because a value was missing
    """

    def __init__(self, run: Any, values: int, slots: int):
        """values, slots: how many there are."""
        self.run = run
        self.there: Any = [ABSENT] * values
        self.notes: list[SimpleQueue] = [SimpleQueue() for _ in range(slots)]

    def give(self, number: int, value: Any, to: tuple[int, ...]) -> None:
        """Pass value `number` to the slots `to`."""
        self.there[number] = value
        for slot in to:
            self.notes[slot].put(number)

    def wait(self, number: int, slot: int) -> Any:
        """Wait for value `number`. Raises Stopped if the run is stopped first.

        Like `next_note`, but it looks at the value itself.
        """
        there, notes = self.there, self.notes[slot]
        for _ in range(_CHECKS):
            pause()
            if there[number] is not ABSENT:
                return there[number]
        while there[number] is ABSENT:
            if asleep(notes) is None:
                raise Stopped
        return there[number]

    def wake(self) -> None:
        """Stop every slot that waits."""
        for notes in self.notes:
            notes.put(None)


def receive(exchange: AnyExchange, *, number: int, slot: int) -> Any:
    """Value `number`, for `slot`."""
    value = exchange.there[number]
    return exchange.wait(number, slot) if value is ABSENT else value


def expect(exchange: AnyExchange, *, number: int, slot: int) -> tuple:
    """Wait for signal `number`."""
    if exchange.there[number] is ABSENT:
        exchange.wait(number, slot)
    return ()


def send(exchange: AnyExchange, value: Any, *, number: int, to: tuple[int, ...]) -> tuple:
    """Pass a value to the slots `to`."""
    exchange.give(number, value, to)
    return ()


def signal(exchange: AnyExchange, *, number: int, to: tuple[int, ...]) -> tuple:
    """Give signal `number` to the slots `to`."""
    exchange.give(number, None, to)
    return ()


def begin(exchange: Any, *values: Any, node: int) -> tuple:
    """Start a node with its inputs, and do not wait for it. Only the caller's end of an exchange can do this."""
    exchange.begin_detached(node, values)
    return ()


def newest(exchange: AnyExchange, *, number: int) -> Any:
    """A variable's newest version. The run holds its write locks from now on."""
    exchange.run.lock()
    return exchange.run.local(number)
