"""The values of a session's variables, and how runs change them.

cell      one variable of one session: its committed value, and a token for its version
mirror    all cells together: what this process knows of the session's state. Only this session writes its variables,
          so the mirror is right by construction. A value is held here, or as a reference to one that Ray keeps.
pin       take the committed values of one moment
commit    make a run's new values visible, all at once

Locks: a run that writes holds the locks of its write set from its first write to its commit, taken in the order of the
names. `Mirror.mutex` covers only the instant of a pin or a commit.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

from weftwork.actors.program import Stopped
from weftwork.graph.operation import UNINITIALIZED

_LOOK = 0.02
"""Seconds after which a run that waits for a lock looks whether it is to stop."""

new_version = count(1).__next__
"""A token for a version, of no other version in this process: called in every run that writes."""


class Cell:
    """A variable's committed value."""

    __slots__ = ("lock", "name", "reference", "replicas", "value", "version")

    def __init__(self, name: str):
        self.name = name
        self.value: Any = UNINITIALIZED
        self.version = 0
        self.reference: Any = None
        """A reference to the same value in Ray's object store, once somebody needed one."""
        self.replicas: Sequence = ()
        """References to copies of it on other machines."""
        self.lock = threading.Lock()


class Mirror:
    """The cells of a session."""

    def __init__(self):
        self.mutex = threading.Lock()
        self._cells: dict[str, Cell] = {}

    def cell(self, name: str) -> Cell:
        """The cell of the variable `name`; made, without a value, when there is none."""
        cell = self._cells.get(name)
        if cell is None:
            with self.mutex:
                cell = self._cells.setdefault(name, Cell(name))
        return cell

    def cells(self) -> list[Cell]:
        """All cells."""
        with self.mutex:
            return list(self._cells.values())

    def pin(self, cells: Iterable[Cell]) -> list[tuple[Any, int]]:
        """(value, version) of each cell, all of one moment."""
        with self.mutex:
            return [(cell.value, cell.version) for cell in cells]

    def commit(self, values: Mapping[Cell, tuple[Any, int]], replicas: Mapping[Cell, list] | None = None) -> None:
        """Publish (value, version) for each cell, all at once. The caller holds the cells' locks.

        replicas: copies of some of the values on other machines.
        """
        with self.mutex:
            for cell, (value, version) in values.items():
                cell.value, cell.version, cell.reference = value, version, None
                cell.replicas = replicas.get(cell, ()) if replicas else ()

    def stored(self, cell: Cell, version: int, reference: Any, alone: bool) -> None:
        """A version lies in Ray's object store too; or `alone` there: what is large is held once."""
        with self.mutex:
            if cell.version == version:
                cell.reference = reference
                if alone:
                    cell.value = reference

    def acquire(self, cells: Sequence[Cell], stop: Sequence = ()) -> None:
        """Take the locks of a write set in the order of the names. Raises Stopped when `stop` fills up meanwhile."""
        for cell in cells:
            if not cell.lock.acquire(False):
                self._wait(cells, cell, stop)

    def _wait(self, cells: Sequence[Cell], cell: Cell, stop: Sequence) -> None:
        """Take a lock that another run holds; if it does not come, let those before it go."""
        try:
            while not cell.lock.acquire(timeout=_LOOK):
                if stop:
                    raise Stopped
        except BaseException:
            self.release(cells[: cells.index(cell)])
            raise

    def release(self, cells: Sequence[Cell]) -> None:
        """Let the locks of a write set go."""
        for cell in reversed(cells):
            cell.lock.release()

    @contextmanager
    def locked(self, cells: Iterable[Cell], stop: Sequence = ()) -> Iterator[None]:
        """Hold the locks of a write set."""
        ordered = in_order(cells)
        self.acquire(ordered, stop)
        try:
            yield
        finally:
            self.release(ordered)


def in_order(cells: Iterable[Cell]) -> list[Cell]:
    """Cells in the order of their names, in which their locks are taken."""
    return sorted(cells, key=lambda cell: cell.name)


class Cells:
    """The cells that the runs of one dataflow read and write, found once.

    newest, writes: with the name and the number of the value that a run takes or publishes.
    """

    def __init__(self, mirror: Mirror, flow: Any):
        self.mirror = mirror
        self.pinned = [mirror.cell(name) for name in flow.pinned]
        self.newest = [(mirror.cell(name), name, number) for name, number in flow.newest.items()]
        self.writes = [(mirror.cell(name), name, number) for name, number in flow.writes.items()]
        self.locks = in_order([cell for cell, _, _ in self.writes])


class Draws:
    """How far each random stream of a session has come. A failed run moves none."""

    def __init__(self, entropy: int):
        self._entropy = entropy
        self._next: dict[str, int] = {}
        self._lock = threading.Lock()

    def take(self, ops: Iterable[Any]) -> list[tuple[tuple[int, int], int]]:
        """For each operation the key of its stream, and the number of its next draw, which is now taken."""
        places = []
        with self._lock:
            for op in ops:
                draw = self._next.get(op.name, 0)
                self._next[op.name] = draw + 1
                places.append((op.attrs["_seed"] or (self._entropy, op.index), draw))
        return places

    def give_back(self, ops: Iterable[Any], places: Iterable[tuple[tuple[int, int], int]]) -> None:
        """The run that took `places` has failed: they are the next ones again, unless another run has gone on."""
        with self._lock:
            for op, (_, draw) in zip(ops, places, strict=True):
                if self._next[op.name] == draw + 1:
                    self._next[op.name] = draw
