"""Pickling of functions that cloudpickle alone would not send, or not in their current state.

cached, generic   functions made by functools. cloudpickle sends a cached function by name only, which fails for those
                  of `__main__` and local ones, and cannot send a generic function at all, because it holds weak
                  references. We rebuild both on arrival, each with a cache of its own.
property          a cached one holds a lock before Python 3.12, so a class with one could not be sent.
reloaded          a module that was reloaded after something of it was sent by name. Other processes may have the old
                  version, so from then on its contents are sent by value.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

import cloudpickle

from weftwork.graph.python.captured_kinds import is_generic
from weftwork.graph.python.modules import is_owned, settle_reloaded

_CACHED = type(functools.lru_cache(len))
_BOUND = type(functools.singledispatchmethod(len).__get__(None, int))
"""A bound generic method: a class of its own from Python 3.14 on, a function before that."""


def reduced(obj: Any, is_code: bool = False) -> Any:
    """The reduction of `obj` if it needs special treatment, else None. is_code: it is to be called elsewhere."""
    kind = type(obj)
    if kind is FunctionType or kind is _CACHED or issubclass(kind, type):
        settle_reloaded(obj.__module__)
    if kind is _CACHED:
        return obj.__qualname__ if _is_found(obj) else (_cached, (obj.__wrapped__, obj.cache_parameters()))
    if kind is FunctionType and is_generic(obj) and not (_is_found(obj) and not (is_code and is_owned(obj))):
        return _generic, (obj.__wrapped__, list(obj.registry.items()))  # type: ignore[attr-defined]
    if kind is functools.cached_property:
        return _property, (obj.func, obj.attrname, obj.__doc__)
    if kind is _BOUND and kind is not FunctionType:
        return _bound_generic, (obj._unbound, obj._obj, obj._cls)
    return None


def _is_found(function: Any) -> bool:
    """Whether another process can find a function by name in its module."""
    module = sys.modules.get(function.__module__)
    if module is None or function.__module__ in {"__main__", *cloudpickle.list_registry_pickle_by_value()}:
        return False
    found: Any = module
    for part in function.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is function


def _cached(function: Callable, parameters: dict) -> Callable:
    return functools.lru_cache(**parameters)(function)


def _generic(function: Callable, registry: list[tuple[type, Callable]]) -> Callable:
    made = functools.singledispatch(function)
    for kind, implementation in registry:
        made.register(kind, implementation)
    return made


def _property(function: Callable, name: str | None, text: str | None) -> functools.cached_property:
    made: Any = functools.cached_property(function)
    made.attrname, made.__doc__ = name, text
    return made


def _bound_generic(method: functools.singledispatchmethod, obj: Any, owner: Any) -> Callable:
    return method.__get__(obj, owner)
