"""Encode values of variables as plain bytes. Decoding yields data only and never calls anything, whoever wrote it.

numbers   raw, little-endian, in row-major order
string    each element's length as uint64, then all the bytes
object    JSON in UTF-8; values that JSON lacks (bytes, tuples, dicts, arrays) become [mark, content] lists

Decoding raises ValueError for bytes that `encode` cannot have produced.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph import dtypes

NUMBERS = {name: dtype.numpy for name, dtype in dtypes.ALL.items() if dtype.numpy.kind in "biufc"}
"""Types that are stored as raw numbers."""
TYPES = frozenset({*NUMBERS, "string", "object"})


def encode(value: Any, type: str) -> memoryview:
    """Encode a value. Numbers are copied only if they are not contiguous or not little-endian.

    Raises TypeError for a Python object that is not plain data.
    """
    if type == "object":
        return memoryview(_pack(value))
    if type == "string":
        items = [item.encode() if isinstance(item, str) else bytes(item) for item in _elements(value)]
        return memoryview(np.array([len(item) for item in items], "<u8").tobytes() + b"".join(items))
    array = np.asarray(value, dtype=little(type))
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _elements(value: Any) -> list:
    return value.ravel().tolist() if isinstance(value, np.ndarray) else [value]


def little(type: str) -> np.dtype:
    """The little-endian dtype in which numbers of `type` are stored."""
    return NUMBERS[type].newbyteorder("<")


def decode(data: bytes | bytearray, type: str, shape: tuple[int, ...] | None) -> Any:
    """Decode a string or object value that `encode` produced."""
    if type == "object":
        return _unpack(bytes(data))
    assert shape is not None
    count = math.prod(shape)
    lengths = np.frombuffer(data, "<u8", count=count) if len(data) >= 8 * count else None
    if lengths is None or sum(lengths.tolist()) != len(data) - 8 * count:
        raise ValueError("the lengths of its strings do not add up")
    items, at = np.empty(count, dtype=object), 8 * count
    for number, length in enumerate(lengths.tolist()):
        items[number] = bytes(data[at : at + length])
        at += length
    return items.reshape(shape) if shape else items[0]


# Objects


def _pack(value: Any) -> bytes:
    try:
        return json.dumps(_to_json(value), separators=(",", ":")).encode()
    except RecursionError:
        raise TypeError("it is nested too deeply, or contains itself") from None
    except UnicodeEncodeError:
        raise TypeError("it holds text that is not Unicode") from None


def _to_json(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in (bool, float, str):
        return value
    if kind is int:
        return value if abs(value) < 1 << 53 else ["int", hex(value)]
    if kind is list:
        return ["list", [_to_json(item) for item in value]]
    if kind is tuple:
        return ["tuple", [_to_json(item) for item in value]]
    if kind is dict:
        return ["dict", [[_to_json(key), _to_json(item)] for key, item in value.items()]]
    if kind is bytes:
        return ["bytes", base64.b64encode(value).decode()]
    if kind is complex:
        return ["complex", [value.real, value.imag]]
    if isinstance(value, (np.generic, np.ndarray)) and value.dtype.name in NUMBERS and kind is not np.matrix:
        data = bytes(encode(value, value.dtype.name))
        mark = "array" if kind is np.ndarray else "scalar"
        return [mark, [value.dtype.name, list(value.shape), base64.b64encode(data).decode()]]
    if kind is np.ndarray and value.dtype == object:
        return ["objects", [list(value.shape), [_to_json(item) for item in value.ravel()]]]
    raise TypeError(
        f"a {kind.__module__}.{kind.__qualname__} is not plain data (None, numbers, text, bytes, arrays, and lists, "
        "tuples and dicts of these)"
    )


def _unpack(data: bytes) -> Any:
    try:
        return _from_json(json.loads(data.decode()))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (TypeError, LookupError, AttributeError) as error:
        raise ValueError(f"it is not an encoded object: {error}") from None


def _from_json(item: Any) -> Any:
    if type(item) is dict:
        raise ValueError("it is not an encoded object")
    if type(item) is not list:
        return item
    mark, content = item
    return _DECODERS[mark](content)


def _array(content: Any) -> np.ndarray:
    name, shape, data = content
    flat = np.frombuffer(base64.b64decode(data, validate=True), little(name))
    if NUMBERS[name].kind == "b" and flat.view(np.uint8).max(initial=0) > 1:
        raise ValueError("a boolean is neither 0 nor 1")
    return flat.astype(NUMBERS[name]).reshape(_dimensions(shape))


def _objects(content: Any) -> np.ndarray:
    shape, items = content
    flat = np.empty(len(items), dtype=object)
    for number, item in enumerate(items):
        flat[number] = _from_json(item)
    return flat.reshape(_dimensions(shape))


def _dimensions(shape: Any) -> tuple[int, ...]:
    if type(shape) is not list or any(type(d) is not int or d < 0 for d in shape):
        raise ValueError(f"{shape!r} is not a shape")
    return tuple(shape)


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "int": lambda content: int(content, 16),
    "list": lambda content: [_from_json(item) for item in content],
    "tuple": lambda content: tuple([_from_json(item) for item in content]),
    "dict": lambda content: {_from_json(key): _from_json(item) for key, item in content},
    "bytes": lambda content: base64.b64decode(content, validate=True),
    "complex": lambda content: complex(*content),
    "array": _array,
    "scalar": lambda content: _array(content)[()],
    "objects": _objects,
}
