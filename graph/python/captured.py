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

import copyreg
import io
import pickle
import sys
from collections.abc import Callable, Iterable
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any
from weakref import ref

import numpy as np

from weftwork.graph.python.captured_kinds import SURROUNDINGS, UNPICKLABLE, is_data, is_per_process
from weftwork.graph.python.captured_walk import Walk
from weftwork.graph.python.inspection import ATOMS, kept_weakly, remembered
from weftwork.graph.python.modules import settle_modules
from weftwork.graph.python.ownership import is_atom
from weftwork.graph.python.seeded import PACKAGES

SMALL = 1 << 16
"""Largest pickled size, in bytes, of an object whose mutations are detected. Larger ones are taken as constant."""


class Captured:
    """What one function refers to; analyzed again whenever that has changed.

    version: incremented by each change that `look` finds.
    writes: keys of everything it writes.   reads: keys of everything it refers to, `writes` included.
    objects: its small mutable objects that can be pickled.   variables: its context variables and their values.
    names: (module or class, name, value) of references into the program's modules and classes.
    spaces: (function, names) of the program's functions that it calls, itself included, and the data in their globals.
    classes: classes of the program that it may instantiate.
    draws: bits that tell what it may draw random numbers from.   main: it depends on its thread.
    ends: it may end the process that it runs in.   has_data: it refers to more than code.
    """

    def __init__(self, function: Callable, whole: tuple[type, ...] = (), given: Iterable = ()):
        """whole: types whose objects are compared by identity, not by content."""
        self.function = function
        self.version = 0
        self._kinds = whole
        self._was_seen_writing = False
        self._seen_by: dict[int, tuple[list, list]] = {}
        """By the id of a cached function that has results: what it referred to then."""
        self._looked_at: list = []
        self._bytes: list[bytes | None] = []
        self._given = {id(part): reference_to(part) for part in given}
        self._walk()

    def look(self, known: dict[int, bytes | None] | None = None) -> int:
        """Check for rebindings and mutations, and return the version.

        known: fingerprints by the ids of objects, for several functions that look at the same moment.
        """
        now = [id(source(name)) for source, name in self._sources]
        now.append(is_watched())
        dead = [None for value in self._weak if value() is None]
        if now != self._ids or dead or self._fingerprints({} if known is None else known) != self._bytes:
            self._walk()
            self.version += 1
        return self.version

    def take(self, parts: Iterable[Any]) -> None:
        """Capture functions, and classes of objects, that arrive as arguments."""
        new = [part for part in parts if (known := self._given.get(id(part))) is None or known() is not part]
        if new:
            self._given = {key: known for key, known in self._given.items() if known() is not None}
            self._given.update({id(part): reference_to(part) for part in new})
            self._walk()
            self.version += 1

    def record_write(self) -> None:
        """Record that a call has mutated an object although the code does not show it."""
        self._was_seen_writing = True
        self._walk()
        self.version += 1

    def _walk(self) -> None:
        settle_modules()
        given = [part for known in self._given.values() if (part := known()) is not None]
        walk = Walk(self.function, self._kinds, given)
        if self._was_seen_writing:
            walk.writes |= walk.data or {SURROUNDINGS}
        walk.writes.update([("object", id(cached)) for cached in walk.caches if self._matters(cached)])
        self.names, self.imported, self.variables = walk.names, walk.imported, walk.variables
        self.spaces, self.classes = walk.spaces, list(walk.classes.values())
        self.draws, self.main, self.has_data = walk.draws, walk.main, bool(walk.data)
        self.ends = walk.ends and not walk.forks  # if it forks, it ends the child
        found = [(value, *fingerprint(value, self._kinds)) for value in walk.objects.values()]
        for value, text, travels in found:
            if text is None:
                walk.attributes_of(value)
            elif not travels and not (id(value) in walk.each and is_per_process(value)):
                walk.writes.update([UNPICKLABLE, ("object", id(value))])
        if not walk.drawing.isdisjoint(walk.attributes):
            self.draws |= PACKAGES
        if is_watched():
            walk.writes.add(SURROUNDINGS)
        self.writes = frozenset(walk.writes)
        self.reads = frozenset(walk.reads) | self.writes
        self._sources = walk.sources
        self._ids = [*map(id, walk.values), is_watched()]
        self._weak, self._strong = kept_weakly(walk.values)
        self._looked_at = [value for value, text, _ in found if text is not None]
        self._bytes = [text for _, text, _ in found if text is not None]
        self.objects = [value for value, _, travels in found if travels]

    def _matters(self, cached: Any) -> bool:
        """Whether what a cached function has remembered in this process may differ from what it would return elsewhere.

        It does if the program can change it, or if something that the function refers to has changed since.
        """
        if any([_may_change(value) and fingerprint(value, self._kinds)[0] is not None for value in remembered(cached)]):
            return True
        values = Walk(cached.__wrapped__, self._kinds, []).values
        weak, strong = self._seen_by.setdefault(id(cached), kept_weakly(values))
        known = {id(value() if type(value) is ref else value) for value in (*weak, *strong)}
        return known != {*map(id, values)}

    def _fingerprints(self, known: dict[int, bytes | None]) -> list[bytes | None]:
        for value in self._looked_at:
            if id(value) not in known:
                known[id(value)] = fingerprint(value, self._kinds)[0]
        return [known[id(value)] for value in self._looked_at]


