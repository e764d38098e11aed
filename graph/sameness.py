"""When two values are the same, so that two pure calls with them can be made once.

the same   of the same type and identical to the last bit, through lists, tuples, dicts and frozensets; or one object.
  Stricter than `==`: 1 is not True, 0.0 is not -0.0, Decimal("1.0") is not Decimal("1.00"), an hour in Rome is not
  the same hour in London. NaN is the same as NaN.
We look at values of known immutable types only. Any other object, subclasses of these types included, is the same only
as itself: its `==` may give any answer, and a different one later, so it is not called.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import functools
import pathlib
import uuid
from collections.abc import Callable
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any

import numpy as np

from weftwork.graph.nest import Fixed
from weftwork.graph.python.callables import identity


def exact_key(value: Any) -> Any:
    """A key that is equal for the same values, while they live. Raises TypeError for our own objects without a key."""
    kind = type(value)
    known = _KEYS.get(kind)
    if known is not None:
        return kind, known(value)
    if isinstance(value, np.generic) and kind.__module__ == "numpy" and not value.dtype.hasobject:
        return value.dtype, value.tobytes()
    if issubclass(kind, tuple) and hasattr(kind, "_fields") and not hasattr(value, "__dict__"):
        return kind, _keys(value)
    if kind.__module__.startswith("weftwork."):
        hash(value)
        return kind, value  # our own types define their equality
    return "is", id(value)


def _itself(value: Any) -> Any:
    return value


def _keys(values: Any) -> tuple:
    return tuple([exact_key(value) for value in values])


def _zone(value: datetime.time | datetime.datetime) -> tuple:
    return value.replace(tzinfo=None), value.fold, exact_key(value.tzinfo)


def _complex(value: complex) -> tuple:
    return value.real.hex(), value.imag.hex()


_KEYS: dict[type, Callable[[Any], Any]] = {
    **dict.fromkeys([int, bool, str, bytes, type(None), datetime.date, datetime.timedelta], _itself),
    float: float.hex,
    complex: _complex,
    Fixed: lambda part: part if part.is_of_one else exact_key(part.value),
    list: _keys,
    tuple: _keys,
    dict: lambda value: tuple([(exact_key(key), exact_key(item)) for key, item in value.items()]),
    frozenset: lambda value: frozenset(_keys(value)),
    slice: lambda value: _keys((value.start, value.stop, value.step)),
    range: lambda value: _keys((value.start, value.stop, value.step)),
    decimal.Decimal: decimal.Decimal.as_tuple,
    fractions.Fraction: lambda value: _keys(value.as_integer_ratio()),
    datetime.datetime: _zone,
    datetime.time: _zone,
    datetime.timezone: lambda value: (value.utcoffset(None), value.tzname(None)),
    uuid.UUID: lambda value: (value.int, value.is_safe),
    **dict.fromkeys([FunctionType, MethodType, BuiltinMethodType, functools.partial], identity),
    **dict.fromkeys([pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath, pathlib.WindowsPath], str),
}
"""For each type with comparable values: the key that tells two of them apart."""
