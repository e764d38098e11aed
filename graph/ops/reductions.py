"""Operations that run along an axis: reduce_*, arg*, cum*, segments, counts.

axis is an int, a list of ints, None for all axes, or a tensor. `reduction_indices`, `keep_dims` and `dimension` are the
older names of `axis`, `keepdims` and `axis`. A sum, product or mean has its input's dtype (for booleans a sum is int64,
and a mean float64); a variance of integers is float64. A known shape stays known unless the axis is a tensor of unknown
value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.arguments import of_kind
from weftwork.graph.build import apply, convert_to_tensor, elementwise, operands
from weftwork.graph.dtypes import DType, as_dtype
from weftwork.graph.errors import RefusedError
from weftwork.graph.kernels import arrays as kernels_array
from weftwork.graph.kernels import elementwise as kernels
from weftwork.graph.kernels import indices as kernels_indices
from weftwork.graph.kernels.reductions import argmax_over, argmin_over, max_over, mean_over, min_over, sum_over
from weftwork.graph.known import rank_of, renamed, whole_numbers
from weftwork.graph.operation import Tensor
from weftwork.graph.scopes import name_scope


class Reduction(Protocol):
    """A function such as reduce_sum."""

    def __call__(
        self,
        input_tensor: Any,
        axis: Any = None,
        keepdims: bool | None = None,
        name: str | None = None,
        reduction_indices: Any = None,
        keep_dims: bool | None = None,
    ) -> Tensor: ...


def known_axes(axis: Any, rank: int | None) -> tuple[int, ...] | None:
    """Known axes as nonnegative ints (unchanged if the rank is unknown). None means all.

    Raises ValueError for an axis that is out of range of a known rank, or is given twice.
    """
    if axis is None:
        return None if rank is None else tuple(range(rank))
    axes = axis if isinstance(axis, tuple) else (axis,)
    if rank is None:
        return axes
    for a in axes:
        if not -rank <= a < rank:
            raise ValueError(f"Invalid reduction dimension {a} for input with {rank} dimensions.")
    normal = tuple([a % rank for a in axes])
    twice = next((a for i, a in enumerate(normal) if a in normal[:i]), None)
    if twice is not None:
        text = f"Invalid reduction arguments: Axes contains duplicate dimension: {twice}"
        raise RefusedError(None, None, text)
    return normal


def reduced_shape(shape: shapes.RawShape, axis: Any, keepdims: bool) -> shapes.RawShape:
    """The shape after a reduction over known axes (an int, a tuple, or None for all)."""
    if shape is None:
        return () if axis is None and not keepdims else None
    reduced = known_axes(axis, len(shape)) or ()
    if keepdims:
        return tuple([1 if i in reduced else dim for i, dim in enumerate(shape)])
    return tuple([dim for i, dim in enumerate(shape) if i not in reduced])


def _reduce(
    function: Callable, kind: str, x: Tensor, axis: Any, keepdims: bool, name: str | None, dtype: DType, options: dict
) -> Tensor:
    """The node for a NumPy reduction. options: further arguments of `function`. Raises TypeError for text."""
    if kind != "CountNonzero":
        of_kind(x, "input", "biufc")
    if keepdims:
        options = {**options, "keepdims": True}
    axes = None if axis is None else whole_numbers(axis)
    if axis is not None and axes is None:
        attrs = {"function": function, **options}
        inputs = [x, convert_to_tensor(axis, name="reduction_indices")]
        shape = (None,) * len(x.raw_shape) if keepdims and x.raw_shape is not None else None
        return apply(kernels.reduce_over, inputs, attrs, type=kind, name=name, dtype=dtype, shape=shape)
    shape = reduced_shape(x.raw_shape, axes, keepdims)
    return apply(function, [x], {"axis": axes, **options}, type=kind, name=name, dtype=dtype, shape=shape)


def _same_dtype(dtype: DType) -> DType:
    return dtype


def _sum_dtype(dtype: DType) -> DType:
    return dtypes.int64 if dtype.is_bool else dtype


def _float_dtype(dtype: DType) -> DType:
    return dtypes.float64 if dtype.numpy.kind in "biu" else dtype


def _mean_dtype(dtype: DType) -> DType:
    return dtypes.float64 if dtype.is_bool else dtype


def _deviation_dtype(dtype: DType) -> DType:
    return _float_dtype(dtype).real_dtype


def _bool_dtype(dtype: DType) -> DType:
    return dtypes.bool if dtype.numpy.kind != "O" else dtype


def _reduction(
    public: str, function: Callable, kind: str, result: Callable[[DType], DType], doc: str, typed: bool = False
) -> Reduction:
    """A public reduction. result: maps the input's dtype to the result's; typed: integers need `dtype=` to stay so."""

    def reduction(input_tensor, axis=None, keepdims=None, name=None, reduction_indices=None, keep_dims=None):
        axis = renamed("axis", axis, "reduction_indices", reduction_indices)
        keep = bool(renamed("keepdims", keepdims, "keep_dims", keep_dims))
        x = convert_to_tensor(input_tensor, name="input_tensor")
        dtype = result(x.dtype.base_dtype)
        options = {"dtype": dtype.numpy} if typed and x.dtype.numpy.kind in "biu" else {}
        return _reduce(function, kind, x, axis, keep, name, dtype, options)

    reduction.__name__ = reduction.__qualname__ = public
    reduction.__doc__ = doc
    return reduction


reduce_sum = _reduction("reduce_sum", sum_over, "Sum", _sum_dtype, "The sum over axes.", typed=True)
reduce_prod = _reduction("reduce_prod", np.prod, "Prod", _sum_dtype, "The product over axes.", typed=True)
reduce_mean = _reduction(
    "reduce_mean", mean_over, "Mean", _mean_dtype,
    "The mean over axes, NaN if empty. Integers give an integer, rounded towards zero, as in TensorFlow: cast first.",
)  # fmt: skip
reduce_max = _reduction("reduce_max", max_over, "Max", _same_dtype, "The maximum over axes.")
reduce_min = _reduction("reduce_min", min_over, "Min", _same_dtype, "The minimum over axes.")
reduce_any = _reduction("reduce_any", np.any, "Any", _bool_dtype, "Whether any element is true, over axes.")
reduce_all = _reduction("reduce_all", np.all, "All", _bool_dtype, "Whether all elements are true, over axes.")
reduce_std = _reduction(
    "reduce_std", np.std, "ReduceStd", _deviation_dtype, "The standard deviation (of n, not n - 1), over axes."
)
reduce_variance = _reduction(
    "reduce_variance", np.var, "ReduceVariance", _deviation_dtype, "The variance (of n, not n - 1), over axes."
)
reduce_logsumexp = _reduction(
    "reduce_logsumexp",
    kernels.logsumexp,
    "ReduceLogsumexp",
    _float_dtype,
    "log(sum(exp(x))) over axes, without overflow.",
)


def count_nonzero(
    input_tensor: Any = None, axis: Any = None, keepdims: bool | None = None, dtype: Any = dtypes.int64,
    name: str | None = None, reduction_indices: Any = None, keep_dims: bool | None = None, input: Any = None,
) -> Tensor:  # fmt: skip
    """The number of elements that are not zero (strings: not empty), over axes, as `dtype`.

    input: a newer name of input_tensor.
    """
    input_tensor = renamed("input", input, "input_tensor", input_tensor)
    axis = renamed("axis", axis, "reduction_indices", reduction_indices)
    keep = bool(renamed("keepdims", keepdims, "keep_dims", keep_dims))
    x, dtype = convert_to_tensor(input_tensor), as_dtype(dtype)
    function = kernels.count_nonempty if x.dtype.numpy.kind == "O" else kernels.count_nonzero
    return _reduce(function, "CountNonzero", x, axis, keep, name or "count_nonzero", dtype, {"dtype": dtype.numpy})


# One axis


def argmax(
    input: Any, axis: Any = None, name: str | None = None, dimension: Any = None, output_type: Any = dtypes.int64
) -> Tensor:
    """The index of the largest element along one axis (by default the first); the first among equals.

    NaN counts as the smallest value.
    """
    return _arg_extreme(argmax_over, "ArgMax", input, renamed("axis", axis, "dimension", dimension), name, output_type)


def argmin(
    input: Any, axis: Any = None, name: str | None = None, dimension: Any = None, output_type: Any = dtypes.int64
) -> Tensor:
    """The index of the smallest element along one axis (by default the first); the first among equals.

    NaN counts as the largest value.
    """
    return _arg_extreme(argmin_over, "ArgMin", input, renamed("axis", axis, "dimension", dimension), name, output_type)


def arg_max(input: Any, dimension: Any, output_type: Any = dtypes.int64, name: str | None = None) -> Tensor:
    """`argmax` under its old name."""
    return argmax(input, dimension, name, output_type=output_type)


def arg_min(input: Any, dimension: Any, output_type: Any = dtypes.int64, name: str | None = None) -> Tensor:
    """`argmin` under its old name."""
    return argmin(input, dimension, name, output_type=output_type)


def _arg_extreme(function: Callable, kind: str, input: Any, axis: Any, name: str | None, output_type: Any) -> Tensor:
    x, dtype = of_kind(convert_to_tensor(input, name="input"), "input", "biufc"), as_dtype(output_type)
    axis = 0 if axis is None else axis
    number = whole_numbers(axis)
    if number is not None and x.raw_shape is not None and not -len(x.raw_shape) <= number < len(x.raw_shape):  # type: ignore[operator]
        rank = len(x.raw_shape)
        text = f"Expected dimension in the range [{-rank}, {rank}), but got {number}"
        raise RefusedError(None, None, text)
    attrs: dict[str, Any] = {"function": function, "dtype": dtype.numpy}
    if number is None:
        shape = None if x.raw_shape is None else (None,) * (len(x.raw_shape) - 1)
        return apply(
            kernels.arg_extreme, [x, convert_to_tensor(axis)], attrs, type=kind, name=name, dtype=dtype, shape=shape
        )
    shape = reduced_shape(x.raw_shape, number, False)
    if dtype is dtypes.int64 and shapes.is_full(x.raw_shape) and 0 not in x.raw_shape:  # type: ignore[operator]
        return apply(function, [x], {"axis": number}, type=kind, name=name, dtype=dtype, shape=shape)
    return apply(kernels.arg_extreme, [x], {**attrs, "axis": number}, type=kind, name=name, dtype=dtype, shape=shape)


def cumsum(x: Any, axis: Any = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None) -> Tensor:
    """Cumulative sums along an axis.

    exclusive: exclude the element itself.   reverse: start from the end.
    """
    return _scan(np.cumsum, 0, "Cumsum", x, axis, exclusive, reverse, name)


def cumprod(x: Any, axis: Any = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None) -> Tensor:
    """Cumulative products along an axis.

    exclusive: exclude the element itself.   reverse: start from the end.
    """
    return _scan(np.cumprod, 1, "Cumprod", x, axis, exclusive, reverse, name)


def cumulative_logsumexp(
    x: Any, axis: Any = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None
) -> Tensor:
    """log of the cumulative sums of exp(x) along an axis, without overflow.

    exclusive: exclude the element itself; the first result is -inf.   reverse: start from the end.
    """
    return _scan(_log_cumsum, -np.inf, "CumulativeLogsumexp", x, axis, exclusive, reverse, name)


def _log_cumsum(x, axis=0, dtype=None):
    return np.logaddexp.accumulate(x, axis, dtype)


def _scan(
    function: Callable, unit: float, kind: str, x: Any, axis: Any, exclusive: bool, reverse: bool, name: str | None
) -> Tensor:
    x = of_kind(convert_to_tensor(x, name="x"), "x", "f" if function is _log_cumsum else "biufc")
    number, inputs = whole_numbers(axis), [x]
    attrs: dict[str, Any] = {"function": function, "unit": unit, "exclusive": exclusive, "reverse": reverse}
    if number is None:
        inputs, kernel = [x, of_kind(convert_to_tensor(axis), "axis", "iu")], kernels.scan_over
    else:
        kernels.scanned_axis(number, rank_of(x))
        kernel, attrs["axis"] = kernels.scan, number
        if not exclusive and not reverse:
            kernel, attrs = function, {"axis": number, "dtype": x.dtype.numpy}
    return apply(kernel, inputs, attrs, type=kind, name=name, dtype=x.dtype.base_dtype, shape=x.raw_shape)


# Segments and counts


class Segment(Protocol):
    """A function such as segment_sum."""

    def __call__(self, data: Any, segment_ids: Any, name: str | None = None) -> Tensor: ...


class UnsortedSegment(Protocol):
    """A function such as unsorted_segment_sum."""

    def __call__(self, data: Any, segment_ids: Any, num_segments: Any, name: str | None = None) -> Tensor: ...


def _segment(public: str, ufunc: np.ufunc, unit: Any, doc: str, empty: Any = None) -> Segment:
    def segment(data, segment_ids, name=None):
        name, x, ids = _data_and_ids(_camel(public), name, data, segment_ids)
        if ids.raw_shape is not None and len(ids.raw_shape) != 1:
            raise ValueError(f"Shape must be rank 1 but is rank {len(ids.raw_shape)} for the segment_ids of {public}.")
        if x.raw_shape == ():
            raise ValueError(f"Shape must be at least rank 1 but is rank 0 for the data of {public}.")
        if ids.raw_shape and x.raw_shape and not shapes.compatible(ids.raw_shape[:1], x.raw_shape[:1]):
            text = f"segment_ids should be the same size as dimension 0 of input: {ids.raw_shape}, {x.raw_shape}"
            raise RefusedError(None, None, text)
        shape = _segment_shape(x, ids.raw_shape or (None,), None)
        start = _unit(unit, x.dtype)
        attrs = {"ufunc": ufunc, "unit": start, "empty": start if empty is None else empty}
        return apply(
            kernels_indices.segment, [x, ids], attrs,
            type=_camel(public), name=name, dtype=x.dtype.base_dtype, shape=shape,
        )  # fmt: skip

    segment.__name__ = segment.__qualname__ = public
    more = "[n, ...], segment_ids [n] -> [last id + 1, ...]. Ids that descend raise ValueError at run time."
    segment.__doc__ = f"{doc} of the rows of data with the same segment id, which must ascend.\n\n{more}"
    return segment


def _unsorted_segment(public: str, ufunc: np.ufunc, unit: Any, doc: str) -> UnsortedSegment:
    def unsorted_segment(data, segment_ids, num_segments, name=None):
        name, x, ids = _data_and_ids(_camel(public), name, data, segment_ids)
        count = whole_numbers(num_segments)
        shape = _segment_shape(x, ids.raw_shape, count)
        attrs: dict[str, Any] = {"ufunc": ufunc, "unit": _unit(unit, x.dtype)}
        inputs = [x, ids]
        if count is None:
            inputs.append(of_kind(convert_to_tensor(num_segments, name="num_segments"), "num_segments", "iu"))
        else:
            attrs["count"] = count
        kind = _camel(public)
        return apply(
            kernels_indices.unsorted_segment, inputs, attrs, type=kind, name=name, dtype=x.dtype.base_dtype, shape=shape
        )

    unsorted_segment.__name__ = unsorted_segment.__qualname__ = public
    unsorted_segment.__doc__ = (
        f"{doc} of the rows of data with the same segment id, in any order; negative ids are dropped.\n\n"
        "[d0... dk, ...], segment_ids [d0... dk] -> [num_segments, ...]."
    )
    return unsorted_segment


def _data_and_ids(kind: str, name: str | None, data: Any, segment_ids: Any) -> tuple[str, Tensor, Tensor]:
    name, (x, ids) = operands(kind, name, data=data, segment_ids=segment_ids)
    return name, of_kind(x, "data", "biufc"), of_kind(ids, "segment_ids", "iu")


def _camel(public: str) -> str:
    return public.title().replace("_", "")


def _unit(unit: Any, dtype: DType) -> Any:
    """The initial value of a reduction: a number, or the `min` or `max` of the dtype."""
    return dtype.numpy.type(getattr(dtype, unit) if isinstance(unit, str) else unit)


def _segment_shape(x: Tensor, ids: shapes.RawShape, count: Any) -> shapes.RawShape:
    if isinstance(count, int) and count < 0:
        raise ValueError(f"Dimension size, given by scalar input 2, must be non-negative but is {count}")
    if x.raw_shape is None or ids is None:
        return None
    for a, b in zip(x.raw_shape, ids, strict=False):
        if None not in (a, b) and a != b:
            raise ValueError(
                f"Dimensions must be equal, but are {a} and {b}: data.shape = {shapes.text(x.raw_shape)} does not "
                f"start with segment_ids.shape = {shapes.text(ids)}"
            )
    return (count, *x.raw_shape[len(ids) :])


segment_sum = _segment("segment_sum", np.add, 0, "The sum")
segment_prod = _segment("segment_prod", np.multiply, 1, "The product")
segment_max = _segment("segment_max", np.maximum, "min", "The maximum", empty=0)
segment_min = _segment("segment_min", np.minimum, "max", "The minimum", empty=0)
unsorted_segment_sum = _unsorted_segment("unsorted_segment_sum", np.add, 0, "The sum")
unsorted_segment_prod = _unsorted_segment("unsorted_segment_prod", np.multiply, 1, "The product")
unsorted_segment_max = _unsorted_segment("unsorted_segment_max", np.maximum, "min", "The maximum")
unsorted_segment_min = _unsorted_segment("unsorted_segment_min", np.minimum, "max", "The minimum")


def segment_mean(data: Any, segment_ids: Any, name: str | None = None) -> Tensor:
    """The mean of rows with equal, ascending segment ids; 0 for an empty segment. Integers give an integer."""
    with name_scope(name, "SegmentMean", [data, segment_ids]) as scope:
        x, ids = convert_to_tensor(data, name="data"), convert_to_tensor(segment_ids, name="segment_ids")
        total, count = segment_sum(x, ids), segment_sum(_one_for_each(ids, x), ids)
        return _over(total, count, x, ids, x.dtype.is_integer, scope)


def unsorted_segment_mean(data: Any, segment_ids: Any, num_segments: Any, name: str | None = None) -> Tensor:
    """The mean (float64 of integers) of rows with equal ids, in any order, or 0. Ids below 0 are dropped."""
    with name_scope(name, "UnsortedSegmentMean", [data, segment_ids]):
        x, ids = convert_to_tensor(data, name="data"), convert_to_tensor(segment_ids, name="segment_ids")
        count = unsorted_segment_sum(_one_for_each(ids, x), ids, num_segments)
        return _over(unsorted_segment_sum(x, ids, num_segments), count, x, ids)


def unsorted_segment_sqrt_n(data: Any, segment_ids: Any, num_segments: Any, name: str | None = None) -> Tensor:
    """As `unsorted_segment_mean`, but the sum is divided by the square root of the number of rows."""
    with name_scope(name, "UnsortedSegmentSqrtN", [data, segment_ids]):
        x, ids = convert_to_tensor(data, name="data"), convert_to_tensor(segment_ids, name="segment_ids")
        count = unsorted_segment_sum(_one_for_each(ids, x), ids, num_segments)
        return _over(unsorted_segment_sum(x, ids, num_segments), np.sqrt(count), x, ids)


def _one_for_each(ids: Tensor, x: Tensor) -> Tensor:
    """Ones of the shape of ids and the dtype of x."""
    attrs = {"value": x.dtype.numpy.type(1), "dtype": x.dtype.numpy}
    return apply(kernels_array.like, [ids], attrs, type="OnesLike", dtype=x.dtype.base_dtype, shape=ids.raw_shape)


def _over(total: Tensor, count: Tensor, x: Tensor, ids: Tensor, whole: bool = False, name: str | None = None) -> Tensor:
    """Sums of segments divided by their numbers of rows, or by 1 for empty segments.   whole: round down."""
    count = np.maximum(count, 1)
    if x.raw_shape is None or ids.raw_shape is None:
        wide = apply(_with_axes, [count, total], type="Reshape", dtype=count.dtype, shape=None)
    else:
        ones = (1,) * (len(x.raw_shape) - len(ids.raw_shape))
        attrs = {"shape": (-1, *ones)}
        wide = apply(np.reshape, [count], attrs, type="Reshape", dtype=count.dtype, shape=(None, *ones))
    return elementwise(np.floor_divide if whole else np.true_divide, total, wide, name=name)


def _with_axes(count, like):
    """Reshape a vector to the rank of another array, along its first axis."""
    return count.reshape((-1, *(1,) * (like.ndim - 1)))


def bincount(
    arr: Any, weights: Any = None, minlength: Any = None, maxlength: Any = None, dtype: Any = dtypes.int32,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """The number of occurrences of 0, 1, 2... in arr (any shape), or the sum of their weights.

    minlength, maxlength: the least and the largest length of the result.  It has `dtype`, or that of the weights.
    Raises ValueError for weights of another shape.
    """
    x, dtype = of_kind(convert_to_tensor(arr, name="arr"), "arr", "biu"), as_dtype(dtype)
    limits = {"minlength": 0 if minlength is None else minlength, "maxlength": maxlength}
    attrs = {word: None if given is None else whole_numbers(given) for word, given in limits.items()}
    late = [word for word in limits if attrs[word] is None and limits[word] is not None]
    words = list(limits)[: 1 + list(limits).index(late[-1])] if late else []
    lengths = [convert_to_tensor(limits[word], dtypes.int32, name=word) for word in words]
    for word in words:
        del attrs[word]
    name = name or "bincount"
    if weights is None:
        attrs["dtype"] = dtype.numpy
        return apply(kernels.bincount, [x, *lengths], attrs, type="Bincount", name=name, dtype=dtype, shape=(None,))
    w = convert_to_tensor(weights, name="weights")
    if not shapes.compatible(x.raw_shape, w.raw_shape):
        raise ValueError(f"Shapes {shapes.text(x.raw_shape)} and {shapes.text(w.raw_shape)} are not compatible")
    inputs, kind = [x, w, *lengths], w.dtype.base_dtype
    return apply(kernels.weighted_bincount, inputs, attrs, type="Bincount", name=name, dtype=kind, shape=(None,))
