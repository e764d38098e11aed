"""The captured state of a program's functions, as it is sent along with the program.

What a function pickled by value refers to is part of its pickle. Other functions refer to names of modules and classes,
of which each process has its own. Those names are set before each run to their values in the program at the start of
the run. After the run we look for changes of captured state. A function that made one must run in the program, where
the change lasts. A change is one of these:

in place     a small object's pickled bytes differ
rebinding    a global of a function pickled by value, a closure cell, or a name of a module or class is another object
of a large   object: arrays, also those of frames, are read-only during the run, so writing raises and the function goes
             to the program; of buffers, a checksum is compared; of containers, the length, and first the items as well
"""

from __future__ import annotations

import copyreg
import hashlib
import io
import random
import sys
import uuid
from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context, ContextVar
from enum import Enum
from functools import partial, singledispatchmethod
from importlib import import_module
from operator import is_
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any
from zlib import adler32

import cloudpickle
import numpy as np

from weftwork.graph.python.captured import SMALL, Captured, pickled, reference_to
from weftwork.graph.python.captured_kinds import is_changed, is_generic
from weftwork.graph.python.frames import arrays_of, is_lazy
from weftwork.graph.python.inspection import ATOMS, MISSING, content, space_of, value_of
from weftwork.graph.python.made_at_import import is_made_at_import
from weftwork.graph.python.modules import is_own, is_owned, settle_reloaded

_PLAIN = (int, float, complex, bool, str, bytes, type(None))
_CODE = (FunctionType, BuiltinFunctionType, type)


class _Marker(Enum):
    """Stands for a value: the one that the module was imported with, or none."""

    IMPORTED = "imported"
    ABSENT = "absent"


_IMPORTED, _ABSENT = _Marker.IMPORTED, _Marker.ABSENT


class _Made(str):
    """The name of a module of the program that no other process can import."""


class Carried:
    """The state of some functions at one moment.

    names: (module name, class or function; name; value).   of: for each name, the number of the function that uses it.
    variables: (function number, context variable, value).   objects: for each function, what it may change in place.
    owners: for each function, the program's object that it is or is bound to, else None.
    spaces: for each function, (function pickled by value, names of its globals) of those that it calls.
    dirty: true if a run leaves the state changed, judging by the functions' code.
    """

    def __init__(self, captured: Iterable[Captured], isolated: bool):
        """isolated: the functions may write, because they run in another process anyway."""
        self.names: list[tuple[Any, str, Any]] = []
        self.of: list[int] = []
        self.spaces: list[list[tuple[FunctionType, tuple[str, ...]]]] = []
        self.owners: list[Any] = []
        self.variables: list[tuple[int, ContextVar, Any]] = []
        self.objects: list[list] = []
        self.isolated = isolated
        self.dirty = False
        for number, each in enumerate(captured):
            found = [_named(holder, name, value, each.imported) for holder, name, value in each.names]
            named = [item for item in found if item is not None]
            self.names += named
            self.of += [number] * len(named)
            self.spaces.append([(f, names) for f, names in each.spaces if not _is_by_name(f)])
            self.variables += [(number, v, _ABSENT if value is MISSING else value) for v, value in each.variables]
            self.objects.append(each.objects)
            self.owners.append(_owner(each.function))
            self.dirty = self.dirty or bool(each.writes)
        self._before: list | None = None
        self._bound: list[_Bound] = []
        self._looks = _LOOKS

    def __bool__(self) -> bool:
        owners = [owner for owner in self.owners if owner is not None]
        return bool(self.names or self.variables or any(self.objects) or any(self.spaces) or owners or self.dirty)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_before": None, "_bound": []}

    def arrive(self) -> None:
        """Before a run: set the names, and remember the objects."""
        _undo()
        for holder, name, value in self.names:
            _set_name(holder, name, value)
        for _, variable, value in self.variables:
            if value is not _ABSENT:
                variable.set(value)
        if self._before is None:
            self._before = [[pickled(value) for value in objects] for objects in self.objects]
        self._looks -= self._looks > 0
        self._bound = [] if self.isolated else [_Bound(*each, closely=self._looks > 0) for each in self._bindings()]

    def changed(self) -> list[int]:
        """After a run: restore the names. Returns the numbers of the functions whose state has changed."""
        anew = {each.number for each in self._bound if each.is_changed()}
        self._bound = []
        _undo()
        after = [[pickled(value) for value in objects] for objects in self.objects]
        anew.update([n for n, (old, new) in enumerate(zip(self._before or after, after, strict=True)) if old != new])
        return sorted(anew)

    def _bindings(self) -> Iterator[tuple[int, Callable, Any]]:
        """Yield (function number, look-up function, its argument) for everything that could be rebound."""
        for number, (holder, name, value) in zip(self.of, self.names, strict=True):
            if value is not _IMPORTED and value is not _ABSENT:
                yield number, vars(_holder_of(holder)).get, name
        for number, spaces in enumerate(self.spaces):
            for function, names in spaces:
                for name in names:
                    yield number, function.__globals__.get, name
                for cell in function.__closure__ or ():
                    yield number, content, cell
        for number, variable, _ in self.variables:
            yield number, value_of, variable
        for number in range(len(self.owners)):
            yield number, self.owners.__getitem__, number


