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

import builtins
import functools
import io
import pickle
import random
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import ref

import numpy as np

from weftwork.graph.codes import CHANGES, CLASS, ROOT_SELF, Change, facts_of
from weftwork.graph.inspection import (
    ATOMS,
    MISSING,
    attribute,
    content,
    defaults,
    found_in,
    has_own,
    inside,
    kept_weakly,
    space_of,
    value_of,
)
from weftwork.graph.modules import is_own
from weftwork.graph.ownership import is_atomic
from weftwork.graph.seeded import NUMPY, PYTHON

SMALL = 1 << 16
"""Bytes of a pickled object up to which its changes in place are seen. A larger one is taken as constant."""

_ITSELF = ("__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__annotations__", "__slotnames__")
_ITEMS = 256
"""Items of an array of objects among which functions and classes are looked for."""
_MAKING = frozenset(
    "__init__ __new__ __init_subclass__ __set_name__ __post_init__ __getstate__ __setstate__ __reduce__".split()
)
"""Methods that write to an instance that is being made, or copied."""
_GENERATORS = (random.Random, np.random.Generator, np.random.RandomState, np.random.BitGenerator)
SURROUNDINGS = ("surroundings",)
"""The key of a write to what is around all functions."""
_MINE = ("stdin", "modules")
"""Of `sys`, what the program alone has: its input, and its main module. Who asks for them runs there."""
_SETTERS = {
    "os": "chdir fchdir putenv unsetenv umask nice",
    "sys": "setrecursionlimit setswitchinterval settrace setprofile set_int_max_str_digits",
    "signal": "signal alarm setitimer set_wakeup_fd siginterrupt",
    "decimal": "setcontext",
    "locale": "setlocale",
    "socket": "setdefaulttimeout",
    "numpy": "seterr seterrcall set_printoptions setbufsize",
    "time": "tzset",
}
"""Functions that change the surroundings of the whole program, by module."""
_PARTS = ("__code__", "__defaults__", "__kwdefaults__")
"""Of a function, what may be set: tools that load a module again do so."""
_GENERIC = functools.singledispatch(len).__code__  # type: ignore[attr-defined]
"""Of each function that `singledispatch` makes."""
_SYSTEM, _ENDS, _FORKS = ("os", "posix", "nt"), ("_exit", "abort"), ("fork", "forkpty")
"""Modules and functions that end a process, or fork one off."""
_MAIN = frozenset(["signal", "asyncio", "_asyncio"])
"""Modules of which functions need, or look at, the thread that they run in."""
_EACH = frozenset("sys os warnings logging signal threading builtins random gc".split())
"""Modules of which each process has names of its own; what must be alike is part of the surroundings."""
_DRAW = frozenset(["numpy.random", "numpy.random.mtrand"])
_PYTHONS, _NUMPYS = random.random.__self__, np.random.rand.__self__  # type: ignore[attr-defined]
"""The generators that `random` and `numpy.random` draw from."""
_CHANGED = (list, dict, set, bytearray, deque)
_SILENT = frozenset(["numpy", "weftwork", "ray", "cloudpickle"])
"""Installed packages that draw nothing, unless `random` of them is named."""


NONE, INSIDE, ROOT = 0, 1, 2
"""A value is not captured state; lies in something that is; is captured by itself."""
_CONTAINERS = (list, dict, set, bytearray)


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
        walk = _Walk(self.function, self._kinds, given)
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
    return (lambda: part) if part is _PYTHONS or part is _NUMPYS else ref(part)


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


def _is_of_main(value: Any) -> bool:
    """True for a function or class of the main module: what pickles it by its name must find it there."""
    return isinstance(value, (FunctionType, type)) and value.__module__ == "__main__"


