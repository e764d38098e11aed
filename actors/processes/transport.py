"""Transport: messages between processes of one machine that work on the same runs.

slot      a process's number; each has a socket of its name in a folder that only this user can enter
channel   a stream of messages between two slots, made when one first sends to the other
message   one or more parts, each a buffer of bytes: a large one goes from where it lies to where it will be read
Invariant: who sends takes in what comes meanwhile, so no two that send to each other wait for ever.
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

from weftwork.actors.programs.program import Stopped
from weftwork.graph.forks import in_child

_CHUNK = 1 << 18
_HEAD = 8
"""Bytes that go before each part: twice its length, and one more if another part follows."""
_AT_ONCE = 64
"""Buffers that are given to the system at a time."""
_BUFFER = 1 << 20
"""Bytes that may be on their way in a channel before its sender waits."""


class Gone(Exception):
    """The process in a slot has gone."""


class _Channel:
    """One end of a stream. Nothing here waits."""

    def __init__(self, stream: socket.socket, slot: int | None = None):
        stream.setblocking(False)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self.stream, self.slot = stream, slot
        """The other end's slot; None until it has told."""
        self._chunk = memoryview(bytearray(_CHUNK))
        """Where what comes is put at first: to make a new place each time takes 10 us."""
        self._came = bytearray()
        """What has come of parts that have not come whole, if they are small."""
        self._large: Any = None
        """The place of a large part that is coming."""
        self._filled, self._more = 0, False
        self._parts: list[Any] = []
        """The parts that have come of a message of which others have not."""

    def take(self) -> tuple[list[list], bool]:
        """The messages that have come whole, each a list of parts, and whether the other end is still there."""
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
        while len(came) >= at + _HEAD:
            head = int.from_bytes(came[at : at + _HEAD], "big")
            length, more = head >> 1, bool(head & 1)
            at += _HEAD
            if len(came) < at + length:
                if length > _CHUNK:
                    self._large, self._filled, self._more = np.empty(length, np.uint8), len(came) - at, more
                    memoryview(self._large)[: self._filled] = came[at:]
                    at = len(came)
                else:
                    at -= _HEAD
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
    """A process that was forked off has no place here, and must not hold open what its parent's end closes."""
    for transport in list(_open):
        with suppress(OSError, RuntimeError):
            transport.close()


class Transport:
    """One process's place among the others. Used by one thread at a time; `wake` by any."""

    def __init__(self, folder: str, slot: int):
        _open.add(self)
        self._folder, self._slot = folder, slot
        self._channels: dict[int, _Channel] = {}
        self._inbox: deque[tuple[int, list | None]] = deque()
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX)
        new = f"{self._path(slot)}.{os.getpid()}"  # there may be one of an earlier process; and who sees it can connect
        self._listener.bind(new)
        self._listener.listen(64)
        os.rename(new, self._path(slot))
        self._listener.setblocking(False)
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)

    def send(self, slot: int, parts: Sequence, stop: Sequence = ()) -> None:
        """Send a message to a slot. Raises Gone when nobody is there.

        Raises Stopped when the other end does not read and `stop` fills up; after half a message it is given up.
        """
        channel = self._channels.get(slot) or self._connect(slot)
        left = _framed(parts)
        try:
            while left:
                try:
                    _advance(left, channel.stream.sendmsg(left[:_AT_ONCE]))
                except BlockingIOError:
                    if stop:
                        self._drop(channel)
                        raise Stopped from None
                    self._wait_for_room(channel)
        except OSError as error:
            self._drop(channel)
            raise Gone(f"the process in slot {slot} has gone: {error}") from error

    def next(self, seconds: float | None) -> tuple[int, list | None] | None:
        """The next message, a list of parts, and the slot that it is from; (slot, None) when one has gone.

        Waits so many `seconds` for it, or for ever; None when nothing came, or `wake` was called.
        """
        if not self._inbox:
            self._look(seconds)
        return self._inbox.popleft() if self._inbox else None

    def wake(self) -> None:
        """Let a thread that waits in `next` go on."""
        with suppress(OSError):  # it is full, or closed: then nobody needs it
            self._waker.send(b"!")

    def close(self) -> None:
        """Leave; a second time there is nothing to do."""
        for key in list((self._selector.get_map() or {}).values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()
        self._waker.close()

    def _path(self, slot: int) -> str:
        return os.path.join(self._folder, str(slot))

    def _connect(self, slot: int) -> _Channel:
        stream = socket.socket(socket.AF_UNIX)
        try:
            stream.connect(self._path(slot))
            stream.sendall(b"".join(_framed([self._slot.to_bytes(_HEAD, "big")])))
        except OSError as error:
            stream.close()
            raise Gone(f"nobody is in slot {slot}: {error}") from error
        channel = self._channels[slot] = _Channel(stream, slot)
        self._selector.register(stream, selectors.EVENT_READ, channel)
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
        """Take in what there is, waiting for it if there is nothing."""
        for key, events in self._selector.select(seconds):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._woken:
                self._woken.recv(_CHUNK)
            elif events & selectors.EVENT_READ:
                self._take(key.data)

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            stream, _ = self._listener.accept()
            self._selector.register(stream, selectors.EVENT_READ, _Channel(stream))

    def _take(self, channel: _Channel) -> None:
        messages, alive = channel.take()
        if channel.slot is None and messages:
            channel.slot = int.from_bytes(messages.pop(0)[0], "big")
            self._channels.setdefault(channel.slot, channel)
        slot = channel.slot
        self._inbox.extend([(slot, message) for message in messages if slot is not None])
        if not alive and self._drop(channel) and slot is not None:
            self._inbox.append((slot, None))

    def _drop(self, channel: _Channel) -> bool:
        """Forget a channel; False when it was forgotten before."""
        if channel.stream.fileno() < 0:
            return False
        self._selector.unregister(channel.stream)
        channel.stream.close()
        if channel.slot is not None and self._channels.get(channel.slot) is channel:
            del self._channels[channel.slot]
        return True


def is_left(folder: str) -> bool:
    """True for a folder whose slot 0 had a process, which has gone."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.setblocking(False)  # a process that does not go on takes nobody in
        try:
            stream.connect(os.path.join(folder, "0"))
        except ConnectionRefusedError:
            return True
        except OSError:  # another user's, or just being made, or busy
            return False
    return False


def _framed(parts: Sequence) -> list[Any]:
    """The buffers to be sent for a message."""
    last = len(parts) - 1
    framed: list[Any] = []
    for number, part in enumerate(parts):
        head = (len(part) << 1 | (number < last)).to_bytes(_HEAD, "big")
        framed += [head, part] if len(part) > _CHUNK else [b"".join((head, part))]
    return framed


def _advance(left: list[Any], sent: int) -> None:
    """Take from the buffers that are left what was sent."""
    done = 0
    while done < len(left) and sent >= len(left[done]):
        sent -= len(left[done])
        done += 1
    del left[:done]
    if sent:
        left[0] = memoryview(left[0])[sent:]
