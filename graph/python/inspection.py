"""Inspection: the contents of functions and objects, read without running any of their code."""

from __future__ import annotations

import functools
import gc
from collections import defaultdict, deque
from collections.abc import Iterable
from contextvars import ContextVar
from itertools import islice
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any
from weakref import ref

import numpy as np

from weftwork.graph.python.modules import is_owned

_ITEMS = 256
"""The largest number of items of a container, or attributes of an instance, that are searched for functions."""
MISSING = type("Missing", (), {"__repr__": lambda self: "MISSING"})()
"""Stands for the value of an unbound name."""
CACHED = type(functools.lru_cache(len))
"""The type of functions that remember their results."""
ATOMS = frozenset([int, float, complex, bool, str, bytes, type(None), type(...), range, np.dtype, CodeType])
"""Types of values that contain no other values."""


def found_in(space: Any, name: Any) -> Any:
    return space.get(name, MISSING)


def number_of(space: Any) -> int:
    """How many names there are, without what pickling adds to classes.

    Counted up to 256, because Python has one object for each such number.
    """
    return min(len(space) - ("__slotnames__" in space), 256)


def is_filled(cached: Any) -> bool:
    """Whether a cached function remembers any results in this process."""
    return cached.cache_info().currsize > 0


def remembered(cached: Any) -> list:
    """What a cached function remembers: its results, perhaps among other parts of the cache."""
    parts = [part for part in gc.get_referents(cached) if part is not vars(cached) and not isinstance(part, type)]
    tables = [part for part in parts if type(part) is dict and _is_linked(part)]
    if tables:
        return [part for part in parts if part is not tables[0] and part is not cached.__wrapped__]
    return [value for part in parts if type(part) is dict for value in islice(part.values(), _ITEMS)]


def _is_linked(table: dict) -> bool:
    """Whether this is the table of a cache of limited size: it has links, and the results stand beside it."""
    return type(next(iter(table.values()), None)).__name__ == "_lru_list_elem"


def content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def value_of(variable: ContextVar) -> Any:
    return variable.get(MISSING)


def defaults(function: FunctionType) -> Iterable[tuple[str, Any]]:
    code, values = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount]
    yield from zip(names[len(names) - len(values) :], values, strict=True)
    yield from (function.__kwdefaults__ or {}).items()


def attribute(holder: Any, name: str) -> Any:
    """An attribute, read without running code of the object; MISSING if that is not possible."""
    if isinstance(holder, (ModuleType, FunctionType)):
        return vars(holder).get(name, MISSING)
    if isinstance(holder, type):
        return next((vars(base)[name] for base in holder.__mro__ if name in vars(base)), MISSING)
    space = space_of(holder)
    return space.get(name, MISSING) if space is not None else MISSING


def has_own(holder: Any, name: str) -> bool:
    """True if the method is the program's own code, which is analyzed."""
    bases = [base for base in type(holder).__mro__ if is_owned(base)]
    return any([type(vars(base).get(name)) is FunctionType for base in bases])


def space_of(value: Any) -> dict | None:
    try:
        space = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
    return space if type(space) is dict else None


def inside(value: Any) -> list:
    """Some items of a container, or attributes of an instance of the program's classes."""
    kind = type(value)
    return parts_of(value) if kind in _CONTAINERS or kind is np.ndarray or is_owned(kind) else []


def parts_of(value: Any) -> list:
    """Some of what any object holds: its items, attributes and slots."""
    kind, space = type(value), space_of(value)
    items = list((space or {}).values())[:_ITEMS]
    base = next(base for base in _CONTAINERS if issubclass(kind, base)) if issubclass(kind, _CONTAINERS) else None
    if kind is np.ndarray:
        items = value.flat[:_ITEMS].tolist() if value.dtype.hasobject else []
    elif base is None:
        items += [each for each in gc.get_referents(value)[:_ITEMS] if each is not space and each is not kind]
    elif base.__len__(value) <= 64 * _ITEMS:
        items += list(base.__iter__(value))[:_ITEMS]
        items += list(dict.values(value))[:_ITEMS] if base is dict else []
    if issubclass(kind, defaultdict):
        items.append(defaultdict.default_factory.__get__(value))  # type: ignore[attr-defined]
    return [item for item in items if type(item) not in ATOMS]


_CONTAINERS = (list, tuple, dict, set, frozenset, deque)
"""Types whose items are looked at, also if they are of a class of the program's."""


def owners(value: Any) -> list:
    """Whose memory an array or a memory view shows."""
    found: list = []
    while isinstance(value, np.ndarray) or type(value) is memoryview:
        value = value.base if isinstance(value, np.ndarray) else value.obj
        found.append(value)
    return found


def reachable(value: Any) -> list:
    """The items of a container, their items, and so on: about 256 at most."""
    found = inside(value)
    seen = set(map(id, found))
    for each in found:
        new = [item for item in inside(each) if id(item) not in seen] if len(found) < _ITEMS else []
        seen.update(map(id, new))
        found += new
    return found


def kept_weakly(values: Iterable[Any]) -> tuple[list[ref], list[Any]]:
    """Weak references to values, and the values that allow none: while these are kept, no id is reused."""
    weak, strong = [], []
    for value in values:
        if value is MISSING or type(value) in ATOMS:
            strong.append(value)
            continue
        try:
            weak.append(ref(value))
        except TypeError:
            strong.append(value)
    return weak, strong
