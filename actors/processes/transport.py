"""Transport: messages between processes of one machine that work on the same runs.

slot      a process's number; its socket has this name, in a folder that only this user can enter
channel   a stream of messages between two slots, opened when one first sends to the other
message   one or more parts, each a buffer; a large part is received straight into its final place
Invariant: a sender that waits keeps receiving, so two processes that send to each other never wait forever.
"""

from __future__ import annotations

import os
import selectors
import socket
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakSet

import numpy as np

from weftwork.actors.programs.exchange import NAP
from weftwork.actors.programs.numbers import raised_socket
from weftwork.actors.programs.program import Stopped
from weftwork.graph.python.forks import in_child

_CHUNK = 1 << 18
_HEADER_BYTES = 8
"""Size of the header of each part: twice its length, plus one if another part follows."""
_MAX_BUFFERS = 64
"""Maximum number of buffers per system call."""
_BUFFER = 1 << 20
"""Bytes that a channel buffers before its sender has to wait."""


class Gone(Exception):
    """The process in a slot is gone."""


class _Channel:
    """One end of a stream. No method blocks."""

    def __init__(self, stream: socket.socket, slot: int | None = None):
        stream.setblocking(False)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self.stream, self.slot = stream, slot
        """The other end's slot; None until it has introduced itself."""
        self._chunk = memoryview(bytearray(_CHUNK))
        """A reusable receive buffer: allocating one each time takes 10 us."""
        self._came = bytearray()
        """Received bytes of incomplete small parts."""
        self._large: Any = None
        """The buffer of a large part that is being received."""
        self._filled, self._more = 0, False
        self._parts: list[Any] = []
        """Complete parts of an incomplete message."""

    def take(self) -> tuple[list[list], bool]:
        """Receive what is there.

        Returns the complete messages, each a list of parts, and whether the other end lives.
        """
        found: list[list] = []
        try:
            while True:
                if self._large is not None:
                    count = self.stream.recv_into(memoryview(self._large)[self._filled :])
                    self._filled += count
                    if self._filled == len(self._large):
                        self._take_part(found, self._large, self._more)
                        self._large = None
                    full = True
                else:
                    count = self.stream.recv_into(self._chunk)
                    self._came += self._chunk[:count]
                    self._take_parts(found)
                    full = count == _CHUNK or self._large is not None
                if not count:
                    return found, False
                if not full:
                    return found, True
        except BlockingIOError:
            return found, True
        except OSError:
            return found, False

    def _take_parts(self, found: list[list]) -> None:
        came, at = self._came, 0
        while len(came) >= at + _HEADER_BYTES:
            head = int.from_bytes(came[at : at + _HEADER_BYTES], "big")
            length, more = head >> 1, bool(head & 1)
            at += _HEADER_BYTES
            if len(came) < at + length:
                if length > _CHUNK:
                    self._large, self._filled, self._more = np.empty(length, np.uint8), len(came) - at, more
                    memoryview(self._large)[: self._filled] = came[at:]
                    at = len(came)
                else:
                    at -= _HEADER_BYTES
                break
            self._take_part(found, came[at : at + length], more)
            at += length
        del came[:at]

    def _take_part(self, found: list[list], part: Any, more: bool) -> None:
        self._parts.append(part)
        if not more:
            found.append(self._parts)
            self._parts = []


_open: WeakSet[Transport] = WeakSet()


@in_child
def _leave_to_parent() -> None:
    """Close all transports in a forked child, which has no slot and must not hold its parent's sockets open."""
    for transport in list(_open):
        with suppress(OSError, RuntimeError):
            transport.close()


