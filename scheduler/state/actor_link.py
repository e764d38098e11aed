"""A session's links to its actors, which are started when first needed and replaced when they die.

home       where an actor must be: anywhere, on one machine, or on one GPU
held       the versions that an actor has, so they need not be sent again
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from time import monotonic, sleep
from typing import Any

from weftwork.actors.processes.messages import pack
from weftwork.actors.programs.sizes import size_of
from weftwork.graph.errors import ResourceExhaustedError
from weftwork.graph.python.forks import fresh
from weftwork.scheduler.compile.needs import ANYWHERE, Home
from weftwork.scheduler.machines import backend, inventory, objects
from weftwork.scheduler.state.mirror import Cell

_LARGE = 100 * 1024
_FREED_WITHIN = 5.0
"""Maximum number of seconds to wait for a GPU. One that was just released still counts as in use."""
_UP_WITHIN = 60.0
"""Seconds within which an actor on a free GPU must start."""
_taking_gpus = fresh(threading.Lock())


class ActorLink:
    """The link to a session's actor at one home."""

    def __init__(self, home: Home = ANYWHERE):
        self.home = home
        self.lock = fresh(threading.Lock())
        self.actor: Any = None
        self.held: dict[str, int] = {}
        self.programs: set[str] = set()
        self.busy = 0
        """Number of segments that are submitted to the actor."""
        self.closed = False

    def ensure(self) -> Any:
        """The actor, started if necessary.

        The caller holds `lock`. Raises ResourceExhaustedError if its GPU is in use.
        """
        if self.closed:
            raise backend.WorkerLost("the session is closed")
        self._forget_lost()
        if self.actor is None:
            self.actor = self._start()
        return self.actor

    def _forget(self) -> None:
        """Forget the actor, and what it held."""
        self.actor, self.held, self.programs = None, {}, set()

    def _forget_lost(self) -> None:
        """Forget an actor that was lost with its Ray."""
        if self.actor is not None and self.actor.is_gone:
            self._forget()

    def _start(self) -> Any:
        if self.home.gpu is None:
            return backend.new_actor(self.home)
        with _taking_gpus:  # one at a time: Ray counts GPUs as free while actors on them are starting
            if _is_free(self.home):
                actor = backend.new_actor(self.home)
                if backend.is_up(actor, _UP_WITHIN):
                    return actor
                backend.kill(actor)
        raise ResourceExhaustedError(
            None,
            None,
            f"GPU {self.home.gpu} is in use: all GPUs of machine {self.home.machine} are held by other sessions or "
            "tasks. Close them, or ask for another device.",
        )

    def submit(self, message: bytes, arrived: list, separate: int, name: str) -> backend.Handle:
        """Submit a segment, under a name or "".

        The caller holds `lock`, so that messages are sent in the order in which they were made.
        """
        return backend.submit_to(self.ensure(), message, arrived, separate, name)

    def dead(self, actor: Any) -> None:
        """Note that `actor` has died. The next use starts another one."""
        with self.lock:
            if self.actor is actor:
                self._forget()

    def flush(self, cells: list[Cell]) -> None:
        """Send the newest small committed versions that the actor lacks, in one message."""
        with self.lock:
            self._forget_lost()
            entries = [(cell.name, cell.version, cell.value) for cell in cells]
            entries = [(n, v, value) for n, v, value in entries if v and self.held.get(n) != v and _is_small(value)]
            if not entries:
                return
            actor = self.ensure()
            self.held.update([(name, version) for name, version, _ in entries])
            backend.store_in(actor, pack(entries))

    def drop(self, names: Iterable[str]) -> None:
        """Make the actor forget values that stayed there for a run."""
        with self.lock:
            if self.actor is not None:
                backend.drop_in(self.actor, list(names))

    def end(self) -> None:
        """End the actor. The next use starts another one."""
        with self.lock:
            if self.actor is not None:
                backend.kill(self.actor)
                self._forget()

    def close(self) -> None:
        """End the actor for good."""
        self.closed = True
        self.end()


def _is_small(value: Any) -> bool:
    """Whether a value is sent ahead of its use. Other values are sent only when a segment needs them."""
    return not objects.is_reference(value) and size_of(value) <= _LARGE


def _is_free(home: Home) -> bool:
    """Whether a GPU of a machine is free, or becomes free within moments."""
    end = monotonic() + _FREED_WITHIN
    while inventory.free("GPU", home.machine) < 1:
        if monotonic() > end:
            return False
        sleep(0.05)
    return True


class Links:
    """The links to all actors of one session, by home."""

    def __init__(self):
        self._links: dict[Home, ActorLink] = {}
        self._lock = fresh(threading.Lock())
        self._closed = False
        self.home_of: dict[str, Home] = {}
        """The homes of variables that are not ANYWHERE."""

    def at(self, home: Home = ANYWHERE) -> ActorLink:
        """The link to the actor at `home`."""
        link = self._links.get(home)
        if link is None:
            with self._lock:
                link = self._links.setdefault(home, ActorLink(home))
                link.closed = self._closed
        return link

    def all(self) -> list[ActorLink]:
        """All links."""
        with self._lock:
            return list(self._links.values())

    def dead(self, actor: Any) -> None:
        """Note that `actor` has died."""
        for link in self.all():
            link.dead(actor)

    def flush(self, cells: list[Cell]) -> None:
        """Send committed versions to the actors that hold the variables."""
        homes: dict[Home, list[Cell]] = {}
        for cell in cells:
            homes.setdefault(self.home_of.get(cell.name, ANYWHERE), []).append(cell)
        for home, mine in homes.items():
            self.at(home).flush(mine)

    def free_gpus(self) -> None:
        """End idle actors that hold a GPU, because a task needs one."""
        for link in self.all():
            if link.home.gpu is not None and not link.busy:
                link.end()

    def close(self) -> None:
        """End all actors."""
        self._closed = True
        for link in self.all():
            link.close()
