"""Values as TensorProtos: made and read while the graph is built, and by operations at run time."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import apply, convert_to_tensor, to_value
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.interchange.values import array_of, tensor_proto
from weftwork.graph.operation import Tensor
from weftwork.graph.protos import protos


def make_tensor_proto(
    values: Any, dtype: Any = None, shape: Any = None, verify_shape: bool = False, allow_broadcast: bool = False
) -> Any:
    """The TensorProto for a Python value or an array.

    shape: of the result, by default the value's.   verify_shape: require the value to have it. Raises TypeError or
    ValueError if they do not match, ImportError if TensorBoard, which ships the message, is not installed.
    allow_broadcast: accepted as in TensorFlow, without effect.
    """
    kind = None if dtype is None else as_dtype(dtype).base_dtype
    value = to_value(values, kind)
    kind = kind or as_dtype(np.asarray(value).dtype if not isinstance(value, (bytes, str)) else dtypes.string)
    if kind is dtypes.object:
        kind = dtypes.string
    array = np.asarray(value, kind.numpy)
    if shape is not None and tuple(shape) != array.shape:
        if verify_shape:
            raise TypeError(f"Expected Tensor's shape: {tuple(shape)}, got {array.shape}.")
        missing = int(np.prod(shape)) - array.size
        if missing < 0 or not array.size:
            raise ValueError(
                f"Too many elements provided. Needed at most {int(np.prod(shape))}, but received {array.size}"
            )
        array = np.concatenate([array.ravel(), np.repeat(array.ravel()[-1:], missing)]).reshape(tuple(shape))
    return tensor_proto(array, kind)


def make_ndarray(tensor: Any) -> np.ndarray:
    """The array of a TensorProto. Raises ValueError if it is malformed."""
    return np.asarray(array_of(tensor))


def serialize_tensor(tensor: Any, name: str | None = None) -> Tensor:
    """The bytes of a tensor's TensorProto, as a string of rank 0."""
    x = convert_to_tensor(tensor, name="tensor")
    attrs = {"dtype": x.dtype.base_dtype.name}
    return apply(_serialized, [x], attrs, type="SerializeTensor", name=name, dtype=dtypes.string, shape=())


def _serialized(value: Any, *, dtype: str) -> bytes:
    return tensor_proto(value, dtypes.ALL[dtype]).SerializeToString()


def parse_tensor(serialized: Any, out_type: Any, name: str | None = None) -> Tensor:
    """The tensor serialized by `serialize_tensor`, of a given dtype.

    At run time, raises InvalidArgumentError for malformed bytes, or for another dtype.
    """
    kind, attrs = as_dtype(out_type), {"dtype": as_dtype(out_type).name}
    text = convert_to_tensor(serialized, dtypes.string, name="serialized")
    return apply(_parsed, [text], attrs, type="ParseTensor", name=name, dtype=kind, shape=None)


def _parsed(text: bytes, *, dtype: str) -> Any:
    from google.protobuf.message import DecodeError

    try:
        proto = protos("tensor").TensorProto.FromString(text)
        value = array_of(proto)
    except (DecodeError, ValueError, TypeError) as error:
        raise InvalidArgumentError(None, None, f"Could not parse `serialized` as TensorProto: {error}") from error
    if as_dtype(proto.dtype) is not dtypes.ALL[dtype]:
        found, wanted = as_dtype(proto.dtype).cpp_name, dtypes.ALL[dtype].cpp_name
        raise InvalidArgumentError(None, None, f"Type mismatch between parsed tensor ({found}) and dtype ({wanted})")
    return value
