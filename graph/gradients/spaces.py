"""Derivatives of block moves, windows, bands and replaced elements: linear, and mostly each other's inverses."""

from __future__ import annotations

from weftwork.graph.build import apply
from weftwork.graph.gradients.registry import not_differentiable, rule
from weftwork.graph.gradients.walk import pass_on
from weftwork.graph.kernels import spaces as kernels
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops import array_ops, diagonals, math_ops, scattering, spaces

not_differentiable("ArgSort", "SearchSorted", "RepeatIndex", "UnravelIndex", "EditDistance", "Bitcast")
rule("EnsureShape", "GuaranteeConst", "PassThrough")(pass_on)


@rule("SpaceToBatchND")
def _to_batch(op: Operation, g: Tensor):
    return [spaces.batch_to_space_nd(g, op.inputs[1], op.inputs[2]), None, None]


@rule("BatchToSpaceND")
def _to_space(op: Operation, g: Tensor):
    return [spaces.space_to_batch_nd(g, op.inputs[1], op.inputs[2]), None, None]


@rule("SpaceToDepth")
def _to_depth(op: Operation, g: Tensor):
    return [spaces.depth_to_space(g, op.attrs["size"])]


@rule("DepthToSpace")
def _from_depth(op: Operation, g: Tensor):
    return [spaces.space_to_depth(g, op.attrs["size"])]


@rule("ExtractPatches")
def _patches(op: Operation, g: Tensor):
    x = op.inputs[0]
    return [apply(kernels.patches_back, [g, x], op.attrs, type="ExtractPatchesGrad", dtype=g.dtype, shape=x.raw_shape)]


@rule("ExtractPatchesGrad")
def _patches_again(op: Operation, g: Tensor):
    shape = op.inputs[0].raw_shape
    return [apply(kernels.patches, [g], op.attrs, type="ExtractPatches", dtype=g.dtype, shape=shape), None]


@rule("MatrixBandPart")
def _band(op: Operation, g: Tensor):
    return [spaces.matrix_band_part(g, op.inputs[1], op.inputs[2]), None, None]


@rule("MatrixSetDiag")
def _set_diagonal(op: Operation, g: Tensor):
    diagonal = op.inputs[1]
    return [
        lambda: spaces.matrix_set_diag(g, array_ops.zeros_like(diagonal)),
        lambda: array_ops.matrix_diag_part(g),
    ]


@rule("TakeBand")
def _take_band(op: Operation, g: Tensor):
    x, band, align = op.inputs[0], op.attrs["band"], op.attrs["align"]
    return [lambda: diagonals.put(array_ops.zeros_like(x), g, band, align, None), None]


@rule("PutBand")
def _put_band(op: Operation, g: Tensor):
    band, align = op.attrs["band"], op.attrs["align"]
    return [
        lambda: diagonals.put(g, array_ops.zeros_like(op.inputs[1]), band, align, None),
        lambda: diagonals.taken(g, band, 0, align, None),
    ]


@rule("PlaceBand")
def _place_band(op: Operation, g: Tensor):
    return [lambda: diagonals.taken(g, op.attrs["band"], 0, op.attrs["align"], None), None]


@rule("TensorScatterUpdate")
def _replaced(op: Operation, g: Tensor):
    _, indices, updates = op.inputs
    return [
        lambda: scattering.tensor_scatter_update(g, indices, array_ops.zeros_like(updates)),
        None,
        lambda: array_ops.gather_nd(g, indices),
    ]


@rule("TensorScatterAdd", "TensorScatterSub")
def _added(op: Operation, g: Tensor):
    sign = 1 if op.type == "TensorScatterAdd" else -1
    return [g, None, lambda: array_ops.gather_nd(g, op.inputs[1]) * sign]


@rule("TensorScatterMax", "TensorScatterMin")
def _greatest(op: Operation, g: Tensor):
    """Divide the gradient equally among the elements that equal the result."""
    x, indices, updates = op.inputs
    y = op.outputs[0]
    kept_hits = math_ops.cast(math_ops.equal(x, y), g.dtype)
    update_hits = math_ops.cast(math_ops.equal(updates, array_ops.gather_nd(y, indices)), g.dtype)
    each = g / scattering.tensor_scatter_add(kept_hits, indices, update_hits)
    return [lambda: each * kept_hits, None, lambda: array_ops.gather_nd(each, indices) * update_hits]
