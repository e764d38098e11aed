"""Whether a function can be called with a number of positional arguments and some names, checked before it runs.

shape      of a call: the number of its positional arguments, and the names of the others
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any

from weftwork.graph.python.callables import layers
from weftwork.graph.source import caller

_CACHED = type(functools.lru_cache(len))


def shape_of(args: tuple, kwargs: Mapping[str, Any]) -> tuple:
    """The shape of a call."""
    return (len(args), *kwargs)


def check_shape(function: Callable, name: str, shape: tuple) -> None:
    """Raise TypeError if calling a function with arguments of this shape would.

    Nothing is checked if the function does not say what it takes, or if another one speaks for it: what `__wrapped__`
    and `__signature__` show is not always what a decorated function accepts.
    """
    count, *names = shape
    if not names and _surely_takes(function, count):
        return
    signature = _own_signature(function)
    if signature is None:
        return
    try:
        signature.bind(*[None] * count, **dict.fromkeys(names))
    except TypeError as error:
        parameters = _shown(signature.parameters.values())
        raise TypeError(f"{name}() {error} (called at {caller().text}). Its parameters are {parameters}.") from None


def _surely_takes(function: Callable, count: int) -> bool:
    """Whether a function takes this many arguments by position, as its code says at a glance."""
    if type(function) is not FunctionType:
        return False
    code, most = function.__code__, function.__code__.co_argcount
    least = most - len(function.__defaults__ or ())
    others = code.co_kwonlyargcount == len(function.__kwdefaults__ or ())
    return others and least <= count and (count <= most or bool(code.co_flags & inspect.CO_VARARGS))


def _own_signature(function: Callable) -> inspect.Signature | None:
    """The signature by a function's own code; None if unknown."""
    while isinstance(function, _CACHED):
        function = function.__wrapped__
    if any([hasattr(layer, "__signature__") for layer in layers(function)]):
        return None
    try:
        return inspect.signature(function, follow_wrapped=False)
    except Exception:  # it has none, or a callable object's attributes do more than hold values
        return None


def _shown(parameters: Iterable[inspect.Parameter]) -> str:
    """Parameters without annotations, which may be long."""
    plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]
    return str(inspect.Signature(plain))
