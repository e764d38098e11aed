"""Kinds of what functions refer to: what each module has for each process, who may change what, whose code it is."""

from __future__ import annotations

import functools
import random
from collections import deque
from collections.abc import Iterable, Iterator
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from weftwork.graph.codes import CLASS
from weftwork.graph.inspection import (
    ATOMS,
    MISSING,
    attribute,
    inside,
)
from weftwork.graph.modules import is_own

ITSELF = ("__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__annotations__", "__slotnames__")
ITEMS = 256
"""Items of an array of objects among which functions and classes are looked for."""
MAKING = frozenset(
    "__init__ __new__ __init_subclass__ __set_name__ __post_init__ __getstate__ __setstate__ __reduce__".split()
)
"""Methods that write to an instance that is being made, or copied."""
GENERATORS = (random.Random, np.random.Generator, np.random.RandomState, np.random.BitGenerator)
SURROUNDINGS = ("surroundings",)
"""The key of a write to what is around all functions."""
MINE = ("stdin", "modules")
"""Of `sys`, what the program alone has: its input, and its main module. Who asks for them runs there."""
SETTERS = {
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
PARTS = ("__code__", "__defaults__", "__kwdefaults__")
"""Of a function, what may be set: tools that load a module again do so."""
_GENERIC = functools.singledispatch(len).__code__  # type: ignore[attr-defined]
"""Of each function that `singledispatch` makes."""
SYSTEM, ENDS, FORKS = ("os", "posix", "nt"), ("_exit", "abort"), ("fork", "forkpty")
"""Modules and functions that end a process, or fork one off."""
MAIN = frozenset(["signal", "asyncio", "_asyncio"])
"""Modules of which functions need, or look at, the thread that they run in."""
EACH = frozenset("sys os warnings logging signal threading builtins random gc".split())
"""Modules of which each process has names of its own; what must be alike is part of the surroundings."""
DRAW = frozenset(["numpy.random", "numpy.random.mtrand"])
PYTHONS, NUMPYS = random.random.__self__, np.random.rand.__self__  # type: ignore[attr-defined]
"""The generators that `random` and `numpy.random` draw from."""
CHANGED = (list, dict, set, bytearray, deque)
SILENT = frozenset(["numpy", "weftwork", "ray", "cloudpickle"])
"""Installed packages that draw nothing, unless `random` of them is named."""
NONE, INSIDE, ROOT = 0, 1, 2
"""A value is not captured state; lies in something that is; is captured by itself."""


def is_of_main(value: Any) -> bool:
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
        elif value is PYTHONS or value is NUMPYS:
            yield value
        elif kind is functools.partial:
            todo += [value.func, *value.args, *value.keywords.values()]
        elif isinstance(value, type):
            if is_own(value.__module__):
                yield value
        elif isinstance(value, np.ndarray):
            todo += value.ravel().tolist()[:ITEMS] if value.dtype == object else []
        else:
            if is_own(kind.__module__):
                yield kind
            todo += inside(value)


class ObjectOf:
    """Stands for an object of a class that a function makes, or gets: not itself, but its class is captured state."""

    def __init__(self, kind: type):
        self.kind = kind


def is_generic(function: FunctionType) -> bool:
    """True for a function that `singledispatch` has made: whoever wants to registers what it calls."""
    return function.__code__ is _GENERIC


def is_data(value: Any) -> bool:
    """True for what a name is bound to that is neither code nor a module."""
    return value is not MISSING and not isinstance(value, _CODE)


def step_of(holder: Any, step: str) -> Any:
    """What code finds under a name, or by asking for the class; MISSING where that cannot be seen."""
    if step in CLASS:
        return holder.kind if type(holder) is ObjectOf else type(holder)
    return attribute(holder.kind if type(holder) is ObjectOf else holder, step)


_CODE = (ModuleType, FunctionType, BuiltinFunctionType, type, np.ufunc, property, staticmethod, classmethod)
FIXED = frozenset([*ATOMS, tuple, frozenset, FunctionType, BuiltinFunctionType, MethodType, functools.partial]) - {
    FunctionType
}
"""Types of values that nobody changes in place."""
PUBLIC = {"posix": "os", "nt": "os", "_signal": "signal", "_decimal": "decimal", "_locale": "locale"}
FIRST_SEEN: dict[tuple[str, str], int] = {}
"""Of names of modules that code refers to, the ids of their values when they were first looked at."""
REBOUND: set[tuple[str, str]] = set()
"""Those of modules that are not the program's that it has bound anew: other processes must be told."""


def is_changed(module: ModuleType, name: str) -> bool:
    """True for a name of a module that is not the program's, to which it has bound something of its own."""
    return (module.__name__, name) in REBOUND


def is_put(value: Any) -> bool:
    """True for what only the program can have bound a foreign module's name to: its code, its object, a mock."""
    home = value.__module__ if isinstance(value, (FunctionType, type)) else type(value).__module__
    return home == "unittest.mock" or is_own(home)
