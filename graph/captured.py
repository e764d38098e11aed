"""Captured state: what a Python function refers to beyond its arguments, and whether that has changed.

reference   a name that the code looks up: a global, a closure cell, an attribute of a module or class; the names
   looked up by its helpers (other functions of the program that it calls) count as well
given       functions, and classes of objects, passed as arguments: references in their code are captured, too
object      a small mutable object behind a reference: a list, a dict, an instance. Compared by its pickled bytes
write       a reference that the code rebinds, or an object that it mutates
own         code of the program, which is analyzed; code of Python and of installed packages is not

A rebinding is detected by comparing identities, 20 ns a reference; a mutation by pickling the small objects.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterable
from typing import Any
from weakref import ref

import numpy as np

from weftwork.graph.captured_kinds import NUMPYS, PYTHONS, SURROUNDINGS
from weftwork.graph.captured_walk import Walk
from weftwork.graph.inspection import (
    ATOMS,
    kept_weakly,
)

SMALL = 1 << 16
"""Largest pickled size, in bytes, of an object whose mutations are detected. Larger ones are taken as constant."""


class Captured:
    """What one function refers to; analyzed again whenever that has changed.

    version: incremented by each change that `look` finds.
    writes: keys of everything it writes.   reads: keys of everything it refers to, `writes` included.
    objects: its small mutable objects.   variables: its context variables and their values.
    names: (module or class, name, value) of references into the program's modules and classes.
    spaces: (function, names) of the program's functions that it calls, itself included, and the data in their globals.
    classes: classes of the program that it may instantiate.
    draws: bits that tell whether it may draw from `random` or `numpy.random`.   main: it depends on its thread.
    ends: it may end the process that it runs in.
    """

    def __init__(self, function: Callable, whole: tuple[type, ...] = (), given: Iterable = ()):
        """whole: types whose objects are compared by identity, not by content."""
        self.function = function
        self.version = 0
        self._kinds = whole
        self._found_writing = False
        self._bytes: list[bytes | None] = []
        self._given = {id(part): _reference_to(part) for part in given}
        self._walk()

    def look(self) -> int:
        """Check for rebindings and mutations, and return the version."""
        now = [id(source(name)) for source, name in self._sources]
        dead = [None for value in self._weak if value() is None]
        if now != self._ids or dead or self._pickled() != self._bytes:
            self._walk()
            self.version += 1
        return self.version

    def take(self, parts: Iterable[Any]) -> None:
        """Capture functions, and classes of objects, that arrive as arguments."""
        new = [part for part in parts if (known := self._given.get(id(part))) is None or known() is not part]
        if new:
            self._given = {key: known for key, known in self._given.items() if known() is not None}
            self._given.update({id(part): _reference_to(part) for part in new})
            self._walk()
            self.version += 1

    def writes_after_all(self) -> None:
        """Record that a call has mutated an object although the code does not show it."""
        self._found_writing = True
        self._walk()
        self.version += 1

    def _walk(self) -> None:
        given = [part for known in self._given.values() if (part := known()) is not None]
        walk = Walk(self.function, self._kinds, given)
        if self._found_writing:
            walk.writes |= walk.data or {SURROUNDINGS}
        self.writes = frozenset(walk.writes)
        self.reads = frozenset(walk.reads) | self.writes
        self.objects, self.names, self.variables = list(walk.objects.values()), walk.names, walk.variables
        self.spaces, self.classes = walk.spaces, list(walk.classes.values())
        self.draws, self.main = walk.draws, walk.main
        self.ends = walk.ends and not walk.forks  # if it forks, it ends the child
        self._bytes = self._pickled()
        for value, text in zip(self.objects, self._bytes, strict=True):
            if text is None:
                walk.attributes_of(value)
        self._sources = walk.sources
        self._ids = list(map(id, walk.values))
        self._weak, self._strong = kept_weakly(walk.values)
        self.objects = [o for o, text in zip(self.objects, self._bytes, strict=True) if text is not None]
        self._bytes = [text for text in self._bytes if text is not None]

    def _pickled(self) -> list[bytes | None]:
        return [pickled(value, self._kinds) for value in self.objects]


def _reference_to(part: Any) -> Callable[[], Any]:
    """A weak reference; for the global generators, which allow none, a strong one does no harm: they live forever."""
    return (lambda: part) if part is PYTHONS or part is NUMPYS else ref(part)


class _Pickler(pickle.Pickler):
    """Pickles objects of some types as their identity."""

    def __init__(self, file: io.BytesIO, whole: tuple[type, ...]):
        super().__init__(file, protocol=5)
        self._kinds = whole

    def persistent_id(self, obj: Any) -> Any:
        return id(obj) if issubclass(type(obj), self._kinds) else None


def _bytes_of(value: Any, whole: tuple[type, ...]) -> bytes:
    if not whole or type(value) in ATOMS:
        return pickle.dumps(value, protocol=5)
    file = io.BytesIO()
    _Pickler(file, whole).dump(value)
    return file.getvalue()


def pickled(value: Any, whole: tuple[type, ...] = ()) -> bytes | None:
    """An object's pickled bytes, for comparison; None if it is large or cannot be pickled.

    whole: types whose objects are pickled as their identity.
    """
    if getattr(type(value), "nbytes", None) is not None and isinstance(value, np.ndarray) and value.nbytes > SMALL:
        return None
    if isinstance(value, (list, dict, set, bytearray)) and len(value) > SMALL >> 3:
        return None
    try:
        text = _bytes_of(value, whole)
    except Exception:
        return None
    return text if len(text) <= SMALL else None
