"""Operations on sparse tensors: the functions of `tf.sparse`, and the older `sparse_...` functions.

A sparse tensor is (indices [n, rank], values [n], dense_shape [rank]). Most operations require and return indices in
row-major order without duplicates. An index out of range raises InvalidArgumentError at run time.
Derivatives go through the values: `kernels/sparse` tells where each comes from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import apply, as_tensor, constant, convert_to_tensor, static_value
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.errors import RefusedError
from weftwork.graph.kernels import sparse as kernels
from weftwork.graph.known import entries, renamed, whole_numbers
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.composite import SparseTensor, SparseTensorValue
from weftwork.graph.ops.products import matmul
from weftwork.graph.scopes import name_scope
from weftwork.graph.seams import seams


def as_sparse(value: Any) -> SparseTensor:
    """A SparseTensor unchanged, or a SparseTensorValue as a constant one. Raises TypeError for anything else."""
    if isinstance(value, SparseTensorValue):
        return SparseTensor.from_value(value)
    if not isinstance(value, SparseTensor):
        raise TypeError("Input must be a SparseTensor.")
    return value


def rank_of(sp: SparseTensor) -> int | None:
    for tensor, axis in ((sp.dense_shape, 0), (sp.indices, 1)):
        if tensor.raw_shape is not None and tensor.raw_shape[axis] is not None:
            return tensor.raw_shape[axis]
    return None


def known_shape(dense_shape: Tensor) -> shapes.RawShape:
    """The known dimensions; None for each unknown one."""
    known = entries(dense_shape)
    return None if known is None else tuple([None if d is None or d < 0 else int(d) for d in known])


def _specs(rank: int | None, parts: str, count: int | None = None) -> list:
    """The dtypes and shapes of a kernel's outputs: i(ndices), p(laces), s(hape)."""
    kinds = {"i": (dtypes.int64, (count, rank)), "p": (dtypes.int64, (count,)), "s": (dtypes.int64, (rank,))}
    return [kinds[part] for part in parts]


def _gathered(values: Tensor, source: Tensor) -> Tensor:
    return array_ops.gather(values, source)


# To dense


def sparse_merge(
    sp_ids: Any, sp_values: Any, vocab_size: Any, name: str | None = None, already_sorted: bool = False
) -> SparseTensor:
    """The values of `sp_values` at the ids in `sp_ids`, which replace their last index.

    sp_ids: integers in [0, vocab_size), with the indices of sp_values; or a list of such tensors, with a list of
    sizes, to create several new axes.
    already_sorted: the ids are in order, and need not be sorted.
    Raises ValueError for lists of different lengths.
    """
    given = (
        list(sp_ids) if isinstance(sp_ids, (list, tuple)) and not isinstance(sp_ids, SparseTensorValue) else [sp_ids]
    )
    sizes = list(vocab_size) if isinstance(vocab_size, (list, tuple)) else [vocab_size]
    if len(given) != len(sizes):
        raise ValueError("sp_ids and vocab_size have to have equal lengths.")
    given, values = [as_sparse(ids) for ids in given], as_sparse(sp_values)
    with name_scope(name, "SparseMerge", [values.values]):
        columns = [array_ops.expand_dims(math_ops.cast(ids.values, dtypes.int64), 1) for ids in given]
        lengths = [array_ops.reshape(math_ops.cast(convert_to_tensor(size), dtypes.int64), [1]) for size in sizes]
        indices = array_ops.concat([values.indices[:, :-1], *columns], 1)
        result = SparseTensor(indices, values.values, array_ops.concat([values.dense_shape[:-1], *lengths], 0))
        return result if already_sorted else sparse_reorder(result)


# Rearranging


