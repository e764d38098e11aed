"""The values of a session's variables, and how runs change them.

cell      one variable of one session: its committed value, and a token for its version
mirror    all cells together: what this process knows of the session's state. Only this session writes its variables,
          so the mirror is right by construction. A value is held here, or as a reference to one that Ray keeps.
pin       take the committed values of one moment
commit    make a run's new values visible, all at once

Locks: a run that writes owns the cells of its write set from its first write to its commit, taken in the order of the
names, so that no two runs wait for each other. To take one is a single step of a dict: whatever interrupts a run, its
end finds what it has taken. `Mirror.mutex` covers only the instants in which several values, or the runs that are under
way, are looked at or changed.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

from weftwork.actors.programs.program import Stopped
from weftwork.graph.forks import fresh
from weftwork.graph.operation import UNINITIALIZED
from weftwork.graph.seeded import new_key

_LOOK = 0.02
"""Seconds after which a run that waits for a lock looks whether it is to stop."""

new_version = count(1).__next__
"""A token for a version, of no other version in this process: called in every run that writes."""


class Cell:
    """A variable's committed value."""

    __slots__ = ("freed", "name", "reference", "replicas", "value", "version")

    def __init__(self, name: str):
        self.name = name
        self.value: Any = UNINITIALIZED
        self.version = 0
        self.reference: Any = None
        """A reference to the same value in Ray's object store, once somebody needed one."""
        self.replicas: Sequence = ()
        """References to copies of it on other machines."""
        self.freed: threading.Condition | None = None
        """Where runs wait until they may own it, once one had to."""


class Mirror:
    """The cells of a session."""

    def __init__(self):
        self.mutex = fresh(threading.Lock())
        self.owners: dict[Cell, Any] = {}
        """Who alone may change a cell now: `setdefault` takes it, if nobody has."""
        self.running: set[Any] = set()
        """The runs that are under way."""
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

    def commit(
        self,
        writes: Collection[tuple[Cell, str, int]],
        values: Any,
        owner: Any = None,
        versions: Mapping[str, int] | None = None,
        replicas: Mapping[Cell, Sequence] | None = None,
    ) -> None:
        """Publish values[number] for each (cell, name, number) of `writes`, all at once.

        owner: the run that owns them, which lets them go and is over; None where nobody need let go.
        versions: tokens of versions by name, where there are some already.   replicas: copies on other machines.
        """
        interrupted, owners = None, self.owners
        with self.mutex:
            while True:
                try:
                    for cell, name, number in writes:
                        cell.value = values[number]
                        cell.version = versions[name] if versions and name in versions else new_version()
                        cell.reference = None
                        cell.replicas = replicas.get(cell, ()) if replicas else ()
                    break
                except BaseException as error:  # Ctrl-C between two cells: all of them are published, or none
                    if interrupted is not None:
                        raise
                    interrupted = error
            if owner is not None:
                for cell, _, _ in writes:
                    del owners[cell]
                    if cell.freed is not None:
                        cell.freed.notify()
                self.running.discard(owner)
        if interrupted is not None:
            raise interrupted

    def put(self, values: Mapping[Cell, tuple[Any, int]]) -> None:
        """Publish (value, version) of each cell, all at once."""
        writes = [(cell, cell.name, number) for number, cell in enumerate(values)]
        versions = {cell.name: version for cell, (_, version) in values.items()}
        self.commit(writes, [value for value, _ in values.values()], versions=versions)

    def stored(self, cell: Cell, version: int, reference: Any, alone: bool) -> None:
        """A version lies in Ray's object store too; or `alone` there: what is large is held once."""
        with self.mutex:
            if cell.version == version:
                cell.reference = reference
                if alone:
                    cell.value = reference

    def wait_for(self, cell: Cell, owner: Any, stop: Sequence = ()) -> None:
        """Own a cell that somebody else owns, once it is free. Raises Stopped when `stop` fills up before."""
        with self.mutex:
            if cell.freed is None:  # before the owner is looked at once more: who lets go looks at it afterwards
                cell.freed = threading.Condition(self.mutex)
            while self.owners.setdefault(cell, owner) is not owner:
                if stop:
                    raise Stopped
                cell.freed.wait(_LOOK)

    def release(self, cells: Iterable[Cell], owner: Any) -> None:
        """Let go of those of the cells that `owner` owns."""
        for cell in cells:
            if self.owners.get(cell) is owner:
                del self.owners[cell]
                if cell.freed is not None:
                    with self.mutex:
                        cell.freed.notify()

    @contextmanager
    def owned(self, cells: Iterable[Cell], stop: Sequence = ()) -> Iterator[None]:
        """Own some cells. Raises Stopped when `stop` fills up while another one owns one of them."""
        owner, ordered = object(), in_order(cells)
        try:
            for cell in ordered:
                if self.owners.setdefault(cell, owner) is not owner:
                    self.wait_for(cell, owner, stop)
            yield
        finally:
            self.release(ordered, owner)


def in_order(cells: Iterable[Cell]) -> list[Cell]:
    """Cells in the order of their names, in which they are taken."""
    return sorted(cells, key=lambda cell: cell.name)


class Cells:
    """The cells that the runs of one dataflow read and write, found once.

    writes: with the name and the number of the value that a run publishes.
    taken: the cells of the write set in the order of their names; with the number of the value that takes the newest
        version, if there is one.   newest: of such a number, the cell and its name.
    """

    def __init__(self, mirror: Mirror, flow: Any):
        self.mirror = mirror
        self.pinned = [mirror.cell(name) for name in flow.pinned]
        self.writes = [(mirror.cell(name), name, number) for name, number in flow.writes.items()]
        self.taken = [(cell, flow.newest.get(cell.name)) for cell in in_order([cell for cell, _, _ in self.writes])]
        self.newest = {number: (mirror.cell(name), name) for name, number in flow.newest.items()}


_RUN = "key"


class Draws:
    """How far each random stream of a session has come. A failed run moves none."""

    def __init__(self, entropy: int):
        self._entropy = entropy
        self._next: dict[str, int] = {}
        self._lock = fresh(threading.Lock())

    def take(self, ops: Iterable[Any], kept: dict) -> list[tuple[tuple[int, int], int]]:
        """For each operation the key of its stream, and the number of its next draw, which is now taken.

        A user's function has the key of the run, which is `kept` for all attempts at it, and its number among the
        nodes of the run that draw.
        """
        places = []
        with self._lock:
            for number, op in enumerate(ops):
                if op.traits.user:
                    if _RUN not in kept:
                        kept[_RUN] = new_key()
                    places.append((kept[_RUN], number))
                    continue
                draw = self._next.get(op.name, 0)
                self._next[op.name] = draw + 1
                places.append((op.attrs["_seed"] or (self._entropy, op.index), draw))
        return places

    def give_back(self, ops: Iterable[Any], places: Iterable[tuple[tuple[int, int], int]]) -> None:
        """The run that took `places` has failed: they are the next ones again, unless another run has gone on."""
        with self._lock:
            for op, (_, draw) in zip(ops, places, strict=True):
                if not op.traits.user and self._next[op.name] == draw + 1:
                    self._next[op.name] = draw
