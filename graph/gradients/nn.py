"""Derivatives of the operations of `tf.nn`: activations, losses, convolution, pooling, selection.

x, y, g: an operation's input, its output, and the gradient of its output.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from weftwork.graph import shapes
from weftwork.graph.build import apply
from weftwork.graph.gradients.registry import not_differentiable, rule
from weftwork.graph.gradients.tools import sum_to
from weftwork.graph.kernels import convolution, depthwise, pooling
from weftwork.graph.kernels import derivatives as gradient_kernels
from weftwork.graph.nn import ops as nn_ops
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops import math_ops as m
from weftwork.graph.ops.array_ops import expand_dims, one_hot, shape, zeros_like
from weftwork.graph.ops.reductions import reduce_sum
from weftwork.graph.ops.selecting import where_v2

not_differentiable("InTopKV2")

# Activations


def _gate(kernel: Any, kind: str, g: Tensor, *rest: Tensor) -> Tensor:
    """A node that passes a gradient on or blocks it.

    Its gradient with respect to the gating input is zero, not None.
    """
    return apply(kernel, [g, *rest], type=kind, dtype=g.dtype.base_dtype, shape=rest[0].raw_shape)


@rule("Relu")
def _relu(op: Operation, g: Tensor):
    return [_gate(gradient_kernels.relu_grad, "ReluGrad", g, op.outputs[0])]


@rule("Relu6")
def _relu6(op: Operation, g: Tensor):
    return [_gate(gradient_kernels.relu6_grad, "Relu6Grad", g, op.outputs[0])]


@rule("ReluGrad", "Relu6Grad")
def _relu_grad(op: Operation, grad: Tensor):
    y = op.inputs[1]
    return [lambda: _gate(op.kernel, op.type, grad, y), lambda: zeros_like(y)]


@rule("LeakyRelu")
def _leaky_relu(op: Operation, g: Tensor):
    x, slope = op.inputs
    return [
        lambda: _gate(gradient_kernels.leaky_relu_grad, "LeakyReluGrad", g, x, slope),
        lambda: sum_to(where_v2(m.greater(x, 0.0), 0.0, g * x), slope, x),
    ]


@rule("LeakyReluGrad")
def _leaky_relu_grad(op: Operation, grad: Tensor):
    g, x, slope = op.inputs
    return [
        lambda: _gate(op.kernel, op.type, grad, x, slope),
        lambda: zeros_like(x),
        lambda: sum_to(where_v2(m.greater(x, 0.0), 0.0, grad * g), slope, x),
    ]


@rule("Elu")
def _elu(op: Operation, g: Tensor):
    y = op.outputs[0]
    return [where_v2(m.less(y, 0.0), g * (y + 1.0), g)]


@rule("Selu")
def _selu(op: Operation, g: Tensor):
    y, scale, alpha = op.outputs[0], 1.0507009873554805, 1.6732632423543772
    return [where_v2(m.less(y, 0.0), g * (y + scale * alpha), g * scale)]


@rule("Softplus")
def _softplus(op: Operation, g: Tensor):
    return [g * m.sigmoid(op.inputs[0])]


@rule("Softsign")
def _softsign(op: Operation, g: Tensor):
    return [g / m.square(1.0 + m.abs(op.inputs[0]))]


@rule("Softmax")
def _softmax(op: Operation, g: Tensor):
    y = op.outputs[0]
    return [(g - reduce_sum(g * y, op.attrs["axis"], keepdims=True)) * y]


@rule("LogSoftmax")
def _log_softmax(op: Operation, g: Tensor):
    axis = op.attrs["axis"]
    return [g - m.exp(op.outputs[0]) * reduce_sum(g, axis, keepdims=True)]


# Losses


@rule("L2Loss")
def _l2_loss(op: Operation, g: Tensor):
    return [g * op.inputs[0]]


@rule("SoftmaxCrossEntropyWithLogits")
def _softmax_cross_entropy(op: Operation, g: Tensor):
    """softmax - labels, as in TensorFlow; correct if the labels of each example add up to one."""
    logits, labels = op.inputs
    axis = op.attrs["axis"]
    each = expand_dims(g, axis)
    return [
        lambda: sum_to((nn_ops.softmax(logits, axis) - labels) * each, logits, labels),
        lambda: sum_to(-(nn_ops.log_softmax(logits, axis) * each), labels, logits),
    ]


@rule("SparseSoftmaxCrossEntropyWithLogits")
def _sparse_softmax_cross_entropy(op: Operation, g: Tensor):
    logits, labels = op.inputs
    attrs: Any = None
    return [
        lambda: apply(
            gradient_kernels.sparse_softmax_grad, [g, logits, labels], attrs, type="SparseSoftmaxGrad",
            dtype=g.dtype.base_dtype, shape=logits.raw_shape,
        ),
        None,
    ]  # fmt: skip


@rule("SparseSoftmaxGrad")
def _sparse_softmax_grad(op: Operation, grad: Tensor):
    g, logits, labels = op.inputs
    wrong = nn_ops.softmax(logits) - _hot(labels, logits)
    softmax = nn_ops.softmax(logits)
    each = grad * expand_dims(g, -1)
    return [
        lambda: reduce_sum(grad * wrong, -1),
        lambda: (each - reduce_sum(each * softmax, -1, keepdims=True)) * softmax,
        None,
    ]


def _hot(labels: Tensor, logits: Tensor) -> Tensor:
    known = None if logits.raw_shape is None else logits.raw_shape[-1]
    return one_hot(labels, shape(logits)[-1] if known is None else known, dtype=logits.dtype.base_dtype)


@rule("SigmoidCrossEntropyWithLogits")
def _sigmoid_cross_entropy(op: Operation, g: Tensor):
    logits, labels = op.inputs
    return [lambda: g * (m.sigmoid(logits) - labels), lambda: -(g * logits)]


@rule("WeightedCrossEntropyWithLogits")
def _weighted_cross_entropy(op: Operation, g: Tensor):
    """The derivative of (1 - z) x + l softplus(-x), l = 1 + (q - 1) z."""
    x, z, q = op.inputs
    return [
        lambda: sum_to(g * (1.0 - z - (1.0 + (q - 1.0) * z) * m.sigmoid(-x)), x, z, q),
        lambda: sum_to(g * ((q - 1.0) * nn_ops.softplus(-x) - x), z, x, q),
        lambda: sum_to(g * z * nn_ops.softplus(-x), q, x, z),
    ]


# Windows


def _node(kernel: Any, inputs: list[Tensor], op: Operation, kind: str, shape: shapes.RawShape) -> Tensor:
    dtype = inputs[0].dtype.base_dtype
    return apply(kernel, inputs, dict(op.attrs), type=kind, dtype=dtype, shape=shape or (None,) * 4)


def _convolution(kind: str, kernel: Callable, input_grad: Callable, filter_grad: Callable) -> tuple[Callable, Callable]:
    """Register rules for a convolution and its two gradients; returns functions that make the first and the last."""

    def convolved(op: Operation, x: Tensor, filters: Tensor, g: Tensor) -> Tensor:
        return _node(kernel, [x, filters], op, kind, g.raw_shape)

    def for_input(op: Operation, g: Tensor, x: Tensor, filters: Tensor) -> Tensor:
        return _node(input_grad, [g, x, filters], op, f"{kind}BackpropInput", x.raw_shape)

    def for_filter(op: Operation, g: Tensor, x: Tensor, filters: Tensor) -> Tensor:
        return _node(filter_grad, [g, x, filters], op, f"{kind}BackpropFilter", filters.raw_shape)

    @rule(kind)
    def _(op: Operation, g: Tensor):
        x, filters = op.inputs
        return [lambda: for_input(op, g, x, filters), lambda: for_filter(op, g, x, filters)]

    @rule(f"{kind}BackpropInput")
    def _(op: Operation, grad: Tensor):
        g, _, filters = op.inputs
        return [lambda: convolved(op, grad, filters, g), None, lambda: for_filter(op, g, grad, filters)]

    @rule(f"{kind}BackpropFilter")
    def _(op: Operation, grad: Tensor):
        g, x, _ = op.inputs
        return [lambda: convolved(op, x, grad, g), lambda: for_input(op, g, x, grad), None]

    return convolved, for_filter


_conv2d, _filter_grad = _convolution(
    "Conv2D", convolution.conv2d, convolution.conv2d_input_grad, convolution.conv2d_filter_grad
)
_convolution(
    "DepthwiseConv2dNative", depthwise.depthwise, depthwise.depthwise_input_grad, depthwise.depthwise_filter_grad
)


@rule("Conv2DTranspose")
def _conv2d_transpose_rule(op: Operation, grad: Tensor):
    value, filters, _ = op.inputs
    return [lambda: _conv2d(op, grad, filters, value), lambda: _filter_grad(op, value, grad, filters), None]


@rule("MaxPool")
def _max_pool(op: Operation, g: Tensor):
    x, y = op.inputs[0], op.outputs[0]
    return [_node(pooling.max_pool_grad, [g, x, y], op, "MaxPoolGrad", x.raw_shape)]


@rule("MaxPoolGrad")
def _max_pool_grad(op: Operation, grad: Tensor):
    g, x, y = op.inputs
    picked = functools.partial(_node, pooling.max_pool_pick, [grad, x, y], op, "MaxPoolPick", g.raw_shape)
    return [picked, lambda: zeros_like(x), lambda: zeros_like(y)]


@rule("MaxPoolPick")
def _max_pool_pick(op: Operation, grad: Tensor):
    _, x, y = op.inputs
    spread = functools.partial(_node, pooling.max_pool_grad, [grad, x, y], op, "MaxPoolGrad", x.raw_shape)
    return [spread, lambda: zeros_like(x), lambda: zeros_like(y)]


@rule("AvgPool")
def _avg_pool(op: Operation, g: Tensor):
    x = op.inputs[0]
    return [_node(pooling.avg_pool_grad, [g, x], op, "AvgPoolGrad", x.raw_shape)]


@rule("AvgPoolGrad")
def _avg_pool_grad(op: Operation, grad: Tensor):
    return [lambda: _node(pooling.avg_pool, [grad], op, "AvgPool", op.inputs[0].raw_shape), None]


# Selecting


@rule("TopKV2")
def _top_k(op: Operation, g: Tensor, _: Any):
    x, indices = op.inputs[0], op.outputs[1]
    attrs = {"function": gradient_kernels.take_last, "options": (), "unique": True}
    inputs = [g, x, indices]
    dtype = g.dtype.base_dtype
    return [apply(gradient_kernels.unpick, inputs, attrs, type="Unpick", dtype=dtype, shape=x.raw_shape), None]
