"""Convolution and pooling: operations on windows that slide over the height and width of images.

Images are [batch, height, width, channels] ("NHWC"), which TensorFlow 1 requires on a CPU. padding: "SAME" (as many
windows as elements, at stride 1) or "VALID" (only whole windows); see `windows.output_size` of the kernels.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

from weftwork.graph import shapes
from weftwork.graph.arguments import common_dtype, of_kind
from weftwork.graph.build import apply, convert_to_tensor, convert_together
from weftwork.graph.errors import UnimplementedError
from weftwork.graph.kernels import convolution, pooling
from weftwork.graph.kernels.windows import output_size
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.array_ops import concat, reshape, shape
from weftwork.graph.ops.reductions import reduce_max
from weftwork.graph.scopes import name_scope

Pair = tuple[int, int]


def conv2d(
    input: Any,
    filter: Any = None,
    strides: Any = None,
    padding: Any = None,
    use_cudnn_on_gpu: bool = True,
    data_format: str = "NHWC",
    dilations: Any = (1, 1, 1, 1),
    name: str | None = None,
    filters: Any = None,
) -> Tensor:
    """The cross-correlation of images with filters.

    input: [batch, height, width, in].  filter (or filters): [height, width, in, out].
    strides, dilations: one number, (height, width), or one for each axis.
    padding: "SAME", "VALID", or [[0, 0], [top, bottom], [left, right], [0, 0]].
    Raises ValueError if shapes, strides or padding do not match.
    """
    if filter is not None and filters is not None:
        raise ValueError("Cannot specify both 'filters' and 'filter'")
    _check_format(data_format)
    with name_scope(name, "Conv2D", [input, filter, filters]) as scope:
        x, weights = convert_together([input, filters if filter is None else filter])
        attrs = {
            "strides": _pair(1 if strides is None else strides, "strides"),
            "dilations": _pair(dilations, "dilations"),
            "paddings": _paddings(padding),
        }
        image, window = _ranked(x, "input"), _ranked(weights, "filter")
        if None not in (image[3], window[2]) and image[3] != window[2]:
            raise ValueError(f"Depth of input ({image[3]}) is not the input depth of filter ({window[2]})")
        taps = [None if n is None else (n - 1) * d + 1 for n, d in zip(window[:2], attrs["dilations"], strict=True)]
        sizes = _output_sizes(image[1:3], taps, attrs["strides"], attrs["paddings"])
        return apply(
            convolution.conv2d, [x, weights], attrs,
            type="Conv2D", name=scope, dtype=common_dtype(x, weights), shape=(image[0], *sizes, window[3]),
        )  # fmt: skip


def max_pool(
    value: Any,
    ksize: Any = None,
    strides: Any = None,
    padding: Any = None,
    data_format: str = "NHWC",
    name: str | None = None,
    input: Any = None,
) -> Tensor:
    """The largest element of each window, channel by channel.

    value: [batch, height, width, channels].  ksize, strides: one number, (height, width), or one for each axis.
    A window of several channels must be of one pixel, and equal the stride; it has no gradient in TensorFlow.
    padding: "SAME" or "VALID".
    """
    if isinstance(ksize, (list, tuple)) and len(ksize) == 4 and ksize[3] != 1:
        return _max_over_channels(_value(value, input), ksize, strides, name)
    return _pool(pooling.max_pool, "MaxPool", _value(value, input), ksize, strides, padding, data_format, name)


def _max_over_channels(value: Any, ksize: Any, strides: Any, name: str | None) -> Tensor:
    """The largest of each `ksize[3]` channels."""
    size = operator.index(ksize[3])
    if tuple(ksize[:3]) != (1, 1, 1) or tuple(strides[:3]) != (1, 1, 1):
        text = "MaxPooling supports exactly one of pooling across depth or pooling across width/height."
        raise UnimplementedError(None, None, text)
    if size != strides[3]:
        text = "Depthwise max pooling requires the depth window to equal the depth stride"
        raise UnimplementedError(None, None, text)
    with name_scope(name, "MaxPool", [value]) as scope:
        x = convert_to_tensor(value, name="value")
        *image, depth = _ranked(x, "value")
        if depth is not None and depth % size:
            text = "Depthwise max pooling requires the depth window to evenly divide the input depth"
            raise UnimplementedError(None, None, text)
        result = reduce_max(reshape(x, concat([shape(x)[:3], [-1, size]], 0)), -1, name=scope)
        result.set_shape([*image, None if depth is None else depth // size])
        return result


def avg_pool(
    value: Any,
    ksize: Any = None,
    strides: Any = None,
    padding: Any = None,
    data_format: str = "NHWC",
    name: str | None = None,
    input: Any = None,
) -> Tensor:
    """The mean of each window, channel by channel; SAME padding does not count. Arguments as in `max_pool`."""
    return _pool(pooling.avg_pool, "AvgPool", _value(value, input), ksize, strides, padding, data_format, name)


def _value(value: Any, input: Any) -> Any:
    if value is not None and input is not None:
        raise ValueError("Cannot specify both 'input' and 'value'")
    return input if value is None else value


def _pool(
    kernel: Callable, kind: str, value: Any, ksize: Any, strides: Any, padding: Any, data_format: str, name: str | None
) -> Tensor:
    _check_format(data_format)
    with name_scope(name, kind, [value]) as scope:
        x = convert_to_tensor(value, name="value")
        of_kind(x, "value", "f" if kind == "AvgPool" else "biuf")
        if padding not in ("SAME", "VALID"):
            raise ValueError(f"padding must be 'SAME' or 'VALID', but is {padding!r}.")
        sizes, steps = _pair(ksize, "ksize"), _pair(strides, "strides")
        image = _ranked(x, "value")
        pads = _paddings(padding)
        attrs = {"sizes": sizes, "strides": steps, "padding": pads[0]}
        shape = (image[0], *_output_sizes(image[1:3], sizes, steps, pads), image[3])
        return apply(kernel, [x], attrs, type=kind, name=scope, dtype=x.dtype, shape=shape)


def _output_sizes(sizes: Iterable, windows: Iterable, strides: Pair, paddings: Iterable) -> list[int | None]:
    """The height and width of the result, None if unknown."""
    axes = zip(sizes, windows, strides, paddings, strict=True)
    return [None if None in axis[:2] else output_size(*axis) for axis in axes]


def _check_format(data_format: str | None) -> None:
    if data_format not in (None, "NHWC"):
        raise ValueError(
            f"Only the data format NHWC is supported on a CPU, but got {data_format!r}; transpose the input."
        )


def _pair(value: Any, parameter: str) -> Pair:
    """(height, width) from one number, a pair, or one number for each axis of NHWC."""
    values = [operator.index(v) for v in (value if isinstance(value, (list, tuple)) else [value])]
    if len(values) == 4:
        if values[0] != 1 or values[3] != 1:
            raise ValueError(f"{parameter} of the batch and channel axes must be 1, but got {values}.")
        values = values[1:3]
    if len(values) == 1:
        values *= 2
    if len(values) != 2 or min(values) < 1:
        raise ValueError(f"{parameter} should be 1, 2 or 4 positive numbers, but is {value!r}.")
    return values[0], values[1]


def _paddings(padding: Any) -> tuple[Any, Any]:
    """The padding of height and width, in the form of the kernels."""
    if isinstance(padding, (list, tuple)):
        pairs = [tuple(int(v) for v in pair) for pair in padding]
        if len(pairs) != 4 or any(len(pair) != 2 for pair in pairs) or pairs[0] != (0, 0) or pairs[3] != (0, 0):
            raise ValueError(
                f"Explicit padding must be [[0, 0], [top, bottom], [left, right], [0, 0]], not {padding!r}."
            )
        return pairs[1], pairs[2]
    if padding not in ("SAME", "VALID"):
        raise ValueError(f"padding must be 'SAME', 'VALID' or a list of pairs, but is {padding!r}.")
    return ("SAME", "SAME") if padding == "SAME" else ((0, 0), (0, 0))


def _ranked(tensor: Tensor, parameter: str) -> tuple[int | None, ...]:
    shape: shapes.RawShape = tensor.raw_shape
    if shape is None:
        return (None,) * 4
    if len(shape) != 4:
        raise ValueError(f"Shape must be rank 4 but is rank {len(shape)} for {parameter!r}.")
    return shape
