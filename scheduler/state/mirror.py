"""The values of a session's variables, and how runs change them.

cell      one variable of a session: its committed value, and a token of its version
mirror    all cells of a session. Only this session writes its variables, so the mirror is always right. A value is
          here, or is a reference to Ray's store
pin       take the committed values of one moment
commit    publish a run's new values, all at once

Locks: a run that writes owns the cells of its write set from its first write to its commit. It takes them in the order
of their names, so that no two runs wait for each other. Taking a cell is one atomic dict operation, so whatever
interrupts a run, its cleanup finds all cells that it took. `Mirror.mutex` is held only for the moments in which several
values, or the set of active runs, are read or changed.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

from weftwork.actors.programs.program import Stopped
from weftwork.graph.operation import UNINITIALIZED
from weftwork.graph.python.forks import fresh
from weftwork.graph.python.seeded import new_key

_STOP_CHECK_SECONDS = 0.02
"""Seconds between two checks for a stop while a run waits for a lock."""

new_version = count(1).__next__
"""Returns a new version token, unique in this process. Every run that writes calls it."""


class Cell:
    """The committed value of a variable."""

    __slots__ = ("freed", "name", "reference", "replicas", "value", "version")

    def __init__(self, name: str):
        self.name = name
        self.value: Any = UNINITIALIZED
        self.version = 0
        self.reference: Any = None
        """A reference to the same value in Ray's object store, once one was needed."""
        self.replicas: Sequence = ()
        """References to copies on other machines."""
        self.freed: threading.Condition | None = None
        """Wakes runs that wait to own the cell. Created by the first one that has to wait."""


class Mirror:
    """All cells of a session."""

    def __init__(self):
        self.mutex = fresh(threading.Lock())
        self.owners: dict[Cell, Any] = {}
        """The owner of each owned cell, who alone may change it. `setdefault` takes a cell if it is free."""
        self.running: set[Any] = set()
        """The active runs."""
        self._cells: dict[str, Cell] = {}

    def cell(self, name: str) -> Cell:
        """The cell of the variable `name`, created without a value if necessary."""
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
        """(value, version) of each cell, all from one moment."""
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

        owner: the run that owns the cells. They are released, and the run is over. None if nothing is to be released.
        versions: version tokens by name, if they were assigned already.   replicas: copies on other machines.
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
                except BaseException as error:  # Ctrl-C between two cells: still publish all of them
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
        """Publish (value, version) for each cell, all at once."""
        writes = [(cell, cell.name, number) for number, cell in enumerate(values)]
        versions = {cell.name: version for cell, (_, version) in values.items()}
        self.commit(writes, [value for value, _ in values.values()], versions=versions)

    def stored(self, cell: Cell, version: int, reference: Any, alone: bool) -> None:
        """Note that a version is in Ray's object store.

        alone: drop the local value, so that large data is held once.
        """
        with self.mutex:
            if cell.version == version:
                cell.reference = reference
                if alone:
                    cell.value = reference

    def wait_for(self, cell: Cell, owner: Any, stop: Sequence = ()) -> None:
        """Wait until another owner releases a cell, and take it. Raises Stopped if `stop` fills up first."""
        with self.mutex:
            if cell.freed is None:  # set before checking the owner: `release` deletes the owner, then checks this
                cell.freed = threading.Condition(self.mutex)
            while self.owners.setdefault(cell, owner) is not owner:
                if stop:
                    raise Stopped
                cell.freed.wait(_STOP_CHECK_SECONDS)

    def release(self, cells: Iterable[Cell], owner: Any) -> None:
        """Release those of the cells that `owner` owns."""
        for cell in cells:
            if self.owners.get(cell) is owner:
                del self.owners[cell]
                if cell.freed is not None:
                    with self.mutex:
                        cell.freed.notify()

    @contextmanager
    def owned(self, cells: Iterable[Cell], stop: Sequence = ()) -> Iterator[None]:
        """Own some cells while the block runs. Raises Stopped if `stop` fills up while waiting for one."""
        owner, ordered = object(), in_order(cells)
        try:
            for cell in ordered:
                if self.owners.setdefault(cell, owner) is not owner:
                    self.wait_for(cell, owner, stop)
            yield
        finally:
            self.release(ordered, owner)


def in_order(cells: Iterable[Cell]) -> list[Cell]:
    """Cells in the order in which they must be taken: by name."""
    return sorted(cells, key=lambda cell: cell.name)


class Cells:
    """The cells that runs of one dataflow read and write, looked up once.

    writes: (cell, name, number of the value to publish).
    taken: (cell, number of the newest version or None) of the write set, in the order of the names.
    newest: maps the number of a newest version to (cell, name).
    seen: the numbers, by name, and the cells of newest versions that the runs only read.
    """

    def __init__(self, mirror: Mirror, flow: Any):
        self.mirror = mirror
        self.pinned = [mirror.cell(name) for name in flow.pinned]
        self.writes = [(mirror.cell(name), name, number) for name, number in flow.writes.items()]
        self.taken = [(cell, flow.newest.get(cell.name)) for cell in in_order([cell for cell, _, _ in self.writes])]
        self.newest = {number: (mirror.cell(name), name) for name, number in flow.newest.items()}
        seen = {name: number for name, number in flow.newest.items() if name not in flow.writes}
        self.seen = (seen, [mirror.cell(name) for name in seen])


_RUN_KEY = "key"


class Draws:
    """The position of each random stream of a session. A failed run advances none."""

    def __init__(self, entropy: int):
        self._entropy = entropy
        self._next: dict[str, int] = {}
        self._lock = fresh(threading.Lock())

    def take(self, ops: Iterable[Any], kept: dict) -> list[tuple[tuple[int, int], int]]:
        """Take the next position of each operation's stream, as (key of the stream, number of the draw).

        A user's function gets the run's key, which is `kept` for all attempts at the run, and its index among the nodes
        of the run that draw.
        """
        places = []
        with self._lock:
            for number, op in enumerate(ops):
                if op.traits.user:
                    if _RUN_KEY not in kept:
                        kept[_RUN_KEY] = new_key()
                    places.append((kept[_RUN_KEY], number))
                    continue
                draw = self._next.get(op.name, 0)
                self._next[op.name] = draw + 1
                places.append((op.attrs["_seed"] or (self._entropy, op.index), draw))
        return places

    def give_back(self, ops: Iterable[Any], places: Iterable[tuple[tuple[int, int], int]]) -> None:
        """Return the positions of a failed run, unless another run has moved a stream on."""
        with self._lock:
            for op, (_, draw) in zip(ops, places, strict=True):
                if not op.traits.user and self._next[op.name] == draw + 1:
                    self._next[op.name] = draw
