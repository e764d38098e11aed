"""Mesh: messages between processes of one machine that work on the same runs.

slot      a process's number; each has a socket of its name in a folder that only this user can enter
channel   a stream of messages between two slots, made when one first sends to the other
Invariant: who sends takes in what comes meanwhile, so no two that send to each other wait for ever.
"""

from __future__ import annotations

import os
import selectors
import socket
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from weftwork.actors.program import Stopped

_CHUNK = 1 << 18
_HEAD = 8
"""Bytes of a message's length, which goes before it."""
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
        self._came = bytearray()

    def take(self) -> tuple[list[bytes], bool]:
        """The messages that have come whole, and whether the other end is still there."""
        came, alive = self._came, True
        try:
            while True:
                chunk = self.stream.recv(_CHUNK)
                came += chunk
                if not chunk:
                    alive = False
                if len(chunk) < _CHUNK:
                    break
        except BlockingIOError:
            pass
        except OSError:
            alive = False
        found, at = [], 0
        while len(came) >= at + _HEAD:
            end = at + _HEAD + int.from_bytes(came[at : at + _HEAD], "big")
            if len(came) < end:
                break
            found.append(bytes(came[at + _HEAD : end]))
            at = end
        del came[:at]
        return found, alive


class Mesh:
    """One process's place among the others. Used by one thread at a time; `wake` by any."""

    def __init__(self, folder: str, slot: int):
        self._folder, self._slot = folder, slot
        self._channels: dict[int, _Channel] = {}
        self._inbox: deque[tuple[int, bytes | None]] = deque()
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX)
        with suppress(FileNotFoundError):  # of one that had this slot before
            os.unlink(self._path(slot))
        self._listener.bind(self._path(slot))
        self._listener.listen(64)
        self._listener.setblocking(False)
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)

    def send(self, slot: int, message: bytes, stop: Sequence = ()) -> None:
        """Send a message to a slot. Raises Gone when nobody is there.

        Raises Stopped when the other end does not read and `stop` fills up; after half a message it is given up.
        """
        channel = self._channels.get(slot) or self._connect(slot)
        left = memoryview(len(message).to_bytes(_HEAD, "big") + message)
        try:
            while left:
                try:
                    left = left[channel.stream.send(left) :]
                except BlockingIOError:
                    if stop:
                        self._drop(channel)
                        raise Stopped from None
                    self._wait_for_room(channel)
        except OSError as error:
            self._drop(channel)
            raise Gone(f"the process in slot {slot} has gone: {error}") from error

    def next(self, seconds: float | None) -> tuple[int, bytes | None] | None:
        """The next message and the slot that it is from; (slot, None) when one has gone.

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
        """Leave."""
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()
        self._waker.close()

    def _path(self, slot: int) -> str:
        return os.path.join(self._folder, str(slot))

    def _connect(self, slot: int) -> _Channel:
        stream = socket.socket(socket.AF_UNIX)
        try:
            stream.connect(self._path(slot))
            stream.sendall(_HEAD.to_bytes(_HEAD, "big") + self._slot.to_bytes(_HEAD, "big"))
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
            channel.slot = int.from_bytes(messages.pop(0), "big")
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