def given(values: Iterable[Any]) -> Iterator[Any]:
    """The functions and classes of the program in some values: what they do when they are called is in no code yet."""
    todo, seen = list(values), set()
    for value in todo:
        kind = type(value)
        if kind in ATOMS or id(value) in seen:
            continue
        seen.add(id(value))
        if kind is FunctionType:
            if is_own(value.__module__):
                yield value
        elif kind is MethodType or kind is BuiltinFunctionType:
            todo += [getattr(value, "__func__", None), value.__self__]
        elif value is _PYTHONS or value is _NUMPYS:
            yield value
        elif kind is functools.partial:
            todo += [value.func, *value.args, *value.keywords.values()]
        elif isinstance(value, type):
            if is_own(value.__module__):
                yield value
        elif isinstance(value, np.ndarray):
            todo += value.ravel().tolist()[:_ITEMS] if value.dtype == object else []
        else:
            if is_own(kind.__module__):
                yield kind
            todo += inside(value)


class _ObjectOf:
    """Stands for an object of a class that a function makes, or gets: not itself, but its class is captured state."""

    def __init__(self, kind: type):
        self.kind = kind


class _Walk:
    """One walk over all that a function refers to. given: functions, and classes of objects, that come to it."""

    def __init__(self, function: Callable, whole: tuple[type, ...], given: list):
        self._kinds = whole
        self.sources: list[tuple[Callable, Any]] = []
        self.values: list[Any] = []
        self.writes: set = set()
        self.reads: set = set()
        self.data: set = set()
        self.spaces: list[tuple[FunctionType, tuple[str, ...]]] = []
        self.classes: dict[int, type] = {}
        self.attributes: set[str] = set()
        self.objects: dict[int, Any] = {}
        self.names: list[tuple[Any, str, Any]] = []
        self.variables: list[tuple[ContextVar, Any]] = []
        self.draws, self.main = 0, False
        self.ends = self.forks = False
        self._seen: set = set()
        self._todo: list[tuple[Any, frozenset, int]] = []
        self.visit(function, frozenset(), ROOT)
        for part in given:
            if not isinstance(part, type):
                self.visit(part, frozenset())
        self._go_on()
        classes = [part for part in given if isinstance(part, type) and id(part) not in self.classes]
        known = -1
        while known < len(self.attributes):  # the methods that are called may call others
            known = len(self.attributes)
            for kind in classes:
                self._methods_of(kind)
            self._go_on()

    def _go_on(self) -> None:
        while self._todo:
            self._look_at(*self._todo.pop())

    def visit(self, value: Any, names: frozenset, state: int = NONE) -> None:
        """Look at a value that code refers to, later.

        names: the attributes that this code asks for.   state: whether it is captured state, by itself or in something.
        """
        if type(value) not in ATOMS and self._is_new((id(value), names, state)):
            self._todo.append((value, names, state))

    def _look_at(self, value: Any, names: frozenset, state: int) -> None:
        kind = type(value)
        if kind is FunctionType:
            self._function(value)
        elif kind is MethodType and type(value.__func__) is not FunctionType:  # a partial, or any object, may bind
            for part in (value.__func__, value.__self__):
                self.visit(part, names, state)
        elif kind is MethodType:
            self.visit(value.__self__, frozenset([value.__func__.__name__]), state)
            self._function(value.__func__, value.__self__)
        elif kind is ModuleType or isinstance(value, ModuleType):
            self._module(value, names)
        elif isinstance(value, type):
            self._class(value, names)
        elif kind is BuiltinFunctionType:
            self._foreign(value)
        elif kind is functools.partial:
            for part in (value.func, *value.args, *value.keywords.values()):
                self.visit(part, names, state)
        elif kind is ContextVar:
            self.variables.append((value, self._refer(value_of, value, ("variable", id(value)))))
            self.visit(self.variables[-1][1], names, ROOT)
        elif kind in (staticmethod, classmethod):
            self.visit(value.__func__, names, state)
        elif kind is property:
            for part in (value.fget, value.fset):
                self.visit(part, names, state)
        elif not issubclass(kind, self._kinds):
            self._instance(value, names, state)

    def _refer(self, source: Callable, name: Any, key: Any) -> Any:
        value = source(name)
        self.sources.append((source, name))
        self.values.append(value)
        self.reads.add(key)
        if is_data(value):
            self.data.add(key)
        return value

    def _function(self, function: FunctionType, self_: Any = MISSING) -> None:
        space = function.__globals__
        if not is_own(space.get("__name__", "__main__")):
            self._foreign(function)
            if is_generic(function):
                self._generic(vars(function)["registry"])
            return
        facts = facts_of(function.__code__)
        self.attributes |= facts.attributes
        module = sys.modules.get(space.get("__name__", ""))
        data: list[str] = []
        roots: dict[Any, Any] = {}
        for name in facts.globals:
            value = self._refer(functools.partial(found_in, space), name, ("name", id(space), name))
            roots["global", name] = value
            if is_data(value):
                data.append(name)
            if module is not None and vars(module) is space and (module.__name__ != "__main__" or _is_of_main(value)):
                self.names.append((module, name, value))
            if value is MISSING:
                value = self._builtin(name)
            if value is not MISSING:
                self.visit(value, facts.attributes, ROOT)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            value = self._refer(content, cell, ("cell", id(cell)))
            roots["free", name] = value
            self.visit(value, facts.attributes, ROOT)
        for name in _PARTS:
            self._refer(functools.partial(getattr, function), name, ("object", id(function)))
        for name in vars(function):
            value = self._refer(functools.partial(found_in, vars(function)), name, ("object", id(function)))
            self.visit(value, facts.attributes, ROOT)
        for name, value in defaults(function):
            roots["local", name] = value
            self.visit(value, facts.attributes, ROOT)
        if self_ is not MISSING:
            roots[ROOT_SELF] = self_
        for name in facts.imports:
            module = sys.modules.get(name)
            roots["import", name] = MISSING if module is None else module
            if module is not None:
                self.visit(module, facts.attributes)
            elif name.partition(".")[0] in ("random", "signal", "asyncio"):
                self._named(name)
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        self.writes.update([("name", id(space), name) for name in facts.stored_globals])
        self.writes.update([("cell", id(cells[name])) for name in facts.stored_free])
        for change in facts.changes:
            self._changes(change, roots)
        if data or any([is_data(content(cell)) for cell in cells.values()]):
            self.spaces.append((function, tuple(data)))
        self._wrapped(function)

    def _builtin(self, name: str) -> Any:
        """What Python finds under a name that no module has. Others are told of what the program has put there."""
        value = self._refer(functools.partial(found_in, vars(builtins)), name, ("builtin", name))
        own = not isinstance(value, (BuiltinFunctionType, type)) and type(value).__module__ != "_sitebuiltins"
        if own and value is not MISSING and name[:2] != "__" and value is not Ellipsis and value is not NotImplemented:
            self.names.append((builtins, name, value))
            return value
        return value if value is input else MISSING

    def _generic(self, registry: Mapping) -> None:
        """What a generic function calls, as far as it is registered by now."""
        self._refer(len, registry, ("registered", id(registry)))
        for kind in list(registry):
            self.visit(self._refer(registry.get, kind, ("registered", id(registry), kind)), frozenset())

    def _changes(self, change: Change, roots: dict) -> None:
        """Code changes something in place: it is a write where that is captured state."""
        value = roots.get(change.root, MISSING)
        if value is MISSING:
            return
        holder, exact = value, True
        for step in change.path:
            found = _step(holder, step) if exact else MISSING
            exact = found is not MISSING
            holder = found if exact else holder
        if type(holder) is _ObjectOf:
            return
        if change.how == "method":
            if isinstance(holder, (ModuleType, type)) or type(holder) in _FIXED or has_own(holder, change.name):
                return
        elif change.how == "inplace":
            if not exact or not hasattr(type(holder), "__iadd__") or type(holder) in _FIXED:
                return
        if type(holder) is ContextVar:
            self.writes.add(("variable", id(holder)))
        elif isinstance(holder, ModuleType):
            self.writes.add(("name", id(vars(holder)), change.name))
        elif isinstance(holder, type) and change.how == "attribute":
            self.writes.update([("attribute", id(base), change.name) for base in holder.__mro__])
        else:
            self.writes.add(("object", id(value)))
            self.writes.add(("object", id(holder)))

    def _module(self, module: ModuleType, names: frozenset) -> None:
        name, space = module.__name__, vars(module)
        own = is_own(name)
        for asked in sorted(names & space.keys()) if not own else sorted(names):
            value = self._refer(functools.partial(found_in, space), asked, ("name", id(space), asked))
            first = _first.setdefault((name, asked), id(value))
            if not own and name not in _EACH and (first != id(value) or _is_put(value)):
                _changed.add((name, asked))
            if (own and name != "__main__") or (name, asked) in _changed:
                self.names.append((module, asked, value))
            if own or isinstance(value, (ModuleType, BuiltinFunctionType, FunctionType, MethodType)):
                self.visit(value, names, ROOT if own else NONE)
            if asked in _SETTERS.get(name, "").split():
                self.writes.add(SURROUNDINGS)
            if name == "sys" and asked in _MINE:
                self.writes.add((_MINE, asked))
        if name == "__main__":
            self.writes.add((_MINE, "modules"))
        self._named(name)

    def _named(self, name: str) -> None:
        """Code refers to a module, or to something of it."""
        top = name.partition(".")[0]
        if top == "random":
            self.draws |= PYTHON
        elif name in _DRAW:
            self.draws |= NUMPY
        elif top in _MAIN:
            self.main = True
        elif not is_own(name) and top not in _SILENT and top not in sys.stdlib_module_names:
            self.draws |= PYTHON | NUMPY

    def _foreign(self, function: Any) -> None:
        owner = getattr(function, "__self__", None)
        if owner is _PYTHONS:
            self.draws |= PYTHON
        elif owner is _NUMPYS:
            self.draws |= NUMPY
        elif isinstance(owner, _GENERATORS) or (function.__name__ in CHANGES and isinstance(owner, _CHANGED)):
            self.writes.add(("object", id(owner)))  # a method of an object, taken from it
        name = getattr(function, "__module__", None)
        if function is input:
            self.writes.add((_MINE, "stdin"))
        if isinstance(name, str):
            self._named(name)
            self.ends = self.ends or (name in _SYSTEM and function.__name__ in _ENDS)
            self.forks = self.forks or (name in _SYSTEM and function.__name__ in _FORKS)
            if function.__name__ in _SETTERS.get(_PUBLIC.get(name, name), "").split():
                self.writes.add(SURROUNDINGS)

    def _class(self, kind: type, names: frozenset) -> None:
        known = set().union(*[vars(base) for base in kind.__mro__])
        for asked in sorted(names - known) if is_own(kind.__module__) else ():
            self._refer(functools.partial(found_in, vars(kind)), asked, ("attribute", id(kind), asked))
        if is_own(kind.__module__):
            self.classes[id(kind)] = kind
        for base in kind.__mro__:
            if not is_own(base.__module__):
                if base is kind:
                    self._named(base.__module__)
                continue
            space = vars(base)
            for name in list(space):
                value = space[name]
                if name in _ITSELF or (name[:2] == "__" and type(value) is not FunctionType) or name[:5] == "_abc_":
                    continue
                self._refer(functools.partial(found_in, space), name, ("attribute", id(base), name))
                self.names.append((base, name, value))
                self._member(value, kind)

    def _member(self, value: Any, kind: type) -> None:
        """What stands in a class: its methods get an object of it, or the class."""
        function, self_ = (value.__func__, kind) if type(value) is classmethod else (value, _ObjectOf(kind))
        if type(function) is not FunctionType:
            state = is_data(value) and not is_atomic(type(value)) and not hasattr(type(value), "__get__")
            self.visit(value, frozenset(), ROOT if state else NONE)
        elif self._is_new((id(function), id(kind))):
            self._function(function, self_)

    def _methods_of(self, kind: type) -> None:
        """The methods that code may call of an object of a class that it gets."""
        for base in kind.__mro__:
            for name, value in list(vars(base).items()) if is_own(base.__module__) else ():
                special = name[:2] == name[-2:] == "__" and name not in _MAKING and name not in _ITSELF
                if (special or name in self.attributes) and self._is_new((id(base), name, id(kind))):
                    self._refer(functools.partial(found_in, vars(base)), name, ("attribute", id(base), name))
                    self.names.append((base, name, value))
                    self._member(value, kind)

    def _is_new(self, key: tuple) -> bool:
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def _instance(self, value: Any, names: frozenset, state: int) -> None:
        kind = type(value)
        if value is _PYTHONS or value is _NUMPYS:
            self.draws |= PYTHON if value is _PYTHONS else NUMPY
            return
        if state and kind not in _FIXED:
            if state == ROOT:
                self.objects[id(value)] = value
            self.reads.add(("object", id(value)))
            if isinstance(value, _GENERATORS) or (hasattr(kind, "__next__") and hasattr(kind, "__iter__")):
                self.writes.add(("object", id(value)))
        self._wrapped(value)
        if is_own(kind.__module__):
            self._class(kind, frozenset())
            if state:
                self._methods(value, names)
        for item in inside(value):
            self.visit(item, names, INSIDE if state else NONE)

    def attributes_of(self, value: Any) -> None:
        """Those of a large object: it is seen when one is bound anew."""
        space = space_of(value) if is_own(type(value).__module__) else None
        for name in list(space or ())[:_ITEMS]:
            self._refer(functools.partial(found_in, space), name, ("object", id(value)))

    def _methods(self, value: Any, names: frozenset) -> None:
        """The methods that code may call of a captured instance: what they change of it is captured state."""
        for base in type(value).__mro__:
            if is_own(base.__module__):
                for name, method in list(vars(base).items()):
                    special = name[:2] == name[-2:] == "__" and name not in _MAKING
                    if type(method) is FunctionType and (name in names or special):
                        self._self_changes(method, value, names)

    def _self_changes(self, method: FunctionType, value: Any, names: frozenset) -> None:
        if not self._is_new((method.__code__, id(value))):
            return
        facts = facts_of(method.__code__)
        for change in facts.changes:
            if change.root == ROOT_SELF:
                self._changes(change, {ROOT_SELF: value})
        self._methods(value, facts.attributes - names)

    def _wrapped(self, value: Any) -> None:
        """What a decorator has wrapped, or a cache."""
        try:
            inner = object.__getattribute__(value, "__wrapped__")
        except AttributeError:
            return
        self.visit(inner, frozenset(), NONE)