class _Bound:
    """What a name is bound to while functions run. A large array is read-only meanwhile."""

    __slots__ = ("_items", "_look", "_mark", "_name", "_value", "number")

    def __init__(self, number: int, look: Callable, name: Any, *, closely: bool):
        """closely: compare the items of containers, too."""
        self.number, self._look, self._name = number, look, name
        self._value = value = look(name)
        self._mark = _mark(value)
        self._items = [(each, _contents(each)) for each in _containers(value)] if closely else ()
        for each in _large(value):
            each.flags.writeable = False
            _locked.append(each)

    def is_changed(self) -> bool:
        """True if the name is bound to another object, or if the object's length, attributes or items have changed."""
        if self._look(self._name) is not self._value or _mark(self._value) != self._mark:
            return True
        return any([not _is_same(_contents(each), before) for each, before in self._items])


_DICTS = (dict, OrderedDict, defaultdict, Counter)
_SIZED, _BUFFERS = frozenset([list, set, deque, *_DICTS]), frozenset([bytearray, array])
_ARRAYS = frozenset([np.ndarray, np.memmap])
_LOOKS = 3
"""One more than the runs in which the items of containers are compared: what a function changes, it changes soon."""
_MOST_HASHED = 1 << 20
"""Bytes of a container's pickle up to which changes inside its items are noticed: hashing them takes some 10 ms. Also
the items at the beginning of a buffer that are compared: their checksum takes some 0.3 ms."""
_MOST_ITEMS = 1_000_000
"""Containers with more items are taken as constant: comparing a million takes 20 ms."""


def _mark(value: Any) -> Any:
    """A cheap fingerprint that reveals some changes in place."""
    if type(value) in _SIZED:
        return len(value)
    if type(value) in _BUFFERS:
        return len(value), adler32(memoryview(value)[:_MOST_HASHED])
    return [(id(each), _mark(each) if type(each) in _BUFFERS else None) for each in _attributes(value)]


def _containers(value: Any) -> list:
    """The containers whose items are compared: the value itself, or its attributes."""
    found = [value] if type(value) in _SIZED else _attributes(value)
    return [each for each in found if type(each) in _SIZED and len(each) <= _MOST_ITEMS]


def _contents(container: Any) -> bytes | list:
    """A hash of a container's pickle; its items if that is large, or if they do not pickle."""
    file = _Hash()
    try:
        cloudpickle.Pickler(file, 5).dump(container)
        return file.hash.digest()
    except Exception:
        return list(container.values() if type(container) in _DICTS else container)


def _is_same(now: Any, before: Any) -> bool:
    return now == before if bytes in (type(now), type(before)) else all(map(is_, now, before))


def _attributes(value: Any) -> list:
    """The attributes of an object whose class is the program's; no attributes for others."""
    return list((space_of(value) or {}).values()) if type(value) not in ATOMS and is_owned(type(value)) else []


