"""Layers with windows that slide over images: Conv2D, MaxPooling2D, AveragePooling2D.

Images are [batch, height, width, channels]. Sizes and strides are one number or (height, width).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weftwork.graph.layers.base import ZEROS, KernelLayer, Layer
from weftwork.graph.nn import ops as nn_ops
from weftwork.graph.operation import Tensor


def pair(value: Any, name: str) -> tuple[int, int]:
    """(height, width), from one number or two. Raises ValueError for anything else. name: of the argument."""
    try:
        values = (int(value), int(value)) if isinstance(value, int) else tuple(int(v) for v in value)
    except TypeError:
        values = ()
    if len(values) != 2:
        raise ValueError(f"The `{name}` argument must be a tuple of 2 integers. Received: {value}")
    return values


def padding_of(padding: str) -> str:
    """ "SAME" or "VALID". Raises ValueError for another padding."""
    if str(padding).lower() not in ("valid", "same"):
        raise ValueError(f'The `padding` argument must be one of "valid", "same". Received: {padding}')
    return padding.upper()


def check_format(data_format: str) -> None:
    """Raise ValueError unless the format is channels_last, the only one that TensorFlow 1 supports on a CPU."""
    if data_format != "channels_last":
        raise ValueError(f"Images are channels_last on a CPU, but `data_format` is {data_format!r}: transpose them.")


class Conv2D(KernelLayer):
    """activation(convolution of images with filters + bias).

    inputs: [batch, height, width, in].  Returns [batch, rows, columns, filters].
    Variables: kernel [height, width, in, filters], bias [filters].
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        data_format: str = "channels_last",
        dilation_rate: Any = (1, 1),
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = None,
        bias_initializer: Any = ZEROS,
        kernel_regularizer: Callable[..., Any] | None = None,
        bias_regularizer: Callable[..., Any] | None = None,
        activity_regularizer: Callable[..., Any] | None = None,
        kernel_constraint: Callable[..., Any] | None = None,
        bias_constraint: Callable[..., Any] | None = None,
        trainable: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(
            activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
            activity_regularizer, kernel_constraint, bias_constraint, trainable, name, **kwargs,
        )  # fmt: skip
        check_format(data_format)
        self.filters = int(filters)
        self.kernel_size = pair(kernel_size, "kernel_size")
        self.strides = pair(strides, "strides")
        self.padding = padding_of(padding)
        self.dilation_rate = pair(dilation_rate, "dilation_rate")

    rank = 4
    """The number of axes of the inputs."""

    def _kernel_shape(self, depth: int) -> list[int]:
        return [*self.kernel_size, depth, self.filters]

    def _filtered(self, inputs: Tensor) -> Tensor:
        return nn_ops.conv2d(inputs, self.kernel, self.strides, self.padding, dilations=self.dilation_rate)

    def build(self, input_shape: Any) -> None:
        """Create the kernel and the bias. Raises ValueError if the number of channels is unknown."""
        self._make_kernels(self._known(self._ranked(input_shape, self.rank, self.rank), -1, "channel dimension"))
        self._make_bias(self.filters)

    def _make_kernels(self, depth: int) -> None:
        self._make_kernel(self._kernel_shape(depth))

    def call(self, inputs: Tensor) -> Tensor:
        """The filtered images."""
        return self._finished(self._filtered(inputs))


class Pooling2D(Layer):
    """The base class of pooling layers; a subclass names the function.

    _sizes: parses the window size and the strides.
    """

    pool: Callable
    _sizes: Callable = staticmethod(pair)

    def __init__(
        self,
        pool_size: Any,
        strides: Any,
        padding: str = "valid",
        data_format: str = "channels_last",
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        check_format(data_format)
        self.pool_size = self._sizes(pool_size, "pool_size")
        self.strides = self._sizes(strides, "strides")
        self.padding = padding_of(padding)

    def call(self, inputs: Tensor) -> Tensor:
        """One element for each window and channel."""
        self._ranked(inputs.shape, 4, 4)
        return type(self).pool(inputs, self.pool_size, self.strides, self.padding)


class MaxPooling2D(Pooling2D):
    """The largest element of each window, channel by channel."""

    pool = nn_ops.max_pool


class AveragePooling2D(Pooling2D):
    """The mean of each window, channel by channel; padding does not count."""

    pool = nn_ops.avg_pool
