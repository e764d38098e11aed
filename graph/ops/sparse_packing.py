"""Sparse tensors as single elements of a tensor of objects, so that they can go through queues and be batched."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import apply
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.composite import SparseTensor


class _Packed:
    """The value of a sparse tensor. It is not a tuple, so that NumPy treats it as a single element."""

    __slots__ = ("dense_shape", "indices", "values")

    def __init__(self, indices: Any, values: Any, dense_shape: Any):
        self.indices, self.values, self.dense_shape = indices, values, dense_shape


def pack(sparse: SparseTensor) -> Tensor:
    """A SparseTensor as a single object: a tensor of rank 0."""
    return apply(_pack, _parts(sparse), type="PackSparse", dtype=dtypes.object, shape=())


def pack_rows(sparse: SparseTensor) -> Tensor:
    """The rows of a SparseTensor [n, ...] as objects [n], each of rank one less."""
    return apply(_pack_rows, _parts(sparse), type="PackSparseRows", dtype=dtypes.object, shape=(None,))


def unpack(packed: Tensor, like: SparseTensor, is_row: bool) -> SparseTensor:
    """The SparseTensor [n, ...] with these n objects as rows, as large as the largest.

    like: has the dtype, and the rank if is_row is False; else it is one row.
    """
    kind, inner = like.values.dtype.base_dtype, like.get_shape().ndims
    rank = None if inner is None else inner + is_row
    outputs: list = [(dtypes.int64, (None, rank)), (kind, (None,)), (dtypes.int64, (rank,))]
    return SparseTensor(*apply(_unpack, [packed], {"dtype": kind.numpy}, type="UnpackSparse", outputs=outputs))


def _parts(sparse: SparseTensor) -> list[Tensor]:
    return [sparse.indices, sparse.values, sparse.dense_shape]


def _pack(indices, values, shape):
    return _Packed(indices, values, shape)


def _pack_rows(indices, values, shape):
    packed = np.empty(int(shape[0]), object)
    for row in range(len(packed)):
        in_row = indices[:, 0] == row
        packed[row] = _Packed(indices[in_row][:, 1:], values[in_row], shape[1:])
    return packed


def _unpack(packed: Any, dtype: Any) -> tuple:
    items = list(packed)
    rank = len(items[0].dense_shape) if items else 1
    largest = np.max([item.dense_shape for item in items], axis=0) if items else np.zeros(rank, np.int64)
    rows = np.repeat(np.arange(len(items)), [len(item.values) for item in items]).astype(np.int64)
    inner = np.concatenate([np.reshape(item.indices, (-1, rank)) for item in items] or [np.zeros((0, rank), np.int64)])
    values = np.concatenate([np.atleast_1d(item.values) for item in items] or [np.zeros(0)]).astype(dtype)
    return np.column_stack([rows, inner]), values, np.concatenate([[len(items)], largest]).astype(np.int64)
