"""Layers over three axes: Conv3D, Conv3DTranspose, MaxPooling3D, AveragePooling3D; and SeparableConv1D.

Volumes are [batch, depth, height, width, channels]. Sizes and strides are one number or three.
"""

from __future__ import annotations

from typing import Any

from weftwork.graph.layers.convolutions import SeparableConv2D, along_one
from weftwork.graph.layers.windows import Conv2D, Pooling2D
from weftwork.graph.nn import volumes
from weftwork.graph.nn.pools import pool
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.array_ops import expand_dims, shape, squeeze


def triple(value: Any, name: str) -> tuple[int, ...]:
    """Three numbers, from one or three. Raises ValueError for anything else. name: of the argument."""
    try:
        values = (int(value),) * 3 if isinstance(value, int) else tuple(int(v) for v in value)
    except TypeError:
        values = ()
    if len(values) != 3:
        raise ValueError(f"The `{name}` argument must be a tuple of 3 integers. Received: {value}")
    return values


class Conv3D(Conv2D):
    """activation(convolution of volumes with filters + bias).

    inputs: [batch, depth, height, width, in].  Returns [..., filters].
    Variables: kernel [depth, height, width, in, filters], bias [filters].   Arguments are those of Conv2D.
    """

    rank = 5

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1, 1),
        padding: str = "valid",
        data_format: str = "channels_last",
        dilation_rate: Any = (1, 1, 1),
        *args: Any,
        **kwargs: Any,
    ):
        super().__init__(filters, 1, 1, padding, data_format, 1, *args, **kwargs)
        self.kernel_size: Any = triple(kernel_size, "kernel_size")
        self.strides: Any = triple(strides, "strides")
        self.dilation_rate: Any = triple(dilation_rate, "dilation_rate")

    def _filtered(self, inputs: Tensor) -> Tensor:
        steps, rates = (1, *self.strides, 1), (1, *self.dilation_rate, 1)
        return volumes.conv3d(inputs, self.kernel, steps, self.padding, dilations=rates)


class Conv3DTranspose(Conv3D):
    """activation(transposed convolution of volumes + bias): like Conv2DTranspose, over three axes.

    Variables: kernel [depth, height, width, filters, in], bias [filters].
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1, 1),
        padding: str = "valid",
        data_format: str = "channels_last",
        *args: Any,
        **kwargs: Any,
    ):
        super().__init__(filters, kernel_size, strides, padding, data_format, (1, 1, 1), *args, **kwargs)

    def _kernel_shape(self, depth: int) -> list[int]:
        return [*self.kernel_size, self.filters, depth]

    def _filtered(self, inputs: Tensor) -> Tensor:
        known, now = self._ranked(inputs.shape, 5, 5), shape(inputs)
        sizes = [now[axis] if known[axis] is None else known[axis] for axis in range(4)]
        larger = [
            size * stride + (max(kernel - stride, 0) if self.padding == "VALID" else 0)
            for size, stride, kernel in zip(sizes[1:], self.strides, self.kernel_size, strict=True)
        ]
        wanted, steps = [sizes[0], *larger, self.filters], (1, *self.strides, 1)
        return volumes.conv3d_transpose(inputs, self.kernel, wanted, steps, self.padding)


class _Pooling3D(Pooling2D):
    _sizes = staticmethod(triple)
    kind = ""

    def call(self, inputs: Tensor) -> Tensor:
        """One element for each window and channel."""
        self._ranked(inputs.shape, 5, 5)
        return pool(inputs, self.pool_size, self.kind, self.padding, strides=self.strides)


class MaxPooling3D(_Pooling3D):
    """The largest element of each window, channel by channel."""

    kind = "MAX"


class AveragePooling3D(_Pooling3D):
    """The mean of each window, channel by channel; padding does not count."""

    kind = "AVG"


class SeparableConv1D(SeparableConv2D):
    """activation(depthwise convolution, then pointwise convolution, + bias), along one axis.

    inputs: [batch, length, in].  Returns [batch, steps, filters].   Arguments are those of SeparableConv2D.
    Variables: depthwise_kernel [length, in, depth_multiplier], pointwise_kernel [1, in * depth_multiplier, filters],
    bias [filters].
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
        size, (_, step), spacing = along_one(kernel_size, strides, dilation_rate)
        super().__init__(filters, size, (step, step), padding, data_format, spacing, *args, **kwargs)

    def _make_kernels(self, depth: int) -> None:
        multiplied, size = depth * self.depth_multiplier, self.kernel_size[1]
        self.depthwise_kernel = self._weight("depthwise_kernel", [size, depth, self.depth_multiplier], *self._depthwise)
        self.pointwise_kernel = self._weight("pointwise_kernel", [1, multiplied, self.filters], *self._pointwise)

    def _filtered(self, inputs: Tensor) -> Tensor:
        kernels = [expand_dims(kernel, 0) for kernel in (self.depthwise_kernel, self.pointwise_kernel)]
        return squeeze(self._separated(expand_dims(inputs, 1), *kernels), [1])
