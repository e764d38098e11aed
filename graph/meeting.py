"""Which dtype values get that meet in one node: tensors, arrays and Python's numbers.

Tensors of different dtypes are promoted as in NumPy. Python's numbers are weak beside them (NEP 50). NumPy's values
take the tensors' dtype, as in TensorFlow 1, unless it cannot hold them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.dtypes import DType, as_dtype

ARRAYS = (np.ndarray, np.generic)
PYTHON = {"i": int, "f": float, "c": complex}
_HEIGHTS = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}


def promoted_dtype(typed: list[DType]) -> DType | None:
    """The dtype that NumPy promotes these to; the first one if they are not all numbers; None of none."""
    if len(typed) <= 1:
        return typed[0] if typed else None
    numeric = [d.numpy for d in typed if d.numpy.kind in "biufc"]
    return typed[0] if len(numeric) < len(typed) else as_dtype(np.result_type(*numeric))


def beside(value: Any, dtype: DType | None) -> Any:
    """A value as it is next to tensors of `dtype`: NumPy's numbers in this dtype, if it can hold them.

    A float stays a float beside integers, and an integer that is too large for the dtype keeps its own.
    """
    if dtype is None or not isinstance(value, ARRAYS) or value.dtype == dtype.numpy:
        return value
    height = _HEIGHTS.get(dtype.numpy.kind, 0)
    if not height or _HEIGHTS.get(value.dtype.kind, 4) > height:
        return value
    with np.errstate(over="ignore"):
        cast = value.astype(dtype.numpy)
    return value if height == 1 and not np.array_equal(cast, value) else cast


def dtypes_of_arrays(values: Sequence[Any]) -> list[DType]:
    """The dtypes of the numbers among `values` that are NumPy's."""
    return [as_dtype(v.dtype) for v in values if isinstance(v, ARRAYS) and v.dtype.kind in "biufc"]


def of_numbers(values: Sequence[Any]) -> DType | None:
    """float32 for Python numbers of which some are floats and some are not, and which no tensor accompanies."""
    return dtypes.float32 if {*map(type, leaves(values))} == {int, float} else None


def leaves(value: Any) -> Iterator[Any]:
    """The items of a nested list that are not lists themselves."""
    for item in value:
        if isinstance(item, (list, tuple)):
            yield from leaves(item)
        else:
            yield item


def weak_result(dtype: DType, kind: type, value: Any) -> DType:
    """`weak_dtype` of a number. Raises OverflowError for an int that this dtype cannot hold."""
    result, limits = weak_dtype(dtype, kind)
    if limits is not None and not limits[0] <= value <= limits[1]:
        raise OverflowError(f"Python integer {value} out of bounds for {result.name}")
    return result


@lru_cache(maxsize=256)
def weak_dtype(dtype: DType, kind: type) -> tuple[DType, tuple[int, int] | None]:
    """The dtype of a Python number of this kind next to a tensor, and the limits that an int must keep."""
    bare = dtype.numpy.kind == "b"
    if kind is bool:
        return dtypes.bool if bare else dtype, None
    if bare and kind in (int, float):
        return (dtypes.int32, dtypes.int32.bounds) if kind is int else (dtypes.float32, None)
    result = as_dtype((np.zeros(1, dtype.numpy) + kind(1)).dtype)
    return result, result.bounds if result.is_integer else None
