"""Which functions show by their code that they modify no array argument, so that no argument must be copied.

Only the obvious counts: a function that stores into nothing, and calls only functions known to be the same. If this is
ever wrong, the array is a read-only view, so NumPy reports the write.
"""

from __future__ import annotations

import functools
import inspect
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from weftwork.graph.python.codes import facts_of
from weftwork.graph.python.frames import BEHIND
from weftwork.graph.python.modules import is_owned
from weftwork.graph.python.steps import (
    ATTRIBUTES,
    COROUTINES,
    LOCAL,
    MISSING,
    UNKNOWN,
    call_of,
    instructions,
    loaded,
    looked_up,
)

FIELDS = frozenset("shape ndim size dtype T real imag nbytes itemsize strides".split())
METHODS = FIELDS | frozenset(
    """sum mean max min std var prod dot astype reshape ravel flatten copy transpose argmax argmin
    argsort cumsum cumprod any all round clip conj tolist item squeeze swapaxes trace diagonal nonzero searchsorted take
    repeat tobytes""".split()
)
"""Attributes of an array that do not modify it."""
_BUILTINS = frozenset(
    """len sum min max abs float int bool str complex range enumerate zip list tuple isinstance round sorted divmod pow
    all any repr print reversed""".split()
)
_MODULES = frozenset("numpy scipy math cmath".split())
"""Packages whose functions are looked at."""
_MAKERS = frozenset("array asarray arange zeros empty frombuffer fromiter".split())
"""NumPy's functions that only make arrays."""
_WRITERS = frozenset("copyto put place putmask fill_diagonal put_along_axis nan_to_num apply_along_axis".split())
_MOST_ARGUMENTS = 2
"""In a call of a function that is not known: NumPy writes into a third argument of some functions."""


def may_bypass_copy(function: Any) -> bool:
    """True for a function whose code, or that of one which it calls, may write behind a frame (`frames`)."""
    return _may_bypass_copy(function, set())


def _may_bypass_copy(function: Any, seen: set[int]) -> bool:
    body: Any = getattr(function, "func", getattr(function, "__func__", function))
    if not isinstance(body, (FunctionType, type, BuiltinFunctionType)):
        body = getattr(body.__class__, "__call__", None)  # noqa: B004
    if not isinstance(body, FunctionType) or id(body) in seen:
        return False
    seen.add(id(body))
    facts = facts_of(body.__code__)
    names = [*facts.globals, *body.__code__.co_freevars]
    called = [value for name in names if isinstance(value := looked_up(body, name), FunctionType)]
    return not BEHIND.isdisjoint(facts.attributes) or any(
        [_may_bypass_copy(each, seen) for each in called if is_owned(each)]
    )


def reads_only(function: Any) -> bool:
    """True for a function whose code shows that it modifies none of its array arguments."""
    return isinstance(function, FunctionType) and _reads(function, set())


def _reads(function: FunctionType, seen: set[FunctionType]) -> bool:
    if function in seen:
        return True
    seen.add(function)
    return _only_read(function, function.__code__, seen)


def _only_read(function: FunctionType, code: CodeType, seen: set[FunctionType]) -> bool:
    """Whether a function's steps only read.   code: its own, or that of a comprehension or a function in it."""
    known = calls = 0
    """The number of loaded functions that are known to be harmless, and the number of calls."""
    seen_through: set[int] = set()
    """The calls of functions of which it is known how many arguments they only read."""
    for place, step, value in loaded(function, code):
        name = step.opname
        if name not in LOCAL or (name == "BINARY_OP" and step.argrepr.endswith("=")):
            return False
        if name == "MAKE_FUNCTION":
            known += 1  # its code was looked at as a constant
        elif name == "LOAD_CONST" and isinstance(step.argval, CodeType):
            if step.argval.co_flags & COROUTINES or not _only_read(function, step.argval, seen):
                return False
        elif name == "STORE_DEREF" and step.argval in function.__code__.co_freevars:
            return False
        elif value is not UNKNOWN:
            if (name in ATTRIBUTES and step.argval in _WRITERS) or not _is_harmless(value, seen):
                return False
            if callable(value):
                known += 1
                call = call_of(code, place)
                if call is not None and (instructions(code)[call].arg or 0) <= _number_read(value):
                    seen_through.add(call)
                elif isinstance(value, np.ufunc) and value.nin < _MOST_ARGUMENTS:
                    return False
        elif name in ATTRIBUTES:
            if step.argval not in METHODS:
                return False
            known += step.argval not in FIELDS
        elif name.startswith("CALL") and name != "CALL_INTRINSIC_1":
            calls += 1
            if (step.arg or 0) > _MOST_ARGUMENTS and place not in seen_through:
                return False
        elif name == "KW_NAMES" or name in ("CALL_KW", "CALL_FUNCTION_KW"):
            if "out" in code.co_consts or any(["out" in const for const in code.co_consts if type(const) is tuple]):
                return False
    return calls <= known


@functools.lru_cache(maxsize=512)
def _number_read(function: Any) -> int:
    """How many arguments of a harmless function are surely not written into: those before `out`."""
    if isinstance(function, np.ufunc):
        return function.nin
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return 3 if function is np.where else _MOST_ARGUMENTS  # older versions of NumPy do not say what it takes
    if isinstance(function, type) or function in (zip, enumerate, print):
        return _MOST_ARGUMENTS
    return names.index("out") if "out" in names else len(names)


def _is_harmless(value: Any, seen: set[FunctionType]) -> bool:
    """True for a value that a harmless function may use: numbers, arrays, and functions known to be harmless."""
    if value is MISSING:
        return False
    if isinstance(value, FunctionType):
        home = value.__module__ or ""
        return home.split(".")[0] == "numpy" or _reads(value, seen)
    if isinstance(value, ModuleType):
        return value.__name__.partition(".")[0] in _MODULES
    if isinstance(value, np.ufunc):
        return True
    if isinstance(value, type):
        return issubclass(value, np.generic) or (value.__module__ == "builtins" and value.__name__ in _BUILTINS)
    if callable(value):
        if type(value).__module__ == "numpy":  # C functions that NumPy wraps
            return True
        if not isinstance(value, BuiltinFunctionType):
            return False
        home = value.__module__ or ""
        return home in ("math", "cmath") or value.__name__ in {"builtins": _BUILTINS, "numpy": _MAKERS}.get(home, ())
    return isinstance(value, (int, float, complex, str, bytes, type(None), np.ndarray, np.generic, tuple))
