"""Derivatives of operations along axes: sums, means, extremes, products, scans, segments, traces."""

from __future__ import annotations

from typing import Any

from weftwork.graph.build import apply
from weftwork.graph.gradients.composition import by_composition
from weftwork.graph.gradients.registry import not_differentiable, rule
from weftwork.graph.gradients.tools import reshape_like, spread
from weftwork.graph.kernels import derivatives as kernels
from weftwork.graph.kernels import elementwise
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops import math_ops as m
from weftwork.graph.ops.array_ops import ones_like, shape, zeros_like
from weftwork.graph.ops.flow import stop_gradient
from weftwork.graph.ops.reductions import (
    cumsum,
    cumulative_logsumexp,
    reduce_max,
    reduce_mean,
    reduce_prod,
    reduce_sum,
    unsorted_segment_prod,
)
from weftwork.graph.ops.reductions import unsorted_segment_sum as segment_sum
from weftwork.graph.ops.selecting import where_v2

not_differentiable("Any", "All", "CountNonzero", "ArgMax", "ArgMin")


def _axis(op: Operation) -> Any:
    return op.inputs[1] if len(op.inputs) > 1 else op.attrs["axis"]


def _keeps(op: Operation) -> bool:
    return bool(op.attrs.get("keepdims"))


def _first_only(op: Operation, grad: Any) -> list:
    """The gradient of the first input; the axis, if it is an input, has none."""
    return [grad] + [None] * (len(op.inputs) - 1)


def _back(op: Operation, value: Tensor, mean: bool = False) -> Tensor:
    """A value of the reduced shape, broadcast back to the input's."""
    return spread(value, op.inputs[0], _axis(op), _keeps(op), mean)


@rule("Sum")
def _sum(op: Operation, g: Tensor):
    return _first_only(op, _back(op, g))


@rule("Mean")
def _mean(op: Operation, g: Tensor):
    return _first_only(op, _back(op, g, mean=True))


@rule("Max", "Min")
def _extreme(op: Operation, g: Tensor):
    """Equal elements share the gradient, as in TensorFlow."""
    x = op.inputs[0]
    same = m.cast(m.equal(x, _back(op, op.outputs[0])), g.dtype.base_dtype)
    count = reduce_sum(same, _axis(op), _keeps(op))
    return _first_only(op, same * _back(op, g / count))


@rule("Prod")
def _prod(op: Operation, g: Tensor):
    x = op.inputs[0]
    attrs = {"keepdims": _keeps(op)}
    if len(op.inputs) == 1:
        attrs["axis"] = op.attrs["axis"]
    inputs = [m.conj(t) if t is x else t for t in (g, *op.inputs)]
    result = apply(
        kernels.product_without_each, inputs, attrs, type="ProdGrad", dtype=g.dtype.base_dtype, shape=x.raw_shape
    )
    return _first_only(op, result)


@rule("ProdGrad")
@by_composition
def _prod_grad(op: Operation, g: Tensor, x: Tensor, *axis: Tensor):
    along = axis[0] if axis else op.attrs["axis"]
    whole = spread(g * reduce_prod(x, along, _keeps(op)), x, along, _keeps(op))
    return whole / x


@rule("ReduceVariance")
def _variance(op: Operation, g: Tensor):
    return _first_only(op, _centered(op) * _back(op, g, mean=True) * 2.0)


@rule("ReduceStd")
def _std(op: Operation, g: Tensor):
    y = op.outputs[0]
    nonzero = m.not_equal(y, 0.0)  # avoid dividing by zero if all are equal: the slope is 0
    return _first_only(op, _centered(op) * _back(op, where_v2(nonzero, g / where_v2(nonzero, y, 1.0), 0.0), mean=True))


def _centered(op: Operation) -> Tensor:
    x = op.inputs[0]
    return x - reduce_mean(x, _axis(op), keepdims=True)


@rule("ReduceLogsumexp")
def _logsumexp(op: Operation, g: Tensor):
    """The softmax times g, computed from x minus its maximum: x minus the result would inherit the result's error."""
    x = op.inputs[0]
    top = stop_gradient(reduce_max(x, _axis(op), keepdims=True))
    each = m.exp(x - where_v2(m.is_finite(top), top, 0.0))
    total = reduce_sum(each, _axis(op), keepdims=True)
    g = g if _keeps(op) else reshape_like(g, total)
    return _first_only(op, each * (g / total))


# Along one axis


@rule("Cumsum")
def _cumsum(op: Operation, g: Tensor):
    return _first_only(op, cumsum(g, _axis(op), bool(op.attrs.get("exclusive")), not op.attrs.get("reverse")))


