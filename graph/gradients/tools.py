"""Helpers for rules: inverting a broadcast, restoring a shape.

Each function makes at most a node or two, and none if the static shapes show that there is nothing to do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import shapes
from weftwork.graph.build import apply
from weftwork.graph.gradients.registry import not_differentiable, rule
from weftwork.graph.kernels import derivatives as kernels
from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.graph.ops.array_ops import reshape
from weftwork.graph.ops.composite import IndexedSlices
from weftwork.graph.ops.reductions import known_axes, reduce_mean, reduce_sum


def sum_to(grad: Tensor, x: Tensor, *others: Tensor) -> Tensor:
    """Sum `grad`, which has the shape of x broadcast with the others, to x's own shape."""
    axes = _summed_axes(x.raw_shape, [other.raw_shape for other in others])
    if axes is None:
        return apply(kernels.sum_like, [grad, x], type="SumLike", dtype=grad.dtype.base_dtype, shape=x.raw_shape)
    lead, ones = axes
    if not lead and not ones:
        return grad
    attrs = {"lead": lead, "ones": ones}
    return apply(kernels.sum_axes, [grad], attrs, type="SumAxes", dtype=grad.dtype.base_dtype, shape=x.raw_shape)


def _summed_axes(shape: shapes.RawShape, others: list[shapes.RawShape]) -> tuple[int, tuple[int, ...]] | None:
    """(number of leading axes, axes of size 1) that a broadcast repeated; None if only known at run time."""
    if shape is None or not others:
        return None
    rank, ones = len(shape), []
    lead = 0
    for other in others:
        if other is None:
            return None
        lead = max(lead, len(other) - rank)
    for i in range(1, rank + 1):
        own_dim = shape[-i]
        other_dims = [other[-i] for other in others if other is not None and i <= len(other)]
        if own_dim not in (1, None) or all([dim == 1 for dim in other_dims]):
            continue
        if own_dim is None:
            return None
        ones.append(rank - i)
    return lead, tuple(reversed(ones))


@rule("SumLike", "SumAxes")
def _sum_axes(op: Operation, grad: Tensor):
    return [lambda: broadcast_like(grad, op.inputs[0])] + [None] * (len(op.inputs) - 1)


def broadcast_like(grad: Tensor, x: Tensor) -> Tensor:
    """`grad` broadcast to the shape of x."""
    if shapes.is_full(x.raw_shape):
        if x.raw_shape == grad.raw_shape:
            return grad
        attrs = {"shape": x.raw_shape}
        return apply(np.broadcast_to, [grad], attrs, type="BroadcastTo", dtype=grad.dtype.base_dtype, shape=x.raw_shape)
    return apply(
        kernels.broadcast_like, [grad, x], type="BroadcastLike", dtype=grad.dtype.base_dtype, shape=x.raw_shape
    )


@rule("BroadcastTo", "BroadcastLike")
def _broadcast(op: Operation, grad: Tensor):
    return [sum_to(grad, op.inputs[0], op.outputs[0])] + [None] * (len(op.inputs) - 1)


def spread(grad: Tensor, x: Tensor, axis: Any = None, keepdims: bool = False, mean: bool = False) -> Tensor:
    """Invert a reduction of x over `axis`: `grad` at each position; for a mean, divided by the number of elements.

    axis: ints, None for all, or a tensor.
    """
    attrs: dict[str, Any] = {"keepdims": keepdims, "mean": mean}
    dtype = grad.dtype.base_dtype
    if isinstance(axis, Tensor):
        return apply(kernels.spread_over, [grad, x, axis], attrs, type="Spread", dtype=dtype, shape=x.raw_shape)
    if shapes.is_full(x.raw_shape):
        axes = known_axes(axis, len(x.raw_shape))  # type: ignore[arg-type]
        attrs.update(shape=x.raw_shape, axis=axes)
        return apply(kernels.spread_to, [grad], attrs, type="Spread", dtype=dtype, shape=x.raw_shape)
    attrs["axis"] = axis
    return apply(kernels.spread, [grad, _of_same_shape(x)], attrs, type="Spread", dtype=dtype, shape=x.raw_shape)