_locked: list[np.ndarray] = []
"""Arrays that are read-only until the run is over."""


def _large(value: Any) -> list[np.ndarray]:
    """The large writable arrays in a value and in its attributes: these themselves, or the data of frames."""
    found: list = []
    for each in (value, *_attributes(value)):
        kind = type(each)
        found += [each] if kind in _ARRAYS else arrays_of(each) if kind not in ATOMS and is_lazy(kind) else []
    return [each for each in found if each.nbytes > SMALL and each.flags.writeable]


# In the program


def _named(holder: Any, name: str, value: Any, imported: set[str]) -> tuple | None:
    """How to send a name's value with a program. None if it is not needed or not possible.

    imported: the modules that the functions import while they run; those inside of packages among them, too.
    """
    if isinstance(holder, FunctionType) and not _is_by_name(holder):
        return None  # its attributes go with it
    if isinstance(holder, ModuleType):
        where = home = holder.__name__
        settle_reloaded(where)
        by_value = where == "__main__" or where in cloudpickle.list_registry_pickle_by_value()
        theirs = where == "__main__" or any([f"{where}.".startswith(f"{each}.") for each in imported])
        if (by_value and not theirs) or sys.modules.get(where) is not holder:
            return None
        where = _Made(where) if by_value and where != "__main__" else where
        full = name
    else:
        where, home, by_value = holder, holder.__module__, False
        full = f"{holder.__qualname__}.{name}"
    if value is MISSING:
        return where, name, _ABSENT
    if isinstance(holder, ModuleType) and is_changed(holder, name):
        return where, name, value  # if it does not pickle, the function runs in the caller
    if type(value) is singledispatchmethod or (isinstance(value, FunctionType) and is_generic(value)):
        return where, name, value
    if isinstance(value, _CODE) and (value.__module__, value.__qualname__) == (home, full):
        return where, name, value if by_value else _IMPORTED
    if isinstance(value, (ModuleType, property, classmethod, staticmethod)) or _is_made_by(value, holder):
        return None
    if not isinstance(value, (*_PLAIN, FunctionType)) and not _is_to_go(holder, where, name, value):
        return None
    return where, name, value


def _owner(function: Any) -> Any:
    while isinstance(function, partial):
        function = function.func
    if isinstance(function, MethodType):
        function = function.__self__
    return function if not isinstance(function, _CODE) and is_owned(type(function)) else None


def _is_by_name(function: FunctionType) -> bool:
    """True for a function that other processes can import. Its globals are names of a module then."""
    name = function.__module__
    if name == "__main__" or name in cloudpickle.list_registry_pickle_by_value():
        return False
    found: Any = sys.modules.get(name)
    for part in function.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is function


def _is_made_by(value: Any, holder: Any) -> bool:
    """True for enumeration members, slots and other descriptors, which the class makes itself."""
    if not isinstance(holder, type) or isinstance(value, FunctionType):
        return False
    return isinstance(value, holder) or hasattr(type(value), "__get__")


_first: dict[tuple[Any, str], Callable[[], Any]] = {}
"""The first value that was seen of a name, by holder and name."""
_MAY_BE_SENT = 8 << 20
"""Bytes up to which a module's value is sent even if importing the module seems to make it."""


def _is_to_go(holder: Any, where: Any, name: str, value: Any) -> bool:
    """Whether to send a value. A large one goes unless importing its module makes it; what cannot be pickled does not.

    A larger one is taken as constant, and goes once it was rebound.
    """
    key = (where if isinstance(where, str) else f"{where.__module__}:{where.__qualname__}", name)
    first = _first.setdefault(key, reference_to(value))() is value
    if pickled(value) is not None:
        return True
    is_sent = _pickles(value, _MAY_BE_SENT)
    if is_sent is None:
        made = first and isinstance(holder, ModuleType) and is_made_at_import(holder, name)
        return not made and bool(_pickles(value, sys.maxsize))
    return is_sent


class _Counter(io.RawIOBase):
    """A file that only counts, and raises OverflowError at a limit."""

    def __init__(self, limit: int):
        self.left = limit

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self.left -= size
        if self.left < 0:
            raise OverflowError
        return size


