"""Array operations: TensorFlow 1's names for shapes, joining, splitting, filling and rearranging.

The other ones are in `joining`, `rearranging`, `filling` and `indexing`, and are also available here. Shapes are known
as far as the arguments are known when the graph is built. An argument such as `shape` may be a tensor, or a list that
contains tensors.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import apply, constant, convert_to_tensor, convert_together
from weftwork.graph.build import placeholder as placeholder
from weftwork.graph.build import placeholder_with_default as placeholder_with_default
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.errors import RefusedError
from weftwork.graph.kernels import arrays as kernels
from weftwork.graph.known import known_axis, rank_of, renamed, shape_argument, whole_numbers
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.composite import SparseTensor, SparseTensorValue
from weftwork.graph.ops.conversion import cast
from weftwork.graph.ops.filling import eye as eye
from weftwork.graph.ops.filling import fill as fill
from weftwork.graph.ops.filling import ones as ones
from weftwork.graph.ops.filling import ones_like as ones_like
from weftwork.graph.ops.filling import sequence_mask as sequence_mask
from weftwork.graph.ops.filling import zeros as zeros
from weftwork.graph.ops.filling import zeros_like as zeros_like
from weftwork.graph.ops.flow import identity as identity
from weftwork.graph.ops.flow import stop_gradient as stop_gradient
from weftwork.graph.ops.indexing import batch_gather as batch_gather
from weftwork.graph.ops.indexing import boolean_mask as boolean_mask
from weftwork.graph.ops.indexing import gather as gather
from weftwork.graph.ops.indexing import gather_nd as gather_nd
from weftwork.graph.ops.indexing import one_hot as one_hot
from weftwork.graph.ops.indexing import scatter_nd as scatter_nd
from weftwork.graph.ops.indexing import slice as slice
from weftwork.graph.ops.indexing import slice_helper as slice_helper
from weftwork.graph.ops.indexing import strided_slice as strided_slice
from weftwork.graph.ops.joining import concat as concat
from weftwork.graph.ops.joining import meshgrid as meshgrid
from weftwork.graph.ops.joining import parallel_stack as parallel_stack
from weftwork.graph.ops.joining import split as split
from weftwork.graph.ops.joining import stack as stack
from weftwork.graph.ops.joining import unstack as unstack
from weftwork.graph.ops.rearranging import Unique as Unique
from weftwork.graph.ops.rearranging import UniqueWithCounts as UniqueWithCounts
from weftwork.graph.ops.rearranging import diag as diag
from weftwork.graph.ops.rearranging import diag_part as diag_part
from weftwork.graph.ops.rearranging import invert_permutation as invert_permutation
from weftwork.graph.ops.rearranging import matrix_diag as matrix_diag
from weftwork.graph.ops.rearranging import matrix_diag_part as matrix_diag_part
from weftwork.graph.ops.rearranging import pad as pad
from weftwork.graph.ops.rearranging import reverse as reverse
from weftwork.graph.ops.rearranging import reverse_sequence as reverse_sequence
from weftwork.graph.ops.rearranging import reverse_v2 as reverse_v2
from weftwork.graph.ops.rearranging import roll as roll
from weftwork.graph.ops.rearranging import tile as tile
from weftwork.graph.ops.rearranging import transpose as transpose
from weftwork.graph.ops.rearranging import unique as unique
from weftwork.graph.ops.rearranging import unique_with_counts as unique_with_counts
from weftwork.graph.ops.selecting import where as where
from weftwork.graph.ops.selecting import where_v2 as where_v2
from weftwork.graph.scopes import name_scope
from weftwork.graph.shapes import RawShape

newaxis = None


# Shapes


def shape(input: Any, name: str | None = None, out_type: Any = dtypes.int32, optimize: bool = True) -> Tensor:
    """The shape as a vector. If it is known, this is a constant, unless optimize=False."""
    if isinstance(input, (SparseTensor, SparseTensorValue)):
        return cast(SparseTensor.from_value(input).dense_shape, out_type, name=name or "Shape/Cast")
    x, dtype = convert_to_tensor(input, name="input"), as_dtype(out_type)
    if optimize and shapes.is_full(x.raw_shape):
        return constant(np.array(x.raw_shape, dtype.numpy), name=name or "Shape")
    attrs = {"dtype": dtype.numpy}
    return apply(kernels.shape_of, [x], attrs, type="Shape", name=name, dtype=dtype, shape=(rank_of(x),))


def shape_n(input: Any, out_type: Any = dtypes.int32, name: str | None = None) -> list[Tensor]:
    """The shape of each of a list of tensors."""
    with name_scope(name, "ShapeN", list(input)):
        return [shape(x, out_type=out_type) for x in input]


def size(input: Any, name: str | None = None, out_type: Any = dtypes.int32) -> Tensor:
    """The number of elements; a constant if known."""
    if isinstance(input, (SparseTensor, SparseTensorValue)):
        dims, kind = SparseTensor.from_value(input).dense_shape, as_dtype(out_type)
        attrs = {"dtype": kind.numpy}
        return apply(kernels.product, [dims], attrs, type="Prod", name=name or "Size", dtype=kind, shape=())
    x, dtype = convert_to_tensor(input, name="input"), as_dtype(out_type)
    if shapes.is_full(x.raw_shape):
        return constant(math.prod(x.raw_shape), dtype, name=name or "Size")  # type: ignore[arg-type]
    return apply(kernels.size_of, [x], {"dtype": dtype.numpy}, type="Size", name=name, dtype=dtype, shape=())


def rank(input: Any, name: str | None = None) -> Tensor:
    """The number of axes, int32; a constant if known."""
    if isinstance(input, (SparseTensor, SparseTensorValue)):
        return size(SparseTensor.from_value(input).dense_shape, name=name or "Rank")
    x = convert_to_tensor(input, name="input")
    if x.raw_shape is not None:
        return constant(len(x.raw_shape), dtypes.int32, name=name or "Rank")
    attrs = {"dtype": dtypes.int32.numpy}
    return apply(kernels.rank_of, [x], attrs, type="Rank", name=name, dtype=dtypes.int32, shape=())


def reshape(tensor: Any, shape: Any, name: str | None = None) -> Tensor:
    """The same elements in another shape. One dimension may be -1: it is inferred from the others.

    Raises ValueError if the known number of elements does not fit.
    """
    x = convert_to_tensor(tensor, name="tensor")
    dims, vector, raw = shape_argument(shape)
    if raw is not None:
        raw = _fitted(x.raw_shape, dims, raw)
    if dims is not None and shapes.is_full(raw):
        dims = raw
    inputs, attrs = ([x], {"shape": dims}) if vector is None else ([x, vector], None)
    kernel = kernels.reshape_text if x.dtype.numpy.kind == "O" else kernels.reshape
    return apply(kernel, inputs, attrs, type="Reshape", name=name, dtype=x.dtype.base_dtype, shape=raw)


def _fitted(given: RawShape, dims: tuple[int, ...] | None, raw: tuple[int | None, ...]) -> RawShape:
    """The target shape with the -1 resolved."""
    unknown = raw.count(None)
    if dims is not None:
        for axis, dim in enumerate(dims):
            if dim < -1:
                raise ValueError(f"Size {axis} must be non-negative, not {dim}")
        if unknown > 1:
            first, second = [axis for axis, dim in enumerate(dims) if dim == -1][:2]
            raise RefusedError(None, None, f"Only one input size may be -1, not both {first} and {second}")
    if not shapes.is_full(given) or unknown > 1:
        return raw
    elements = math.prod(given)  # type: ignore[arg-type]
    known = math.prod([dim for dim in raw if dim is not None])
    if elements % known if unknown and known else elements != known and not (unknown and elements == 0):
        wanted = [-1 if dim is None else dim for dim in raw]
        raise ValueError(
            f"Cannot reshape a tensor with {elements} elements to shape {wanted} ({known} elements) for 'Reshape' "
            f"(op: 'Reshape') with input shape {shapes.bracket_text(given)}."
        )
    rest = elements // known if known else None if dims is None else 0
    return tuple([rest if dim is None else dim for dim in raw])


def expand_dims(input: Any, axis: Any = None, name: str | None = None, dim: Any = None) -> Tensor:
    """Insert an axis of size 1 before the given axis; -1 adds it after the last.

    Raises ValueError if the known rank has no such axis, or unless there is a single axis.
    """
    axis = renamed("axis", axis, "dim", dim)
    if axis is None:
        raise ValueError("Must specify an axis argument to tf.expand_dims()")
    x, numbers = convert_to_tensor(input, name="input"), whole_numbers(axis)
    if isinstance(numbers, tuple):
        if len(numbers) != 1:
            raise ValueError(f"'dim' input must be a tensor with a single value, not {axis!r}")
        numbers = numbers[0]
    rank = None if x.raw_shape is None else len(x.raw_shape) + 1
    number = None if numbers is None else known_axis(numbers, rank)
    if number is None:
        known = None if x.raw_shape is None else (None,) * (len(x.raw_shape) + 1)
        inputs = [x, convert_to_tensor(axis, name="dim")]
        return apply(kernels.expand_dims, inputs, type="ExpandDims", name=name, dtype=x.dtype, shape=known)
    known = None if x.raw_shape is None else (*x.raw_shape[:number], 1, *x.raw_shape[number:])
    if x.raw_shape == () and x.dtype.numpy.kind == "O":
        return reshape(x, [1], name=name or "ExpandDims")
    return apply(np.expand_dims, [x], {"axis": number}, type="ExpandDims", name=name, dtype=x.dtype, shape=known)


def squeeze(input: Any, axis: Any = None, name: str | None = None, squeeze_dims: Any = None) -> Tensor:
    """Remove axes of size 1: all of them, or the given ones. Raises ValueError if one has another size.

    squeeze_dims: an older name of axis.
    """
    axis = whole_numbers(renamed("axis", axis, "squeeze_dims", squeeze_dims))
    x = convert_to_tensor(input, name="input")
    axes = axis if axis is None or isinstance(axis, tuple) else (axis,)
    axes = axes or None
    known: RawShape = None
    if x.raw_shape is not None and axes is not None:
        rank = len(x.raw_shape)
        for i, place in enumerate(axes):
            if not -rank <= place < rank:
                raise ValueError(f"squeeze_dims[{i}] not in [{-rank},{rank}).")
        places = {place % rank for place in axes}
        for place in places:
            dim = x.raw_shape[place]  # type: ignore[index]
            if dim not in (None, 1):
                raise ValueError(f"Can not squeeze dim[{place}], expected a dimension of 1, got {dim} for 'Squeeze'.")
        known = tuple([dim for i, dim in enumerate(x.raw_shape) if i not in places])
    elif shapes.is_full(x.raw_shape):
        known = tuple([dim for dim in x.raw_shape if dim != 1])  # type: ignore[union-attr]
    kernel, attrs = (np.squeeze, None) if axes is None else (kernels.squeeze, {"axis": axes})
    return apply(kernel, [x], attrs, type="Squeeze", name=name, dtype=x.dtype, shape=known)


def broadcast_to(input: Any, shape: Any, name: str | None = None) -> Tensor:
    """The input broadcast to `shape`. Raises ValueError if the known shapes do not fit."""
    x = convert_to_tensor(input, name="input")
    dims, vector, raw = shape_argument(shape)
    if raw is not None and x.raw_shape is not None:
        if len(x.raw_shape) > len(raw):
            raise ValueError(f"Shape must be at most rank {len(raw)} but is rank {len(x.raw_shape)} for 'BroadcastTo'.")
        if dims is not None and shapes.broadcast(x.raw_shape, dims) != dims:
            a, b = shapes.text(x.raw_shape), shapes.text(dims)
            raise ValueError(f"Incompatible shapes: {a} cannot be broadcast to {b}")
        raw = shapes.broadcast(x.raw_shape, raw)
    inputs, attrs = ([x], {"shape": dims}) if vector is None else ([x, vector], None)
    return apply(np.broadcast_to, inputs, attrs, type="BroadcastTo", name=name, dtype=x.dtype, shape=raw)


def broadcast_static_shape(shape_x: Any, shape_y: Any) -> shapes.TensorShape:
    """The shape of an elementwise result. Raises ValueError if the shapes do not broadcast.

    shape_x, shape_y: TensorShapes.
    """
    a, b = shapes.as_raw(shape_x), shapes.as_raw(shape_y)
    try:
        return shapes.TensorShape(shapes.broadcast(a, b))
    except ValueError:
        text = f"{shapes.text(a)} and {shapes.text(b)}"
        raise ValueError(f"Incompatible shapes for broadcasting: {text}") from None


def broadcast_dynamic_shape(shape_x: Any, shape_y: Any) -> Tensor:
    """The shape of an elementwise result, from two shapes given as vectors.

    shape_x, shape_y: integer vectors.
    """
    a, b = convert_together([shape_x, shape_y])
    lengths = [None if t.raw_shape is None else t.raw_shape[0] for t in (a, b)]
    length = None if None in lengths else max(lengths)  # type: ignore[type-var]
    return apply(kernels.broadcast_shape, [a, b], type="BroadcastArgs", dtype=a.dtype, shape=(length,))
