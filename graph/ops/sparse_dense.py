"""Conversions between sparse and dense tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.arguments import of_kind
from weftwork.graph.build import apply, as_tensor, convert_to_tensor, placeholder
from weftwork.graph.kernels import sparse as kernels
from weftwork.graph.known import shape_argument
from weftwork.graph.operation import Kind, Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.composite import SparseTensor
from weftwork.graph.ops.sparse_ops import as_sparse, rank_of, sparse_merge
from weftwork.graph.scopes import name_scope
from weftwork.graph.stacks import get_default_graph


def sparse_placeholder(dtype: Any, shape: Any = None, name: str | None = None) -> SparseTensor:
    """A sparse tensor that must be fed: a SparseTensorValue, or a tuple (indices, values, dense_shape).

    shape: its known part, a list with None for unknown dimensions; None if not even the rank is known.
    """
    prefix = "" if name is None else f"{name}/"
    word = {part: f"{prefix}{part}" if name else None for part in ("shape", "values", "indices")}
    raw = None if shape is None or as_tensor(shape) is not None else shapes.as_raw(shape)
    rank = None if raw is None else len(raw)
    if shape is None or (raw is not None and None in raw):
        specs: list = [(dtypes.int64, (rank,))]
        attrs = {} if raw is None else {"_entries": raw}
        graph = get_default_graph()
        dims = graph.add(Kind.PLACEHOLDER, "Placeholder", attrs=attrs, outputs=specs, name=word["shape"]).outputs[0]
    else:
        dims = convert_to_tensor(shape if raw is None else np.array(raw, np.int64), dtypes.int64, name=word["shape"])
        rank = dims.raw_shape[0] if dims.raw_shape else rank
    return SparseTensor(
        values=placeholder(dtype, [None], word["values"]),
        indices=placeholder(dtypes.int64, [None, rank], word["indices"]),
        dense_shape=dims,
    )


def from_dense(tensor: Any, name: str | None = None) -> SparseTensor:
    """The sparse tensor of the nonzero elements."""
    with name_scope(name, "dense_to_sparse", [tensor]):
        x = convert_to_tensor(tensor)
        rank = None if x.raw_shape is None else len(x.raw_shape)
        outputs = [(dtypes.int64, (None, rank)), (x.dtype.base_dtype, (None,)), (dtypes.int64, (rank,))]
        indices, _, dims = apply(kernels.from_dense, [x], type="DenseToSparse", outputs=outputs)
        known = array_ops.shape(x, out_type=dtypes.int64) if shapes.is_full(x.raw_shape) else dims
        return SparseTensor(indices, array_ops.gather_nd(x, indices), known)


def sparse_eye(
    num_rows: int, num_columns: int | None = None, dtype: Any = dtypes.float32, name: str | None = None
) -> SparseTensor:
    """A sparse matrix with ones along its diagonal.

    num_rows, num_columns: integers; as many columns as rows by default.
    """
    columns = num_rows if num_columns is None else num_columns
    least = min(num_rows, columns)
    with name_scope(name, "sparse_eye"):
        index = np.arange(least, dtype=np.int64)
        return SparseTensor(np.stack([index, index], 1), array_ops.ones([least], dtype), [num_rows, columns])


def sparse_to_dense(
    sparse_indices: Any,
    output_shape: Any,
    sparse_values: Any,
    default_value: Any = 0,
    validate_indices: bool = True,
    name: str | None = None,
) -> Tensor:
    """A tensor of `output_shape` with `sparse_values` at `sparse_indices`, and the default elsewhere.

    sparse_indices: [n, rank], or [n] for a vector, or a scalar. sparse_values: [n], or one value for all.
    validate_indices: they must ascend without duplicates, or InvalidArgumentError is raised at run time. Other shapes
    raise it as well.
    """
    with name_scope(name, "SparseToDense", [sparse_indices, output_shape, sparse_values]) as scope:
        values = convert_to_tensor(sparse_values)
        default = convert_to_tensor(default_value, values.dtype.base_dtype)
        indices = math_ops.cast(of_kind(convert_to_tensor(sparse_indices), "sparse_indices", "iu"), dtypes.int64)
        dims = math_ops.cast(convert_to_tensor(output_shape), dtypes.int64)
        if dims.raw_shape is not None and len(dims.raw_shape) != 1:
            raise ValueError(f"Shape must be rank 1 but is rank {len(dims.raw_shape)} for the output_shape: {dims}")
        _, _, raw = shape_argument(output_shape)
        attrs = {"validate": validate_indices}
        return apply(
            kernels.to_dense, [indices, dims, values, default], attrs,
            type="SparseToDense", name=scope, dtype=values.dtype.base_dtype, shape=raw,
        )  # fmt: skip


def sparse_tensor_to_dense(
    sp_input: Any, default_value: Any = None, validate_indices: bool = True, name: str | None = None
) -> Tensor:
    """The dense tensor, with the default (0, or an empty string) where there is no value.

    validate_indices: they must ascend without duplicates, or InvalidArgumentError is raised at run time.
    """
    sp = as_sparse(sp_input)
    if default_value is None:
        default_value = "" if sp.dtype.base_dtype is dtypes.string else np.zeros((), sp.dtype.numpy)[()]
    dense = sparse_to_dense(sp.indices, sp.dense_shape, sp.values, default_value, validate_indices, name)
    if dense.raw_shape is None and rank_of(sp) is not None:
        dense.set_shape([None] * rank_of(sp))  # type: ignore[operator]
    return dense


def sparse_to_indicator(sp_input: Any, vocab_size: int, name: str | None = None) -> Tensor:
    """For each number below vocab_size, whether it is among the values of a row; bool [..., vocab_size]."""
    sp = as_sparse(sp_input)
    with name_scope(name, "SparseToIndicator", [sp.indices, sp.values]):
        ones = array_ops.ones_like(sp.values, dtypes.bool)
        marked = sparse_merge(sp, SparseTensor(sp.indices, ones, sp.dense_shape), vocab_size)
        dense = sparse_tensor_to_dense(marked, default_value=False, validate_indices=False)
        if isinstance(vocab_size, int) and dense.raw_shape is not None:
            dense.set_shape([*dense.raw_shape[:-1], vocab_size])
        return dense
