"""Dense layers, and layers without variables: Dropout, Flatten."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from weftwork.graph.build import as_tensor
from weftwork.graph.layers.base import ZEROS, KernelLayer, Layer
from weftwork.graph.nn import ops as nn_ops
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops, products


class Dense(KernelLayer):
    """activation(inputs kernel + bias), where each unit uses the whole last axis of the inputs.

    inputs: [..., in].  Returns [..., units].  Variables: kernel [in, units], bias [units].
    """

    def __init__(
        self,
        units: int,
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
        self.units = int(units)

    def build(self, input_shape: Any) -> None:
        """Create the kernel and the bias. Raises ValueError for an unknown last dimension, TypeError for integers."""
        if self.dtype is not None and not (self.dtype.is_floating or self.dtype.is_complex):
            raise TypeError(f"Unable to build `Dense` layer with non-floating point dtype {self.dtype.name}")
        width = self._known(self._ranked(input_shape, 2), -1, "last dimension")
        self._make_kernel([width, self.units])
        self._make_bias(self.units)

    def call(self, inputs: Tensor) -> Tensor:
        """The outputs of the units."""
        rank = len(self._ranked(inputs.shape, 2))
        if rank == 2:
            outputs = math_ops.matmul(inputs, self.kernel)
        else:
            outputs = products.tensordot(inputs, self.kernel, [[rank - 1], [0]])
        return self._finished(outputs)


class Dropout(Layer):
    """In training, zero elements with probability `rate` and scale the others by 1 / (1 - rate); else do nothing.

    noise_shape: broadcasts to the inputs' shape; None entries are taken from the inputs' own.
    """

    def __init__(
        self,
        rate: Any = 0.5,
        noise_shape: Any = None,
        seed: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        self.rate = rate
        self.noise_shape = noise_shape
        self.seed = seed

    def call(self, inputs: Tensor, training: Any = False) -> Tensor:
        """training: a bool, or a scalar bool tensor."""
        chosen = as_tensor(training)
        if chosen is None and not training:
            return array_ops.identity(inputs)
        rate = self.rate
        if chosen is not None:
            # A rate of zero drops nothing, so no branch is needed.
            rate = math_ops.multiply(math_ops.cast(chosen, "float32"), rate)
        return nn_ops.dropout(inputs, noise_shape=self._noise_shape(inputs), seed=self.seed, rate=rate)

    def _noise_shape(self, inputs: Tensor) -> Any:
        noise = self.noise_shape
        if noise is None or as_tensor(noise) is not None:
            return noise
        actual = array_ops.shape(inputs)
        return [actual[i] if size is None else size for i, size in enumerate(noise)]


class Flatten(Layer):
    """Flatten all axes but the first.  inputs: [batch, ...].  Returns [batch, elements].

    Raises ValueError for another data_format.
    """

    def __init__(self, data_format: str = "channels_last", name: str | None = None, **kwargs: Any):
        super().__init__(name=name, **kwargs)
        if data_format not in ("channels_last", "channels_first"):
            raise ValueError(
                f'The `data_format` argument must be one of "channels_first", "channels_last". Received: {data_format}'
            )
        self.data_format = data_format

    def call(self, inputs: Tensor) -> Tensor:
        """The flattened rows."""
        raw = self._ranked(inputs.shape, 1)
        if self.data_format == "channels_first" and len(raw) > 2:
            inputs = array_ops.transpose(inputs, [0, *range(2, len(raw)), 1])
        rest = raw[1:]
        size = None if None in rest else math.prod(rest)  # type: ignore[arg-type]
        if size is not None:
            outputs = array_ops.reshape(inputs, [-1, size])
        elif raw[0] is not None:
            outputs = array_ops.reshape(inputs, [raw[0], -1])
        else:
            # Reshape by the number of rows, not with -1: a batch may be empty.
            count = array_ops.shape(inputs)
            outputs = array_ops.reshape(inputs, array_ops.stack([count[0], math_ops.reduce_prod(count[1:])]))
        outputs.set_shape([raw[0], size])
        return outputs