def sparse_reorder(sp_input: Any, name: str | None = None) -> SparseTensor:
    """The same tensor with its indices in row-major order."""
    sp = as_sparse(sp_input)
    with name_scope(name, "SparseReorder", [sp.values]):
        count = sp.indices.raw_shape[0] if sp.indices.raw_shape else None
        indices, source = apply(
            kernels.reorder,
            [sp.indices, sp.dense_shape],
            type="SparseReorder",
            outputs=_specs(rank_of(sp), "ip", count),
        )
        return SparseTensor(indices, _gathered(sp.values, source), sp.dense_shape)


def sparse_reshape(sp_input: Any, shape: Any, name: str | None = None) -> SparseTensor:
    """The same values in another shape with the same number of elements; one dimension may be -1.

    Raises ValueError for another number of elements.
    """
    sp = as_sparse(sp_input)
    with name_scope(name, "SparseReshape", [sp.values]):
        shape = convert_to_tensor(shape)
        wanted, known, new = math_ops.cast(shape, dtypes.int64), static_value(sp.dense_shape), static_value(shape)
        rank = wanted.raw_shape[0] if wanted.raw_shape else None
        outputs = _specs(rank, "is", sp.indices.raw_shape[0] if sp.indices.raw_shape else None)
        inputs = [sp.indices, sp.dense_shape, wanted]
        indices, dims = apply(kernels.reshape, inputs, type="SparseReshape", outputs=outputs)
        if new is not None and known is not None:
            dims = constant(kernels.reshaped(known, new), dtypes.int64)
        return SparseTensor(indices, array_ops.identity(sp.values), dims)


def sparse_expand_dims(sp_input: Any, axis: Any = None, name: str | None = None) -> SparseTensor:
    """Insert an axis of length 1, by default the last.

    Raises ValueError for an unknown rank, or an axis out of range.
    """
    sp = as_sparse(sp_input)
    rank = rank_of(sp)
    axis = -1 if axis is None else axis
    if rank is None:
        raise ValueError("sparse_expand_dims needs to know the rank of its input.")
    if not -rank - 1 <= axis <= rank:
        raise ValueError(f"axis should be in range [{-rank - 1}, {rank}], but got {axis}")
    place = axis if axis >= 0 else rank + 1 + axis
    with name_scope(name, "expand_dims", [sp.values]):
        column = array_ops.zeros_like(sp.indices[:, :1])
        indices = array_ops.concat([sp.indices[:, :place], column, sp.indices[:, place:]], 1)
        one = constant([1], dtypes.int64)
        dims = array_ops.concat([sp.dense_shape[:place], one, sp.dense_shape[place:]], 0)
        return SparseTensor(indices, sp.values, dims)


def sparse_transpose(sp_input: Any, perm: Any = None, name: str | None = None) -> SparseTensor:
    """Permute the axes in the order `perm`; by default they are reversed."""
    sp = as_sparse(sp_input)
    with name_scope(name, "SparseTranspose", [sp.values]):
        attrs = {"perm": None if perm is None else whole_numbers(perm)}
        if perm is not None and attrs["perm"] is None:
            inputs, attrs = [sp.indices, sp.dense_shape, convert_to_tensor(perm)], {}
        else:
            inputs = [sp.indices, sp.dense_shape]
        outputs = _specs(rank_of(sp), "ips", sp.values.raw_shape[0] if sp.values.raw_shape else None)
        indices, source, dims = apply(kernels.transpose, inputs, attrs, type="SparseTranspose", outputs=outputs)
        known = static_value(sp.dense_shape)
        if known is not None and attrs:
            dims = constant(known[::-1] if perm is None else known[list(attrs["perm"])], dtypes.int64)  # type: ignore[arg-type]
        return SparseTensor(indices, _gathered(sp.values, source), dims)