def is_generic(function: FunctionType) -> bool:
    """True for a function that `singledispatch` has made: whoever wants to registers what it calls."""
    return function.__code__ is _GENERIC


def is_data(value: Any) -> bool:
    """True for what a name is bound to that is neither code nor a module."""
    return value is not MISSING and not isinstance(value, _CODE)


def _step(holder: Any, step: str) -> Any:
    """What code finds under a name, or by asking for the class; MISSING where that cannot be seen."""
    if step in CLASS:
        return holder.kind if type(holder) is _ObjectOf else type(holder)
    return attribute(holder.kind if type(holder) is _ObjectOf else holder, step)


_CODE = (ModuleType, FunctionType, BuiltinFunctionType, type, np.ufunc, property, staticmethod, classmethod)
_FIXED = frozenset([*ATOMS, tuple, frozenset, FunctionType, BuiltinFunctionType, MethodType, functools.partial]) - {
    FunctionType
}
"""Types of values that nobody changes in place."""
_PUBLIC = {"posix": "os", "nt": "os", "_signal": "signal", "_decimal": "decimal", "_locale": "locale"}


_first: dict[tuple[str, str], int] = {}
"""Of names of modules that code refers to, the ids of their values when they were first looked at."""
_changed: set[tuple[str, str]] = set()
"""Those of modules that are not the program's that it has bound anew: other processes must be told."""


def is_changed(module: ModuleType, name: str) -> bool:
    """True for a name of a module that is not the program's, to which it has bound something of its own."""
    return (module.__name__, name) in _changed


def _is_put(value: Any) -> bool:
    """True for what only the program can have bound a foreign module's name to: its code, its object, a mock."""
    home = value.__module__ if isinstance(value, (FunctionType, type)) else type(value).__module__
    return home == "unittest.mock" or is_own(home)