class _Hash(_Counter):
    """Such a file that hashes what is written to it."""

    def __init__(self):
        super().__init__(_MOST_HASHED)
        self.hash = hashlib.blake2b()

    def write(self, data: Any) -> int:
        size = super().write(data)
        self.hash.update(data)
        return size


def _pickles(value: Any, limit: int) -> bool | None:
    """Whether a value can be pickled; None if it takes more bytes than `limit`."""
    if type(value) is memoryview and value.nbytes > limit:  # cloudpickle would copy it first
        return None
    counter = _Counter(limit)
    try:
        cloudpickle.Pickler(counter, 5, lambda buffer: not counter.write(buffer)).dump(value)
    except OverflowError:
        return None
    except Exception:
        return False
    return True


# In the receiving process

_originals: dict[tuple[Any, str], Any] = {}


def _undo() -> None:
    """Restore the names that the modules were imported with, because unpickling by name must find the originals."""
    while _locked:
        _locked.pop().flags.writeable = True
    while _originals:
        (holder, name), value = _originals.popitem()
        _set_or_delete(_holder_of(holder), name, value)


def _holder_of(holder: Any) -> Any:
    if type(holder) is _Made:
        return _made(holder)
    return (sys.modules.get(holder) or import_module(holder)) if type(holder) is str else holder


def _made(name: str) -> ModuleType:
    """A module that is on no path, for functions that import it themselves: it begins empty."""
    module = sys.modules.get(name)
    if module is None:
        module = sys.modules[name] = ModuleType(name)
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules.get(parent) or _made(parent), last, module)
    return module


def _set_name(holder: Any, name: str, value: Any) -> None:
    if value is _IMPORTED:
        return
    place = _holder_of(holder)
    now = vars(place).get(name, _ABSENT)
    if now is not value:
        _originals.setdefault((holder, name), now)
        _set_or_delete(place, name, value)


def _set_or_delete(place: Any, name: str, value: Any) -> None:
    if value is not _ABSENT:
        setattr(place, name, value)
    elif name in vars(place):
        delattr(place, name)


# Context variables: each has one counterpart in every other process

_variables: dict[str, ContextVar] = {}
_ids: dict[ContextVar, str] = {}


def _reduced(variable: ContextVar) -> tuple:
    for name, module in list(sys.modules.items()):
        if name != "__main__" and is_own(name) and name not in cloudpickle.list_registry_pickle_by_value():
            for attribute, value in list(vars(module).items()):
                if value is variable:
                    return _variable_of, (name, attribute)
    token = _ids.setdefault(variable, uuid.uuid4().hex)
    _variables[token] = variable
    try:
        return _variable, (token, variable.name, Context().run(variable.get))
    except LookupError:  # it has no default
        return _variable, (token, variable.name)


def _variable_of(module: str, attribute: str) -> ContextVar:
    return getattr(import_module(module), attribute)


def _variable(token: str, name: str, *default: Any) -> ContextVar:
    known = _variables.get(token)
    if known is None:
        known = _variables[token] = ContextVar(name, default=default[0]) if default else ContextVar(name)
        _ids[known] = token
    return known


copyreg.pickle(ContextVar, _reduced)  # type: ignore[arg-type]


# The global generators of `random` and `numpy.random`: each process has its own

_PYTHONS, _NUMPYS = random.random.__self__, np.random.rand.__self__  # type: ignore[attr-defined]


def _generator(name: str) -> Any:
    return _PYTHONS if name == "random" else _NUMPYS


def _reduced_python(generator: random.Random) -> Any:
    return (_generator, ("random",)) if generator is _PYTHONS else generator.__reduce__()


def _reduced_numpy(generator: np.random.RandomState) -> Any:
    return (_generator, ("numpy",)) if generator is _NUMPYS else generator.__reduce__()


copyreg.pickle(random.Random, _reduced_python)  # type: ignore[arg-type]
copyreg.pickle(np.random.RandomState, _reduced_numpy)  # type: ignore[arg-type]
