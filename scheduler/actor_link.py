"""A session's link to its variable actor: made when first needed, replaced when it dies.

epoch      names one life of the actor; what it held is gone with it
held       the versions that the actor holds, so that they need not be sent again
"""

from __future__ import annotations

import threading
import uuid
from typing import Any

from weftwork.actors.messages import pack
from weftwork.actors.program import size_of
from weftwork.scheduler import backend
from weftwork.scheduler.state import Cell

_LARGE = 100 * 1024


class ActorLink:
    """The actor of one session."""

    def __init__(self):
        self.lock = threading.Lock()
        self.epoch = ""
        self.actor: Any = None
        self.held: dict[str, int] = {}
        self.programs: set[str] = set()
        self.lives = 0
        self.messages = 0
        self.closed = False
        self._sequence = 0

    def ensure(self) -> Any:
        """The actor; started when there is none. The caller holds `lock`."""
        if self.closed:
            raise backend.WorkerLost("the session is closed")
        if self.actor is None:
            self.epoch = uuid.uuid4().hex
            self.lives += 1
            self.actor = backend.new_actor(self.epoch)
            self.held, self.programs = {}, set()
        return self.actor

    def submit(self, message: bytes, arrived: list, apart: int) -> backend.Handle:
        """Send a segment. The caller holds `lock`, so that numbers and messages go in one order."""
        self._sequence += 1
        self.messages += 1
        return backend.submit_to(self.ensure(), self.epoch, self._sequence, message, arrived, apart)

    def dead(self, actor: Any) -> None:
        """`actor` has died: the next use starts another one."""
        with self.lock:
            if self.actor is actor:
                self.actor = None
                self.held, self.programs = {}, set()

    def flush(self, cells: list[Cell]) -> None:
        """Hand the actor the newest committed versions that it has not got: write-behind, in one message."""
        with self.lock:
            stale = [(cell, cell.value, cell.version) for cell in cells]
            stale = [entry for entry in stale if entry[2] and self.held.get(entry[0].name) != entry[2]]
            if not stale:
                return
            actor = self.ensure()
            entries, arrived = [], []
            for cell, value, version in stale:
                beside = backend.is_reference(value) or size_of(value) > _LARGE
                entries.append((cell.name, version, None if beside else value, beside))
                if beside:
                    arrived.append(value)
                self.held[cell.name] = version
            self.messages += 1
            backend.store_in(actor, self.epoch, pack(entries), arrived)

    def close(self) -> None:
        """End the actor."""
        with self.lock:
            self.closed = True
            if self.actor is not None:
                backend.kill(self.actor)
                self.actor = None
