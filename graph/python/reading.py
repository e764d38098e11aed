"""Which functions show by their code that they modify no array argument, so that no argument must be copied.

Only the obvious counts: a function that stores into nothing, and calls only functions known to be the same. If this is
ever wrong, the array is a read-only view, so NumPy reports the write.
"""

from __future__ import annotations

import builtins
import dis
import functools
import inspect
from collections.abc import Sequence
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from weftwork.graph.python.codes import facts_of
from weftwork.graph.python.frames import BEHIND
from weftwork.graph.python.modules import is_owned

_STEPS = frozenset(
    """RESUME NOP CACHE PRECALL PUSH_NULL KW_NAMES CALL CALL_FUNCTION CALL_METHOD CALL_FUNCTION_KW CALL_KW POP_TOP
    LOAD_FAST LOAD_FAST_CHECK LOAD_FAST_AND_CLEAR LOAD_FAST_LOAD_FAST LOAD_FAST_BORROW
    LOAD_FAST_BORROW_LOAD_FAST_BORROW LOAD_CONST LOAD_SMALL_INT LOAD_GLOBAL LOAD_DEREF NOT_TAKEN POP_ITER
    LOAD_ATTR LOAD_METHOD LOAD_CLOSURE STORE_FAST STORE_FAST_LOAD_FAST STORE_FAST_STORE_FAST COPY_FREE_VARS
    RETURN_VALUE RETURN_CONST BINARY_OP BINARY_SUBSCR BINARY_SLICE BINARY_ADD BINARY_SUBTRACT BINARY_MULTIPLY
    BINARY_TRUE_DIVIDE BINARY_POWER BINARY_FLOOR_DIVIDE BINARY_MODULO BINARY_MATRIX_MULTIPLY BINARY_AND
    BINARY_OR BINARY_XOR BINARY_LSHIFT BINARY_RSHIFT UNARY_NEGATIVE UNARY_NOT UNARY_POSITIVE UNARY_INVERT
    COMPARE_OP IS_OP CONTAINS_OP TO_BOOL CALL_INTRINSIC_1 BUILD_TUPLE BUILD_LIST BUILD_SLICE BUILD_MAP
    BUILD_CONST_KEY_MAP BUILD_STRING LIST_APPEND LIST_EXTEND LIST_TO_TUPLE UNPACK_SEQUENCE GET_ITER FOR_ITER
    END_FOR JUMP_FORWARD JUMP_BACKWARD JUMP_ABSOLUTE COPY SWAP DUP_TOP DUP_TOP_TWO ROT_TWO ROT_THREE ROT_FOUR
    POP_JUMP_IF_FALSE POP_JUMP_IF_TRUE POP_JUMP_IF_NONE POP_JUMP_IF_NOT_NONE POP_JUMP_FORWARD_IF_FALSE
    POP_JUMP_FORWARD_IF_TRUE POP_JUMP_FORWARD_IF_NONE POP_JUMP_FORWARD_IF_NOT_NONE POP_JUMP_BACKWARD_IF_FALSE
    POP_JUMP_BACKWARD_IF_TRUE JUMP_IF_FALSE_OR_POP JUMP_IF_TRUE_OR_POP FORMAT_VALUE FORMAT_SIMPLE
    FORMAT_WITH_SPEC CONVERT_VALUE MAKE_CELL MAKE_FUNCTION SET_FUNCTION_ATTRIBUTE STORE_DEREF RETURN_GENERATOR
    YIELD_VALUE GEN_START BUILD_SET SET_ADD MAP_ADD RERAISE LOAD_FAST_BORROW_LOAD_FAST""".split()
)
"""Instructions that store only into the function's own local variables, under the names of all Python versions."""
_FIELDS = frozenset("shape ndim size dtype T real imag nbytes itemsize strides".split())
_METHODS = _FIELDS | frozenset(
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
    called = [value for name in names if isinstance(value := _looked_up(body, name), FunctionType)]
    return not BEHIND.isdisjoint(facts.attributes) or any(
        [_may_bypass_copy(each, seen) for each in called if is_owned(each)]
    )


def reads_only(function: Any) -> bool:
    """True for a function whose code shows that it modifies none of its array arguments."""
    return isinstance(function, FunctionType) and _reads(function, set())


def _reads(function: FunctionType, seen: set[CodeType], code: CodeType | None = None) -> bool:
    """code: the function's own, or that of a comprehension, a generator or a function in it."""
    code = code or function.__code__
    if code in seen:
        return True
    seen.add(code)
    at: Any = None
    """The value that the previous instruction has loaded, if known."""
    known = calls = 0
    """The number of loaded functions that are known to be harmless, and the number of calls."""
    seen_through: set[int] = set()
    """The calls of functions of which it is known how many arguments they only read."""
    steps = list(dis.get_instructions(code))
    for place, step in enumerate(steps):
        name, before, at = step.opname, at, None
        if name in ("CACHE", "PUSH_NULL", "PRECALL"):
            at = before
        elif name not in _STEPS or (name == "BINARY_OP" and step.argrepr.endswith("=")):
            return False
        elif name == "MAKE_FUNCTION":
            known += 1  # its code was looked at as a constant
        elif name == "LOAD_CONST" and isinstance(step.argval, CodeType):
            if step.argval.co_flags & _COROUTINES or not _reads(function, seen, step.argval):
                return False
        elif name in ("LOAD_DEREF", "STORE_DEREF") and step.argval not in function.__code__.co_freevars:
            pass  # a variable of a function and of those in it
        elif name == "STORE_DEREF":
            return False
        elif name in ("LOAD_GLOBAL", "LOAD_DEREF") or (name in _ATTRIBUTES and isinstance(before, ModuleType)):
            at = _looked_up(function, step.argval) if name not in _ATTRIBUTES else getattr(before, step.argval, None)
            if (name in _ATTRIBUTES and step.argval in _WRITERS) or not _is_harmless(at, seen):
                return False
            if callable(at):
                known += 1
                call = _call_of(steps, place)
                if call is not None and (steps[call].arg or 0) <= _only_reads(at):
                    seen_through.add(call)
                elif isinstance(at, np.ufunc) and at.nin < _MOST_ARGUMENTS:
                    return False
        elif name in _ATTRIBUTES:
            if step.argval not in _METHODS:
                return False
            known += step.argval not in _FIELDS
        elif name.startswith("CALL") and name != "CALL_INTRINSIC_1":
            calls += 1
            if (step.arg or 0) > _MOST_ARGUMENTS and place not in seen_through:
                return False
        elif name == "KW_NAMES" or name in ("CALL_KW", "CALL_FUNCTION_KW"):
            if "out" in code.co_consts or any(["out" in const for const in code.co_consts if type(const) is tuple]):
                return False
    return calls <= known


_COROUTINES = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")


def _call_of(steps: Sequence[dis.Instruction], loaded: int) -> int | None:
    """The place of the instruction that calls what another one has loaded; None if it is not plain to see."""
    depth = 0
    for place in range(loaded + 1, len(steps)):
        step = steps[place]
        if step.opcode in _JUMPS:
            return None
        depth += dis.stack_effect(step.opcode, step.arg)
        if depth <= 0 and step.opname in ("CALL", "CALL_FUNCTION", "CALL_METHOD"):
            return place
        if depth < 0:
            return None
    return None


_JUMPS = frozenset([*dis.hasjrel, *dis.hasjabs])


@functools.lru_cache(maxsize=512)
def _only_reads(function: Any) -> int:
    """How many arguments of a harmless function are surely not written into: those before `out`."""
    if isinstance(function, np.ufunc):
        return function.nin
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return _MOST_ARGUMENTS
    if isinstance(function, type) or function in (zip, enumerate, print):
        return _MOST_ARGUMENTS
    return names.index("out") if "out" in names else len(names)


def _looked_up(function: FunctionType, name: str) -> Any:
    """The value of a global or a closure variable; the module's marker if there is none."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=False))
    try:
        if name in cells:
            return cells[name].cell_contents
    except ValueError:  # an empty cell
        return _looked_up
    return function.__globals__.get(name, getattr(builtins, name, _looked_up))


def _is_harmless(value: Any, seen: set[CodeType]) -> bool:
    """True for a value that a harmless function may use: numbers, arrays, and functions known to be harmless."""
    if value is _looked_up:
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
