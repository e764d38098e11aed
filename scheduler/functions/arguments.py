"""Arguments: which parts of a call's arguments are data, and which ones need another trace.

data        numbers, arrays, and any object of no other kind: the trace has a placeholder for it
static      values that control a program: None, bool, text, Enum members, functions, classes, ops, variables, dtypes.
            They are part of the trace; another value needs another trace
structure   lists, tuples, dicts, dataclasses, their subclasses, and registered types: their items are arguments, too
signature   the structure, the types of the data, and the static values; calls with equal signatures share a trace
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from weftwork.graph import dtypes, nest, shapes
from weftwork.graph.build import as_tensor
from weftwork.graph.dtypes import DType, as_dtype, is_numeric
from weftwork.graph.function import Op
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Operation, Tensor
from weftwork.scheduler.request.feeds import read_only

_STEERING = (enum.Enum, type, ModuleType, FunctionType, BuiltinFunctionType, MethodType, Op, DType, np.dtype, Graph)
_FIXED = frozenset([bool, type(None), str, bytes, type(...)])
_TEXTS = {"U": np.dtype("U"), "S": np.dtype("S")}
"""The dtypes of text arrays, whatever the length of the texts."""
INT64 = range(-(2**63), 2**63)
_NUMBERS = {int: dtypes.int64, float: dtypes.float64, complex: dtypes.complex128}
"""The dtypes of Python numbers in a trace. Combined with a typed tensor, they take its dtype."""


class Symbolic(Exception):
    """Raised if a tensor is among the arguments: the call belongs to a graph under construction."""


class Whole:
    """Marks an argument that is a single datum, or static value, whatever its type."""

    __slots__ = ("static", "value")

    def __init__(self, value: Any, static: bool):
        self.value, self.static = value, static


class Datum(NamedTuple):
    """How a trace treats a datum.

    dtype, shape: those of its placeholder.   convert: converts the argument to the fed value; None to feed it
    unchanged.   weak: True for a Python number.   kept: user functions get the argument itself, not the fed value.
    """

    dtype: DType
    shape: shapes.RawShape = None
    convert: Callable[[Any], Any] | None = None
    weak: bool = False
    kept: bool = False


def describe(value: Any, key: list, data: list, exact: bool) -> None:
    """Add the signature of an argument to `key`, and its data to `data`. exact: include the shapes of arrays.

    Raises Symbolic for a tensor, and TypeError for a static value that is not hashable.
    """
    kind = type(value)
    if kind is np.ndarray or issubclass(kind, np.generic):
        dtype = _TEXTS.get(value.dtype.kind, value.dtype)
        key.append((dtype, value.shape) if exact else dtype)
        data.append(value)
    elif kind in _NUMBERS:
        key.append(kind if kind is not int or value in INT64 else object)
        data.append(value)
    elif kind is list or kind is tuple:
        key.append((kind, len(value)))
        for item in value:
            describe(item, key, data, exact)
    elif kind in _FIXED:
        key.append((kind, value))
    elif kind is Whole:
        _describe_whole(value, key, data, exact)
    else:
        _describe(kind, value, key, data, exact)


def _describe_whole(whole: Whole, key: list, data: list, exact: bool) -> None:
    value = whole.value
    if isinstance(value, (Tensor, Operation)):
        raise Symbolic
    if whole.static:
        key.append((Whole, type(value), value))
    elif type(value) in _NUMBERS or isinstance(value, (np.ndarray, np.generic)):
        describe(value, key, data, exact)
    else:
        key.append((Whole, type(value)))
        data.append(value)


def _describe(kind: type, value: Any, key: list, data: list, exact: bool) -> None:
    if issubclass(kind, (Tensor, Operation)):
        raise Symbolic
    if issubclass(kind, _STEERING) or as_tensor(value) is not None:
        key.append((kind, value))
        return
    parts = _parts(kind, value)
    if parts is None:
        key.append(kind)
        data.append(value)
        return
    names, items = parts
    key.append((kind, names))
    for item in items:
        describe(item, key, data, exact)


def _parts(kind: type, value: Any) -> tuple[Any, Iterable[Any]] | None:
    """The items of a structure, and what distinguishes it from others; None for a value that is not a structure."""
    if issubclass(kind, dict):
        return tuple(dict.keys(value)), dict.values(value)
    if issubclass(kind, (list, tuple)):
        return len(value), kind.__iter__(value)
    fields = nest.fields_of(kind)
    if fields is not None:
        return tuple(fields), [object.__getattribute__(value, name) for name in fields]
    known = nest.registration(kind)
    if known is None:
        return None
    items = known[0](value)
    return len(items), items


def filled(value: Any, give: Callable[[Any], Any]) -> Any:
    """An argument with each datum replaced by `give` of it, in the order of `describe`."""
    kind = type(value)
    if kind is Whole:
        return value.value if value.static else give(value.value)
    if kind in _FIXED or issubclass(kind, _STEERING):
        return value
    if kind in _NUMBERS or issubclass(kind, (np.ndarray, np.generic)) or kind is object:
        return give(value)
    if as_tensor(value) is not None:
        return value
    if _parts(kind, value) is None:
        return give(value)
    return nest.rebuild(value, lambda item: filled(item, give))


def datum_of(value: Any, exact: bool) -> Datum:
    """The Datum of a value. exact: include its shape."""
    kind = type(value)
    if kind in _NUMBERS and (kind is not int or value in INT64):
        dtype = _NUMBERS[kind]
        return Datum(dtype, (), dtype.numpy.type, weak=True, kept=True)
    if issubclass(kind, np.generic) and is_numeric(value.dtype):
        return Datum(as_dtype(value.dtype), ())
    if kind is np.ndarray and is_numeric(value.dtype):
        return Datum(as_dtype(value.dtype), value.shape if exact else None, read_only)
    if kind is np.ndarray and not value.dtype.hasobject:
        return Datum(dtypes.object, None, read_only)
    if kind is str or kind is bytes:
        return Datum(dtypes.string, (), _encoded, kept=True)
    return Datum(dtypes.object)


def _encoded(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def text_of(key: Any) -> str:
    """One entry of a signature, as a string."""
    if type(key) is not tuple:
        return key.name if isinstance(key, np.dtype) else f"one {key.__name__}"
    first, *rest = key
    if first is Whole:
        return repr(rest[1]) if len(rest) > 1 else f"one {rest[0].__name__}"
    if isinstance(first, np.dtype):
        return f"{first.name} of shape {rest[0]}"
    if first in (list, tuple):
        return f"a {first.__name__} of {rest[0]}"
    return repr(rest[0]) if first in _FIXED else f"{first.__name__} {rest[0]!r}"


def declared(shape_of: Any) -> Mapping[str, shapes.RawShape]:
    """The shapes declared for a function's arguments, by name."""
    return {name: shapes.as_raw(shape) for name, shape in shape_of.items()} if isinstance(shape_of, Mapping) else {}