def sparse_slice(sp_input: Any, start: Any, size: Any, name: str | None = None) -> SparseTensor:
    """The part that starts at `start` and has at most `size` elements along each axis."""
    sp = as_sparse(sp_input)
    with name_scope(name, "SparseSlice", [sp.values]):
        limits = [math_ops.cast(convert_to_tensor(part), dtypes.int64) for part in (start, size)]
        inputs = [sp.indices, sp.dense_shape, *limits]
        indices, source, dims = apply(kernels.cut, inputs, type="SparseSlice", outputs=_specs(rank_of(sp), "ips"))
        return SparseTensor(indices, _gathered(sp.values, source), dims)


def sparse_split(
    keyword_required: Any = None,
    sp_input: Any = None,
    num_split: int | None = None,
    axis: Any = None,
    name: str | None = None,
    split_dim: Any = None,
) -> list[SparseTensor]:
    """Split into `num_split` parts along an axis; if it does not divide evenly, the first ones are one longer.

    Pass arguments by keyword. Raises ValueError if one is missing.
    keyword_required: a guard against arguments by position.   split_dim: an older name of axis.
    """
    if keyword_required is not None:
        raise ValueError("Keyword arguments are required for this function.")
    axis = renamed("axis", axis, "split_dim", split_dim)
    for word, given in (("sp_input", sp_input), ("num_split", num_split), ("axis", axis)):
        if given is None:
            raise ValueError(f"{word} is required")
    return split(sp_input, num_split, axis, name)


def split(sp_input: Any, num_split: Any, axis: Any, name: str | None = None) -> list[SparseTensor]:
    """Split into `num_split` parts along an axis; if it does not divide evenly, the first ones are one longer."""
    sp = as_sparse(sp_input)
    with name_scope(name, "SparseSplit", [sp.values]):
        inputs = [sp.indices, sp.dense_shape, convert_to_tensor(axis)]
        outputs = _specs(rank_of(sp), "ips") * int(num_split)
        result = apply(kernels.split, inputs, {"num": int(num_split)}, type="SparseSplit", outputs=outputs)
        parts = [result[at : at + 3] for at in range(0, len(result), 3)]
        return [SparseTensor(indices, _gathered(sp.values, source), dims) for indices, source, dims in parts]


def sparse_concat(
    axis: Any = None,
    sp_inputs: Any = None,
    name: str | None = None,
    expand_nonconcat_dim: bool = False,
    concat_dim: Any = None,
    expand_nonconcat_dims: bool | None = None,
) -> SparseTensor:
    """Concatenate sparse tensors along an axis.

    expand_nonconcat_dims: the other axes may differ, and are expanded to the largest length.
    concat_dim, expand_nonconcat_dim: older names of axis and expand_nonconcat_dims.
    Raises TypeError unless it is a list.
    """
    axis = renamed("axis", axis, "concat_dim", concat_dim)
    expand = bool(expand_nonconcat_dim if expand_nonconcat_dims is None else expand_nonconcat_dims)
    if not isinstance(sp_inputs, (list, tuple)) or isinstance(sp_inputs, SparseTensorValue):
        raise TypeError("Inputs must be a list of SparseTensors.")
    given = [as_sparse(sp) for sp in sp_inputs]
    if len(given) == 1:
        return given[0]
    with name_scope(name, "SparseConcat", [sp.values for sp in given]):
        rank = next((r for r in map(rank_of, given) if r is not None), None)
        inputs = [*[sp.indices for sp in given], *[sp.dense_shape for sp in given]]
        attrs = {"axis": whole_numbers(axis), "expand": expand}
        values = array_ops.concat([sp.values for sp in given], 0)
        outputs = _specs(rank, "ips", values.raw_shape[0] if values.raw_shape else None)
        indices, source, dims = apply(kernels.join, inputs, attrs, type="SparseConcat", outputs=outputs)
        known = [static_value(sp.dense_shape) for sp in given]
        if not any(one is None for one in known) and len({len(one) for one in known}) == 1:
            sizes = np.max(known, axis=0)
            sizes[attrs["axis"]] = np.sum(known, axis=0)[attrs["axis"]]
            dims = constant(sizes, dtypes.int64)
        return SparseTensor(indices, _gathered(values, source), dims)