def is_watched() -> bool:
    """True while a debugger, a profiler or a coverage tool follows this thread: it cannot follow other processes."""
    return sys.gettrace() is not None or sys.getprofile() is not None


def _may_change(value: Any) -> bool:
    return is_data(value) and not is_atom(value) and not (isinstance(value, np.ndarray) and not value.flags.writeable)


def reference_to(part: Any) -> Callable[[], Any]:
    """A weak reference, or a strong one to objects that allow no weak ones."""
    try:
        return ref(part)
    except TypeError:
        return lambda: part


class _SmallFile(io.BytesIO):
    """Raises OverflowError once more than `SMALL` bytes are written to it."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > SMALL:
            raise OverflowError
        return super().write(data)


class _Pickler(pickle.Pickler):
    """Pickles some objects as their identity: code, objects of given types, and objects that cannot be pickled.

    travels: whether all objects can be pickled.
    """

    def __init__(self, file: io.BytesIO, whole: tuple[type, ...]):
        super().__init__(file, protocol=5)
        self._whole = whole
        self.travels = True

    def reducer_override(self, obj: Any) -> Any:
        """Pickle's own way, unless an object is to be known by its identity."""
        kind = type(obj)
        if obj is int:  # identities are pickled as calls of it
            return NotImplemented
        if kind in _CODE or isinstance(obj, type) or issubclass(kind, self._whole):
            return int, (id(obj),)
        try:
            reduce = copyreg.dispatch_table.get(kind)
            reduced = reduce(obj) if reduce is not None else obj.__reduce_ex__(5)
        except RecursionError:
            raise
        except Exception:
            self.travels = False
            return int, (id(obj),)
        return reduced if type(reduced) is tuple else (int, (id(obj),))


_CODE = frozenset([FunctionType, BuiltinFunctionType, ModuleType])


def fingerprint(value: Any, whole: tuple[type, ...] = ()) -> tuple[bytes | None, bool]:
    """Bytes that change with an object, or None if it is large; and whether it can be pickled.

    whole: types whose objects are pickled as their identity.
    """
    if getattr(type(value), "nbytes", None) is not None and isinstance(value, np.ndarray) and value.nbytes > SMALL:
        return None, False
    if isinstance(value, (list, dict, set, bytearray)) and len(value) > SMALL >> 3:
        return None, False
    if not whole or type(value) in ATOMS:
        try:
            text = pickle.dumps(value, protocol=5)
            return (text, True) if len(text) <= SMALL else (None, False)
        except Exception:  # it is of a local class, or holds a lock
            pass
    file = _SmallFile()
    pickler = _Pickler(file, whole)
    try:
        pickler.dump(value)
    except Exception:
        return None, False
    return file.getvalue(), pickler.travels


def pickled(value: Any, whole: tuple[type, ...] = ()) -> bytes | None:
    """An object's pickled bytes, for comparison; None if it is large or cannot be pickled."""
    text, travels = fingerprint(value, whole)
    return text if travels else None
