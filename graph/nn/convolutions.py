"""Convolutions other than conv2d (transposed, depthwise, separable, one-dimensional), and local normalization.

Images are [batch, height, width, channels]; strides, dilations and paddings are those of `nn_windows.conv2d`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.arguments import common_dtype
from weftwork.graph.build import apply, constant, convert_to_tensor, convert_together, static_value
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.kernels import depthwise as kernels_depthwise
from weftwork.graph.kernels.convolution import conv2d_input_grad
from weftwork.graph.kernels.windows import output_size
from weftwork.graph.nn.ops import relu
from weftwork.graph.nn.windows import _check_format, _output_sizes, _paddings, _pair, _ranked, conv2d
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.conversion import cast
from weftwork.graph.ops.filling import zeros
from weftwork.graph.ops.products import tensordot
from weftwork.graph.scopes import name_scope


def spread(value, filters, shape, strides, dilations, paddings):
    """The kernel of conv2d_transpose: the gradient of a conv2d's images, where `value` is its result's gradient."""
    images = np.broadcast_to(value.dtype.type(0), tuple(int(size) for size in shape))
    for axis in (1, 2):
        extent = (filters.shape[axis - 1] - 1) * dilations[axis - 1] + 1
        computed = output_size(images.shape[axis], extent, strides[axis - 1], paddings[axis - 1])
        if computed != value.shape[axis]:
            raise InvalidArgumentError(
                None,
                None,
                f"Size of out_backprop doesn't match computed: actual = {value.shape[axis]}, computed = {computed} "
                f"spatial_dim: {axis} input: {images.shape[axis]} filter: {filters.shape[axis - 1]} "
                f"stride: {strides[axis - 1]}",
            )
    return conv2d_input_grad(value, images, filters, strides, dilations, paddings)


def conv2d_transpose(
    value: Any = None,
    filter: Any = None,
    output_shape: Any = None,
    strides: Any = None,
    padding: str = "SAME",
    data_format: str = "NHWC",
    name: str | None = None,
    input: Any = None,
    filters: Any = None,
    dilations: Any = None,
) -> Tensor:
    """The transpose (the gradient) of conv2d, also called deconvolution.

    value (or input): [batch, rows, columns, in].  filter (or filters): [height, width, out, in].
    output_shape: [batch, height, width, out], numbers or a tensor; a conv2d of this shape must give the shape of value.
    Raises ValueError if the shapes do not match, or InvalidArgumentError if that is only known at run time.
    """
    _check_format(data_format)
    given = [value if input is None else input, filter if filters is None else filters, output_shape]
    with name_scope(name, "conv2d_transpose", given) as scope:
        x, weights = convert_together(given[:2])
        sizes = output_shape if isinstance(output_shape, Tensor) else array_ops.stack(list(output_shape))
        known = static_value(sizes) if isinstance(output_shape, Tensor) else output_shape
        shape: tuple = (None,) * 4 if known is None else tuple(n if _is_number(n) else None for n in known)
        if len(shape) != 4:
            raise ValueError(f"output_shape must have shape (4,), got ({len(shape)},)")
        window, channels = _ranked(weights, "filter"), _ranked(x, "value")[3]
        if None not in (channels, window[3]) and channels != window[3]:
            raise ValueError(f"input channels does not match filter's input channels, {channels} != {window[3]}")
        if None not in (shape[3], window[2]) and shape[3] != window[2]:
            raise ValueError(f"output_shape does not match filter's output channels, {shape[3]} != {window[2]}")
        attrs = {
            "strides": _pair(1 if strides is None else strides, "strides"),
            "dilations": _pair(1 if dilations is None else dilations, "dilations"),
            "paddings": _paddings(padding),
        }
        return apply(
            spread, [x, weights, cast(sizes, dtypes.int32)], attrs, type="Conv2DTranspose", name=scope,
            dtype=common_dtype(x, weights), shape=tuple(None if n is None else int(n) for n in shape),
        )  # fmt: skip


def _is_number(size: Any) -> bool:
    return isinstance(size, (int, np.integer))


def depthwise_conv2d(
    input: Any,
    filter: Any = None,
    strides: Any = None,
    padding: Any = None,
    rate: Any = None,
    name: str | None = None,
    data_format: str | None = None,
    dilations: Any = None,
) -> Tensor:
    """Depthwise convolution: each channel has its own filters.

    input: [batch, height, width, in].  filter: [height, width, in, multiplier].
    Returns [batch, rows, columns, in * multiplier].   rate: the dilations, one number or (height, width).
    Raises ValueError if the depths of input and filter differ.
    """
    _check_format(data_format)
    with name_scope(name, "depthwise", [input, filter]) as scope:
        x, weights = convert_together([input, filter])
        spacing = rate if dilations is None else dilations
        attrs = _depthwise_attrs(strides, spacing, padding)
        image, window = _ranked(x, "input"), _ranked(weights, "filter")
        if None not in (image[3], window[2]) and image[3] != window[2]:
            raise ValueError(f"Depth of input ({image[3]}) is not the input depth of filter ({window[2]})")
        taps = [None if n is None else (n - 1) * d + 1 for n, d in zip(window[:2], attrs["dilations"], strict=True)]
        sizes = _output_sizes(image[1:3], taps, attrs["strides"], attrs["paddings"])
        depth = None if window[2] is None or window[3] is None else window[2] * window[3]
        return apply(
            kernels_depthwise.depthwise, [x, weights], attrs, type="DepthwiseConv2dNative", name=scope,
            dtype=common_dtype(x, weights), shape=(image[0], *sizes, depth),
        )  # fmt: skip


def depthwise_conv2d_native(
    input: Any,
    filter: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NHWC",
    dilations: Any = (1, 1, 1, 1),
    name: str | None = None,
) -> Tensor:
    """`depthwise_conv2d` of an input and a filter, with a dilation for each axis of the input."""
    return depthwise_conv2d(
        input, filter, strides, padding, None, name or "DepthwiseConv2dNative", data_format, dilations
    )


def depthwise_conv2d_native_backprop_input(
    input_sizes: Any,
    filter: Any,
    out_backprop: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NHWC",
    dilations: Any = (1, 1, 1, 1),
    name: str | None = None,
) -> Tensor:
    """The gradient of depthwise_conv2d_native with respect to an input of the shape `input_sizes`."""
    _check_format(data_format)
    weights, grad = convert_together([filter, out_backprop])
    image, attrs = zeros(input_sizes, grad.dtype), _depthwise_attrs(strides, dilations, padding)
    return _depthwise_grad("Input", [grad, image, weights], image, attrs, name)


def depthwise_conv2d_native_backprop_filter(
    input: Any,
    filter_sizes: Any,
    out_backprop: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NHWC",
    dilations: Any = (1, 1, 1, 1),
    name: str | None = None,
) -> Tensor:
    """The gradient of depthwise_conv2d_native with respect to filters of the shape `filter_sizes`."""
    _check_format(data_format)
    x, grad = convert_together([input, out_backprop])
    weights, attrs = zeros(filter_sizes, grad.dtype), _depthwise_attrs(strides, dilations, padding)
    return _depthwise_grad("Filter", [grad, x, weights], weights, attrs, name)


_DEPTHWISE_GRADS = {
    "Input": kernels_depthwise.depthwise_input_grad,
    "Filter": kernels_depthwise.depthwise_filter_grad,
}


def _depthwise_grad(of: str, inputs: list[Tensor], like: Tensor, attrs: dict[str, Any], name: str | None) -> Tensor:
    """The gradient of one of the arguments, which has the shape and the dtype of `like`."""
    word = f"DepthwiseConv2dNativeBackprop{of}"
    kernel, dtype, shape = _DEPTHWISE_GRADS[of], like.dtype, like.raw_shape
    return apply(kernel, inputs, attrs, type=word, name=name or word, dtype=dtype, shape=shape)


def _depthwise_attrs(strides: Any, dilations: Any, padding: Any) -> dict[str, Any]:
    return {
        "strides": _pair(1 if strides is None else strides, "strides"),
        "dilations": _pair(1 if dilations is None else dilations, "dilations"),
        "paddings": _paddings(padding),
    }


def separable_conv2d(
    input: Any,
    depthwise_filter: Any,
    pointwise_filter: Any,
    strides: Any,
    padding: Any,
    rate: Any = None,
    name: str | None = None,
    data_format: str | None = None,
    dilations: Any = None,
) -> Tensor:
    """A depthwise convolution followed by a pointwise convolution, which mixes the channels.

    depthwise_filter: [height, width, in, multiplier].  pointwise_filter: [1, 1, in * multiplier, out].
    """
    with name_scope(name, "separable_conv2d", [input, depthwise_filter, pointwise_filter]) as scope:
        filtered = depthwise_conv2d(input, depthwise_filter, strides, padding, rate, None, data_format, dilations)
        return conv2d(filtered, pointwise_filter, 1, "VALID", name=scope)


def conv1d(
    value: Any = None,
    filters: Any = None,
    stride: Any = None,
    padding: Any = None,
    use_cudnn_on_gpu: bool | None = None,
    data_format: str | None = None,
    name: str | None = None,
    input: Any = None,
    dilations: Any = None,
) -> Tensor:
    """The cross-correlation along one axis.

    value (or input): [batch, width, in].  filters: [width, in, out].  stride, dilations: a number.
    padding: "SAME" or "VALID".
    Raises ValueError for another data_format than NWC.
    """
    if data_format not in (None, "NWC", "NHWC"):
        raise ValueError(f"Only the data format NWC is supported on a CPU, but got {data_format!r}.")
    with name_scope(name, "conv1d", [value, filters, input]) as scope:
        x, weights = convert_together([value if input is None else input, filters])
        step, spacing = (
            _single_number(1 if stride is None else stride),
            _single_number(1 if dilations is None else dilations),
        )
        rows, filters = array_ops.expand_dims(x, 1), array_ops.expand_dims(weights, 0)
        filtered = conv2d(rows, filters, (1, step), padding, dilations=(1, spacing))
        return array_ops.squeeze(filtered, [1], name=scope)


def _single_number(value: Any) -> int:
    """A number, also if given as a list of one, or as the middle one of a list of three."""
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    return int(values[1] if len(values) == 3 else values[0])


def local_response_normalization(
    input: Any,
    depth_radius: int = 5,
    bias: float = 1.0,
    alpha: float = 1.0,
    beta: float = 0.5,
    name: str | None = None,
) -> Tensor:
    """x / (bias + alpha * sum of squares of the channels up to depth_radius away) ** beta.

    input: [batch, height, width, channels]. Reference: Krizhevsky et al. 2012, section 3.3.
    """
    with name_scope(name, "LRN", [input]) as scope:
        x = convert_to_tensor(input, name="input")
        sizes = _ranked(x, "input")
        if sizes[3] is None:
            channels: Any = math_ops.range(array_ops.shape(x)[3])
            in_radius = cast(math_ops.less_equal(math_ops.abs(channels[:, None] - channels), depth_radius), x.dtype)
        else:
            channels = np.arange(sizes[3])
            in_radius = constant((abs(channels[:, None] - channels) <= depth_radius).astype(x.dtype.numpy))
        sums = tensordot(math_ops.square(x), in_radius, 1)
        result = math_ops.divide(x, math_ops.pow(bias + alpha * sums, beta), name=scope)
        result.set_shape(sizes)
        return result


lrn = local_response_normalization


def zero_fraction(value: Any, name: str | None = None) -> Tensor:
    """The fraction of elements that are zero, float32."""
    with name_scope(name, "zero_fraction", [value]):
        x = convert_to_tensor(value, name="value")
        return math_ops.reduce_mean(cast(math_ops.equal(x, 0), dtypes.float32), name="fraction")


def crelu(features: Any, name: str | None = None, axis: int = -1) -> Tensor:
    """The positive and the negative parts, concatenated along `axis`. Reference: Shang et al. 2016."""
    with name_scope(name, "CRelu", [features]) as scope:
        x = convert_to_tensor(features, name="features")
        return relu(array_ops.concat([x, -x], axis), name=scope)
