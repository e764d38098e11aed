"""Tensors filled with one value: zeros, ones, fill; identity matrices; masks from lengths."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.arguments import of_kind
from weftwork.graph.build import apply, constant, convert_to_tensor, operands, static_value
from weftwork.graph.dtypes import DType, as_dtype
from weftwork.graph.kernels import arrays as kernels
from weftwork.graph.kernels.cells import emptied
from weftwork.graph.known import shape_argument, whole_numbers
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.composite import SparseTensor
from weftwork.graph.ops.conversion import cast
from weftwork.graph.scopes import name_scope

_SMALL = 1000
"""Zeros and ones with fewer elements are constants of the graph, as in TensorFlow."""


def zeros(shape: Any, dtype: Any = dtypes.float32, name: str | None = None) -> Tensor:
    """All 0 (False, empty strings). shape: a tensor, ints, or a list that may contain tensors."""
    return _uniform(shape, as_dtype(dtype).base_dtype, 0, name or "zeros")


def ones(shape: Any, dtype: Any = dtypes.float32, name: str | None = None) -> Tensor:
    """All 1 (True). shape: a tensor, ints, or a list that may contain tensors."""
    return _uniform(shape, as_dtype(dtype).base_dtype, 1, name or "ones")


def _uniform(shape: Any, dtype: DType, number: int, name: str) -> Tensor:
    dims, vector, raw = shape_argument(shape)
    if dims is not None and min(dims, default=0) < 0:
        raise ValueError(f"Dimensions {list(dims)} must be >= 0")
    if number and dtype is dtypes.string:
        raise TypeError("Expected string, got 1 of type 'int' instead.")
    if dims is not None and dtype is not dtypes.object and math.prod(dims) < _SMALL:
        return constant(np.full(dims, _number(dtype, number), dtype.numpy), dtype, name=name)
    if dtype.numpy.kind == "O":
        return fill(shape, convert_to_tensor(_number(dtype, number), dtype), name)
    attrs: dict[str, Any] = {"dtype": dtype.numpy}
    inputs = [] if vector is None else [vector]
    if vector is None:
        attrs["shape"] = dims
    return apply(np.ones if number else np.zeros, inputs, attrs, type="Fill", name=name, dtype=dtype, shape=raw)


def _number(dtype: DType, number: int) -> Any:
    return number if dtype is not dtypes.string else b""


def zeros_like(tensor: Any, dtype: Any = None, name: str | None = None, optimize: bool = True) -> Tensor:
    """Zeros of the shape of another tensor. dtype: None for the dtype of that tensor.

    If the shape is known, the other tensor is not computed at run time, unless optimize=False.
    """
    return _uniform_like(tensor, dtype, 0, name or "zeros_like", optimize)


def ones_like(tensor: Any, dtype: Any = None, name: str | None = None, optimize: bool = True) -> Tensor:
    """Ones of the shape of another tensor. dtype: None for the dtype of that tensor.

    If the shape is known, the other tensor is not computed at run time, unless optimize=False.
    """
    return _uniform_like(tensor, dtype, 1, name or "ones_like", optimize)


def _uniform_like(tensor: Any, dtype: Any, number: int, name: str, optimize: bool) -> Tensor:
    if number == 0 and isinstance(tensor, SparseTensor):
        return zeros(tensor.dense_shape, tensor.dtype if dtype is None else dtype, name)
    x = convert_to_tensor(tensor, name="tensor")
    dtype = x.dtype.base_dtype if dtype is None else as_dtype(dtype).base_dtype
    if dtype is dtypes.variant:
        return apply(emptied, [x], type="ZerosLike", name=name, dtype=dtype, shape=x.raw_shape)
    if number and dtype is dtypes.string:
        raise TypeError("Expected string, got 1 of type 'int' instead.")
    if optimize and shapes.is_full(x.raw_shape):
        with x.graph.as_default():
            return _uniform(x.raw_shape, dtype, number, name)
    attrs = {"value": _number(dtype, number), "dtype": dtype.numpy}
    kind = "OnesLike" if number else "ZerosLike"
    return apply(kernels.like, [x], attrs, type=kind, name=name, dtype=dtype, shape=x.raw_shape)


def fill(dims: Any, value: Any, name: str | None = None) -> Tensor:
    """A tensor filled with `value`, a scalar. Raises ValueError if the value is not a scalar.

    dims: the shape of the result, an integer vector.
    """
    name, (x,) = operands("Fill", name, value=value)
    if x.raw_shape not in (None, ()):
        raise ValueError(f"Shape must be rank 0 but is rank {len(x.raw_shape)} for 'Fill'.")  # type: ignore[arg-type]
    known, vector, raw = shape_argument(dims)
    if any([size is not None and size < 0 for size in known or ()]):
        raise ValueError(f"Dimension {min(known or ())} must be >= 0")
    attrs: dict[str, Any] = {"dtype": x.dtype.numpy}
    inputs = [x] if vector is None else [x, vector]
    if vector is None:
        attrs["dims"] = known
    return apply(kernels.fill, inputs, attrs, type="Fill", name=name, dtype=x.dtype.base_dtype, shape=raw)


def eye(
    num_rows: Any, num_columns: Any = None, batch_shape: Any = None, dtype: Any = dtypes.float32,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Identity matrices, [batch_shape..., num_rows, num_columns]; square by default."""
    dtype, columns = as_dtype(dtype), num_rows if num_columns is None else num_columns
    batch, vector, raw = ((), None, ()) if batch_shape is None else shape_argument(batch_shape)
    known = (whole_numbers(num_rows), whole_numbers(columns))
    if any([isinstance(size, int) and size < 0 for size in known]):
        raise ValueError(f"A matrix cannot have {known[0]} rows and {known[1]} columns")
    attrs: dict[str, Any] = {"dtype": dtype.numpy}
    inputs: list[Tensor] = []
    if vector is None and None not in known:
        attrs["rows"], attrs["columns"] = known
    else:
        inputs = [convert_to_tensor(num_rows), convert_to_tensor(columns), *([] if vector is None else [vector])]
    if vector is None:
        attrs["batch"] = batch
    shape = None if raw is None else (*raw, *known)
    return apply(kernels.eye, inputs, attrs, type="Eye", name=name or "eye", dtype=dtype, shape=shape)  # type: ignore[arg-type]


