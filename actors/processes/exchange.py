"""The exchange of a run whose slots are processes: values come and go as messages."""

from __future__ import annotations

from typing import Any

from weftwork.actors.processes.messages import pack_parts, unpack_parts
from weftwork.actors.processes.transport import Transport
from weftwork.actors.programs.exchange import ABSENT
from weftwork.actors.programs.program import Stopped


class _Places(dict):
    """Values by place; those that have not come are absent."""

    def __missing__(self, place: int) -> Any:
        return ABSENT


class Unsendable(Exception):
    """A value does not pickle, or does not load where it comes, so it cannot cross between processes."""


def read(parts: list) -> list:
    """A message. Raises Unsendable where a value in it does not load here."""
    try:
        return unpack_parts(parts)
    except Exception as error:
        raise Unsendable(f"a value does not load: {error}") from error


class ProcessExchange:
    """One process's end of the exchange.

    number: of the run; a message of another one is old.   stop: true once the run is to end.
    run: the caller's, None in other processes.
    """

    def __init__(self, transport: Transport, number: int, stop: Any, run: Any = None):
        self.transport, self.number, self.stop, self.run = transport, number, stop, run
        self.there = _Places()

    def give(self, place: int, value: Any, to: tuple[int, ...]) -> None:
        """Send a value to the slots `to`. Raises Unsendable, or Gone."""
        try:
            message = pack_parts(["value", self.number, place, value])
        except Exception as error:
            raise Unsendable(f"a {type(value).__name__} does not pickle: {error}") from error
        for slot in to:
            self.transport.send(slot, message, self.stop)

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
        came = self.transport.next(seconds)
        if came is not None:
            slot, parts = came
            self.take(slot, None if parts is None else read(parts))

    def take(self, slot: int, message: list | None) -> None:
        """A message came from a slot; None: its process has gone."""
        if message is None or message[0] != "value":
            self.told(slot, message)
        elif message[1] == self.number:
            self.there[message[2]] = message[3]

    def told(self, slot: int, message: list | None) -> None:
        """Something came that is not a value: what that means depends on the process."""
        raise NotImplementedError