@rule("CumulativeLogsumexp")
def _cumulative_logsumexp(op: Operation, g: Tensor):
    """exp(x[j]) times the sum of g[i] / exp(y[i]) over all i that see j, in logarithms, each sign of g by itself."""
    x, y = op.inputs[0], op.outputs[0]
    exclusive, backwards = bool(op.attrs.get("exclusive")), not op.attrs.get("reverse")

    def share(part: Tensor) -> Tensor:
        logs = m.log(m.maximum(part, 0)) - y
        return m.exp(cumulative_logsumexp(logs, _axis(op), exclusive, backwards) + x)

    return _first_only(op, share(g) - share(-g))


@rule("Cumprod")
def _cumprod(op: Operation, g: Tensor):
    """As in TensorFlow, 0 where an element is zero."""
    x, y = op.inputs[0], op.outputs[0]
    total = cumsum(g * m.conj(y), _axis(op), bool(op.attrs.get("exclusive")), not op.attrs.get("reverse"))
    return _first_only(op, m.div_no_nan(total, m.conj(x)))


@rule("Trace")
def _trace(op: Operation, g: Tensor):
    x = op.inputs[0]
    return [apply(kernels.diagonal_like, [g, x], type="TraceGrad", dtype=g.dtype.base_dtype, shape=x.raw_shape)]


@rule("TraceGrad")
def _trace_grad(op: Operation, g: Tensor):
    return [lambda: m.trace(g), None]


# Segments


def gather_or_zeros(x: Tensor, ids: Tensor) -> Tensor:
    """x[ids], and zeros for ids out of range."""
    raw = None if x.raw_shape is None or ids.raw_shape is None else (*ids.raw_shape, *x.raw_shape[1:])
    return apply(kernels.gather_kept, [x, ids], type="GatherKept", dtype=x.dtype.base_dtype, shape=raw)


@rule("DenseRows")
def _dense_rows(op: Operation, grad: Tensor):
    return _first_only(op, lambda: gather_or_zeros(grad, op.inputs[1]))


@rule("GatherKept")
def _gather_kept(op: Operation, g: Tensor):
    x, ids = op.inputs
    inputs = [g, ids, x]
    return [
        lambda: apply(kernels.scatter_kept, inputs, type="ScatterKept", dtype=g.dtype.base_dtype, shape=x.raw_shape),
        None,
    ]


@rule("ScatterKept")
def _scatter_kept(op: Operation, g: Tensor):
    return [lambda: gather_or_zeros(g, op.inputs[1]), None, None]


@rule("SegmentSum", "UnsortedSegmentSum")
def _segment_sum(op: Operation, g: Tensor):
    return _first_only(op, gather_or_zeros(g, op.inputs[1]))


@rule("SegmentMax", "SegmentMin", "UnsortedSegmentMax", "UnsortedSegmentMin")
def _segment_extreme(op: Operation, g: Tensor):
    x, ids = op.inputs[:2]
    same = m.cast(m.equal(x, gather_or_zeros(op.outputs[0], ids)), g.dtype.base_dtype)
    count = segment_sum(same, ids, _rows(op))
    return _first_only(op, same * gather_or_zeros(g / m.maximum(count, 1.0), ids))


@rule("SegmentProd", "UnsortedSegmentProd")
def _segment_prod(op: Operation, g: Tensor):
    """A zero element gets the product of the others, which is zero if another one is zero."""
    x, ids = op.inputs[:2]
    zero = m.equal(x, 0.0)
    zeros = segment_sum(m.cast(zero, g.dtype.base_dtype), ids, _rows(op))
    g = where_v2(m.greater(zeros, 1.0), zeros_like(g), g)
    others = unsorted_segment_prod(where_v2(zero, ones_like(x), x), ids, _rows(op))
    slope = where_v2(
        zero, gather_or_zeros(others, ids), gather_or_zeros(op.outputs[0], ids) / where_v2(zero, ones_like(x), x)
    )
    return _first_only(op, gather_or_zeros(g, ids) * slope)


def _rows(op: Operation) -> Any:
    y = op.outputs[0]
    known = None if y.raw_shape is None else y.raw_shape[0]
    return shape(y)[0] if known is None else known


@rule("Bincount")
def _bincount(op: Operation, g: Tensor):
    weighted = op.kernel is elementwise.weighted_bincount
    weights = [lambda: gather_or_zeros(g, op.inputs[0])] if weighted else []
    return [None, *weights, *[None] * (len(op.inputs) - 1 - len(weights))]


@rule("Unique", "UniqueWithCounts")
def _unique(op: Operation, g: Tensor, *_: Any):
    """Equal elements share the gradient."""
    places = op.outputs[1]
    count = segment_sum(ones_like(op.inputs[0]), places, _rows(op))
    return [gather_or_zeros(g / count, places)]
