"""Which functions show by their code that each of their steps is soon over, so that a call can be interrupted.

Such a function can neither wait for anything nor end its process, and it reaches nothing but its arguments, as long as
these are data: numbers, text, arrays, and containers of them. So your process may call it without having tried it
elsewhere. A loop in Python is interrupted between two steps; one in C is not, so `sum(range(n))` and `n ** n` do not
count. Only the obvious counts, as in `reading`.
"""

from __future__ import annotations

import collections
import itertools
import json
import math
import operator
from collections.abc import Iterable
from dis import Instruction
from functools import reduce
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from weftwork.graph.python.reading import FIELDS, METHODS
from weftwork.graph.python.steps import (
    ATTRIBUTES,
    COROUTINES,
    LOCAL,
    UNKNOWN,
    call_of,
    instructions,
    is_backward,
    loaded,
)

_STEPS = (LOCAL - {"BINARY_LSHIFT"}) | frozenset(
    """STORE_SUBSCR STORE_SLICE DELETE_SUBSCR DELETE_FAST SET_UPDATE DICT_UPDATE DICT_MERGE CALL_FUNCTION_EX
    RAISE_VARARGS LOAD_ASSERTION_ERROR LOAD_COMMON_CONSTANT UNPACK_EX INPLACE_ADD INPLACE_SUBTRACT INPLACE_MULTIPLY
    INPLACE_TRUE_DIVIDE INPLACE_FLOOR_DIVIDE INPLACE_MODULO INPLACE_MATRIX_MULTIPLY INPLACE_AND INPLACE_OR INPLACE_XOR
    INPLACE_RSHIFT INPLACE_POWER""".split()
)
"""Instructions that take no longer than to read their operands, but for powers. None catches an exception."""
_METHODS = (METHODS - FIELDS - {"repeat"}) | frozenset(
    """capitalize casefold count decode encode endswith find index isalnum isalpha isascii isdecimal isdigit
    isidentifier islower isnumeric isprintable isspace istitle isupper join lower lstrip partition removeprefix
    removesuffix replace rfind rindex rpartition rsplit rstrip split splitlines startswith strip swapcase title
    translate upper hex
    append clear copy extend insert pop remove reverse sort appendleft extendleft popleft rotate
    get items keys values setdefault update popitem most_common move_to_end
    add discard difference intersection isdisjoint issubset issuperset symmetric_difference union
    bit_length bit_count conjugate is_integer as_integer_ratio
    fill argpartition view""".split()
)
"""Methods of data that take about as long as to read them, or to sort them."""
_BUILTINS: tuple = (
    *(len, sum, min, max, abs, float, int, bool, str, repr, complex, enumerate, zip, list, tuple, dict, set, frozenset),
    *(isinstance, round, sorted, reversed, divmod, all, any, ord, chr, map, filter, next, slice, hash),
    *(collections.Counter, collections.OrderedDict, collections.deque, json.loads, json.dumps, reduce),
    *(itertools.chain, itertools.islice, itertools.accumulate, itertools.groupby, itertools.zip_longest),
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.itemgetter, operator.getitem),
)
_NUMPY = """abs absolute all allclose amax amin any append arange argmax argmin argpartition argsort argwhere array
    array_equal array_split asarray ascontiguousarray atleast_1d atleast_2d average bincount broadcast_to clip
    column_stack concatenate copy count_nonzero cov cross cumprod cumsum delete diag diagonal diff digitize dot empty
    empty_like expand_dims eye fft.fft fft.ifft fft.irfft fft.rfft flatnonzero flip fliplr flipud full full_like
    gradient histogram hsplit hstack identity inner insert interp intersect1d isclose isin linalg.cholesky
    linalg.det linalg.inv linalg.norm linalg.solve linspace logspace matmul max mean median min moveaxis nanargmax
    nanargmin nancumsum nanmax nanmean nanmedian nanmin nanpercentile nanquantile nanstd nansum nanvar ndim nonzero
    ones ones_like partition pad percentile polyval prod ptp quantile ravel reshape roll rot90 round searchsorted
    setdiff1d shape sign size sort split squeeze stack std sum swapaxes take take_along_axis trace transpose tril triu
    union1d unique unravel_index var vdot vsplit vstack where zeros zeros_like"""
_MODULES: tuple[ModuleType, ...] = (np, np.linalg, np.fft, math, json, collections, itertools, operator)
_FOREVER: tuple = (math.factorial, getattr(math, "comb", None), getattr(math, "perm", None))
"""Functions of modules of numbers that may take hours."""
_SCALARS = frozenset([int, float, complex, bool, str, bytes, type(None), np.bool_, *np.sctypeDict.values()])
_SCALARS -= {np.void, np.object_}
_CONTAINERS = frozenset([list, tuple, set, frozenset, dict, collections.Counter, collections.OrderedDict])
_MOST_FUNCTIONS = 20
"""The functions that one may call, counted with those that they call."""
_HIGHEST_POWER = 8
_LARGEST = 64_000_000
"""Bytes, and 8 for each element of a container, for which a step is soon over."""


def _of_numpy() -> set[int]:
    found = set()
    for name in _NUMPY.split():
        owner: Any = np
        for part in name.split("."):
            owner = getattr(owner, part, None)  # another version of NumPy may lack it
        if owner is not None:
            found.add(id(owner))
    return found


