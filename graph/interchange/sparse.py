"""Sparse tensors as strings: three TensorProtos, of the indices, the values and the shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import apply, convert_to_tensor
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.interchange.values import array_of, tensor_proto
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.composite import SparseTensor
from weftwork.graph.ops.sparse_ops import convert_to_tensor_or_sparse_tensor
from weftwork.graph.protos import protos


def serialize_sparse(sp_input: Any, name: str | None = None, out_type: Any = dtypes.string) -> Tensor:
    """A SparseTensor as strings [3]: its indices, values and shape.

    sp_input: a SparseTensor, or its value.   out_type: string.
    Raises TypeError for anything else.
    """
    return _serialized(sp_input, "SerializeSparse", _one, (3,), name, out_type)


def serialize_many_sparse(sp_input: Any, name: str | None = None, out_type: Any = dtypes.string) -> Tensor:
    """The rows of a SparseTensor [n, ...] as strings [n, 3], each of rank one less.

    sp_input: a SparseTensor, or its value.   out_type: string.
    Raises TypeError for anything else.
    """
    return _serialized(sp_input, "SerializeManySparse", _many, (None, 3), name, out_type)


def _serialized(given: Any, kind: str, kernel: Any, shape: tuple, name: str | None, out_type: Any) -> Tensor:
    sparse = convert_to_tensor_or_sparse_tensor(given)
    if not isinstance(sparse, SparseTensor):
        raise TypeError(f"Input must be a SparseTensor, not {given!r}")
    if as_dtype(out_type) is not dtypes.string:
        raise TypeError(f"out_type must be string, not {out_type!r}")
    attrs = {"dtype": sparse.values.dtype.base_dtype.name}
    parts = [sparse.indices, sparse.values, sparse.dense_shape]
    return apply(kernel, parts, attrs, type=kind, name=name, dtype=dtypes.string, shape=shape)


def _one(indices: Any, values: Any, shape: Any, *, dtype: str) -> Any:
    made = np.empty(3, object)
    each = [(indices, dtypes.int64), (values, dtypes.ALL[dtype]), (shape, dtypes.int64)]
    made[:] = [tensor_proto(array, kind).SerializeToString() for array, kind in each]
    return made


def _many(indices: Any, values: Any, shape: Any, *, dtype: str) -> Any:
    made = np.empty((int(shape[0]), 3), object)
    for row in range(len(made)):
        here = indices[:, 0] == row
        made[row] = _one(indices[here][:, 1:], values[here], shape[1:], dtype=dtype)
    return made


def deserialize_many_sparse(
    serialized_sparse: Any, dtype: Any, rank: int | None = None, name: str | None = None
) -> SparseTensor:
    """The SparseTensor [n, ...] whose rows were serialized to strings [n, 3]; its shape is that of the largest.

    serialized_sparse: strings [n, 3].   rank: of a row, if you know it.
    At run time, raises InvalidArgumentError for rows of several ranks or another dtype.
    """
    kind = as_dtype(dtype)
    whole = None if rank is None else int(rank) + 1
    outputs: list = [(dtypes.int64, (None, whole)), (kind, (None,)), (dtypes.int64, (whole,))]
    given = convert_to_tensor(serialized_sparse, dtypes.string)
    made = apply(_read, [given], {"dtype": kind.name}, type="DeserializeManySparse", name=name, outputs=outputs)
    return SparseTensor(*made)


def _read(rows: Any, *, dtype: str) -> tuple:
    """The kernel of `deserialize_many_sparse`."""
    proto = protos("tensor").TensorProto
    parsed = [[np.asarray(array_of(proto.FromString(text))) for text in row] for row in rows]
    ranks = {len(shape) for _, _, shape in parsed}
    if len(ranks) > 1 or not parsed:
        raise InvalidArgumentError(None, None, f"Inconsistent rank across SparseTensors: {sorted(ranks)}")
    kind = dtypes.ALL[dtype].numpy
    if any([values.dtype != kind for _, values, _ in parsed]):
        raise InvalidArgumentError(None, None, f"Requested SparseTensor of type {dtype}, but got another")
    numbers = np.repeat(np.arange(len(parsed)), [len(values) for _, values, _ in parsed]).astype(np.int64)
    inner = np.concatenate([indices.reshape(-1, ranks.copy().pop()) for indices, _, _ in parsed])
    largest = np.max([shape for _, _, shape in parsed], axis=0)
    whole = np.concatenate([[len(parsed)], largest]).astype(np.int64)
    return np.column_stack([numbers, inner]).astype(np.int64), np.concatenate([v for _, v, _ in parsed]), whole
