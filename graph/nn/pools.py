"""Pools over one, two or three axes, and fractional pools."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any

from weftwork.graph import dtypes
from weftwork.graph.arguments import of_kind
from weftwork.graph.build import apply, apply_random, convert_to_tensor
from weftwork.graph.kernels import volumes as kernels
from weftwork.graph.nn.axes import FORMATS, axis_numbers, checked_padding, sized, window_counts
from weftwork.graph.nn.windows import avg_pool, max_pool
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.scopes import name_scope

FractionalPool = namedtuple("FractionalPool", ["output", "row_pooling_sequence", "col_pooling_sequence"])


MaxPoolWithArgmax = namedtuple("MaxPoolWithArgmax", ["output", "argmax"])


def _window_attrs(x: Tensor, ksize: Any, strides: Any, padding: Any, rates: Any, rank: int) -> tuple[dict, tuple]:
    attrs = {
        "kernel": axis_numbers(ksize, rank, "ksize"),
        "strides": axis_numbers(ksize if strides is None else strides, rank, "strides"),
        "rates": axis_numbers(rates, rank, "rates"),
        "padding": checked_padding(padding, None, rank),
    }
    given = sized(x, rank, "input")
    return attrs, (given[0], *window_counts(given[1:-1], attrs["kernel"], attrs), given[-1])


def max_pool_nd(
    input: Any, ksize: Any, strides: Any, padding: Any, rates: Any, rank: int, name: str | None, kind: str
) -> Tensor:
    """The largest element of each window, channel by channel."""
    with name_scope(name, kind, [input]) as scope:
        x = convert_to_tensor(input)
        of_kind(x, "input", "biuf")
        attrs, shape = _window_attrs(x, ksize, strides, padding, rates, rank)
        at = apply(kernels.greatest_at, [x], attrs, type="MaxPoolAt", dtype=dtypes.int64, shape=shape)
        return array_ops.gather(array_ops.reshape(x, [-1]), at, name=scope)


def avg_pool_nd(
    input: Any, ksize: Any, strides: Any, padding: Any, rates: Any, rank: int, name: str | None, kind: str
) -> Tensor:
    """The mean of each window, channel by channel; padding does not count."""
    x = convert_to_tensor(input)
    of_kind(x, "input", "f")
    attrs, shape = _window_attrs(x, ksize, strides, padding, rates, rank)
    return apply(kernels.mean, [x], attrs, type="AvgPoolND", name=name or kind, dtype=x.dtype, shape=shape)


def _pool_function(public: str, rank: int, kind: str, most: bool) -> Callable[..., Tensor]:
    make = max_pool_nd if most else avg_pool_nd

    def pool(input, ksize, strides, padding, data_format=FORMATS[rank][0], name=None):
        if rank == 2:
            return (max_pool if most else avg_pool)(input, ksize, strides, padding, data_format, name)
        checked_padding(padding, data_format, rank)
        return make(input, ksize, strides, padding, 1, rank, name, kind)

    pool.__name__ = pool.__qualname__ = public
    statistic = "largest element" if most else "mean"
    space = {1: "time", 2: "height, width", 3: "depth, height, width"}[rank]
    pool.__doc__ = (
        f"The {statistic} of each window of [batch, {space}, channels], channel by channel.\n\n"
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
        checked_padding(padding, data_format, rank)
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
    """The largest element (pooling_type MAX) or the mean (AVG) of each window, over one, two or three axes.

    window_shape: the size of the window along each axis.
    Raises ValueError for another pooling_type, or strides together with dilations.
    """
    x = convert_to_tensor(input)
    rank = len(window_shape) if x.raw_shape is None else len(x.raw_shape) - 2
    checked_padding(padding, data_format, rank)
    rate = dilation_rate if dilations is None else dilations
    if pooling_type not in ("MAX", "AVG"):
        raise ValueError(f"pooling_type must be MAX or AVG, not {pooling_type!r}")
    steps = axis_numbers(1 if strides is None else strides, rank, "strides")
    rates = axis_numbers(1 if rate is None else rate, rank, "dilation_rate")
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
    """(largest element of each window of images, its position: (row * width + column) * channels + channel).

    include_batch_in_index: make it the position within all images together.
    Targmax: the dtype of the positions, int64 or int32.
    """
    checked_padding(padding, data_format, 2)
    kind = output_dtype or Targmax or dtypes.int64
    with name_scope(name, "MaxPoolWithArgmax", [input]) as scope:
        x = convert_to_tensor(input)
        attrs, shape = _window_attrs(x, ksize, strides, padding, 1, 2)
        at = apply(kernels.greatest_at, [x], attrs, type="MaxPoolAt", dtype=dtypes.int64, shape=shape)
        result = array_ops.gather(array_ops.reshape(x, [-1]), at, name=scope)
        if not include_batch_in_index:
            size = math_ops.reduce_prod(array_ops.shape(x, out_type=dtypes.int64)[1:])
            at = math_ops.mod(at, size)
        return MaxPoolWithArgmax(result, math_ops.cast(at, kind))


def _fractional(value: Any, ratio: Any, pseudo: bool, deterministic: bool, seed: Any, seed2: Any) -> tuple:
    x = convert_to_tensor(value)
    if len(ratio) != 4 or ratio[0] != 1 or ratio[3] != 1 or min(ratio) < 1:
        raise ValueError(f"pooling_ratio must be 1 for batch and channels, and at least 1 for the others: {ratio}")
    given = sized(x, 2, "value")
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
    """(largest element of each window, row boundaries, column boundaries), for windows of random sizes.

    pooling_ratio: [1, r, c, 1], the factors by which height and width shrink.   overlapping: windows share borders.
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
    """`fractional_max_pool` with the mean of each window.

    pooling_ratio: [1, rows, columns, 1], the factor, at least 1, by which each axis shrinks.
    """
    with name_scope(name, "FractionalAvgPool", [value]):
        x, ends, shape = _fractional(value, pooling_ratio, pseudo_random, deterministic, seed, seed2)
        attrs = {"overlapping": bool(overlapping)}
        result = apply(kernels.fraction_mean, [x, *ends], attrs, type="FractionalAvgPool", dtype=x.dtype, shape=shape)
        return FractionalPool(result, *ends)