class Transport:
    """One process's connection to the others. Used by one thread at a time; `wake` may be called from any."""

    def __init__(self, folder: str, slot: int):
        _open.add(self)
        self._folder, self._slot = folder, slot
        self._channels: dict[int, _Channel] = {}
        self._inbox: deque[tuple[int, list | None]] = deque()
        self._selector = selectors.PollSelector() if slot else selectors.DefaultSelector()
        """In a worker, one without a file number of its own: low numbers belong to its functions."""
        self._listener = self._own(socket.socket(socket.AF_UNIX))
        new = f"{self._path(slot)}.{os.getpid()}"  # renamed once it listens: who finds the final name can connect
        self._listener.bind(new)
        self._listener.listen(64)
        os.rename(new, self._path(slot))
        self._listener.setblocking(False)
        self._waker, self._woken = map(self._own, socket.socketpair())
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)

    def send(self, slot: int, parts: Sequence, stop: Any = ()) -> None:
        """Send a message to a slot. Raises Gone if its process is gone.

        Raises Stopped if the other end does not read and `stop` fills up. A message that was sent in part closes the
        channel.
        """
        channel = self._channels.get(slot) or self._connect(slot)
        left = _framed(parts)
        try:
            while left:
                try:
                    _advance(left, channel.stream.sendmsg(left[:_MAX_BUFFERS]))
                except BlockingIOError:
                    if stop:
                        self._drop(channel)
                        raise Stopped from None
                    self._wait_for_room(channel)
        except OSError as error:
            self._drop(channel)
            raise Gone(f"the process in slot {slot} has gone: {error}") from error
        except BaseException:  # Ctrl-C: the other end may wait for the rest of the message
            self._lose(channel)
            raise

    def next(self, seconds: float | None) -> tuple[int, list | None] | None:
        """The next message as (sending slot, list of parts); (slot, None) if the slot's process is gone.

        Waits at most `seconds`, or for long if that is None. Returns None if nothing came, or `wake` was called.
        """
        if not self._inbox:
            self._look(seconds)
        return self._inbox.popleft() if self._inbox else None

    def wake(self) -> None:
        """Make a thread that waits in `next` return."""
        with suppress(OSError):  # full means a wake-up is pending; closed means that nobody waits
            self._waker.send(b"!")

    def close(self) -> None:
        """Close all sockets. A second call does nothing."""
        for key in list((self._selector.get_map() or {}).values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()
        self._waker.close()

    def _own(self, stream: socket.socket) -> socket.socket:
        return raised_socket(stream) if self._slot else stream

    def _path(self, slot: int) -> str:
        return os.path.join(self._folder, str(slot))

    def _connect(self, slot: int) -> _Channel:
        stream = self._own(socket.socket(socket.AF_UNIX))
        try:
            stream.connect(self._path(slot))
            stream.sendall(b"".join(_framed([self._slot.to_bytes(_HEADER_BYTES, "big")])))
            channel = _Channel(stream, slot)
            self._selector.register(stream, selectors.EVENT_READ, channel)
            self._channels[slot] = channel
        except OSError as error:
            stream.close()
            raise Gone(f"there is no process in slot {slot}: {error}") from error
        return channel

    def _wait_for_room(self, channel: _Channel) -> None:
        both = selectors.EVENT_READ | selectors.EVENT_WRITE
        self._selector.modify(channel.stream, both, channel)
        try:
            self._look(None)
        finally:
            if channel.stream.fileno() >= 0:
                self._selector.modify(channel.stream, selectors.EVENT_READ, channel)

    def _look(self, seconds: float | None) -> None:
        """Receive what is there; wait if there is nothing. The program's own process wakes up to notice signals."""
        if seconds is None and not self._slot:
            seconds = NAP
        for key, events in self._selector.select(seconds):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._woken:
                self._woken.recv(_CHUNK)
            elif events & selectors.EVENT_READ:
                self._take(key.data)

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            stream = self._own(self._listener.accept()[0])
            self._selector.register(stream, selectors.EVENT_READ, _Channel(stream))

    def _take(self, channel: _Channel) -> None:
        alive = False
        try:
            messages, alive = channel.take()
            if channel.slot is None and messages:
                channel.slot = int.from_bytes(messages.pop(0)[0], "big")
                self._channels.setdefault(channel.slot, channel)
            slot = channel.slot
            self._inbox.extend([(slot, message) for message in messages if slot is not None])
        except BaseException:  # Ctrl-C: a part of what was read may be lost
            alive = False
            raise
        finally:
            if not alive:
                self._lose(channel)

    def _lose(self, channel: _Channel) -> None:
        """Close a channel, and report that its process is gone."""
        if self._drop(channel) and channel.slot is not None:
            self._inbox.append((channel.slot, None))

    def _drop(self, channel: _Channel) -> bool:
        """Close a channel. Returns False if it was closed before."""
        if channel.stream.fileno() < 0:
            return False
        self._selector.unregister(channel.stream)
        channel.stream.close()
        if channel.slot is not None and self._channels.get(channel.slot) is channel:
            del self._channels[channel.slot]
        return True


def is_left(folder: str) -> bool:
    """True for a folder whose slot 0 belonged to a process that is gone."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.setblocking(False)  # a suspended program accepts nobody, and others must not wait for it
        try:
            stream.connect(os.path.join(folder, "0"))
        except ConnectionRefusedError:
            return True
        except OSError:  # it is suspended, belongs to another user, or is just being created
            return False
    return False


def _framed(parts: Sequence) -> list[Any]:
    """The buffers to send for a message: headers and parts."""
    last = len(parts) - 1
    framed: list[Any] = []
    for number, part in enumerate(parts):
        head = (len(part) << 1 | (number < last)).to_bytes(_HEADER_BYTES, "big")
        framed += [head, part] if len(part) > _CHUNK else [b"".join((head, part))]
    return framed


def _advance(left: list[Any], sent: int) -> None:
    """Remove `sent` bytes from the front of the buffers."""
    done = 0
    while done < len(left) and sent >= len(left[done]):
        sent -= len(left[done])
        done += 1
    del left[:done]
    if sent:
        left[0] = memoryview(left[0])[sent:]
