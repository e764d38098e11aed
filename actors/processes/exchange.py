"""The exchange of a run whose slots are processes: values are sent as messages."""

from __future__ import annotations

from typing import Any

from weftwork.actors.processes.messages import pack_parts, unpack_parts
from weftwork.actors.processes.transport import Transport
from weftwork.actors.programs.exchange import ABSENT
from weftwork.actors.programs.program import Stopped


class _Values(dict):
    """Values by number. A missing value reads as ABSENT."""

    def __missing__(self, number: int) -> Any:
        return ABSENT


class Unsendable(Exception):
    """A value cannot be sent to another process: it does not pickle, or does not unpickle there."""


def read(parts: list) -> list:
    """Unpack a message. Raises Unsendable if a value in it does not unpickle here."""
    try:
        return unpack_parts(parts)
    except Exception as error:
        raise Unsendable(f"a value cannot be unpickled: {error}") from error


class ProcessExchange:
    """One process's end of the exchange.

    number: the run's number; messages of other runs are outdated.   stop: true once the run must end.
    run: the run, in the caller; None in other processes.
    """

    def __init__(self, transport: Transport, number: int, stop: Any, run: Any = None):
        self.transport, self.number, self.stop, self.run = transport, number, stop, run
        self.there = _Values()

    def give(self, number: int, value: Any, to: tuple[int, ...]) -> None:
        """Send value `number` to the slots `to`. Raises Unsendable or Gone."""
        try:
            message = pack_parts(["value", self.number, number, value])
        except Exception as error:
            raise Unsendable(f"a {type(value).__name__} cannot be pickled: {error}") from error
        for slot in to:
            self.transport.send(slot, message, self.stop)

    def wait(self, number: int, slot: int) -> Any:
        """Wait for value `number`. Raises Stopped if the run is stopped first."""
        while True:
            if self.stop:  # evaluating it may receive messages
                raise Stopped
            if number in self.there:
                return self.there[number]
            self.look(None)

    def look(self, seconds: float | None) -> None:
        """Handle the next message, waiting at most `seconds`."""
        came = self.transport.next(seconds)
        if came is not None:
            slot, parts = came
            self.take(slot, None if parts is None else read(parts))

    def take(self, slot: int, message: list | None) -> None:
        """Handle a message from a slot. None means that the slot's process is gone."""
        if message is None or message[0] != "value":
            self.receive(slot, message)
        elif message[1] == self.number:
            self.there[message[2]] = message[3]

    def receive(self, slot: int, message: list | None) -> None:
        """Handle anything but a value. What it means depends on the process."""
        raise NotImplementedError
