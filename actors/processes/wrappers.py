"""How functions travel that cloudpickle alone would not bring, or not as they are now.

cached, generic   functions that Python's library makes of others. cloudpickle takes a cached one by its name alone,
                  which another process does not find in `__main__` or inside a function, and a generic one not at all,
                  for it holds weak references. They are made anew where they arrive, each with a cache of its own.
reloaded          a module that was loaded again since something of it first travelled by name: other processes may have
                  it as it was, so from then on what is in it goes by value.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

import cloudpickle

from weftwork.graph.captured_kinds import is_generic
from weftwork.graph.modules import is_own

_CACHED = type(functools.lru_cache(len))
_BOUND = type(functools.singledispatchmethod(len).__get__(None, int))
"""A generic method that is bound: a class of its own from Python 3.14 on, before that a function."""


def reduced(obj: Any, is_code: bool = False) -> Any:
    """How `obj` is pickled, if it is one of these; None for anything else. is_code: to be called elsewhere."""
    kind = type(obj)
    if kind is FunctionType or kind is _CACHED or issubclass(kind, type):
        _look_at(obj.__module__)
    if kind is _CACHED:
        return obj.__qualname__ if _is_found(obj) else (_cached, (obj.__wrapped__, obj.cache_parameters()))
    if kind is FunctionType and is_generic(obj) and not (_is_found(obj) and not (is_code and is_own(obj.__module__))):
        return _generic, (obj.__wrapped__, list(obj.registry.items()))  # type: ignore[attr-defined]
    if kind is _BOUND and kind is not FunctionType:
        return _bound_generic, (obj._unbound, obj._obj, obj._cls)
    return None


_specs: dict[str, Any] = {}
"""Of modules of which something has travelled by name, how they had been loaded then."""


def _look_at(name: Any) -> None:
    module = sys.modules.get(name) if isinstance(name, str) else None
    spec = getattr(module, "__spec__", None)
    if module is None or spec is None or name == "__main__" or _specs.setdefault(name, spec) is spec:
        return
    cloudpickle.register_pickle_by_value(module)
    _specs[name] = spec


def _is_found(function: Any) -> bool:
    """True for a function that another process finds by its name, in a module."""
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


def _bound_generic(method: functools.singledispatchmethod, obj: Any, owner: Any) -> Callable:
    return method.__get__(obj, owner)