def sparse_retain(sp_input: Any, to_retain: Any) -> SparseTensor:
    """The tensor without the values for which `to_retain`, bool [n], is false."""
    sp = as_sparse(sp_input)
    keep = convert_to_tensor(to_retain)
    shapes.merge(sp.values.raw_shape, keep.raw_shape)
    indices, source = apply(
        kernels.retained, [sp.indices, keep], type="SparseRetain", outputs=_specs(rank_of(sp), "ip")
    )
    return SparseTensor(indices, _gathered(sp.values, source), array_ops.identity(sp.dense_shape))


def sparse_fill_empty_rows(sp_input: Any, default_value: Any, name: str | None = None) -> tuple[SparseTensor, Tensor]:
    """(the tensor with the default as first value of each empty row, a mask of the rows that were empty)."""
    sp = as_sparse(sp_input)
    with name_scope(name, "SparseFillEmptyRows", [sp.values]):
        default = convert_to_tensor(default_value, sp.values.dtype.base_dtype)
        known = known_shape(sp.dense_shape)
        outputs = [*_specs(rank_of(sp), "ip"), (dtypes.bool, (None if not known else known[0],))]
        indices, source, empty = apply(
            kernels.filled_rows, [sp.indices, sp.dense_shape], type="SparseFillEmptyRows", outputs=outputs
        )
        values = array_ops.concat([sp.values, array_ops.expand_dims(default, 0)], 0)
        last = array_ops.shape(sp.values, out_type=dtypes.int64)[0]
        values = _gathered(
            values, array_ops.where_v2(math_ops.less(source, 0), array_ops.zeros_like(source) + last, source)
        )
        return SparseTensor(indices, values, sp.dense_shape), empty


def sparse_reset_shape(sp_input: Any, new_shape: Any = None) -> SparseTensor:
    """The same values and indices with shape `new_shape`, which may not be smaller, or the smallest possible shape.

    Raises ValueError for a shape that does not hold the values.
    """
    sp = as_sparse(sp_input)
    if new_shape is None:
        inputs = [sp.indices, sp.dense_shape]
    else:
        inputs = [sp.indices, sp.dense_shape, math_ops.cast(convert_to_tensor(new_shape), dtypes.int64)]
    dims = apply(kernels.reset, inputs, type="SparseResetShape", dtype=dtypes.int64, shape=(rank_of(sp),))
    known = None if new_shape is None else static_value(convert_to_tensor(new_shape))
    if known is not None and static_value(sp.dense_shape) is not None:
        own = static_value(sp.dense_shape)
        if len(own) != len(known) or (np.asarray(known) < own).any():
            raise ValueError(f"Requested shape {list(known)} does not hold a SparseTensor of shape {list(own)}.")
        dims = constant(known, dtypes.int64)
    return SparseTensor(array_ops.identity(sp.indices), array_ops.identity(sp.values), dims)


def sparse_mask(a: Any, mask_indices: Any, name: str | None = None) -> Any:
    """IndexedSlices without the rows whose indices are in `mask_indices`."""
    with name_scope(name, "sparse_mask", [a.values, mask_indices]):
        indices = convert_to_tensor(a.indices)
        hidden = math_ops.cast(convert_to_tensor(mask_indices), indices.dtype)
        keep = apply(_not_in, [indices, hidden], type="SparseMask", dtype=dtypes.int64, shape=(None,))
        return type(a)(array_ops.gather(a.values, keep), array_ops.gather(indices, keep), a.dense_shape)


def _not_in(indices, hidden):
    return np.flatnonzero(~np.isin(indices, hidden))


# Arithmetic


