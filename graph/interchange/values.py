"""Conversion of dtypes, shapes, arrays and attributes to protocol buffers, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from weftwork.graph.dtypes import DType, as_dtype
from weftwork.graph.protos import protos
from weftwork.graph.shapes import RawShape, TensorShape, as_raw

_FIELDS = {
    "float32": "float_val",
    "float64": "double_val",
    "int32": "int_val",
    "uint8": "int_val",
    "int16": "int_val",
    "int8": "int_val",
    "uint16": "int_val",
    "int64": "int64_val",
    "bool": "bool_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
}
"""The TensorProto field with the elements of each dtype, if they are not raw bytes."""


def shape_proto(shape: RawShape) -> Any:
    """A TensorShapeProto."""
    proto = protos("tensor_shape").TensorShapeProto
    if shape is None:
        return proto(unknown_rank=True)
    return proto(dim=[proto.Dim(size=-1 if size is None else size) for size in shape])


def shape_of(proto: Any) -> RawShape:
    """The shape of a TensorShapeProto."""
    return None if proto.unknown_rank else tuple([None if dim.size < 0 else int(dim.size) for dim in proto.dim])


def tensor_proto(value: Any, dtype: DType) -> Any:
    """A TensorProto for a run-time value: a single element in its own field, more as raw bytes; text as it is."""
    proto = protos("tensor").TensorProto(dtype=dtype.as_datatype_enum, tensor_shape=shape_proto(np.shape(value)))
    if dtype.numpy.kind == "O":
        items = value.ravel().tolist() if isinstance(value, np.ndarray) else [value]
        proto.string_val.extend([item.encode() if isinstance(item, str) else bytes(item) for item in items])
        return proto
    array = np.asarray(value, dtype.numpy)
    field = _FIELDS.get(dtype.name)
    if array.size == 1 and field is not None:
        getattr(proto, field).append(array.reshape(()).item())
    else:
        proto.tensor_content = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    return proto


def array_of(proto: Any) -> Any:
    """The value of a TensorProto: an array, or a scalar for rank 0. Missing elements repeat the last one.

    Raises ValueError if the number of elements does not match the shape, or if the dtype is not supported.
    """
    dtype, shape = number_dtype(proto.dtype).base_dtype, shape_of(proto.tensor_shape)
    if shape is None or None in shape:
        raise ValueError(f"A tensor's shape must be fully defined: {TensorShape(shape)}")
    count = math.prod(shape)  # type: ignore[arg-type]
    if dtype.numpy.kind == "O":
        flat = np.empty(count, dtype=object)
        items = _filling(list(proto.string_val), count, b"")
        flat[:] = items
    elif proto.tensor_content:
        flat = np.frombuffer(proto.tensor_content, dtype.numpy.newbyteorder("<")).astype(dtype.numpy)
        if flat.size != count:
            raise ValueError(f"A tensor of shape {shape} needs {count} elements, but was given {flat.size}.")
    else:
        flat = np.array(_filling(_elements(proto, dtype), count, 0)).astype(dtype.numpy)
    array = flat.reshape(shape)
    return array if array.ndim else array[()]


def _elements(proto: Any, dtype: DType) -> Any:
    if dtype.name == "float16":
        return np.array(proto.half_val, np.uint16).view(np.float16)
    if dtype.is_complex:
        parts = np.array(proto.scomplex_val if dtype.name == "complex64" else proto.dcomplex_val)
        return parts[::2] + 1j * parts[1::2]
    return getattr(proto, _FIELDS[dtype.name])


def _filling(items: Any, count: int, default: Any) -> Any:
    if len(items) > count:
        raise ValueError(f"A tensor of {count} elements was given {len(items)} values.")
    missing = count - len(items)
    return [*items, *[items[-1] if len(items) else default] * missing] if missing else items


def number_dtype(number: int) -> DType:
    """The dtype for a number in a protocol buffer. Raises ValueError for one that Weftwork lacks (DT_BFLOAT16 ...)."""
    try:
        return as_dtype(int(number))
    except TypeError:
        known = protos("types").DataType
        name = known.Name(number) if number in known.values() else f"dtype {number}"
        raise ValueError(f"Weftwork has no values of type {name}") from None


# Attributes


def attr_proto(value: Any, kind: str) -> Any:
    """An AttrValue of a declared kind ("int", "list(shape)" ...) for a Python value."""
    proto = protos("attr_value").AttrValue()
    if kind.startswith("list("):
        proto.list.SetInParent()
        kind, field = kind[5:-1], _KINDS[kind[5:-1]]
        getattr(proto.list, field).extend([_encoded(item, kind) for item in value])
        return proto
    encoded = _encoded(value, kind)
    field = _KINDS[kind]
    if hasattr(encoded, "SerializeToString"):
        getattr(proto, field).CopyFrom(encoded)
        getattr(proto, field).SetInParent()
    else:
        setattr(proto, field, encoded)
    return proto


_KINDS = {
    "string": "s",
    "int": "i",
    "float": "f",
    "bool": "b",
    "type": "type",
    "shape": "shape",
    "tensor": "tensor",
    "func": "func",
}


def _encoded(value: Any, kind: str) -> Any:
    if kind == "string":
        return value.encode() if isinstance(value, str) else bytes(value)
    if kind == "type":
        return as_dtype(value).as_datatype_enum
    if kind == "shape":
        return shape_proto(as_raw(value))
    if kind == "func" and isinstance(value, str):
        return protos("attr_value").NameAttrList(name=value)
    return value if kind in ("tensor", "func") else {"int": int, "float": float, "bool": bool}[kind](value)


def attr_of(proto: Any) -> Any:
    """The content of an AttrValue, in the form of `Operation.get_attr`: DTypes, text as bytes, messages as messages."""
    field = proto.WhichOneof("value")
    if field is None:
        return []
    if field == "list":
        for name in _KINDS.values():
            items: Sequence = getattr(proto.list, name)
            if items:
                return [number_dtype(item) for item in items] if name == "type" else list(items)
        return []
    return number_dtype(proto.type) if field == "type" else getattr(proto, field)


def attr_value(proto: Any, kind: str) -> Any:
    """The content of an AttrValue of a declared kind, in the form for building nodes: raw shapes, str, arrays.

    Raises ValueError for another kind.
    """
    field = proto.WhichOneof("value")
    if kind.startswith("list("):
        if field not in ("list", None):
            raise ValueError(f"a {kind} was expected, not {field}")
        return [_decoded(item, kind[5:-1]) for item in getattr(proto.list, _KINDS[kind[5:-1]])]
    if field != _KINDS[kind]:
        raise ValueError(f"{kind} was expected, not {field}")
    return _decoded(getattr(proto, field), kind)


def _decoded(value: Any, kind: str) -> Any:
    if kind == "type":
        return number_dtype(value)
    if kind == "string":
        return value.decode("utf-8", "surrogateescape")
    if kind == "shape":
        return shape_of(value)
    return array_of(value) if kind == "tensor" else value
