"""Derivatives of convolutions and pools over any number of axes.

A convolution is linear in the input and in the filters, and each of its gradients is linear in its arguments, too.
"""

from __future__ import annotations

from weftwork.graph.build import apply
from weftwork.graph.gradients.registry import not_differentiable, rule
from weftwork.graph.kernels import volumes as kernels
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops import array_ops
from weftwork.graph.ops.flow import prevent_gradient

not_differentiable("MaxPoolAt", "DilationAt", "CtcDecode", "AccidentalHits")


def _conv(x: Tensor, w: Tensor, like: Tensor, attrs) -> Tensor:
    return apply(kernels.conv, [x, w], attrs, type="ConvND", dtype=x.dtype.base_dtype, shape=like.raw_shape)


def _to_input(g: Tensor, w: Tensor, x: Tensor, attrs) -> Tensor:
    inputs = [g, w, array_ops.shape(x)]
    return apply(kernels.conv_input, inputs, attrs, type="ConvNDInput", dtype=g.dtype.base_dtype, shape=x.raw_shape)


def _to_filter(x: Tensor, g: Tensor, w: Tensor, attrs) -> Tensor:
    inputs = [x, g, array_ops.shape(w)]
    return apply(kernels.conv_filter, inputs, attrs, type="ConvNDFilter", dtype=g.dtype.base_dtype, shape=w.raw_shape)


@rule("ConvND")
def _of_conv(op: Operation, g: Tensor):
    x, w = op.inputs
    return [lambda: _to_input(g, w, x, op.attrs), lambda: _to_filter(x, g, w, op.attrs)]


@rule("ConvNDInput")
def _of_input(op: Operation, g: Tensor):
    before, w, _ = op.inputs
    return [lambda: _conv(g, w, before, op.attrs), lambda: _to_filter(g, before, w, op.attrs), None]


@rule("ConvNDFilter")
def _of_filter(op: Operation, g: Tensor):
    x, before, _ = op.inputs
    return [lambda: _to_input(before, g, x, op.attrs), lambda: _conv(x, g, before, op.attrs), None]


@rule("AvgPoolND")
def _mean(op: Operation, g: Tensor):
    x = op.inputs[0]
    return [apply(kernels.mean_back, [g, x], op.attrs, type="AvgPoolNDGrad", dtype=g.dtype, shape=x.raw_shape)]


@rule("AvgPoolNDGrad")
def _mean_again(op: Operation, g: Tensor):
    shape = op.inputs[0].raw_shape
    return [apply(kernels.mean, [g], op.attrs, type="AvgPoolND", dtype=g.dtype, shape=shape), None]


@rule("FractionalAvgPool")
def _fraction(op: Operation, g: Tensor):
    x, *ends = op.inputs
    inputs = [g, x, *ends]
    back = kernels.fraction_mean_back
    return [apply(back, inputs, op.attrs, type="FractionalAvgPoolGrad", dtype=g.dtype, shape=x.raw_shape), None, None]


@rule("FractionalAvgPoolGrad")
def _fraction_again(op: Operation, g: Tensor):
    before, _, *ends = op.inputs
    result = apply(
        kernels.fraction_mean, [g, *ends], op.attrs, type="FractionalAvgPool", dtype=g.dtype, shape=before.raw_shape
    )
    return [result, None, None, None]


@rule("CTCLoss")
def _ctc(op: Operation, g: Tensor, _: Tensor):
    """The gradient is computed together with the loss; it has no derivative itself."""
    slope = prevent_gradient(
        op.outputs[1], message="Currently there is no way to take the second derivative of ctc_loss"
    )
    return [array_ops.reshape(g, [1, -1, 1]) * slope, None, None, None]