_SAME_SHAPE = frozenset("Neg Square Sqrt Exp Log Log1p Abs Tanh Sigmoid Relu Softplus Cast Identity".split())
_LOSSES = frozenset(["SoftmaxCrossEntropyWithLogits", "SparseSoftmaxCrossEntropyWithLogits"])


def _of_same_shape(x: Tensor) -> Tensor:
    """A tensor with x's shape that exists before x, so that a training step need not compute the loss itself."""
    while x.op.type in _SAME_SHAPE and x.op.kind is Kind.PURE:
        x = x.op.inputs[0]
    if x.op.type in _LOSSES:
        attrs, dtype = {"axis": x.op.attrs.get("axis")}, x.dtype.base_dtype
        return apply(kernels.zeros_like_loss, x.op.inputs, attrs, type="LossShape", dtype=dtype, shape=x.raw_shape)
    return x


not_differentiable("LossShape")


@rule("Spread")
def _spread(op: Operation, grad: Tensor):
    axis = op.inputs[2] if len(op.inputs) == 3 else op.attrs["axis"]
    reduce = reduce_mean if op.attrs["mean"] else reduce_sum
    return [lambda: reduce(grad, axis, op.attrs["keepdims"])] + [None] * (len(op.inputs) - 1)


def reshape_like(grad: Tensor, x: Tensor) -> Tensor:
    """`grad` reshaped to x, which has the same number of elements."""
    raw = x.raw_shape
    if raw is not None and raw.count(None) <= 1 and 0 not in raw:
        return reshape(grad, [-1 if dim is None else dim for dim in raw])
    return apply(kernels.reshape_like, [grad, x], type="ReshapeLike", dtype=grad.dtype.base_dtype, shape=raw)


@rule("Reshape", "ReshapeLike", "ExpandDims", "Squeeze")
def _reshape(op: Operation, grad: Tensor):
    return [lambda: reshape_like(grad, op.inputs[0])] + [None] * (len(op.inputs) - 1)


def dense(slices: IndexedSlices, x: Tensor) -> Tensor:
    """IndexedSlices as a tensor of x's shape; rows with the same index add up. A bad index raises at run time."""
    inputs = [slices.values, slices.indices, x]
    dtype = slices.dtype.base_dtype
    if shapes.is_full(x.raw_shape):
        attrs = {"shape": x.raw_shape}
        return apply(kernels.rows_in, inputs[:2], attrs, type="DenseRows", dtype=dtype, shape=x.raw_shape)
    return apply(kernels.rows_like, inputs, type="DenseRows", dtype=dtype, shape=x.raw_shape)


def picked(op: Operation, grad: Tensor, unique: bool = False) -> list:
    """The gradients of an operation whose kernel only selects or moves elements of its first input.

    unique: no element is selected twice.
    """
    x = op.inputs[0]
    rest = op.inputs[1:]
    attrs = {"function": op.kernel, "options": tuple(op.attrs.items()), "unique": unique}

    def first() -> Tensor:
        dtype, inputs = grad.dtype.base_dtype, [grad, x, *rest]
        return apply(kernels.unpick, inputs, attrs, type="Unpick", dtype=dtype, shape=x.raw_shape)

    return [first] + [None] * len(rest)


@rule("Unpick")
def _unpick(op: Operation, grad: Tensor):
    def again() -> Tensor:
        shape, dtype = op.inputs[0].raw_shape, grad.dtype.base_dtype
        attrs = dict(op.attrs["options"])
        inputs = [grad, *op.inputs[2:]]
        return apply(op.attrs["function"], inputs, attrs, type="Pick", dtype=dtype, shape=shape)

    return [again] + [None] * (len(op.inputs) - 1)


@rule("Pick")
def _pick(op: Operation, grad: Tensor):
    return picked(op, grad)
