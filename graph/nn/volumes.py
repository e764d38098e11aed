"""Convolutions and pools over one, two or three axes, with steps between the places of a window, and morphology.

rates   how far the places of a window are from each other; 1 for next to each other
Images are [batch, height, width, channels], volumes [batch, depth, height, width, channels], signals [batch, time,
channels]; no other data format is on a CPU.
"""

from __future__ import annotations

import operator
from collections import namedtuple
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.arguments import common_dtype
from weftwork.graph.build import apply, apply_random, convert_to_tensor, convert_together, static_value
from weftwork.graph.kernels import volumes as kernels
from weftwork.graph.known import shape_argument
from weftwork.graph.nn.convolutions import conv2d_transpose
from weftwork.graph.nn.windows import avg_pool, conv2d, max_pool
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.spaces import batch_to_space_nd, required_space_to_batch_paddings, space_to_batch_nd
from weftwork.graph.scopes import name_scope

FractionalPool = namedtuple("FractionalPool", ["output", "row_pooling_sequence", "col_pooling_sequence"])
MaxPoolWithArgmax = namedtuple("MaxPoolWithArgmax", ["output", "argmax"])

_FORMATS = {1: ("NWC",), 2: ("NHWC",), 3: ("NDHWC",)}


def _numbers(value: Any, rank: int, parameter: str) -> tuple[int, ...]:
    """One number for each axis of space, of one number, one for each of them, or one for each axis."""
    given = [operator.index(v) for v in (value if isinstance(value, (list, tuple, np.ndarray)) else [value])]
    if len(given) == rank + 2:
        if given[0] != 1 or given[-1] != 1:
            raise ValueError(f"{parameter} of the batch and channel axes must be 1, but got {given}.")
        given = given[1:-1]
    given = given * rank if len(given) == 1 else given
    if len(given) != rank or min(given) < 1:
        raise ValueError(f"{parameter} should be 1, {rank} or {rank + 2} positive numbers, but is {value!r}.")
    return tuple(given)


def _check(padding: Any, data_format: Any, rank: int) -> str:
    if data_format is not None and data_format not in _FORMATS[rank]:
        raise ValueError(
            f"Only the data format {_FORMATS[rank][0]} is supported on a CPU, but got {data_format!r}; transpose the "
            "input."
        )
    word = str(padding).upper()
    if word not in ("SAME", "VALID"):
        raise ValueError(f"padding must be 'SAME' or 'VALID', but is {padding!r}.")
    return word


def _sized(x: Tensor, rank: int, what: str) -> tuple:
    if x.raw_shape is None:
        return (None,) * (rank + 2)
    if len(x.raw_shape) != rank + 2:
        raise ValueError(f"Shape must be rank {rank + 2} but is rank {len(x.raw_shape)} for {what!r}.")
    return x.raw_shape


