"""Inspection: the contents of functions and objects, read without running any of their code."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any
from weakref import ref

import numpy as np

from weftwork.graph.modules import is_owned

_ITEMS = 256
"""The largest number of items of a container, or attributes of an instance, that are searched for functions."""
MISSING = type("Missing", (), {"__repr__": lambda self: "MISSING"})()
"""Stands for the value of an unbound name."""
ATOMS = frozenset([int, float, complex, bool, str, bytes, type(None), type(...), range, np.dtype, CodeType])
"""Types of values that contain no other values."""


def found_in(space: Any, name: str) -> Any:
    return space.get(name, MISSING)


def number_of(space: Any) -> int:
    """How many names there are, without what pickling adds to classes.

    Counted up to 256, because Python has one object for each such number.
    """
    return min(len(space) - ("__slotnames__" in space), 256)


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
    """Some items of a container, or attributes of an instance."""
    kind = type(value)
    if kind in (list, tuple, set, frozenset):
        items = list(value)[:_ITEMS] if len(value) <= 64 * _ITEMS else []
    elif kind is dict:
        items = list(value.values())[:_ITEMS] if len(value) <= 64 * _ITEMS else []
    elif is_owned(kind):
        items = list((space_of(value) or {}).values())[:_ITEMS]
    else:
        return []
    return [item for item in items if type(item) not in ATOMS]


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
