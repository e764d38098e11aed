"""Captured state: what a Python function refers to beyond its arguments, and whether that has changed.

reference   a name that its code looks up: a global, a closure cell, an attribute of a module or of a class; and the
            same of its helpers, the functions of the program that it calls
given       functions, and classes of objects, that come as arguments: what their code refers to is captured as well
object      something small and mutable behind a reference: a list, a dict, an instance. It is known by its bytes
write       a reference that the code binds anew, or an object that it changes in place
own         code of the program, which is looked into; that of Python and of installed packages is not

A rebinding is seen by comparing identities, 20 ns a reference; a change in place by pickling the small objects.
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
"""Bytes of a pickled object up to which its changes in place are seen. A larger one is taken as constant."""


class Captured:
    """What one function refers to, looked at anew whenever it has changed.

    version: goes up with each change that `look` finds.
    writes: keys of what it writes.   reads: keys of all that it refers to, so also of what it writes.
    objects: its small mutable objects.   variables: its context variables, and their values.
    names: (module or class, name, value) of what it refers to in the program's modules and classes.
    spaces: (function, names) of the program's functions that it calls, itself too, and the data in their globals.
    classes: of the program, of which it may make objects.
    draws: whether it may draw from `random` or `numpy.random`, as bits.   main: it looks at its thread.
    ends: it may end the process that it runs in.
    """

    def __init__(self, function: Callable, whole: tuple[type, ...] = (), given: Iterable = ()):
        """whole: types whose objects are known by who they are: they are not looked into."""
        self.function = function
        self.version = 0
        self._kinds = whole
        self._found_writing = False
        self._bytes: list[bytes | None] = []
        self._given = {id(part): _held(part) for part in given}
        self._walk()

    def look(self) -> int:
        """The version, after a look at whether anything was bound anew or changed in place."""
        now = [id(source(name)) for source, name in self._sources]
        gone = [None for value in self._weak if value() is None]
        if now != self._ids or gone or self._pickled() != self._bytes:
            self._walk()
            self.version += 1
        return self.version

    def take(self, parts: Iterable[Any]) -> None:
        """Functions, and classes of objects, come as arguments."""
        new = [part for part in parts if (known := self._given.get(id(part))) is None or known() is not part]
        if new:
            self._given = {key: known for key, known in self._given.items() if known() is not None}
            self._given.update({id(part): _held(part) for part in new})
            self._walk()
            self.version += 1

    def writes_after_all(self) -> None:
        """A call of the function has changed an object, though its code does not say so."""
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
        self.ends = walk.ends and not walk.forks  # else it is a child that it ends
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


def _held(part: Any) -> Callable[[], Any]:
    """A weak reference; the process's generators, of which there are none, stay anyway."""
    return (lambda: part) if part is PYTHONS or part is NUMPYS else ref(part)


class _Pickler(pickle.Pickler):
    """Writes of objects of some types who they are."""

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
    """An object's bytes, to compare; None for one that is large, or does not pickle.

    whole: types of which an object's bytes say no more than who it is.
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
