"""Callables: what may be a node's function, and which of them are the same one.

the same   functions are the same if they are one object, methods of one object, or partials of the same function and
           arguments. One that is defined again, by a notebook's cell, a loop or `importlib.reload`, is another one.
deferred   a function that is called when the class or the object is known: `@op` above `@classmethod` and the like
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
    """Raise TypeError, and say what to write instead, for what cannot be a node's function."""
    if not callable(function) and not isinstance(function, _DEFERRED):
        raise TypeError(f"weftwork.op takes a function, not {function!r}. Write options by name: @op(outputs=2).")
    if any([inspect.isasyncgenfunction(each) for each in _layers(function)]):
        raise TypeError(
            f"{named(function)} is an async generator: a node gives one value. Let it be an `async def` that collects "
            "its items in a list and returns that."
        )


def named(function: Any) -> str:
    """The name of a function, or of the class of an object that is called."""
    name = getattr(function, "__name__", None)
    return name if isinstance(name, str) else type(function).__name__


def bound(function: Any, instance: Any, owner: Any) -> Any:
    """What a class's attribute `function` is of an instance or of the class, as Python has it: functions bind."""
    bind = getattr(type(function), "__get__", None)
    return function if bind is None else bind(function, instance, owner)


def takes_name(function: Callable) -> bool:
    """Whether a keyword `name` is an argument of the function's own."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin that does not say
        return False
    own = parameters.get("name")
    if own is not None and own.kind is not own.POSITIONAL_ONLY:
        return own.kind is not own.VAR_POSITIONAL
    return any([p.kind is p.VAR_KEYWORD for p in parameters.values()])


def identity(function: Any) -> Any:
    """A key that the same functions share, for as long as one of them lives."""
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
    return any([inspect.iscoroutinefunction(each) for each in _layers(function)])


def is_coroutine_function(function: Any) -> bool:
    """True for what gives a coroutine when it is called, as far as is sure: a decorator may run what it wraps."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(type(function), "__call__", None)  # noqa: B004
    )


def _layers(function: Any) -> list:
    """A function and what it wraps, as far as it says; of an object that is called, its class's `__call__`."""
    layers: list = []
    while function is not None and not any([function is each for each in layers]):
        layers.append(function)
        if isinstance(function, (functools.partial, functools.partialmethod)):
            function = function.func
        elif isinstance(function, (MethodType, staticmethod, classmethod)):
            function = function.__func__
        elif isinstance(function, (FunctionType, _CACHED)):
            function = function.__dict__.get("__wrapped__")
        elif not isinstance(function, type):
            function = getattr(type(function), "__call__", None)  # noqa: B004
            return [*layers, function] if isinstance(function, FunctionType) else layers
        else:
            break
    return layers


def on_loop() -> bool:
    """True in a coroutine, or what it calls."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def awaited(made: Any) -> Any:
    """The result of a coroutine, run to its end in an event loop of its own; anything else as it is.

    Where the thread has a running loop, which cannot run another one, a thread is made for it.
    """
    if not inspect.iscoroutine(made):
        return made
    if not on_loop():
        return asyncio.run(made)
    outcome: list = []
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(_finish, made, outcome), name="weftwork-coroutine", daemon=True)
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