def _counts(dims: Sequence, kernel: Sequence, attrs: dict) -> list:
    """How many windows there are along each axis, as far as it is known."""
    found = []
    for dim, size, stride, rate in zip(dims, kernel, attrs["strides"], attrs["rates"], strict=True):
        if dim is None or (size is None and attrs["padding"] == "VALID"):
            found.append(None)
        elif attrs["padding"] == "SAME":
            found.append(-(-dim // stride))
        else:
            found.append(max(0, (dim - (size - 1) * rate - 1) // stride + 1))
            if found[-1] == 0 and dim > 0:
                raise ValueError(f"Negative dimension size caused by a window of {size} on an axis of {dim}.")
    return found


# Convolutions


def conv_nd(
    x: Any, weights: Any, strides: Any, padding: Any, rates: Any, rank: int, name: str | None, kind: str
) -> Tensor:
    """The cross-correlation of [batch, space..., in] with filters [space..., in, out]."""
    x, w = convert_together([x, weights])
    attrs = {
        "strides": _numbers(strides, rank, "strides"),
        "rates": _numbers(rates, rank, "rates"),
        "padding": _check(padding, None, rank),
    }
    given, window = _sized(x, rank, "input"), _sized(w, rank, "filter")
    if None not in (given[-1], window[-2]) and given[-1] != window[-2]:
        raise ValueError(f"input depth {given[-1]} does not match the filter's input depth {window[-2]}")
    shape = (given[0], *_counts(given[1:-1], window[:-2], attrs), window[-1])
    return apply(kernels.conv, [x, w], attrs, type=kind, name=name, dtype=common_dtype(x, w), shape=shape)


def _transposed(
    grad: Any, weights: Any, sizes: Any, strides: Any, padding: Any, rates: Any, rank: int, name: str | None
) -> Tensor:
    g, w = convert_together([grad, weights])
    attrs = {
        "strides": _numbers(strides, rank, "strides"),
        "rates": _numbers(rates, rank, "rates"),
        "padding": _check(padding, None, rank),
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
    _check(padding, data_format, 3)
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
    """The transpose (the gradient) of conv3d.  filter: [d, h, w, out, in].  output_shape: what it gives, five numbers.

    A conv3d of that shape must give value's, else InvalidArgumentError when it runs.
    """
    _check(padding, data_format, 3)
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
    _check(padding, data_format, 1)
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
    _check(padding, data_format, rank)
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
    Raises ValueError where both are more than 1.
    """
    weights = convert_to_tensor(filter if filters is None else filters)
    rank = len(weights.shape.as_list()) - 2
    if not 1 <= rank <= 3:
        raise ValueError(f"num_spatial_dims must be 1, 2, or 3, but is {rank}")
    _check(padding, data_format, rank)
    steps = _numbers(1 if strides is None else strides, rank, "strides")
    rate = dilation_rate if dilations is None else dilations
    rates = _numbers(1 if rate is None else rate, rank, "dilation_rate")
    if max(steps) > 1 and max(rates) > 1:
        raise ValueError("strides > 1 not supported in conjunction with dilation_rate > 1")
    word = name or "convolution"
    if rank == 2:
        return conv2d(input, weights, list(steps), str(padding).upper(), dilations=list(rates), name=word)
    return conv_nd(input, weights, steps, padding, rates, rank, word, "ConvND")


def atrous_conv2d(value: Any, filters: Any, rate: int, padding: str, name: str | None = None) -> Tensor:
    """The cross-correlation of images whose places in a window are `rate` apart."""
    word = _check(padding, None, 2)
    return conv2d(value, filters, [1, 1], word, dilations=[int(rate)] * 2, name=name or "atrous_conv2d")


def atrous_conv2d_transpose(
    value: Any, filters: Any, output_shape: Any, rate: int, padding: str, name: str | None = None
) -> Tensor:
    """The transpose (the gradient) of `atrous_conv2d`.  filters: [height, width, out, in]."""
    word, scope = _check(padding, None, 2), name or "atrous_conv2d_transpose"
    return conv2d_transpose(value, filters, output_shape, [1, 1], word, name=scope, dilations=[int(rate)] * 2)


def with_space_to_batch(
    input: Any,
    dilation_rate: Any,
    padding: str,
    op: Callable,
    filter_shape: Any = None,
    spatial_dims: Any = None,
    data_format: str | None = None,
) -> Tensor:
    """`op(input, num_spatial_dims, "VALID")` with the places of its windows `dilation_rate` apart.

    SAME needs filter_shape, the size of the window along each axis. Only known rates and sizes.
    """
    x = convert_to_tensor(input)
    rates = np.ravel(dilation_rate).tolist()
    dims = list(range(1, len(rates) + 1)) if spatial_dims is None else sorted(spatial_dims)
    if dims != list(range(1, len(rates) + 1)):
        raise ValueError("Only the axes after the first one, in their order, can be those of space.")
    if max(rates) == 1:
        return op(x, num_spatial_dims=len(rates), padding=padding)
    base = np.zeros((len(rates), 2), np.int32)
    if _check(padding, None, min(3, len(rates))) == "SAME":
        if filter_shape is None:
            raise ValueError("filter_shape must be specified for SAME padding")
        sizes = np.ravel(static_value(convert_to_tensor(filter_shape)))[: len(rates)]
        more = (sizes - 1) * np.array(rates)
        base = np.stack([more // 2, more - more // 2], 1).astype(np.int32)
    space = array_ops.shape(x)[1 : len(rates) + 1]
    paddings, crops = required_space_to_batch_paddings(space, np.array(rates, np.int32), base)
    block = convert_to_tensor(np.array(rates, np.int32))
    moved = space_to_batch_nd(x, block, paddings)
    made = op(moved, num_spatial_dims=len(rates), padding="VALID")
    return batch_to_space_nd(made, block, crops)


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
    """What conv2d gives back to an input of the shape `input_sizes`."""
    weights, word = (filter if filters is None else filters), name or "Conv2DBackpropInput"
    return conv2d_transpose(
        out_backprop, weights, input_sizes, strides, padding, data_format, word, dilations=list(dilations)
    )


def _filter_gradient(x: Any, sizes: Any, grad: Any, strides: Any, padding: Any, rates: Any, rank: int, name: str):
    x, g = convert_together([x, grad])
    attrs = {
        "strides": _numbers(strides, rank, "strides"),
        "rates": _numbers(rates, rank, "rates"),
        "padding": _check(padding, None, rank),
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
    """What conv2d gives back to filters of the shape `filter_sizes`."""
    _check(padding, data_format, 2)
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
    """What conv3d gives back to filters of the shape `filter_sizes`."""
    _check(padding, data_format, 3)
    word = name or "Conv3DBackpropFilter"
    return _filter_gradient(input, filter_sizes, out_backprop, strides, padding, list(dilations), 3, word)


# Pools


def _window_attrs(x: Tensor, ksize: Any, strides: Any, padding: Any, rates: Any, rank: int) -> tuple[dict, tuple]:
    attrs = {
        "kernel": _numbers(ksize, rank, "ksize"),
        "strides": _numbers(ksize if strides is None else strides, rank, "strides"),
        "rates": _numbers(rates, rank, "rates"),
        "padding": _check(padding, None, rank),
    }
    given = _sized(x, rank, "input")
    return attrs, (given[0], *_counts(given[1:-1], attrs["kernel"], attrs), given[-1])


def max_pool_nd(
    input: Any, ksize: Any, strides: Any, padding: Any, rates: Any, rank: int, name: str | None, kind: str
) -> Tensor:
    """The greatest element of each window, channel by channel."""
    with name_scope(name, kind, [input]):
        x = convert_to_tensor(input)
        attrs, shape = _window_attrs(x, ksize, strides, padding, rates, rank)
        at = apply(kernels.greatest_at, [x], attrs, type="MaxPoolAt", dtype=dtypes.int64, shape=shape)
        return array_ops.gather(array_ops.reshape(x, [-1]), at)


def avg_pool_nd(
    input: Any, ksize: Any, strides: Any, padding: Any, rates: Any, rank: int, name: str | None, kind: str
) -> Tensor:
    """The mean of each window, channel by channel; what is padded does not count."""
    x = convert_to_tensor(input)
    attrs, shape = _window_attrs(x, ksize, strides, padding, rates, rank)
    return apply(kernels.mean, [x], attrs, type="AvgPoolND", name=name or kind, dtype=x.dtype, shape=shape)


def _pool_function(public: str, rank: int, kind: str, most: bool) -> Callable[..., Tensor]:
    make = max_pool_nd if most else avg_pool_nd

    def pool(input, ksize, strides, padding, data_format=_FORMATS[rank][0], name=None):
        if rank == 2:
            return (max_pool if most else avg_pool)(input, ksize, strides, padding, data_format, name)
        _check(padding, data_format, rank)
        return make(input, ksize, strides, padding, 1, rank, name, kind)

    pool.__name__ = pool.__qualname__ = public
    what = "greatest element" if most else "mean"
    space = {1: "time", 2: "height, width", 3: "depth, height, width"}[rank]
    pool.__doc__ = (
        f"The {what} of each window of [batch, {space}, channels], channel by channel.\n\n"
        f"ksize, strides: 1, {rank} or {rank + 2} numbers.   padding: SAME or VALID."
    )
    return pool


max_pool1d = _pool_function("max_pool1d", 1, "MaxPool1D", True)
max_pool2d = _pool_function("max_pool2d", 2, "MaxPool", True)
max_pool3d = _pool_function("max_pool3d", 3, "MaxPool3D", True)
avg_pool1d = _pool_function("avg_pool1d", 1, "AvgPool1D", False)
avg_pool2d = _pool_function("avg_pool2d", 2, "AvgPool", False)
avg_pool3d = _pool_function("avg_pool3d", 3, "AvgPool3D", False)


def _of_rank(public: str, make: Callable, kind: str) -> Callable[..., Tensor]:
    def pool(input, ksize, strides, padding, data_format=None, name=None):
        x = convert_to_tensor(input)
        rank = len(x.shape.as_list()) - 2
        _check(padding, data_format, rank)
        return make(x, ksize, strides, padding, 1, rank, name, kind)

    pool.__name__ = pool.__qualname__ = public
    pool.__doc__ = f"`{public.removesuffix('_v2')}` over one, two or three axes, as many as the input has."
    return pool


max_pool_v2 = _of_rank("max_pool_v2", max_pool_nd, "MaxPool")
avg_pool_v2 = _of_rank("avg_pool_v2", avg_pool_nd, "AvgPool")


def pool(
    input: Any,
    window_shape: Any,
    pooling_type: str,
    padding: str,
    dilation_rate: Any = None,
    strides: Any = None,
    name: str | None = None,
    data_format: str | None = None,
    dilations: Any = None,
) -> Tensor:
    """The greatest element (pooling_type MAX) or the mean (AVG) of each window, over one, two or three axes."""
    x = convert_to_tensor(input)
    rank = len(x.shape.as_list()) - 2
    _check(padding, data_format, rank)
    rate = dilation_rate if dilations is None else dilations
    if pooling_type not in ("MAX", "AVG"):
        raise ValueError(f"pooling_type must be MAX or AVG, not {pooling_type!r}")
    steps = _numbers(1 if strides is None else strides, rank, "strides")
    rates = _numbers(1 if rate is None else rate, rank, "dilation_rate")
    if max(steps) > 1 and max(rates) > 1:
        raise ValueError("strides > 1 not supported in conjunction with dilation_rate > 1")
    make, kind = (max_pool_nd, "max_pool") if pooling_type == "MAX" else (avg_pool_nd, "avg_pool")
    return make(x, window_shape, steps, padding, rates, rank, name, kind)


def max_pool_with_argmax(
    input: Any,
    ksize: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NHWC",
    Targmax: Any = None,
    name: str | None = None,
    output_dtype: Any = None,
    include_batch_in_index: bool = False,
) -> MaxPoolWithArgmax:
    """(the greatest of each window of images, where it is: (row * width + column) * channels + channel).

    include_batch_in_index: the place is that in all images together.
    """
    _check(padding, data_format, 2)
    kind = output_dtype or Targmax or dtypes.int64
    with name_scope(name, "MaxPoolWithArgmax", [input]):
        x = convert_to_tensor(input)
        attrs, shape = _window_attrs(x, ksize, strides, padding, 1, 2)
        at = apply(kernels.greatest_at, [x], attrs, type="MaxPoolAt", dtype=dtypes.int64, shape=shape)
        made = array_ops.gather(array_ops.reshape(x, [-1]), at)
        if not include_batch_in_index:
            size = math_ops.reduce_prod(array_ops.shape(x, out_type=dtypes.int64)[1:])
            at = math_ops.mod(at, size)
        return MaxPoolWithArgmax(made, math_ops.cast(at, kind))


def _fractional(value: Any, ratio: Any, pseudo: bool, deterministic: bool, seed: Any, seed2: Any) -> tuple:
    x = convert_to_tensor(value)
    if len(ratio) != 4 or ratio[0] != 1 or ratio[3] != 1 or min(ratio) < 1:
        raise ValueError(f"pooling_ratio must be 1 for batch and channels, and at least 1 for the others: {ratio}")
    given = _sized(x, 2, "value")
    ratios = tuple(map(float, ratio[1:3]))
    rows = tuple([None if d is None else int(d / r) + 1 for d, r in zip(given[1:3], ratios, strict=True)])
    seed = (seed or seed2 or None) if not deterministic else (seed or 1)
    space = array_ops.shape(x)[1:3]
    drawn = [
        apply_random(
            _fraction, [space], {"axis": axis, "ratio": ratios[axis], "pseudo": bool(pseudo)},
            seed=seed, type="FractionalSequence", dtype=dtypes.int64, shape=(rows[axis],),
        )
        for axis in (0, 1)
    ]  # fmt: skip
    return x, drawn, (given[0], *[None if n is None else n - 1 for n in rows], given[3])


def _fraction(rng, space, axis, ratio, pseudo):
    return kernels.fractions(rng, space[axis : axis + 1], (ratio,), pseudo)[0]


def fractional_max_pool(
    value: Any,
    pooling_ratio: Any,
    pseudo_random: bool = False,
    overlapping: bool = False,
    deterministic: bool = False,
    seed: int = 0,
    seed2: int = 0,
    name: str | None = None,
) -> FractionalPool:
    """(the greatest of each window, where the rows begin, where the columns begin), of windows of random sizes.

    pooling_ratio: [1, r, c, 1], by how much height and width shrink.   overlapping: windows share their borders.
    """
    with name_scope(name, "FractionalMaxPool", [value]):
        x, ends, shape = _fractional(value, pooling_ratio, pseudo_random, deterministic, seed, seed2)
        attrs = {"overlapping": bool(overlapping)}
        at = apply(kernels.fraction_at, [x, *ends], attrs, type="MaxPoolAt", dtype=dtypes.int64, shape=shape)
        return FractionalPool(array_ops.gather(array_ops.reshape(x, [-1]), at), *ends)


def fractional_avg_pool(
    value: Any,
    pooling_ratio: Any,
    pseudo_random: bool = False,
    overlapping: bool = False,
    deterministic: bool = False,
    seed: int = 0,
    seed2: int = 0,
    name: str | None = None,
) -> FractionalPool:
    """`fractional_max_pool` with the mean of each window."""
    with name_scope(name, "FractionalAvgPool", [value]):
        x, ends, shape = _fractional(value, pooling_ratio, pseudo_random, deterministic, seed, seed2)
        attrs = {"overlapping": bool(overlapping)}
        made = apply(kernels.fraction_mean, [x, *ends], attrs, type="FractionalAvgPool", dtype=x.dtype, shape=shape)
        return FractionalPool(made, *ends)


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
    """The greatest sum of an element and its weight in each window.  filter: [height, width, channels]."""
    with name_scope(name, "Dilation2D", [input, filter]):
        x, w = convert_together([input, filter if filters is None else filters])
        rate = rates if dilations is None else dilations
        attrs = {
            "strides": _numbers(strides, 2, "strides"),
            "rates": _numbers(1 if rate is None else rate, 2, "rates"),
            "padding": _check(padding, None, 2),
        }
        given = _sized(x, 2, "input")
        window = (None,) * 3 if w.raw_shape is None else w.raw_shape
        shape = (given[0], *_counts(given[1:3], window[:2], attrs), given[3])
        outputs = [(dtypes.int64, shape)] * 2
        at, of_weight = apply(kernels.dilated_at, [x, w], attrs, type="DilationAt", outputs=outputs)
        flat = [array_ops.reshape(t, [-1]) for t in (x, w)]
        return array_ops.gather(flat[0], at) + array_ops.gather(flat[1], of_weight)


def erosion2d(value: Any, kernel: Any, strides: Any, rates: Any, padding: Any, name: str | None = None) -> Tensor:
    """The least difference of an element and its weight in each window.  kernel: [height, width, channels]."""
    with name_scope(name, "erosion2d", [value, kernel]):
        turned = array_ops.reverse(convert_to_tensor(kernel), [0, 1])
        return math_ops.negative(dilation2d(math_ops.negative(value), turned, strides, rates, padding))