def sequence_mask(lengths: Any, maxlen: Any = None, dtype: Any = dtypes.bool, name: str | None = None) -> Tensor:
    """True at the first lengths[...] positions: [...] -> [..., maxlen]. maxlen: by default the greatest length.

    Lengths may be floats: 1.5 counts as 2, but as 1 if maxlen is given. Raises ValueError if maxlen is not a scalar,
    TypeError for text.
    """
    x, dtype = convert_to_tensor(lengths, name="lengths"), as_dtype(dtype)
    of_kind(x, "lengths", "biuf")
    known = static_value(x)
    limit = None if known is None else math.ceil(np.max(known, initial=0))
    if maxlen is not None:
        x, limit = cast(x, dtypes.int64) if x.dtype.is_floating else x, whole_numbers(maxlen)
    if maxlen is not None and convert_to_tensor(maxlen).raw_shape not in (None, ()):
        raise ValueError("maxlen must be scalar for sequence_mask")
    attrs: dict[str, Any] = {"dtype": dtype.numpy}
    inputs = [x]
    if limit is not None:
        attrs["maxlen"] = limit
    elif maxlen is not None:
        inputs.append(convert_to_tensor(maxlen, name="maxlen"))
    raw: Any = None if x.raw_shape is None else (*x.raw_shape, limit)
    with name_scope(name, "SequenceMask", inputs):
        last = "Less" if dtype.is_bool else "Cast_1"
        return apply(kernels.sequence_mask, inputs, attrs, type="SequenceMask", name=last, dtype=dtype, shape=raw)
