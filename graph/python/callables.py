"""Callables: which objects can be a node's function, and when two of them count as the same function.

the same   one object, methods of one object, or partials of the same function with the same arguments. A function
  that is defined again, in a notebook cell, a loop or by `importlib.reload`, is a new one
deferred   a function that only becomes callable through its class or instance: `@op` above `@classmethod` etc.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import threading
from collections.abc import Callable
from types import BuiltinMethodType, FunctionType, MethodType, ModuleType
from typing import Any

_CACHED = type(functools.lru_cache(len))
_DEFERRED = (classmethod, functools.partialmethod, functools.singledispatchmethod)


def check_callable(function: Any) -> None:
    """Raise TypeError if an object cannot be a node's function. The message says what to write instead."""
    if not callable(function) and not isinstance(function, _DEFERRED):
        raise TypeError(f"weftwork.op takes a function, not {function!r}. Pass options by name, as in @op(outputs=2).")
    if any([inspect.isasyncgenfunction(each) for each in layers(function)]):
        raise TypeError(
            f"{named(function)} is an async generator, but a node has one value. Make it an `async def` that "
            "collects its items in a list and returns the list."
        )


def named(function: Any) -> str:
    """The name of a function, or of a callable object's class."""
    name = getattr(function, "__name__", None)
    return name if isinstance(name, str) else type(function).__name__


def bound(function: Any, instance: Any, owner: Any) -> Any:
    """Bind a class attribute `function` to the instance or the class, by Python's descriptor rules."""
    bind = getattr(type(function), "__get__", None)
    return function if bind is None else bind(function, instance, owner)


def takes_name(function: Callable) -> bool:
    """True if the function has a parameter `name` of its own."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin without a signature
        return False
    own = parameters.get("name")
    if own is not None and own.kind is not own.POSITIONAL_ONLY:
        return own.kind is not own.VAR_POSITIONAL
    return any([p.kind is p.VAR_KEYWORD for p in parameters.values()])


def identity(function: Any) -> Any:
    """A key shared by all callables that count as the same function, valid while one of them lives."""
    kind = type(function)
    if kind is MethodType:
        return id(function.__self__), identity(function.__func__)
    if kind is BuiltinMethodType and not isinstance(function.__self__, (ModuleType, type(None))):
        return id(function.__self__), function.__name__  # `items.append` is a new object each time
    if kind is functools.partial and not function.__dict__:
        names = tuple(function.keywords)
        return identity(function.func), _ids(function.args), names, _ids(tuple(function.keywords.values()))
    return id(function)


def _ids(items: tuple) -> tuple:
    return tuple(map(id, items))


# Coroutines


def is_async(function: Any) -> bool:
    """True for an `async def`, also under decorators, partial, a method or an object's `__call__`."""
    return any([inspect.iscoroutinefunction(each) for each in layers(function)])


def is_coroutine_function(function: Any) -> bool:
    """True if calling it certainly returns a coroutine; a decorator might run the coroutine that it wraps."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(type(function), "__call__", None)  # noqa: B004
    )


def layers(function: Any) -> list:
    """A function and everything it wraps (`__wrapped__`, partials); for a callable object its class's `__call__`."""
    found: list = []
    while function is not None and not any([function is each for each in found]):
        found.append(function)
        if isinstance(function, (functools.partial, functools.partialmethod)):
            function = function.func
        elif isinstance(function, (MethodType, staticmethod, classmethod)):
            function = function.__func__
        elif isinstance(function, (FunctionType, _CACHED)):
            function = function.__dict__.get("__wrapped__")
        elif not isinstance(function, type):
            function = getattr(type(function), "__call__", None)  # noqa: B004
            return [*found, function] if isinstance(function, FunctionType) else found
        else:
            break
    return found


def on_loop() -> bool:
    """True inside a running event loop: in a coroutine, or in a function that it calls."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def awaited(value: Any) -> Any:
    """Run a coroutine to its end in an event loop of its own and return its result; return anything else unchanged.

    If this thread's event loop is running, which cannot be nested, a new thread runs the coroutine.
    """
    if not inspect.iscoroutine(value):
        return value
    if not on_loop():
        return asyncio.run(value)
    outcome: list = []
    context = contextvars.copy_context()
    thread = threading.Thread(
        target=context.run, args=(_finish, value, outcome), name="weftwork-coroutine", daemon=True
    )
    thread.start()
    thread.join()
    error, result = outcome
    if error is not None:
        raise error
    return result


def _finish(coroutine: Any, outcome: list) -> None:
    try:
        outcome[:] = None, asyncio.run(coroutine)
    except BaseException as error:
        outcome[:] = error, None
