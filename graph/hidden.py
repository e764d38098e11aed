"""Tensors in arguments where nobody can find them, so that a function would get a symbol in the place of a value.

hidden    reached only through an object that is not a structure (`nest`): an attribute, an iterator, a bound argument

No code of the object runs: Python's garbage collector says what it refers to, and NumPy what an array of objects holds.
"""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Iterable
from itertools import islice
from types import (
    AsyncGeneratorType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodType,
    ModuleType,
    TracebackType,
)
from typing import Any

import numpy as np

from weftwork.graph.operation import Tensor

_MOST = 500
"""Maximum number of objects that are looked at in one argument."""
_CLOSED = (type, FunctionType, MethodType, ModuleType, FrameType, GeneratorType, TracebackType)
"""Objects whose contents are their own affair: a function may refer to tensors, and not use them."""
ONCE = (GeneratorType, CoroutineType, AsyncGeneratorType)
"""Objects that can be run through once."""
_PLAIN = (list, tuple, dict, set, frozenset)
"""Types that hide nothing themselves."""
_LOOKED_INTO = frozenset([*_PLAIN, *ONCE])
_CONTAINERS = frozenset(["builtins", "collections", "functools", "itertools", "types"])
"""Python's own modules whose objects are looked into."""


def refuse_hidden(value: Any) -> None:
    """Raise TypeError if an argument holds a tensor where it cannot be found."""
    found = hidden_tensor(value) if _may_hide(value) else None
    if found is not None:
        holder, tensor = found
        raise TypeError(
            f"an argument holds {tensor} in an object of type {holder.__qualname__}, which cannot be looked into, so "
            "the function would not get its value. Pass the tensor itself, or in a list, tuple, dict or dataclass; or "
            "say with weftwork.register_structure what such an object contains."
        )


def refuse_used_up(values: Iterable[Any], function: str) -> None:
    """Raise TypeError for a constant argument that the first run would use up, or a list or the like with such an item.

    Of long ones, only the first items are looked at.
    """
    stack = list(values)
    for value in stack:
        if type(value) in _PLAIN and len(stack) < _MOST:
            items = list(islice(value.values() if type(value) is dict else value, _MOST))
            if not _LOOKED_INTO.isdisjoint(map(type, items)):
                stack += items
        elif isinstance(value, ONCE):
            raise TypeError(
                f"{function} cannot take a {type(value).__name__} as a constant argument: the first run would use it "
                "up, and tensors in it cannot be found. Pass a list of its items."
            )


def hidden_tensor(value: Any) -> tuple[type, Tensor] | None:
    """A tensor to which an object leads, and the type that hides it; None if there is none.

    Graphs, sessions, variables and the like lead to none.
    """
    stack, seen = [(value, type(value))], {id(value)}
    for item, holder in stack:
        parts = list(islice(item.flat, _MOST)) if isinstance(item, np.ndarray) else gc.get_referents(item)
        kinds = set(map(type, parts))
        if not any([issubclass(kind, Tensor) or _is_open(kind) for kind in kinds]):
            continue
        for part in parts:
            kind = type(part)
            if issubclass(kind, Tensor):
                return holder, part
            if id(part) not in seen and len(seen) < _MOST and _may_hide(part):
                seen.add(id(part))
                stack.append((part, holder if kind in _PLAIN else kind))
    return None


def _may_hide(value: Any) -> bool:
    """Whether a value is looked into."""
    return _is_open(type(value)) and not (isinstance(value, np.ndarray) and not value.dtype.hasobject)


@functools.lru_cache(maxsize=1024)
def _is_open(kind: type) -> bool:
    """Whether objects of a class are looked into."""
    if issubclass(kind, np.ndarray):
        return True
    if issubclass(kind, _CLOSED) or not _is_tracked(kind):
        return False
    modules = {base.__module__.partition(".")[0] for base in kind.__mro__}
    if "weftwork" in modules:
        return False
    return kind.__module__ in _CONTAINERS or kind.__module__.partition(".")[0] not in sys.stdlib_module_names


def _is_tracked(kind: type) -> bool:
    """Whether objects of a class may refer to others at all."""
    return bool(kind.__flags__ & _TRACKED)


_TRACKED = 1 << 14
"""The flag of types whose objects the garbage collector visits."""
