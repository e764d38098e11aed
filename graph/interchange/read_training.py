"""Readers of the remaining operations of TensorFlow's training programs: derivatives, and optimizer updates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph.build import apply
from weftwork.graph.interchange.given import Given, reads
from weftwork.graph.kernels import convolution, pooling
from weftwork.graph.nn import convolutions
from weftwork.graph.ops import array_ops, conversion, math_ops, reductions
from weftwork.graph.ops.filling import zeros
from weftwork.graph.scopes import name_scope
from weftwork.graph.variables import writes as state_ops
from weftwork.graph.variables.resource import value_now

# Derivatives


def _scaled(factor: Callable[[Any], Any]) -> Callable[[Given], Any]:
    """A reader of derivatives of (gradients, features), which are gradients * factor(features)."""

    def read(given: Given) -> Any:
        grad, features = given.inputs
        with name_scope(given.name):
            return math_ops.multiply(grad, conversion.cast(factor(features), grad.dtype), name=given.name)

    return read


reads("ReluGrad")(_scaled(lambda x: x > 0))
reads("Relu6Grad")(_scaled(lambda x: math_ops.logical_and(x > 0, x < 6)))
reads("EluGrad")(_scaled(lambda y: math_ops.minimum(y + 1, 1)))
reads("SoftplusGrad")(_scaled(math_ops.sigmoid))
reads("SoftsignGrad")(_scaled(lambda x: 1 / math_ops.square(1 + math_ops.abs(x))))


def _of_result(factor: Callable[[Any], Any]) -> Callable[[Given], Any]:
    """A reader of derivatives of (the function's result, gradients)."""

    def read(given: Given) -> Any:
        y, grad = given.inputs
        with name_scope(given.name):
            return math_ops.multiply(grad, factor(y), name=given.name)

    return read


reads("SigmoidGrad")(_of_result(lambda y: y * (1 - y)))
reads("TanhGrad")(_of_result(lambda y: 1 - math_ops.square(y)))
reads("SqrtGrad")(_of_result(lambda y: 0.5 / y))
reads("RsqrtGrad")(_of_result(lambda y: -0.5 * y * y * y))
reads("ReciprocalGrad", "InvGrad")(_of_result(lambda y: -y * y))


@reads("BiasAddGrad")
def _bias_grad(given: Given) -> Any:
    if given["data_format"] != "NHWC":
        raise ValueError(f"Only the data format NHWC is supported on a CPU, but got {given['data_format']!r}")
    (grad,) = given.inputs
    with name_scope(given.name):
        rows = array_ops.reshape(grad, [-1, array_ops.shape(grad)[-1]])
        return reductions.reduce_sum(rows, 0, name=given.name)


def broadcast_axes(one: Any, two: Any) -> tuple:
    """The kernel of BroadcastGradientArgs: for each of two shapes, the axes that are, or may be, broadcast."""
    rank = max(len(one), len(two))
    first, second = ([1] * (rank - len(shape)) + [int(size) for size in shape] for shape in (one, two))
    axes = []
    for mine, other, missing in ((first, second, rank - len(one)), (second, first, rank - len(two))):
        found = [at for at in range(rank) if mine[at] == 1 and (other[at] != 1 or at < missing)]
        axes.append(np.array(found, np.asarray(one).dtype))
    return tuple(axes)


@reads("BroadcastGradientArgs")
def _broadcast_axes(given: Given) -> Any:
    outputs: list = [(dtype, (None,)) for dtype in given.outputs]
    return apply(broadcast_axes, given.inputs, type=given.type, name=given.name, outputs=outputs)


def _pair(sizes: Any) -> tuple[int, int]:
    return int(sizes[1]), int(sizes[2])


def filter_grad(x: Any, sizes: Any, grad: Any, strides: Any, dilations: Any, paddings: Any) -> Any:
    """The kernel of Conv2DBackpropFilter."""
    like = np.broadcast_to(x.dtype.type(0), tuple(int(size) for size in sizes))
    return convolution.conv2d_filter_grad(grad, x, like, strides, dilations, paddings)


@reads("Conv2DBackpropFilter")
def _filter_grad(given: Given) -> Any:
    x, sizes, grad = given.inputs
    if given["data_format"] != "NHWC" or given["padding"] == "EXPLICIT":
        raise ValueError("only NHWC with the padding SAME or VALID is supported")
    same = given["padding"] == "SAME"
    attrs = {
        "strides": _pair(given["strides"]),
        "dilations": _pair(given["dilations"]),
        "paddings": ("SAME", "SAME") if same else ((0, 0), (0, 0)),
    }
    return apply(
        filter_grad, [x, sizes, grad], attrs, type=given.type, name=given.name, dtype=x.dtype, shape=(None,) * 4
    )


def pool_grad(x: Any, y: Any, grad: Any, sizes: Any, strides: Any, padding: Any) -> Any:
    """The kernel of MaxPoolGrad in graphs that were pickled before it had one."""
    return pooling.max_pool_grad(grad, x, y, sizes, strides, padding)


def _pool_attrs(given: Given) -> dict[str, Any]:
    if given["data_format"] != "NHWC" or given["padding"] == "EXPLICIT":
        raise ValueError("only NHWC with the padding SAME or VALID is supported")
    padding = "SAME" if given["padding"] == "SAME" else (0, 0)
    return {"sizes": _pair(given["ksize"]), "strides": _pair(given["strides"]), "padding": padding}


@reads("MaxPoolGrad")
def _max_pool_grad(given: Given) -> Any:
    x, y, grad = given.inputs
    inputs, attrs = [grad, x, y], _pool_attrs(given)
    kernel = pooling.max_pool_grad
    return apply(kernel, inputs, attrs, type=given.type, name=given.name, dtype=x.dtype, shape=x.raw_shape)


@reads("AvgPoolGrad")
def _avg_pool_grad(given: Given) -> Any:
    """The images matter only for their shape."""
    sizes, grad = given.inputs
    with name_scope(given.name):
        x = zeros(sizes, grad.dtype)
        inputs, attrs, kernel = [grad, x], _pool_attrs(given), pooling.avg_pool_grad
        return apply(kernel, inputs, attrs, type=given.type, name=given.name, dtype=grad.dtype, shape=x.raw_shape)


@reads("DepthwiseConv2dNativeBackpropInput", "DepthwiseConv2dNativeBackpropFilter")
def _depthwise_grad(given: Given) -> Any:
    of_input = given.type.endswith("Input")
    function = (
        convolutions.depthwise_conv2d_native_backprop_input
        if of_input
        else convolutions.depthwise_conv2d_native_backprop_filter
    )
    words = {word: given[word] for word in ("strides", "padding", "data_format", "dilations")}
    return function(*given.inputs, **words, name=given.name)


# Updates


def _updates(*types: str) -> Callable[[Callable], Callable]:
    """Decorator: the function makes an optimizer's update, and returns what to subtract from the first input."""

    def register(function: Callable) -> Callable:
        def read(given: Given) -> Any:
            with name_scope(given.name):
                step = function(given, *given.inputs[1:])
                result = state_ops.update("AssignSub", state_ops.subtract_value, given.inputs[0], step, given.name)
            return result.op if given.type.startswith("Resource") else result

        return reads(*types)(read)

    return register


@_updates("ApplyGradientDescent", "ResourceApplyGradientDescent")
def _gradient_descent(given: Given, rate: Any, grad: Any) -> Any:
    return rate * grad


@_updates("ApplyMomentum", "ResourceApplyMomentum")
def _momentum(given: Given, slot: Any, rate: Any, grad: Any, momentum: Any) -> Any:
    new = value_now(state_ops.assigned(slot, value_now(slot) * momentum + grad))
    return rate * (grad + momentum * new if given["use_nesterov"] else new)


@_updates("ApplyAdam", "ResourceApplyAdam")
def _adam(
    given: Given, m: Any, v: Any, power1: Any, power2: Any, rate: Any, beta1: Any, beta2: Any, epsilon: Any, grad: Any
) -> Any:
    mean = value_now(state_ops.assigned(m, beta1 * value_now(m) + (1 - beta1) * grad))
    spread = value_now(state_ops.assigned(v, beta2 * value_now(v) + (1 - beta2) * grad * grad))
    size = rate * math_ops.sqrt(1 - power2) / (1 - power1)
    ahead = beta1 * mean + (1 - beta1) * grad if given["use_nesterov"] else mean
    return size * ahead / (math_ops.sqrt(spread) + epsilon)


@_updates("ApplyAdagrad", "ResourceApplyAdagrad")
def _adagrad(given: Given, slot: Any, rate: Any, grad: Any) -> Any:
    total = value_now(slot)
    if given["update_slots"]:
        total = value_now(state_ops.assigned(slot, total + grad * grad))
    return rate * grad * math_ops.rsqrt(total)


@_updates("ApplyRMSProp", "ResourceApplyRMSProp")
def _rmsprop(given: Given, ms: Any, mom: Any, rate: Any, rho: Any, momentum: Any, epsilon: Any, grad: Any) -> Any:
    mean = value_now(state_ops.assigned(ms, rho * value_now(ms) + (1 - rho) * grad * grad))
    return value_now(state_ops.assigned(mom, momentum * value_now(mom) + rate * grad * math_ops.rsqrt(mean + epsilon)))


@_updates("ApplyAdadelta", "ResourceApplyAdadelta")
def _adadelta(given: Given, slot: Any, steps: Any, rate: Any, rho: Any, epsilon: Any, grad: Any) -> Any:
    mean = value_now(state_ops.assigned(slot, rho * value_now(slot) + (1 - rho) * grad * grad))
    before = value_now(steps)
    step = math_ops.sqrt(before + epsilon) * math_ops.rsqrt(mean + epsilon) * grad
    kept = state_ops.assigned(steps, rho * before + (1 - rho) * step * step)
    with given.inputs[0].graph.control_dependencies([kept.op]):
        return rate * step