_OF_NUMPY = _of_numpy()
_KNOWN = _OF_NUMPY.union(map(id, _BUILTINS))
"""The ids of functions that are soon over; they live as long as the process."""


def are_data(values: Iterable[Any], arrays: bool = True) -> bool:
    """Whether values are numbers, text, arrays of numbers, or containers of such, of not more than 64 MB in all.

    arrays: whether arrays may be among them.
    """
    left, stack = _LARGEST, list(values)
    while stack:
        value = stack.pop()
        kind = type(value)
        if kind in _CONTAINERS:
            left -= 8 * len(value)
            parts = [*value, *value.values()] if isinstance(value, dict) else value
            if left > 0 and not _SCALARS.issuperset(map(type, parts)):
                stack += parts
        elif kind is np.ndarray and arrays and not value.dtype.hasobject:
            left -= value.nbytes
        elif kind in (str, bytes):
            left -= len(value)
        elif kind is int:
            left -= value.bit_length() ** 2 // 64
        elif kind not in _SCALARS:
            return False
        if left < 0:
            return False
    return True


class Code:
    """What a function's code shows, and that of the functions that it calls.

    is_interruptible: a call whose arguments are data can be interrupted.   has_loops: it may take long nevertheless.
    uses_arrays: it mentions NumPy, or an array. Otherwise it holds the GIL, unless arrays are among its arguments.
    """

    def __init__(self, function: Any):
        self.uses_arrays = self.has_loops = False
        self._seen: set[FunctionType] = set()
        self.is_interruptible = isinstance(function, FunctionType) and self._may_be_called(function)

    def _may_be_called(self, function: FunctionType) -> bool:
        if function in self._seen:
            self.has_loops = True
            return True
        self._seen.add(function)
        given = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
        return len(self._seen) <= _MOST_FUNCTIONS and are_data(given) and self._may_run(function, function.__code__)

    def _may_run(self, function: FunctionType, code: CodeType) -> bool:
        """Whether code is interruptible: the function's own, or that of a comprehension or a function in it."""
        if code.co_flags & COROUTINES:
            return False
        known = calls = 0
        """The number of loaded functions that are known to be soon over, and the number of calls."""
        for place, step, value in loaded(function, code):
            name = step.opname
            if name not in _STEPS or _may_be_high(instructions(code), place):
                return False
            self.has_loops = self.has_loops or name in ("FOR_ITER", "YIELD_VALUE") or is_backward(step)
            if name == "MAKE_FUNCTION":
                known += 1  # its code was looked at as a constant
            elif name == "LOAD_CONST" and isinstance(step.argval, CodeType):
                if not self._may_run(function, step.argval):
                    return False
            elif name == "STORE_DEREF" and step.argval in function.__code__.co_freevars:
                return False
            elif value is range:
                if not _is_for_a_loop(code, place):
                    return False
                known += 1
            elif value is not UNKNOWN:
                if not self._may_be_used(value):
                    return False
                known += callable(value)
            elif name in ATTRIBUTES:
                if step.argval not in _METHODS and step.argval not in FIELDS:
                    return False
                known += step.argval in _METHODS
            elif name.startswith("CALL") and name != "CALL_INTRINSIC_1":
                calls += 1
        return calls <= known

    def _may_be_used(self, value: Any) -> bool:
        """Whether it may use a global, a variable of an enclosing function, or an attribute of a module."""
        if isinstance(value, FunctionType) and id(value) not in _KNOWN:
            return self._may_be_called(value)
        if isinstance(value, ModuleType):
            self.uses_arrays = self.uses_arrays or value.__name__.startswith("numpy")
            return value in _MODULES
        if isinstance(value, type) and id(value) not in _KNOWN:
            return issubclass(value, np.generic) or (issubclass(value, Exception) and value.__module__ == "builtins")
        if callable(value):
            self.uses_arrays = self.uses_arrays or id(value) in _OF_NUMPY or isinstance(value, np.ufunc)
            is_of_numbers = getattr(value, "__module__", None) == "math" and value not in _FOREVER
            return id(value) in _KNOWN or is_of_numbers or isinstance(value, np.ufunc)
        self.uses_arrays = self.uses_arrays or not are_data([value], arrays=False)
        return are_data([value])


def _is_for_a_loop(code: CodeType, place: int) -> bool:
    """Whether Python itself iterates over the range whose class is loaded at a place."""
    call = call_of(code, place)
    return call is not None and instructions(code)[call + 1].opname == "GET_ITER"


def _may_be_high(steps: Any, place: int) -> bool:
    """Whether an operation may make a number whose length its operands do not bound: a power, or a left shift."""
    step: Instruction = steps[place]
    sign = step.argrepr.rstrip("=") if step.opname == "BINARY_OP" else ""
    if sign == "<<":
        return True
    if sign != "**" and step.opname not in ("BINARY_POWER", "INPLACE_POWER"):
        return False
    exponent, base = steps[place - 1].argval, steps[place - 2].argval
    loads = ("LOAD_CONST", "LOAD_SMALL_INT")
    if steps[place - 1].opname in loads and (type(exponent) is float or exponent <= _HIGHEST_POWER):
        return False
    return not (steps[place - 2].opname in loads and type(base) is float)
