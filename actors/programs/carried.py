"""The captured state of a program's functions, as it goes with the program to another process.

What functions that travel by value refer to lies in their pickled form. What the others refer to, the names of modules
and classes that each process has its own of, is set there before each run, to what it was in the program when the run
began. A change in place of a captured object is found after the run: the function must run in the program then.
"""

from __future__ import annotations

import copyreg
import random
import sys
import uuid
from collections.abc import Iterable
from contextvars import ContextVar
from importlib import import_module
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import cloudpickle
import numpy as np

from weftwork.graph.captured import Captured, pickled
from weftwork.graph.inspection import MISSING
from weftwork.graph.modules import is_own

_PLAIN = (int, float, complex, bool, str, bytes, type(None))


_CODE = (FunctionType, BuiltinFunctionType, type)


class _As:
    """Stands for a value: that with which the module was imported, or none."""

    def __init__(self, word: str):
        self.word = word

    def __reduce__(self):
        return _as, (self.word,)


_IMPORTED, _ABSENT = _As("imported"), _As("absent")


def _as(word: str) -> _As:
    return _IMPORTED if word == "imported" else _ABSENT


class Carried:
    """The state of some functions at one moment.

    names: (module's name or class, name, value).   variables: (context variable, value).
    objects: what may be changed in place, for each function.   spoiled: a run leaves it changed, as its code says.
    """

    def __init__(self, captured: Iterable[Captured], apart: bool):
        """apart: the functions run in another process whatever they write."""
        self.names: list[tuple[Any, str, Any]] = []
        self.variables: list[tuple[ContextVar, Any]] = []
        self.objects: list[list] = []
        self.apart = apart
        self.spoiled = False
        for each in captured:
            self.names += [item for holder, name, value in each.names if (item := _named(holder, name, value))]
            self.variables += [(v, _ABSENT if value is MISSING else value) for v, value in each.variables]
            self.objects.append(each.objects)
            self.spoiled = self.spoiled or bool(each.writes)
        self._before: list | None = None

    def __bool__(self) -> bool:
        return bool(self.names or self.variables or any(self.objects) or self.spoiled)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_before": None}

    def arrive(self) -> None:
        """Before a run: set the names, and remember the objects."""
        _undo()
        for holder, name, value in self.names:
            _set(holder, name, value)
        for variable, value in self.variables:
            if value is not _ABSENT:
                variable.set(value)
        if self._before is None:
            self._before = [[pickled(value) for value in objects] for objects in self.objects]

    def changed(self) -> list[int]:
        """After a run: the numbers of the functions whose objects are not what they were. Names are as imported."""
        _undo()
        after = [[pickled(value) for value in objects] for objects in self.objects]
        return [n for n, (old, new) in enumerate(zip(self._before or after, after, strict=True)) if old != new]


# In the program


def _named(holder: Any, name: str, value: Any) -> tuple | None:
    """How a name's value goes with a program; None where it need not, or cannot."""
    if isinstance(holder, ModuleType):
        by_value = holder.__name__ in cloudpickle.list_registry_pickle_by_value()
        if by_value or sys.modules.get(holder.__name__) is not holder:
            return None
        where, home = holder.__name__, holder.__name__
        full = name
    else:
        where, home = holder, holder.__module__
        full = f"{holder.__qualname__}.{name}"
    if value is MISSING:
        return where, name, _ABSENT
    if isinstance(value, _CODE) and (value.__module__, value.__qualname__) == (home, full):
        return where, name, value if where == "__main__" else _IMPORTED
    if isinstance(value, (ModuleType, property, classmethod, staticmethod)) or _is_made_by(value, holder):
        return None
    if not isinstance(value, (*_PLAIN, FunctionType)) and not _is_to_go(where, name, value):
        return None
    return where, name, value


def _is_made_by(value: Any, holder: Any) -> bool:
    """True for members of an enumeration, slots and other descriptors: the class makes them itself."""
    if not isinstance(holder, type) or isinstance(value, FunctionType):
        return False
    return isinstance(value, holder) or hasattr(type(value), "__get__")


_first: dict[tuple[Any, str], int] = {}


def _is_to_go(where: Any, name: str, value: Any) -> bool:
    """Small values go always; large ones, which are taken as constant, once they were bound anew. All must pickle."""
    key = (where if isinstance(where, str) else f"{where.__module__}:{where.__qualname__}", name)
    if pickled(value) is not None:
        _first.setdefault(key, id(value))
        return True
    if _first.setdefault(key, id(value)) == id(value) and not isinstance(value, ContextVar):
        return False
    try:
        cloudpickle.dumps(value, protocol=5)
    except Exception:
        return False
    return True


# Where it arrives

_originals: dict[tuple[Any, str], Any] = {}


def _undo() -> None:
    """Let names be what the modules were imported with: what is unpickled by name must find it."""
    while _originals:
        (holder, name), value = _originals.popitem()
        _put(_place(holder), name, value)


def _place(holder: Any) -> Any:
    return (sys.modules.get(holder) or import_module(holder)) if type(holder) is str else holder


def _set(holder: Any, name: str, value: Any) -> None:
    if value is _IMPORTED:
        return
    place = _place(holder)
    now = vars(place).get(name, _ABSENT)
    if now is not value:
        _originals.setdefault((holder, name), now)
        _put(place, name, value)


def _put(place: Any, name: str, value: Any) -> None:
    if value is not _ABSENT:
        setattr(place, name, value)
    elif name in vars(place):
        delattr(place, name)


# Context variables: other processes have one of each

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
    return _variable, (token, variable.name)


def _variable_of(module: str, attribute: str) -> ContextVar:
    return getattr(import_module(module), attribute)


def _variable(token: str, name: str) -> ContextVar:
    known = _variables.get(token)
    if known is None:
        known = _variables[token] = ContextVar(name)
        _ids[known] = token
    return known


copyreg.pickle(ContextVar, _reduced)  # type: ignore[arg-type]


# The generators of `random` and `numpy.random`: each process has its own, which `from random import choice` refers to

_PYTHONS, _NUMPYS = random.random.__self__, np.random.rand.__self__  # type: ignore[attr-defined]


def _generator(name: str) -> Any:
    return _PYTHONS if name == "random" else _NUMPYS


def _reduced_python(generator: random.Random) -> Any:
    return (_generator, ("random",)) if generator is _PYTHONS else generator.__reduce__()


def _reduced_numpy(generator: np.random.RandomState) -> Any:
    return (_generator, ("numpy",)) if generator is _NUMPYS else generator.__reduce__()


copyreg.pickle(random.Random, _reduced_python)  # type: ignore[arg-type]
copyreg.pickle(np.random.RandomState, _reduced_numpy)  # type: ignore[arg-type]
