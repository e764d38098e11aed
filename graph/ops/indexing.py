"""Selecting elements of tensors: `t[...]`, slices, gather and scatter, masks, where.

An index known when the graph is built is an attribute, `spec` (see `arrays`). Parts known only at run time are further
inputs.
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import apply, as_tensor, convert_to_tensor, operands, static_value
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.errors import RefusedError
from weftwork.graph.kernels import arrays as kernels
from weftwork.graph.kernels import indices as kernels_indices
from weftwork.graph.kernels.arrays import Input
from weftwork.graph.known import entries, shape_argument, whole_numbers
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.conversion import cast
from weftwork.graph.ops.filling import ones_like
from weftwork.graph.ops.gathering import gathered_in_batches, unknown_sizes
from weftwork.graph.seams import seams
from weftwork.graph.shapes import RawShape

# t[...]

_OF_TUPLES = (builtins.slice, type(None), type(Ellipsis))
"""What no array of indices holds."""


def slice_helper(tensor: Any, item: Any) -> Tensor:
    """The node for `tensor[item]`: ints, slices, Ellipsis, None, and tensors among them; or one mask or index array.

    A boolean tensor selects like `boolean_mask`, an integer array or list like np.take: -1 is the last element. A list
    with slices, Ellipsis or None is a tuple.
    Raises TypeError for an invalid index, IndexError or ValueError for one out of range of a known shape.
    """
    x = convert_to_tensor(tensor)
    if isinstance(item, list) and any([isinstance(part, _OF_TUPLES) for part in item]):
        item = tuple(item)
    if _is_array(item):
        picks = convert_to_tensor(item)
        return boolean_mask(x, picks) if picks.dtype.is_bool else _gathered(np.take, x, picks, 0, None)
    values: list[Tensor] = []
    items = item if isinstance(item, tuple) else (item,)
    spec = tuple([_part(part, values) for part in items])
    kernel = kernels.getitem_at if values else kernels.getitem
    return apply(
        kernel, [x, *values], {"spec": spec},
        type="StridedSlice", name="strided_slice", dtype=x.dtype.base_dtype, shape=indexed_shape(x.raw_shape, spec),
    )  # fmt: skip


def _is_array(item: Any) -> bool:
    if isinstance(item, np.ndarray):
        return item.ndim > 0
    if isinstance(item, list):
        return True
    tensor = as_tensor(item)
    return tensor is not None and (tensor.dtype.is_bool or bool(tensor.raw_shape))


def _part(part: Any, values: list[Tensor]) -> Any:
    if part is None or part is Ellipsis:
        return part
    if isinstance(part, builtins.slice):
        return (_bound(part.start, values), _bound(part.stop, values), _bound(part.step, values))
    return _bound(part, values)


def _bound(bound: Any, values: list[Tensor]) -> Any:
    """An int, None, or a reference to the further input that holds the bound."""
    if bound is None:
        return None
    if isinstance(bound, shapes.Dimension):
        return bound.value
    tensor = as_tensor(bound)
    if tensor is not None:
        if not tensor.dtype.is_integer or tensor.raw_shape not in (None, ()):
            raise TypeError(f"Value passed as an index must be a scalar integer, but is {tensor!r}.")
        known = static_value(tensor)
        if known is not None:
            return int(known)
        values.append(tensor)
        return Input(len(values) - 1)
    if isinstance(bound, (bool, np.bool_)) or not hasattr(bound, "__index__"):
        raise TypeError(
            "Only integers, slices (`:`), ellipsis (`...`), tf.newaxis (`None`) and scalar tf.int32/tf.int64 tensors "
            f"are valid indices, got {bound!r}"
        )
    return int(bound)


def indexed_shape(shape: RawShape, spec: tuple) -> RawShape:
    """The shape of x[spec] for an x of `shape`. Raises ValueError for an int out of range, IndexError for too many."""
    if shape is None:
        return None
    consumed = len([part for part in spec if part is not None and part is not Ellipsis])
    if spec.count(Ellipsis) > 1:
        raise ValueError("Multiple ellipses in slice spec not allowed")
    if consumed > len(shape):
        raise ValueError(f"Index out of range using input dim {len(shape)}; input has only {len(shape)} dims")
    out: list[int | None] = []
    dims = list(shape)
    for part in spec:
        if part is Ellipsis:
            out += dims[: len(shape) - consumed]
            del dims[: len(shape) - consumed]
        elif part is None:
            out.append(1)
        elif isinstance(part, tuple) and not isinstance(part, Input):
            out.append(_sliced(dims.pop(0), part))
        else:
            dim = dims.pop(0)
            if isinstance(part, int) and dim is not None and not -dim <= part < dim:
                raise ValueError(f"slice index {part} of dimension {len(shape) - len(dims) - 1} out of bounds.")
    return tuple(out + dims)


def _sliced(dim: int | None, part: tuple) -> int | None:
    start, stop, step = part
    if any(isinstance(bound, Input) for bound in part):
        return None
    if step == 0:
        raise ValueError("strides[0] must be non-zero")
    if dim is not None:
        return len(range(*builtins.slice(start, stop, step).indices(dim)))
    return dim if (start, stop) != (0, 0) else 0


# Slices


def slice(input_: Any, begin: Any, size: Any, name: str | None = None) -> Tensor:
    """`size` elements along each axis, starting at `begin`; a size of -1 takes the rest.

    input_: the tensor.
    Raises ValueError if a known slice exceeds a known shape.
    """
    x = convert_to_tensor(input_, name="input")
    first, extent = whole_numbers(begin), whole_numbers(size)
    if isinstance(first, int) or isinstance(extent, int):
        raise ValueError(f"Shape must be rank 1 but is rank 0 for the begin {begin} or the size {size} of 'Slice'.")
    if isinstance(first, tuple) and isinstance(extent, tuple):
        if len(first) != len(extent) or (x.raw_shape is not None and len(first) != len(x.raw_shape)):
            raise ValueError(f"Shape must be rank {len(first)} but is {shapes.text(x.raw_shape)} for 'Slice'.")
        kernels.check_slice(first, extent, x.raw_shape or (None,) * len(first))
        spec = tuple([(at, None if n < 0 else at + n, None) for at, n in zip(first, extent, strict=True)])
        shape = indexed_shape(x.raw_shape, spec)
        if shape is not None:
            shape = tuple([dim if n < 0 else n for dim, n in zip(shape, extent, strict=True)])
        certain = x.raw_shape is not None and all(
            n < 0 or dim is not None for n, dim in zip(extent, x.raw_shape, strict=True)
        )
        if not certain:  # a plain index would truncate the slice at the end of x
            attrs = {"begin": first, "size": extent}
            shape = tuple([None if n < 0 else n for n in extent]) if shape is None else shape
            return apply(kernels.slice_at, [x], attrs, type="Slice", name=name, dtype=x.dtype, shape=shape)
        return apply(kernels.getitem, [x], {"spec": spec}, type="Slice", name=name, dtype=x.dtype, shape=shape)
    begin, size = convert_to_tensor(begin, name="begin"), convert_to_tensor(size, name="size")
    known = entries(size)
    if known is None:
        rank = next((len(part) for part in (entries(begin), x.raw_shape) if part is not None), None)
        known = None if rank is None else (None,) * rank
    shape = None if known is None else tuple([None if n is None or n < 0 else n for n in known])
    return apply(kernels.slice_at, [x, begin, size], type="Slice", name=name, dtype=x.dtype, shape=shape)


def strided_slice(
    input_: Any, begin: Any, end: Any, strides: Any = None, begin_mask: int = 0, end_mask: int = 0,
    ellipsis_mask: int = 0, new_axis_mask: int = 0, shrink_axis_mask: int = 0, var: Any = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """x[begin:end:strides] along each axis. Bit i of a mask changes the meaning of entry i.

    begin_mask, end_mask: from the start, to the end.   ellipsis_mask: `...`.   new_axis_mask: a new axis.
    shrink_axis_mask: the single element `begin`, whose axis is dropped.
    input_: the tensor.
    """
    x = convert_to_tensor(input_, name="input")
    masks = (begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask)
    first, last = whole_numbers(begin), whole_numbers(end)
    if strides is None:
        steps = (1,) * len(first) if isinstance(first, tuple) else None
    else:
        steps = whole_numbers(strides)
    name = name or "StridedSlice"
    counts = [len(part) for part in (first, last, steps) if isinstance(part, tuple)]
    for count in counts[1:]:
        if count != counts[0]:
            raise ValueError(shapes.difference((counts[0],), (count,)) + " They are begin, end and strides.")
    if isinstance(first, tuple) and isinstance(last, tuple) and isinstance(steps, tuple):
        spec = kernels.masked_spec(first, last, steps, *masks)
        return apply(
            kernels.getitem, [x], {"spec": spec},
            type="StridedSlice", name=name, dtype=x.dtype, shape=indexed_shape(x.raw_shape, spec),
        )  # fmt: skip
    bounds = [convert_to_tensor(begin, name="begin"), convert_to_tensor(end, name="end")]
    if strides is None:
        strides = ones_like(bounds[0])
    steps = convert_to_tensor(strides, name="strides")
    return apply(
        kernels.strided_slice, [x, *bounds, steps], {"masks": masks}, type="StridedSlice", name=name, dtype=x.dtype,
        shape=_open_shape(x.raw_shape, [*bounds, steps], masks),
    )  # fmt: skip


def _open_shape(shape: shapes.RawShape, bounds: list[Tensor], masks: tuple[int, ...]) -> shapes.RawShape:
    """The known part of the shape of a slice with run-time bounds: without masks, only the rank and untouched axes."""
    counts = [bound.raw_shape[0] for bound in bounds if bound.raw_shape]
    count = next((count for count in counts if count is not None), None)
    if shape is None or count is None or any(masks[2:]) or count > len(shape):
        return None
    return (None,) * count + shape[count:]


# Gather and scatter


def gather(
    params: Any, indices: Any, validate_indices: Any = None, name: str | None = None, axis: Any = None,
    batch_dims: int = 0,
) -> Tensor:  # fmt: skip
    """Slices of params along an axis (by default the first, or batch_dims), at the given indices.

    [a..., n, b...], indices [i...] -> [a..., i..., b...].   An index outside [0, n), including a negative one, raises
    InvalidArgumentError at run time.
    batch_dims: the number of leading axes that both share; a negative one counts from the rank of indices.
    validate_indices: accepted as in TensorFlow; indices are always checked.
    Raises ValueError if `axis` is not there, or lies before batch_dims, and if the batch axes differ.
    """
    name, (x, at) = operands("GatherV2", name, params=params, indices=indices)
    if not at.dtype.is_integer:
        raise TypeError(f"Value passed to parameter 'indices' has DataType {at.dtype.name}: not an integer type.")
    if batch_dims:
        return gathered_in_batches(x, at, axis, batch_dims, name)
    number = 0 if axis is None else whole_numbers(axis)
    if number is None:
        shape = unknown_sizes(x, at, 0)
        inputs = [x, at, convert_to_tensor(axis, name="axis")]
        return apply(kernels_indices.gather, inputs, type="GatherV2", name=name, dtype=x.dtype, shape=shape)
    return _gathered(kernels_indices.gather, x, at, number, name)


def _gathered(kernel: Any, x: Tensor, at: Tensor, axis: Any, name: str | None) -> Tensor:
    """The node that applies `kernel` to slices along a known axis."""
    shape = None
    if x.raw_shape is not None:
        if not -len(x.raw_shape) <= axis < len(x.raw_shape):
            raise ValueError(f"Shape must be at least rank {axis + 1} but is rank {len(x.raw_shape)} for 'GatherV2'.")
        place = axis % len(x.raw_shape)
        if at.raw_shape is not None:
            shape = (*x.raw_shape[:place], *at.raw_shape, *x.raw_shape[place + 1 :])
    return apply(kernel, [x, at], {"axis": axis}, type="GatherV2", name=name, dtype=x.dtype, shape=shape)


def batch_gather(params: Any, indices: Any, name: str | None = None) -> Tensor:
    """`gather` along the last axis of indices; their other axes match the first axes of params.

    Raises ValueError for indices of unknown rank, or if the first axes differ.
    """
    at = convert_to_tensor(indices, name="indices")
    if at.raw_shape is None:
        raise ValueError("batch_gather does not allow indices with unknown shape.")
    return gather(params, at, name=name, batch_dims=len(at.raw_shape) - 1)


def gather_nd(params: Any, indices: Any, name: str | None = None, batch_dims: int = 0) -> Tensor:
    """params[i, j...] for each row (i, j...) of indices.

    [p..., q...], indices [i..., len(p)] -> [i..., q...].   An index out of range, including a negative one, raises
    InvalidArgumentError at run time.
    batch_dims: the number of leading axes that both share as batch axes; indices are within an element of the batch.
    """
    name, (x, at) = operands("GatherNd", name, params=params, indices=indices)
    _check_indices(at, "GatherNd")
    if batch_dims:
        at = _in_batch(x, at, int(batch_dims))
    shape = None
    depth = None if at.raw_shape is None else at.raw_shape[-1]
    if x.raw_shape is not None and at.raw_shape is not None and depth is not None:
        if depth > len(x.raw_shape):
            raise ValueError(f"indices.shape[-1] must be <= params.rank, but is {depth} > {len(x.raw_shape)}")
        shape = (*at.raw_shape[:-1], *x.raw_shape[depth:])
    return apply(kernels_indices.gather_nd, [x, at], type="GatherNd", name=name, dtype=x.dtype, shape=shape)


def _in_batch(x: Tensor, at: Tensor, batch_dims: int) -> Tensor:
    """Indices of whole tensors from those within the elements of a batch. Raises ValueError for unequal batches."""
    if x.raw_shape is not None and at.raw_shape is not None:
        shapes.merge(x.raw_shape[:batch_dims], at.raw_shape[:batch_dims])
    raw = at.raw_shape
    wide = None if raw is None else (*raw[:-1], None if raw[-1] is None else raw[-1] + batch_dims)
    kernel, attrs = kernels_indices.in_batch, {"batch_dims": batch_dims}
    return apply(kernel, [x, at], attrs, type="BatchIndices", dtype=at.dtype, shape=wide)


def scatter_nd(indices: Any, updates: Any, shape: Any, name: str | None = None) -> Tensor:
    """Zeros of `shape` with updates[i...] added at each row of indices; duplicates add up.

    An index out of range, including a negative one, raises InvalidArgumentError at run time.
    Raises ValueError if the known shapes contradict [i..., n], [i..., shape[n:]] and `shape`.
    """
    name, (at, x) = operands("ScatterNd", name, indices=indices, updates=updates)
    _check_indices(at, "ScatterNd")
    dims, tensor, raw = shape_argument(shape)
    _check_updates(at.raw_shape, x.raw_shape, raw)
    inputs, attrs = [at, x, *([] if tensor is None else [tensor])], dict[str, Any]()
    if tensor is None:
        attrs["shape"] = dims
    if x.dtype.base_dtype is dtypes.string:
        attrs["zero"] = b""
    return apply(kernels_indices.scatter_nd, inputs, attrs, type="ScatterNd", name=name, dtype=x.dtype, shape=raw)


def _check_indices(indices: Tensor, word: str) -> None:
    """Raise TypeError unless indices are integers, ValueError if they are known to be a scalar."""
    if not indices.dtype.is_integer and indices.dtype is not dtypes.object:
        raise TypeError(f"{word} needs integer indices, but got {indices.dtype.name}: {indices}")
    if indices.raw_shape == ():
        raise ValueError(f"Shape must be at least rank 1 but is rank 0 for the indices of {word}: {indices}")


def _check_updates(at: shapes.RawShape, updates: shapes.RawShape, out: shapes.RawShape) -> None:
    """Raise ValueError unless updates [i..., rest...] may fit indices [i..., n] into `out`, whose shape[n:] is rest."""
    if at is None or at[-1] is None or out is None:
        return
    if at[-1] > len(out):
        raise ValueError(f"indices.shape[-1] = {at[-1]} must be <= the rank of the shape {shapes.text(out)}")
    wanted = (*at[:-1], *out[at[-1] :])
    if not shapes.compatible(wanted, updates):
        raise ValueError(
            f"The updates have the shape {shapes.text(updates)}, but indices of shape {shapes.text(at)} into "
            f"{shapes.text(out)} need {shapes.text(wanted)}. {shapes.difference(wanted, updates)}"
        )


def one_hot(
    indices: Any, depth: Any, on_value: Any = None, off_value: Any = None, axis: int | None = None, dtype: Any = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """on_value (1) at the given index along a new axis of size `depth`, off_value (0) elsewhere and for other indices.

    axis: the position of the new axis; -1 is last.   dtype: None for that of the values, else float32.
    Raises TypeError if on_value or off_value is not of `dtype`, or if the indices are no integers.
    """
    if isinstance(indices, (list, tuple)) and not indices:
        indices = np.zeros(0, np.int64)  # an empty list would be float32
    name, (at,) = operands("OneHot", name or "one_hot", indices=indices)
    if not at.dtype.is_integer and at.dtype is not dtypes.object:
        raise TypeError(f"one_hot needs integer indices, but got {at.dtype.name}: {at}")
    tensors = [as_tensor(v) for v in (on_value, off_value)]
    given = next((t.dtype for t in tensors if t is not None), None)
    if dtype is None and given is None:
        scalars = [convert_to_tensor(v).dtype for v in (on_value, off_value) if v is not None]
        given = scalars[0] if scalars else dtypes.float32
    wanted = as_dtype(dtype) if dtype is not None else given
    assert wanted is not None
    try:
        on = convert_to_tensor(1 if on_value is None else on_value, wanted, name="on_value")
        off = convert_to_tensor(0 if off_value is None else off_value, wanted, name="off_value")
    except ValueError as error:
        raise TypeError(f"on_value and off_value of one_hot must have the dtype {wanted.name}: {error}") from None
    axis, count = -1 if axis is None else axis, whole_numbers(depth)
    if isinstance(count, tuple):
        raise ValueError(f"Input must be scalar but has rank 1 for the depth of one_hot: {depth!r}")
    attrs: dict[str, Any] = {"axis": axis}
    inputs = [at, on, off]
    if count is None:
        size = convert_to_tensor(depth, name="depth")
        if not size.dtype.is_integer:
            raise TypeError(f"Input 'depth' of 'OneHot' Op has type {size.dtype.name} that is no integer: {size}")
        inputs.append(size)
    elif count < 0:  # type: ignore[operator]
        raise ValueError(f"Dimension size, given by scalar input 1, must be non-negative but is {count} for 'OneHot'.")
    else:
        attrs["depth"] = count
    if axis < -1 or (at.raw_shape is not None and axis > len(at.raw_shape)):
        end = "rank" if at.raw_shape is None else len(at.raw_shape) + 1
        raise RefusedError(None, None, f"Expected axis to be -1 or between [0, {end}).  But received: {axis}")
    shape = None
    if at.raw_shape is not None:
        place = axis % (len(at.raw_shape) + 1)
        shape = (*at.raw_shape[:place], count, *at.raw_shape[place:])
    return apply(kernels.one_hot, inputs, attrs, type="OneHot", name=name or "one_hot", dtype=wanted, shape=shape)  # type: ignore[arg-type]


# Masks


def boolean_mask(tensor: Any, mask: Any, name: str | None = "boolean_mask", axis: int | None = None) -> Tensor:
    """The elements (or slices) of a tensor where `mask` is true, in order. The mask's axes collapse into one.

    mask: booleans, or numbers, of which all but 0 are true.
    axis: the tensor's axis where the mask starts, by default 0.   Raises ValueError for a mask of unknown rank, or of
    a shape that does not match.
    """
    x, picks = convert_to_tensor(tensor, name="tensor"), convert_to_tensor(mask, name="mask")
    at = whole_numbers(0 if axis is None else axis)
    if not picks.dtype.is_bool:
        picks = cast(picks, dtypes.bool)
    if picks.raw_shape is None:
        raise ValueError(
            "Number of mask dimensions must be specified, even if some dimensions are None.  E.g. shape=[None] is ok, "
            "but shape=None is not."
        )
    if not picks.raw_shape:
        raise ValueError("mask cannot be scalar.")
    shape = None
    if x.raw_shape is not None:
        at = at % max(len(x.raw_shape), 1)  # type: ignore[operator]
        end = at + len(picks.raw_shape)
        if not shapes.compatible(x.raw_shape[at:end], picks.raw_shape):
            raise ValueError(
                f"Shapes {shapes.text(x.raw_shape[at:end])} and {shapes.text(picks.raw_shape)} are incompatible"
            )
        shape = (*x.raw_shape[:at], None, *x.raw_shape[end:])
    return apply(
        kernels.boolean_mask, [x, picks], {"axis": at}, type="BooleanMask", name=name, dtype=x.dtype, shape=shape
    )


seams.getitem = slice_helper