def sparse_add(a: Any, b: Any, threshold: Any = None, thresh: Any = None) -> Any:
    """a + b, of the same shape, else ValueError. Sparse if both are; at least one must be, else TypeError.

    threshold: drop sums of two values whose magnitude is less.
    """
    threshold = renamed("threshold", threshold, "thresh", thresh)
    if not any(isinstance(one, (SparseTensor, SparseTensorValue)) for one in (a, b)):
        raise TypeError("At least one input should be SparseTensor; do you mean to use tf.add()?")
    if not all(isinstance(one, (SparseTensor, SparseTensorValue)) for one in (a, b)):
        sp, dense = (a, b) if isinstance(a, (SparseTensor, SparseTensorValue)) else (b, a)
        sp, dense = as_sparse(sp), convert_to_tensor(dense)
        return array_ops.scatter_nd(sp.indices, sp.values, sp.dense_shape) + dense
    a, b = as_sparse(a), as_sparse(b)
    with name_scope(None, "SparseAdd", [a.values, b.values]):
        indices, at_a, at_b = _united(a, b)
        places, values = array_ops.concat([at_a, at_b], 0), array_ops.concat([a.values, b.values], 0)
        total = math_ops.unsorted_segment_sum(values, places, array_ops.shape(indices)[0])
        result = SparseTensor(indices, total, a.dense_shape)
        if threshold is None or (not isinstance(threshold, Tensor) and threshold == 0):
            return result
        alone = math_ops.less(math_ops.bincount(places, minlength=0, dtype=dtypes.int64), 2)
        large = math_ops.greater_equal(math_ops.abs(total), threshold)
        return sparse_retain(result, math_ops.logical_or(alone, large))


def _united(a: SparseTensor, b: SparseTensor) -> list[Tensor]:
    one, other = known_shape(a.dense_shape), known_shape(b.dense_shape)
    if not shapes.compatible(one, other):
        text = f"Operands' shapes do not match: got {shapes.bracket_text(one)} and {shapes.bracket_text(other)}"
        raise RefusedError(None, None, text)
    inputs = [a.indices, b.indices, a.dense_shape, b.dense_shape]
    return apply(kernels.united, inputs, type="SparseUnion", outputs=_specs(rank_of(a), "ipp"))


def _extreme(public: str, function: Callable, doc: str) -> Callable[..., SparseTensor]:
    def extreme(sp_a, sp_b, name=None):
        a, b = as_sparse(sp_a), as_sparse(sp_b)
        with name_scope(name, public, [a.values, b.values]):
            indices, at_a, at_b = _united(a, b)
            count = array_ops.shape(indices)[0]
            # A sum is zero where a tensor has no value.
            sides = [math_ops.unsorted_segment_sum(sp.values, at, count) for sp, at in ((a, at_a), (b, at_b))]
            return SparseTensor(indices, function(*sides), a.dense_shape)

    extreme.__name__ = extreme.__qualname__ = public
    extreme.__doc__ = f"The {doc} of two sparse tensors of one shape; missing values count as 0."
    return extreme


sparse_maximum = _extreme("sparse_maximum", math_ops.maximum, "greater")
sparse_minimum = _extreme("sparse_minimum", math_ops.minimum, "lesser")


def cwise(word: str, sp: SparseTensor, dense: Any) -> SparseTensor:
    """Multiply or divide a sparse tensor's values by the elements of a dense tensor, broadcast to its shape.

    word: `multiply`, `div` or `truediv`.
    """
    dense = convert_to_tensor(dense, sp.dtype.base_dtype if as_tensor(dense) is None else None)
    other = apply(
        kernels.broadcast_picked, [dense, sp.indices, sp.dense_shape],
        type="SparseDensePick", dtype=dense.dtype.base_dtype, shape=sp.values.raw_shape,
    )  # fmt: skip
    return SparseTensor(sp.indices, getattr(math_ops, word)(sp.values, other), sp.dense_shape)


seams.cwise = cwise


