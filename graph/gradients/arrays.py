"""Derivatives of operations that rearrange, join, split and select elements.

They are all linear, so a rule inverts the operation: an element that went nowhere gets zero, one that went to two
places gets a sum.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import apply, constant
from weftwork.graph.gradients.registry import no_derivative, not_differentiable, rule
from weftwork.graph.gradients.tools import reshape_like, selection_gradient, sum_to
from weftwork.graph.kernels import arrays as forward
from weftwork.graph.kernels import derivatives as kernels
from weftwork.graph.kernels import indices as kernels_indices
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops import array_ops as a
from weftwork.graph.ops import math_ops as m
from weftwork.graph.ops.composite import IndexedSlices
from weftwork.graph.ops.partitioning import dynamic_partition, dynamic_stitch
from weftwork.graph.ops.reductions import reduce_sum

not_differentiable(
    "StopGradient", "Shape", "Size", "Rank", "ZerosLike", "OnesLike", "OneHot", "Where", "InvertPermutation",
    "SequenceMask", "BroadcastArgs", "Eye",
)  # fmt: skip


@rule("PreventGradient")
def _prevented(op: Operation, g: Tensor):
    raise no_derivative(op, f"Gradient explicitly disabled. Reason: {op.attrs['message']}")


def _first(op: Operation, grad: Any) -> list:
    """The gradient of the first input only."""
    return [grad] + [None] * (len(op.inputs) - 1)


def _like(kernel: Any, inputs: list[Tensor], attrs: dict | None, kind: str, x: Tensor) -> Tensor:
    """A node whose output has the shape of x."""
    return apply(kernel, inputs, attrs, type=kind, dtype=inputs[0].dtype.base_dtype, shape=x.raw_shape)


# Joining and splitting


@rule("ConcatV2")
def _concat(op: Operation, g: Tensor):
    if op.kernel is not forward.concat:
        axis, *parts = op.inputs
        pieces = _pieces(kernels.split_like_over, [g, axis, *parts], {}, parts)
        return [None, *[functools.partial(_item, pieces, i) for i in range(len(parts))]]
    axis = op.attrs["axis"]
    sizes = [None if t.raw_shape is None else t.raw_shape[axis] for t in op.inputs]
    if None in sizes or axis < 0:
        pieces = _pieces(kernels.split_like, [g, *op.inputs], {"axis": axis}, list(op.inputs))
        return [functools.partial(_item, pieces, i) for i in range(len(op.inputs))]
    found, start = [], 0
    for size in sizes:
        index = (slice(None),) * axis + (slice(start, start + size),)  # type: ignore[operator]
        found.append(functools.partial(a.slice_helper, g, index))
        start += size  # type: ignore[operator]
    return found


def _pieces(kernel: Any, inputs: list[Tensor], attrs: dict, parts: list[Tensor]) -> Any:
    """A function that makes, only once, the node that splits a gradient the way the parts were joined."""
    specs = [(inputs[0].dtype.base_dtype, t.raw_shape) for t in parts]
    return functools.cache(lambda: apply(kernel, inputs, attrs, type="SplitLike", outputs=specs))


def _item(pieces: Any, number: int) -> Tensor:
    return pieces()[number]


@rule("SplitLike")
def _split_like(op: Operation, *grads: Tensor):
    axis = op.attrs["axis"] if op.attrs else op.inputs[1]
    return _first(op, a.concat(list(grads), axis))


@rule("Pack")
def _stack(op: Operation, g: Tensor):
    axis = op.attrs["axis"]
    parts = functools.cache(lambda: a.unstack(g, len(op.inputs), axis))
    return [functools.partial(_item, parts, i) for i in range(len(op.inputs))]


@rule("Unpack")
def _unstack(op: Operation, *grads: Tensor):
    return [a.stack(list(grads), op.attrs["axis"])]


@rule("Split", "SplitV")
def _split(op: Operation, *grads: Tensor):
    if "axis" not in op.attrs:
        return [None, a.concat(list(grads), op.inputs[0])]
    return _first(op, a.concat(list(grads), op.attrs["axis"]))


@rule("Meshgrid")
def _meshgrid(op: Operation, *grads: Tensor):
    places = list(range(len(grads)))
    if op.attrs["indexing"] == "xy" and len(grads) > 1:
        places[:2] = [1, 0]
    found = []
    for x, grad, place in zip(op.inputs, grads, places, strict=True):
        others = [i for i in range(len(grads)) if i != place]
        found.append(reshape_like(reduce_sum(grad, others), x))
    return found


# Filling


@rule("Fill")
def _fill(op: Operation, g: Tensor):
    if op.kernel is not forward.fill:
        return [None] * len(op.inputs)  # ones and zeros of a given shape
    return _first(op, reduce_sum(g))


@rule("Pad", "PadV2", "MirrorPad")
def _pad(op: Operation, g: Tensor):
    mode = op.attrs["mode"]
    if mode != "constant":
        return selection_gradient(op, g)
    widths = op.attrs.get("pad_width")
    if widths is not None:
        index = tuple([slice(before, -after or None) for before, after in widths])
        return [lambda: a.slice_helper(g, index)]
    return _first(op, lambda: _like(kernels.crop, [g, op.inputs[1]], None, "PadCrop", op.inputs[0]))


@rule("PadCrop")
def _crop(op: Operation, g: Tensor):
    return [lambda: a.pad(g, op.inputs[1]), None]


# Rearranging


@rule("Transpose")
def _transpose(op: Operation, g: Tensor):
    if len(op.inputs) == 2:
        return [lambda: a.transpose(g, a.invert_permutation(op.inputs[1])), None]
    axes = op.attrs.get("axes")
    return [a.transpose(g, None if axes is None else [int(i) for i in np.argsort(axes)])]


@rule("Tile")
def _tile(op: Operation, g: Tensor):
    inputs, attrs = ([g], {"reps": op.attrs["reps"]}) if len(op.inputs) == 1 else ([g, op.inputs[1]], None)
    return _first(op, lambda: _like(kernels.untile, inputs, attrs, "TileGrad", op.inputs[0]))


@rule("TileGrad")
def _tile_grad(op: Operation, g: Tensor):
    return _first(op, lambda: a.tile(g, op.attrs["reps"] if op.attrs else op.inputs[1]))


@rule("ReverseV2", "ReverseSequence")
def _reverse(op: Operation, g: Tensor):
    x = op.outputs[0]
    return _first(op, lambda: _like(op.kernel, [g, *op.inputs[1:]], dict(op.attrs), op.type, x))


@rule("Roll")
def _roll(op: Operation, g: Tensor):
    if len(op.inputs) == 3:
        return [lambda: a.roll(g, -op.inputs[1], op.inputs[2]), None, None]
    shift = op.attrs["shift"]
    back = tuple([-n for n in shift]) if isinstance(shift, tuple) else -shift
    return [lambda: a.roll(g, back, op.attrs["axis"])]


@rule("Diag")
def _diag(op: Operation, g: Tensor):
    return [lambda: a.diag_part(g)]


@rule("DiagPart")
def _diag_part(op: Operation, g: Tensor):
    return [lambda: a.diag(g)]


@rule("MatrixDiag")
def _matrix_diag(op: Operation, g: Tensor):
    return [lambda: a.matrix_diag_part(g)]


@rule("MatrixDiagPart")
def _matrix_diag_part(op: Operation, g: Tensor):
    x = op.inputs[0]
    return [lambda: _like(kernels.diagonal_like, [g, x], None, "MatrixDiagPartGrad", x)]


@rule("MatrixDiagPartGrad")
def _matrix_diag_part_grad(op: Operation, g: Tensor):
    return [lambda: a.matrix_diag_part(g), None]


# Selecting


@rule("StridedSlice", "Slice")
def _slice(op: Operation, g: Tensor):
    x = op.inputs[0]
    if op.kernel is not forward.getitem:
        return selection_gradient(op, g, unique=True)
    attrs: dict[str, Any] = {"spec": op.attrs["spec"]}
    if shapes.is_full(x.raw_shape):
        return [lambda: _like(kernels.unslice, [g], {**attrs, "shape": x.raw_shape}, "StridedSliceGrad", x)]
    return [lambda: _like(kernels.unslice_like, [g, x], attrs, "StridedSliceGrad", x)]


@rule("StridedSliceGrad")
def _slice_grad(op: Operation, g: Tensor):
    dtype, raw = g.dtype.base_dtype, op.inputs[0].raw_shape
    attrs = {"spec": op.attrs["spec"]}
    return _first(op, lambda: apply(forward.getitem, [g], attrs, type="StridedSlice", dtype=dtype, shape=raw))


@rule("GatherV2")
def _gather(op: Operation, g: Tensor):
    x, ids = op.inputs[:2]
    if op.kernel is not kernels_indices.gather or op.attrs.get("axis") != 0 or x.dtype.base_dtype is dtypes.object:
        return selection_gradient(op, g)
    return [lambda: slices_of(g, ids, x), None]


def slices_of(g: Tensor, ids: Tensor, x: Tensor) -> IndexedSlices:
    """The gradient of some rows of x: their indices and gradients."""
    if ids.raw_shape is None or len(ids.raw_shape) != 1:
        row = None if x.raw_shape is None else x.raw_shape[1:]
        if row is not None and None not in row and 0 not in row:
            g = a.reshape(g, [-1, *row])
        else:
            g = a.reshape(g, a.concat([[-1], a.shape(x)[1:]], 0))
        ids = a.reshape(ids, [-1])
    if shapes.is_full(x.raw_shape):
        return IndexedSlices(g, ids, constant(np.array(x.raw_shape, np.int32), name="Shape"))
    return IndexedSlices(g, ids, a.shape(x))


@rule("GatherNd")
def _gather_nd(op: Operation, g: Tensor):
    """Sparse where the indices are a list of rows, as in TensorFlow."""
    x, ids = op.inputs
    if ids.raw_shape is None or len(ids.raw_shape) != 2 or ids.raw_shape[1] != 1 or x.dtype.base_dtype is dtypes.object:
        return selection_gradient(op, g)
    return [lambda: slices_of(g, a.reshape(ids, [-1]), x), None]


@rule("BooleanMask")
def _masked(op: Operation, g: Tensor):
    return selection_gradient(op, g, unique=True)


@rule("InitializedValue")
def _initialized_value(op: Operation, g: Tensor):
    """As where the variable has a value; its initial value gets no gradient."""
    return [g] + [None] * (len(op.inputs) - 1)


@rule("DynamicPartition")
def _partition(op: Operation, *grads: Tensor):
    x, parts = op.inputs
    shape = a.shape(parts)
    numbers = a.reshape(m.range(a.size(parts)), shape)
    places = dynamic_partition(numbers, parts, op.attrs["num"])
    return [lambda: reshape_like(dynamic_stitch(places, list(grads)), x), None]


@rule("ScatterNd")
def _scatter_nd(op: Operation, g: Tensor):
    return [None, lambda: a.gather_nd(g, op.inputs[0])] + [None] * (len(op.inputs) - 2)


@rule("Select")
def _select(op: Operation, g: Tensor):
    condition = op.inputs[0]
    return [None, lambda: a.where(condition, g, a.zeros_like(g)), lambda: a.where(condition, a.zeros_like(g), g)]


@rule("SelectV2")
def _select_v2(op: Operation, g: Tensor):
    condition, x, y = op.inputs
    return [
        None,
        lambda: sum_to(a.where_v2(condition, g, 0.0), x, condition, y),
        lambda: sum_to(a.where_v2(condition, 0.0, g), y, condition, x),
    ]


@rule("EmbeddingLookup")
def _embedding(op: Operation, g: Tensor):
    ids, *params = op.inputs
    found: list[Any] = [None]
    for part, table in enumerate(params):
        found.append(functools.partial(_rows_of_part, op, g, ids, params, part, table))
    return found


def _rows_of_part(op: Operation, g: Tensor, ids: Tensor, params: list, part: int, table: Tensor) -> IndexedSlices:
    row = None if table.raw_shape is None else (None, *table.raw_shape[1:])
    outputs = [(g.dtype.base_dtype, row), (ids.dtype.base_dtype, (None,))]
    attrs = {"part": part, "by_mod": op.attrs["by_mod"]}
    rows, places = apply(kernels.rows_of_part, [ids, g, *params], attrs, type="RowsOfPart", outputs=outputs)
    return IndexedSlices(rows, places, a.shape(table))


@rule("RowsOfPart")
def _rows_of_part_grad(op: Operation, g: Tensor, _: Any):
    ids, rows, *params = op.inputs
    inputs = [g, ids, rows, *params]
    result = _like(kernels.unrows_of_part, inputs, dict(op.attrs), "RowsOfPartGrad", rows)
    return [None, result] + [None] * len(params)


@rule("DynamicStitch")
def _stitch_rule(op: Operation, g: Tensor):
    places = op.inputs[: len(op.inputs) // 2]
    return [None] * len(places) + [lambda place=place: a.gather(g, place) for place in places]
