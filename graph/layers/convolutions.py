"""Convolution layers other than Conv2D (transposed, separable, one-dimensional), and one-dimensional pooling.

Images are [batch, height, width, channels], sequences [batch, length, channels].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weftwork.graph.layers.base import ZEROS
from weftwork.graph.layers.windows import Conv2D, Pooling2D
from weftwork.graph.nn import convolutions as nn_convolutions
from weftwork.graph.nn import ops as nn_ops
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.array_ops import expand_dims, shape, squeeze


def one(value: Any, name: str) -> int:
    """A number, possibly in a list of one. Raises ValueError for anything else. name: of the argument."""
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    if len(values) != 1 or not isinstance(values[0], int):
        raise ValueError(f"The `{name}` argument must be a tuple of 1 integers. Received: {value}")
    return values[0]


def along_one(kernel_size: Any, strides: Any, dilation_rate: Any) -> list[tuple[int, int]]:
    """Arguments of a convolution along one axis, extended to two axes, the first of which has size 1."""
    given = {"kernel_size": kernel_size, "strides": strides, "dilation_rate": dilation_rate}
    return [(1, one(value, name)) for name, value in given.items()]


class Conv1D(Conv2D):
    """activation(convolution of sequences with filters + bias).

    inputs: [batch, length, in].  Returns [batch, steps, filters].
    Variables: kernel [kernel_size, in, filters], bias [filters].
    """

    rank = 3

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str = "channels_last",
        dilation_rate: Any = 1,
        *args: Any,
        **kwargs: Any,
    ):
        """Further arguments are those of Conv2D."""
        size, step, spacing = along_one(kernel_size, strides, dilation_rate)
        super().__init__(filters, size, step, padding, data_format, spacing, *args, **kwargs)

    def _kernel_shape(self, depth: int) -> list[int]:
        return [self.kernel_size[1], depth, self.filters]

    def _filtered(self, inputs: Tensor) -> Tensor:
        step, spacing = self.strides[1], self.dilation_rate[1]
        return nn_convolutions.conv1d(inputs, self.kernel, step, self.padding, dilations=spacing)


class Conv2DTranspose(Conv2D):
    """activation(transposed convolution of images + bias): the inverse of Conv2D as far as shapes are concerned.

    inputs: [batch, rows, columns, in].  Returns [batch, height, width, filters]: height = rows * stride for "same"
    padding, and larger by what the kernel exceeds the stride for "valid".
    Variables: kernel [height, width, filters, in], bias [filters].
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        data_format: str = "channels_last",
        *args: Any,
        **kwargs: Any,
    ):
        """Further arguments are those of Conv2D after `dilation_rate`."""
        super().__init__(filters, kernel_size, strides, padding, data_format, (1, 1), *args, **kwargs)

    def _kernel_shape(self, depth: int) -> list[int]:
        return [*self.kernel_size, self.filters, depth]

    def _filtered(self, inputs: Tensor) -> Tensor:
        known, now = self._ranked(inputs.shape, 4, 4), shape(inputs)
        sizes: list[Any] = [now[axis] if known[axis] is None else known[axis] for axis in range(3)]
        larger = [
            size * stride + (max(kernel - stride, 0) if self.padding == "VALID" else 0)
            for size, stride, kernel in zip(sizes[1:], self.strides, self.kernel_size, strict=True)
        ]
        wanted = [sizes[0], *larger, self.filters]
        return nn_convolutions.conv2d_transpose(inputs, self.kernel, wanted, self.strides, self.padding)


class SeparableConv2D(Conv2D):
    """activation(depthwise convolution, then pointwise convolution, + bias).

    inputs: [batch, height, width, in].  Returns [batch, rows, columns, filters].
    Variables: depthwise_kernel [height, width, in, depth_multiplier], pointwise_kernel [1, 1, in * depth_multiplier,
    filters], bias [filters].
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        data_format: str = "channels_last",
        dilation_rate: Any = (1, 1),
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = None,
        pointwise_initializer: Any = None,
        bias_initializer: Any = ZEROS,
        depthwise_regularizer: Callable[..., Any] | None = None,
        pointwise_regularizer: Callable[..., Any] | None = None,
        bias_regularizer: Callable[..., Any] | None = None,
        activity_regularizer: Callable[..., Any] | None = None,
        depthwise_constraint: Callable[..., Any] | None = None,
        pointwise_constraint: Callable[..., Any] | None = None,
        bias_constraint: Callable[..., Any] | None = None,
        trainable: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(
            filters, kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, None,
            bias_initializer, None, bias_regularizer, activity_regularizer, None, bias_constraint, trainable, name,
            **kwargs,
        )  # fmt: skip
        self.depth_multiplier = int(depth_multiplier)
        self._depthwise = (depthwise_initializer, depthwise_regularizer, depthwise_constraint)
        self._pointwise = (pointwise_initializer, pointwise_regularizer, pointwise_constraint)

    def _make_kernels(self, depth: int) -> None:
        multiplied = depth * self.depth_multiplier
        first, second = [*self.kernel_size, depth, self.depth_multiplier], [1, 1, multiplied, self.filters]
        self.depthwise_kernel = self._weight("depthwise_kernel", first, *self._depthwise)
        self.pointwise_kernel = self._weight("pointwise_kernel", second, *self._pointwise)

    def _filtered(self, inputs: Tensor) -> Tensor:
        return self._separated(inputs, self.depthwise_kernel, self.pointwise_kernel)

    def _separated(self, inputs: Tensor, depthwise: Any, pointwise: Any) -> Tensor:
        rates = self.dilation_rate
        return nn_convolutions.separable_conv2d(inputs, depthwise, pointwise, self.strides, self.padding, rates)


class _Pooling1D(Pooling2D):
    _sizes = staticmethod(one)

    def call(self, inputs: Tensor) -> Tensor:
        """One element for each window and channel."""
        self._ranked(inputs.shape, 3, 3)
        sizes, steps = (1, self.pool_size), (1, self.strides)
        return squeeze(type(self).pool(expand_dims(inputs, 1), sizes, steps, self.padding), [1])


class MaxPooling1D(_Pooling1D):
    """The largest element of each window, channel by channel."""

    pool = nn_ops.max_pool


class AveragePooling1D(_Pooling1D):
    """The mean of each window, channel by channel; padding does not count."""

    pool = nn_ops.avg_pool
