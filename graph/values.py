"""Python values as run-time values: NumPy arrays, or NumPy scalars for rank 0. Text becomes UTF-8 bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.dtypes import DType, as_dtype
from weftwork.graph.python.class_facts import is_masked_array

_MOST_AXES = 64


def to_value(value: Any, dtype: DType | None = None) -> Any:
    """Convert a Python value to the run-time value of a tensor: a NumPy array, or a NumPy scalar for rank 0.

    Text becomes UTF-8 bytes. dtype None: Python floats become float32, ints int32 if they fit, arrays keep their dtype.
    Raises TypeError or ValueError if `value` cannot be converted to the dtype.
    """
    if dtype is dtypes.object:
        return value
    if dtype is dtypes.string or (dtype is None and _is_text(value)):
        return _text_value(value)
    if isinstance(value, (np.ndarray, np.generic)):
        array = as_array(value) if dtype is None else _cast(value, dtype, value)
        return array if array.ndim else array[()]
    if value is None:
        raise ValueError("None values not supported.")
    try:
        array = np.asarray(value)
    except NotImplementedError:
        raise TypeError(f"Expected any non-tensor type, got a tensor instead: {value!r}") from None
    except ValueError as error:
        raise ValueError(f"Can't convert a ragged Python sequence to a Tensor: {shown(value)}") from error
    if array.dtype.kind == "O":
        raise TypeError(
            f"Failed to convert object of type {type(value).__name__} to Tensor. Contents: {shown(value)}. "
            "Consider casting elements to a supported type, or dtype=object for a Python object."
        )
    if array.dtype.kind in "US":
        if dtype is not None:
            raise _mismatch(value, dtype)
        return _text_value(value)
    if dtype is None:
        dtype = _weak_dtype(array)
    return _cast(array, dtype, value)[()]


def freeze(array: np.ndarray) -> np.ndarray:
    """A read-only array of the same values that nobody can write to: a copy, unless the array is read-only already."""
    if not array.flags.writeable and array.base is None:
        return array
    array = array.copy()
    array.flags.writeable = False
    return array


def dtype_of(array: Any, value: Any) -> DType:
    """The dtype of a run-time value converted from `value`."""
    kind = getattr(getattr(array, "dtype", None), "kind", "O")
    if kind == "O":
        flat = _first(value)
        if isinstance(flat, np.ndarray) and flat.size:
            flat = flat.flat[0]
        return dtypes.string if isinstance(flat, (str, bytes)) else dtypes.object
    return as_dtype(array.dtype)


def filled(array: Any, shape: shapes.RawShape, verify: bool) -> Any:
    """A value reshaped to `shape`, or its last element repeated to fill it. Raises ValueError or TypeError."""
    if not shapes.is_full(shape):
        raise ValueError(f"A constant's shape must be fully defined, but got {shapes.text(shape)}.")
    if np.shape(array) == shape:
        return array
    if verify:
        raise TypeError(f"Expected Tensor's shape: {shape}, got {np.shape(array)}.")
    size, wanted = np.size(array), int(np.prod(shape))  # type: ignore[arg-type]
    if wanted == 0:
        return np.ravel(array)[:0].reshape(shape)
    if size > wanted:
        raise ValueError(f"Too many elements provided. Needed at most {wanted}, but received {size}")
    flat = np.ravel(array)
    if size < wanted:
        flat = np.concatenate([flat, np.repeat(flat[-1:], wanted - size)])
    return flat.reshape(shape)


def _weak_dtype(array: np.ndarray) -> DType:
    """The default dtype of a converted Python value, e.g. float64 -> float32."""
    if array.dtype == np.float64:
        return dtypes.float32
    if array.dtype == np.int64:
        limits = np.iinfo(np.int32)
        fits = array.size == 0 or (array.min() >= limits.min and array.max() <= limits.max)
        return dtypes.int32 if fits else dtypes.int64
    return as_dtype(array.dtype)


def _cast(array: Any, dtype: DType, value: Any) -> Any:
    array = as_array(array)
    if array.dtype == dtype.numpy:
        return array
    kinds = "biufc"
    given, wanted = array.dtype.kind, dtype.numpy.kind
    weak = not isinstance(value, (np.ndarray, np.generic))
    if given not in kinds or wanted not in kinds or (weak and array.size and _loses(given, wanted)):
        raise _mismatch(value, dtype)
    if wanted in "iu" and given in "iu" and array.size:
        limits = np.iinfo(dtype.numpy)
        if array.min() < limits.min or array.max() > limits.max:
            raise ValueError(f"{shown(value)} does not fit {dtype.name}.")
    return array.astype(dtype.numpy)


def _mismatch(value: Any, dtype: DType) -> TypeError:
    """The error for a value of another kind than a dtype's; of lists, it names the first item that does not fit."""
    wrong = value
    while isinstance(wrong, (list, tuple)) and wrong:
        wrong = next((item for item in wrong if not _fits(item, dtype)), wrong[0])
    return TypeError(f"Expected {dtype.name}, got {shown(wrong)} of type '{type(wrong).__name__}' instead.")


def _fits(item: Any, dtype: DType) -> bool:
    if isinstance(item, (list, tuple)):
        return all([_fits(inner, dtype) for inner in item])
    given, wanted = np.asarray(item).dtype.kind, dtype.numpy.kind
    return given in "biufc" and wanted in "biufc" and not _loses(given, wanted)


def _loses(given: str, wanted: str) -> bool:
    order = "b iu f c".split()
    rank = {kind: i for i, kinds in enumerate(order) for kind in kinds}
    return rank[given] > rank[wanted] or (given == "b" and wanted != "b")


def _is_text(value: Any) -> bool:
    value = _first(value)
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "US" or (
            value.dtype.kind == "O" and value.size > 0 and isinstance(value.flat[0], (str, bytes))
        )
    return isinstance(value, (str, bytes))


def shown(value: Any) -> str:
    """A value for an error message, even if it cannot be printed."""
    try:
        return repr(value)
    except Exception:  # nested too deeply, or its own code fails
        return f"a {type(value).__name__}"


def as_array(value: Any, dtype: Any = None) -> np.ndarray:
    """`np.asarray`, except that a masked array stays one."""
    return (
        np.asanyarray(value, dtype)
        if is_masked_array(type(value)) and np.ma.is_masked(value)
        else np.asarray(value, dtype)
    )


def _first(value: Any) -> Any:
    """The first leaf of nested lists, down to the depth that NumPy allows; anything else is returned as it is."""
    leaf = value
    for _ in range(_MOST_AXES):
        if not (isinstance(leaf, (list, tuple)) and leaf):
            return leaf
        leaf = leaf[0]
    return value


def _text_value(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return bytes(value)
    # An object array from the start: a fixed-width one would drop trailing NULs.
    array = np.array(value, dtype=object) if not isinstance(value, np.ndarray) else value.astype(object)
    out = np.empty(array.shape, dtype=object)
    for index in np.ndindex(array.shape):
        item = array[index]
        if isinstance(item, str):
            item = item.encode()
        elif not isinstance(item, bytes):
            raise TypeError(f"Expected string, got {shown(item)} of type '{type(item).__name__}' instead.")
        out[index] = item
    return out
