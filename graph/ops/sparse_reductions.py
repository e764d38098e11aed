"""Reductions of sparse tensors, and segment reductions of selected rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weftwork.graph import dtypes
from weftwork.graph.build import apply, convert_to_tensor
from weftwork.graph.kernels import sparse as kernels
from weftwork.graph.known import renamed, whole_numbers
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.composite import SparseTensor
from weftwork.graph.ops.reductions import _over
from weftwork.graph.ops.sparse_ops import as_sparse, known_shape, rank_of
from weftwork.graph.scopes import name_scope


def _reduced(segment: Callable, sp_input: Any, axis: Any, keepdims: Any, is_sparse: bool, name: str) -> Any:
    sp = as_sparse(sp_input)
    with name_scope(None, name, [sp.values]):
        axes = None if axis is None else whole_numbers(axis)
        axes = (axes,) if isinstance(axes, int) else axes
        inputs = [sp.indices, sp.dense_shape]
        attrs: dict[str, Any] = {"axes": axes, "keepdims": bool(keepdims)}
        if axis is not None and axes is None:
            inputs.append(convert_to_tensor(axis))
            del attrs["axes"]
        raw, remaining = known_shape(sp.dense_shape), None
        if "axes" in attrs and (axes is None or rank_of(sp) is not None):
            known = (None,) * (rank_of(sp) or 0) if raw is None else raw
            rank = None if raw is None and axes is None and rank_of(sp) is None else len(known)
            remaining = _remaining_shape(known, axes, bool(keepdims)) if rank is not None or not keepdims else None
        outputs = [(dtypes.int64, (None,)), (dtypes.int64, (None if remaining is None else len(remaining),))]
        outputs.append((dtypes.int64, (None, None if remaining is None else len(remaining))))
        places, dims, indices = apply(kernels.groups, inputs, attrs, type="SparseGroups", outputs=outputs)
        total = segment(sp.values, places, math_ops.reduce_prod(dims))
        if is_sparse:
            whole = array_ops.reshape(total, dims)
            return SparseTensor(indices, array_ops.gather_nd(whole, indices), dims)
        dense = array_ops.reshape(total, dims)
        if remaining is not None:
            dense.set_shape(remaining)
        return dense


def _remaining_shape(dims: tuple, axes: tuple[int, ...] | None, keepdims: bool) -> tuple:
    rank = len(dims)
    for axis in axes or ():
        if not -rank <= axis < rank:
            raise ValueError(f"Invalid reduction dimension {axis}, for input with {rank} dimensions.")
    reduced = set(range(rank)) if axes is None else {axis % rank for axis in axes}
    if keepdims:
        return tuple([1 if axis in reduced else dim for axis, dim in enumerate(dims)])
    return tuple([dim for axis, dim in enumerate(dims) if axis not in reduced])


def _greatest(values: Tensor, places: Tensor, count: Tensor) -> Tensor:
    """The maximum of each group, 0 for an empty one."""
    most = math_ops.unsorted_segment_max(values, places, count)
    group_sizes = math_ops.unsorted_segment_sum(array_ops.ones_like(places), places, count)
    return array_ops.where_v2(math_ops.greater(group_sizes, 0), most, array_ops.zeros_like(most))


def _reduction(public: str, segment: Callable, is_sparse: bool, doc: str) -> Callable[..., Any]:
    def reduce(sp_input, axis=None, keepdims=None, reduction_axes=None, keep_dims=None):
        axis = renamed("axis", axis, "reduction_axes", reduction_axes)
        keep = renamed("keepdims", keepdims, "keep_dims", keep_dims)
        return _reduced(segment, sp_input, axis, keep, is_sparse, public)

    reduce.__name__ = reduce.__qualname__ = public
    kind = "a sparse tensor" if is_sparse else "a tensor, 0 where there is no value"
    reduce.__doc__ = f"{doc} of the values over axes (None for all): {kind}."
    return reduce


sparse_reduce_sum = _reduction("sparse_reduce_sum", math_ops.unsorted_segment_sum, False, "The sum")


sparse_reduce_sum_sparse = _reduction("sparse_reduce_sum_sparse", math_ops.unsorted_segment_sum, True, "The sum")


sparse_reduce_max = _reduction("sparse_reduce_max", _greatest, False, "The maximum")


sparse_reduce_max_sparse = _reduction("sparse_reduce_max_sparse", _greatest, True, "The maximum")


def _segments(public: str, sorted_one: Callable, unsorted_one: Callable, doc: str) -> Callable[..., Tensor]:
    kind = "".join([word.capitalize() for word in public.split("_")])

    def segment(data, indices, segment_ids, name=None, num_segments=None):
        word = kind if num_segments is None else f"{kind}WithNumSegments"
        with name_scope(name, word, [data, indices, segment_ids]) as scope:
            rows = array_ops.gather(data, indices)
            if num_segments is None:
                return sorted_one(rows, segment_ids, name=scope)
            return unsorted_one(rows, segment_ids, num_segments, name=scope)

    segment.__name__ = segment.__qualname__ = public
    segment.__doc__ = (
        f"{doc} of the rows `indices` of data with the same segment id, which must ascend.\n\n"
        "num_segments: the number of rows of the result; empty segments are 0."
    )
    return segment


def _sqrt_n(rows: Tensor, ids: Any, name: str) -> Tensor:
    ids = convert_to_tensor(ids)
    count = math_ops.cast(math_ops.segment_sum(array_ops.ones_like(ids), ids), rows.dtype)
    return _over(math_ops.segment_sum(rows, ids), math_ops.sqrt(count), rows, ids, name=name)


sparse_segment_sum = _segments("sparse_segment_sum", math_ops.segment_sum, math_ops.unsorted_segment_sum, "The sum")


sparse_segment_mean = _segments(
    "sparse_segment_mean", math_ops.segment_mean, math_ops.unsorted_segment_mean, "The mean"
)


sparse_segment_sqrt_n = _segments(
    "sparse_segment_sqrt_n", _sqrt_n, math_ops.unsorted_segment_sqrt_n, "The sum, by the root of the count,"
)
