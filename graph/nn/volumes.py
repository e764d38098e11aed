"""Convolutions and pools over one, two or three axes, with dilated windows, and morphology.

rates   the distance between neighboring positions of a window; 1 means adjacent
Images are [batch, height, width, channels], volumes [batch, depth, height, width, channels], signals [batch, time,
channels]; other data formats are not available on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.arguments import common_dtype
from weftwork.graph.build import apply, convert_to_tensor, convert_together, static_value
from weftwork.graph.kernels import volumes as kernels
from weftwork.graph.known import shape_argument
from weftwork.graph.nn.axes import axis_numbers, checked_padding, sized, window_counts
from weftwork.graph.nn.convolutions import conv2d_transpose
from weftwork.graph.nn.pools import _fraction as _fraction  # pickled graphs refer to it here
from weftwork.graph.nn.windows import conv2d
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.spaces import batch_to_space_nd, required_space_to_batch_paddings, space_to_batch_nd
from weftwork.graph.scopes import name_scope

# Convolutions


def conv_nd(
    x: Any, weights: Any, strides: Any, padding: Any, rates: Any, rank: int, name: str | None, kind: str
) -> Tensor:
    """The cross-correlation of [batch, space..., in] with filters [space..., in, out]."""
    x, w = convert_together([x, weights])
    attrs = {
        "strides": axis_numbers(strides, rank, "strides"),
        "rates": axis_numbers(rates, rank, "rates"),
        "padding": checked_padding(padding, None, rank),
    }
    given, window = sized(x, rank, "input"), sized(w, rank, "filter")
    if None not in (given[-1], window[-2]) and given[-1] != window[-2]:
        raise ValueError(f"input depth {given[-1]} does not match the filter's input depth {window[-2]}")
    shape = (given[0], *window_counts(given[1:-1], window[:-2], attrs), window[-1])
    return apply(kernels.conv, [x, w], attrs, type=kind, name=name, dtype=common_dtype(x, w), shape=shape)


def _transposed(
    grad: Any, weights: Any, sizes: Any, strides: Any, padding: Any, rates: Any, rank: int, name: str | None
) -> Tensor:
    g, w = convert_together([grad, weights])
    attrs = {
        "strides": axis_numbers(strides, rank, "strides"),
        "rates": axis_numbers(rates, rank, "rates"),
        "padding": checked_padding(padding, None, rank),
    }
    dims, tensor, raw = shape_argument(sizes)
    inputs = [g, w, tensor if tensor is not None else convert_to_tensor(np.array(dims, np.int32))]
    return apply(kernels.conv_input, inputs, attrs, type="ConvNDInput", name=name, dtype=common_dtype(g, w), shape=raw)


def conv3d(
    input: Any,
    filter: Any = None,
    strides: Any = None,
    padding: Any = None,
    data_format: str = "NDHWC",
    dilations: Any = (1, 1, 1, 1, 1),
    name: str | None = None,
    filters: Any = None,
) -> Tensor:
    """The cross-correlation of volumes [batch, depth, height, width, in] with filters [d, h, w, in, out].

    strides, dilations: five numbers, the first and last 1.   padding: SAME or VALID.
    """
    checked_padding(padding, data_format, 3)
    weights = filter if filters is None else filters
    return conv_nd(input, weights, strides, padding, dilations, 3, name or "Conv3D", "ConvND")


def conv3d_transpose(
    value: Any = None,
    filter: Any = None,
    output_shape: Any = None,
    strides: Any = None,
    padding: str = "SAME",
    data_format: str = "NDHWC",
    name: str | None = None,
    input: Any = None,
    filters: Any = None,
    dilations: Any = None,
) -> Tensor:
    """The transpose (the gradient) of conv3d.  filter: [d, h, w, out, in].  output_shape: five numbers.

    At run time, raises InvalidArgumentError unless a conv3d of that shape gives the shape of value.
    """
    checked_padding(padding, data_format, 3)
    x, weights = (value if input is None else input), (filter if filters is None else filters)
    rates = 1 if dilations is None else dilations
    return _transposed(x, weights, output_shape, strides, padding, rates, 3, name or "conv3d_transpose")


def conv1d_transpose(
    input: Any,
    filters: Any,
    output_shape: Any,
    strides: Any,
    padding: str = "SAME",
    data_format: str = "NWC",
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """The transpose (the gradient) of conv1d.  input: [batch, time, in].  filters: [time, out, in]."""
    checked_padding(padding, data_format, 1)
    rates = 1 if dilations is None else dilations
    return _transposed(input, filters, output_shape, strides, padding, rates, 1, name or "conv1d_transpose")


def conv_transpose(
    input: Any,
    filters: Any,
    output_shape: Any,
    strides: Any,
    padding: str = "SAME",
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """The transpose of `convolution`, over as many axes as the filters have.  filters: [space..., out, in]."""
    rank = len(convert_to_tensor(filters).shape.as_list()) - 2
    checked_padding(padding, data_format, rank)
    rates = 1 if dilations is None else dilations
    return _transposed(input, filters, output_shape, strides, padding, rates, rank, name or "conv_transpose")


def convolution(
    input: Any,
    filter: Any = None,
    padding: Any = None,
    strides: Any = None,
    dilation_rate: Any = None,
    name: str | None = None,
    data_format: str | None = None,
    filters: Any = None,
    dilations: Any = None,
) -> Tensor:
    """The cross-correlation over one, two or three axes.

    input: [batch, space..., in].  filter: [space..., in, out].   strides, dilation_rate: a number for each axis.
    Raises ValueError if both have numbers above 1.
    """
    weights = convert_to_tensor(filter if filters is None else filters)
    rank = len(weights.shape.as_list()) - 2
    if not 1 <= rank <= 3:
        raise ValueError(f"num_spatial_dims must be 1, 2, or 3, but is {rank}")
    checked_padding(padding, data_format, rank)
    steps = axis_numbers(1 if strides is None else strides, rank, "strides")
    rate = dilation_rate if dilations is None else dilations
    rates = axis_numbers(1 if rate is None else rate, rank, "dilation_rate")
    if max(steps) > 1 and max(rates) > 1:
        raise ValueError("strides > 1 not supported in conjunction with dilation_rate > 1")
    word = name or "convolution"
    if rank == 2:
        return conv2d(input, weights, list(steps), str(padding).upper(), dilations=list(rates), name=word)
    return conv_nd(input, weights, steps, padding, rates, rank, word, "ConvND")


def atrous_conv2d(value: Any, filters: Any, rate: int, padding: str, name: str | None = None) -> Tensor:
    """The cross-correlation of images, where the positions of a window are `rate` apart."""
    word = checked_padding(padding, None, 2)
    return conv2d(value, filters, [1, 1], word, dilations=[int(rate)] * 2, name=name or "atrous_conv2d")


def atrous_conv2d_transpose(
    value: Any, filters: Any, output_shape: Any, rate: int, padding: str, name: str | None = None
) -> Tensor:
    """The transpose (the gradient) of `atrous_conv2d`.  filters: [height, width, out, in]."""
    word, scope = checked_padding(padding, None, 2), name or "atrous_conv2d_transpose"
    return conv2d_transpose(value, filters, output_shape, [1, 1], word, name=scope, dilations=[int(rate)] * 2)


def with_space_to_batch(
    input: Any,
    dilation_rate: Any,
    padding: str,
    op: Callable[..., Any],
    filter_shape: Any = None,
    spatial_dims: Any = None,
    data_format: str | None = None,
) -> Tensor:
    """`op(input, num_spatial_dims, "VALID")` with the positions of its windows `dilation_rate` apart.

    SAME requires filter_shape, the size of the window along each axis. Rates and sizes must be known.
    spatial_dims: the axes to go over, counted from 1; by default all between batch and channels.
    Raises ValueError for other axes than the first ones, or SAME without filter_shape.
    """
    x = convert_to_tensor(input)
    rates = np.ravel(dilation_rate).tolist()
    dims = list(range(1, len(rates) + 1)) if spatial_dims is None else sorted(spatial_dims)
    if dims != list(range(1, len(rates) + 1)):
        raise ValueError("The spatial dimensions must be the axes after the first one, in order.")
    if max(rates) == 1:
        return op(x, len(rates), padding)
    base = np.zeros((len(rates), 2), np.int32)
    if checked_padding(padding, None, min(3, len(rates))) == "SAME":
        if filter_shape is None:
            raise ValueError("filter_shape must be specified for SAME padding")
        sizes = np.ravel(static_value(convert_to_tensor(filter_shape)))[: len(rates)]
        extra = (sizes - 1) * np.array(rates)
        base = np.stack([extra // 2, extra - extra // 2], 1).astype(np.int32)
    space = array_ops.shape(x)[1 : len(rates) + 1]
    paddings, crops = required_space_to_batch_paddings(space, np.array(rates, np.int32), base)
    block = convert_to_tensor(np.array(rates, np.int32))
    moved = space_to_batch_nd(x, block, paddings)
    result = op(moved, len(rates), "VALID")
    return batch_to_space_nd(result, block, crops)


def conv2d_backprop_input(
    input_sizes: Any,
    filter: Any = None,
    out_backprop: Any = None,
    strides: Any = None,
    padding: Any = None,
    use_cudnn_on_gpu: bool = True,
    data_format: str = "NHWC",
    dilations: Any = (1, 1, 1, 1),
    name: str | None = None,
    filters: Any = None,
) -> Tensor:
    """The gradient of conv2d with respect to an input of the shape `input_sizes`."""
    weights, word = (filter if filters is None else filters), name or "Conv2DBackpropInput"
    return conv2d_transpose(
        out_backprop, weights, input_sizes, strides, padding, data_format, word, dilations=list(dilations)
    )


def _filter_gradient(x: Any, sizes: Any, grad: Any, strides: Any, padding: Any, rates: Any, rank: int, name: str):
    x, g = convert_together([x, grad])
    attrs = {
        "strides": axis_numbers(strides, rank, "strides"),
        "rates": axis_numbers(rates, rank, "rates"),
        "padding": checked_padding(padding, None, rank),
    }
    dims, tensor, raw = shape_argument(sizes)
    inputs = [x, g, tensor if tensor is not None else convert_to_tensor(np.array(dims, np.int32))]
    return apply(
        kernels.conv_filter, inputs, attrs, type="ConvNDFilter", name=name, dtype=common_dtype(x, g), shape=raw
    )


def conv2d_backprop_filter(
    input: Any,
    filter_sizes: Any,
    out_backprop: Any,
    strides: Any = None,
    padding: Any = None,
    use_cudnn_on_gpu: bool = True,
    data_format: str = "NHWC",
    dilations: Any = (1, 1, 1, 1),
    name: str | None = None,
) -> Tensor:
    """The gradient of conv2d with respect to filters of the shape `filter_sizes`."""
    checked_padding(padding, data_format, 2)
    word = name or "Conv2DBackpropFilter"
    return _filter_gradient(input, filter_sizes, out_backprop, strides, padding, list(dilations), 2, word)


def conv3d_backprop_filter(
    input: Any,
    filter_sizes: Any,
    out_backprop: Any,
    strides: Any = None,
    padding: Any = None,
    data_format: str = "NDHWC",
    dilations: Any = (1, 1, 1, 1, 1),
    name: str | None = None,
) -> Tensor:
    """The gradient of conv3d with respect to filters of the shape `filter_sizes`."""
    checked_padding(padding, data_format, 3)
    word = name or "Conv3DBackpropFilter"
    return _filter_gradient(input, filter_sizes, out_backprop, strides, padding, list(dilations), 3, word)


# Morphology


def dilation2d(
    input: Any,
    filter: Any = None,
    strides: Any = None,
    rates: Any = None,
    padding: Any = None,
    name: str | None = None,
    filters: Any = None,
    dilations: Any = None,
) -> Tensor:
    """The largest sum of an element and its weight in each window.  filter: [height, width, channels]."""
    with name_scope(name, "Dilation2D", [input, filter]):
        x, w = convert_together([input, filter if filters is None else filters])
        rate = rates if dilations is None else dilations
        attrs = {
            "strides": axis_numbers(strides, 2, "strides"),
            "rates": axis_numbers(1 if rate is None else rate, 2, "rates"),
            "padding": checked_padding(padding, None, 2),
        }
        given = sized(x, 2, "input")
        window = (None,) * 3 if w.raw_shape is None else w.raw_shape
        shape = (given[0], *window_counts(given[1:3], window[:2], attrs), given[3])
        outputs: list[tuple[Any, Any]] = [(dtypes.int64, shape)] * 2
        at, of_weight = apply(kernels.dilated_at, [x, w], attrs, type="DilationAt", outputs=outputs)
        flat = [array_ops.reshape(t, [-1]) for t in (x, w)]
        return array_ops.gather(flat[0], at) + array_ops.gather(flat[1], of_weight)


def erosion2d(value: Any, kernel: Any, strides: Any, rates: Any, padding: Any, name: str | None = None) -> Tensor:
    """The smallest difference of an element and its weight in each window.  kernel: [height, width, channels]."""
    with name_scope(name, "erosion2d", [value, kernel]):
        flipped = array_ops.reverse(convert_to_tensor(kernel), [0, 1])
        return math_ops.negative(dilation2d(math_ops.negative(value), flipped, strides, rates, padding))