def sparse_tensor_dense_matmul(
    sp_a: Any, b: Any, adjoint_a: bool = False, adjoint_b: bool = False, name: str | None = None
) -> Tensor:
    """A sparse matrix times a dense one, or a dense one times a sparse one; each may be replaced by its adjoint.

    Raises ValueError for a rank other than 2, and if the inner dimensions differ.
    """
    if isinstance(b, (SparseTensor, SparseTensorValue)):
        transposed = sparse_tensor_dense_matmul(b, sp_a, not adjoint_b, not adjoint_a, name)
        return apply(_adjoint, [transposed], type="MatrixAdjoint", dtype=transposed.dtype,
                     shape=None if transposed.raw_shape is None else transposed.raw_shape[::-1])  # fmt: skip
    sp = as_sparse(sp_a)
    with name_scope(name, "SparseTensorDenseMatMul", [sp.values, b]) as scope:
        b = convert_to_tensor(b)
        left, right = known_shape(sp.dense_shape) or (None, None), b.raw_shape or (None, None)
        for sizes in (left, right):
            if len(sizes) != 2:
                raise ValueError(f"Shape must be rank 2 but is rank {len(sizes)} for {scope[:-1]!r}.")
        a, b_rows = left[0 if adjoint_a else 1], right[1 if adjoint_b else 0]
        if None not in (a, b_rows) and a != b_rows:
            text = f"Cannot multiply A and B because inner dimension does not match: {a} vs. {b_rows}."
            raise RefusedError(None, None, text)
        shape = (left[1 if adjoint_a else 0], right[0 if adjoint_b else 1])
        attrs = {"adjoint_a": adjoint_a, "adjoint_b": adjoint_b}
        return apply(
            kernels.matmul, [sp.indices, sp.values, sp.dense_shape, b], attrs,
            type="SparseTensorDenseMatMul", name=scope, dtype=sp.values.dtype.base_dtype, shape=shape,
        )  # fmt: skip


def _adjoint(x):
    return x.swapaxes(-1, -2).conj()


def sparse_matmul(
    a: Any,
    b: Any,
    transpose_a: bool = False,
    transpose_b: bool = False,
    a_is_sparse: bool = False,
    b_is_sparse: bool = False,
    name: str | None = None,
) -> Tensor:
    """`matmul` for dense matrices with many zeros; here the same."""
    return matmul(a, b, transpose_a, transpose_b, name=name)


def sparse_softmax(sp_input: Any, name: str | None = None) -> SparseTensor:
    """The softmax of the values along the last axis; missing values do not take part."""
    sp = as_sparse(sp_input)
    with name_scope(name, "SparseSoftmax", [sp.indices, sp.values]):
        outputs = [(dtypes.int64, (None,)), (dtypes.int64, ())]
        group, count = apply(kernels.last_groups, [sp.indices, sp.dense_shape], type="SparseGroups", outputs=outputs)
        most = array_ops.stop_gradient(math_ops.unsorted_segment_max(sp.values, group, count))
        powers = math_ops.exp(sp.values - array_ops.gather(most, group))
        total = math_ops.unsorted_segment_sum(powers, group, count)
        return SparseTensor(
            array_ops.identity(sp.indices), powers / array_ops.gather(total, group), array_ops.identity(sp.dense_shape)
        )


# Converting


def convert_to_tensor_or_sparse_tensor(value: Any, dtype: Any = None, name: str | None = None) -> Any:
    """A SparseTensor for a SparseTensor or SparseTensorValue, a tensor for anything else.

    Raises RuntimeError for a SparseTensor of another dtype.
    """
    if isinstance(value, (SparseTensor, SparseTensorValue)):
        sp = as_sparse(value)
        if dtype is not None and sp.dtype.base_dtype is not as_dtype(dtype).base_dtype:
            raise RuntimeError(f"Sparse dtype: requested = {as_dtype(dtype).name}, actual = {sp.dtype.name}")
        return sp
    return convert_to_tensor(value, dtype, name)
