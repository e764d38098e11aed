"""tf.contrib.layers: convolutions over one to three axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weftwork.graph.build import convert_to_tensor
from weftwork.graph.contrib.arg_scope import add_arg_scope
from weftwork.graph.contrib.layers import (
    XAVIER,
    channels_of,
    check_format,
    collect_named_outputs,
    finish_layer,
    pair_of,
    weights_of,
)
from weftwork.graph.layers.base import ZEROS
from weftwork.graph.nn import ops as nn_ops
from weftwork.graph.nn.convolutions import conv2d_transpose as nn_conv2d_transpose
from weftwork.graph.nn.convolutions import depthwise_conv2d
from weftwork.graph.nn.convolutions import separable_conv2d as nn_separable_conv2d
from weftwork.graph.nn.volumes import convolution as nn_convolution
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops
from weftwork.graph.variables.scoping import variable_scope


@add_arg_scope
def convolution(
    inputs: Any,
    num_outputs: int,
    kernel_size: Any,
    stride: Any = 1,
    padding: str = "SAME",
    data_format: str | None = None,
    rate: Any = 1,
    activation_fn: Callable[..., Any] | None = nn_ops.relu,
    normalizer_fn: Callable[..., Any] | None = None,
    normalizer_params: dict[str, Any] | None = None,
    weights_initializer: Any = XAVIER,
    weights_regularizer: Callable[..., Any] | None = None,
    biases_initializer: Any = ZEROS,
    biases_regularizer: Callable[..., Any] | None = None,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    scope: Any = None,
    conv_dims: int | None = None,
) -> Tensor:
    """activation_fn(convolution of inputs and weights + biases), over one to three axes, channels last."""
    check_format(data_format)
    with variable_scope(scope, "Conv", [inputs], reuse=reuse) as current:
        x = convert_to_tensor(inputs)
        rank = len(x.shape.as_list()) - 2
        if conv_dims is not None and conv_dims != rank:
            raise ValueError(f"Convolution expects input with rank {conv_dims + 2}, got {rank + 2}")
        size = [kernel_size] * rank if isinstance(kernel_size, int) else list(kernel_size)
        shape = [*size, channels_of(x, "convolution"), num_outputs]
        weights = weights_of(
            "weights", shape, x, weights_initializer, weights_regularizer, variables_collections, trainable
        )
        steps = [stride] * rank if isinstance(stride, int) else list(stride)
        rates = [rate] * rank if isinstance(rate, int) else list(rate)
        outputs = nn_convolution(x, weights, padding, strides=steps, dilation_rate=rates)
        outputs = finish_layer(
            outputs, x, num_outputs, activation_fn, normalizer_fn, normalizer_params,
            biases_initializer, biases_regularizer, variables_collections, trainable,
        )  # fmt: skip
        return collect_named_outputs(outputs_collections, current.original_name_scope, outputs)


def _of_rank(public: str, dims: int) -> Callable[..., Tensor]:
    def conv(inputs, num_outputs, kernel_size, *args, **kwargs):
        return convolution(inputs, num_outputs, kernel_size, *args, conv_dims=dims, **kwargs)

    conv.__name__ = conv.__qualname__ = public
    conv.__doc__ = f"`convolution` over {dims} axes. Arguments as in `convolution`."
    return add_arg_scope(conv)


convolution1d = conv1d = _of_rank("convolution1d", 1)


convolution2d = conv2d = _of_rank("convolution2d", 2)


convolution3d = conv3d = _of_rank("convolution3d", 3)


@add_arg_scope
def convolution2d_transpose(
    inputs: Any,
    num_outputs: int,
    kernel_size: Any,
    stride: Any = 1,
    padding: str = "SAME",
    data_format: str = "NHWC",
    activation_fn: Callable[..., Any] | None = nn_ops.relu,
    normalizer_fn: Callable[..., Any] | None = None,
    normalizer_params: dict[str, Any] | None = None,
    weights_initializer: Any = XAVIER,
    weights_regularizer: Callable[..., Any] | None = None,
    biases_initializer: Any = ZEROS,
    biases_regularizer: Callable[..., Any] | None = None,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    scope: Any = None,
) -> Tensor:
    """A transposed convolution of images, channels last, with biases and an activation."""
    check_format(data_format)
    with variable_scope(scope, "Conv2d_transpose", [inputs], reuse=reuse) as current:
        x = convert_to_tensor(inputs)
        size, steps = pair_of(kernel_size), pair_of(stride)
        shape = [*size, num_outputs, channels_of(x, "convolution2d_transpose")]
        weights = weights_of(
            "weights", shape, x, weights_initializer, weights_regularizer, variables_collections, trainable
        )
        dims = [d if d is not None else array_ops.shape(x)[i] for i, d in enumerate(x.shape.as_list())]
        grown = [
            d * s + (max(k - s, 0) if padding.upper() == "VALID" else 0)
            for d, s, k in zip(dims[1:3], steps, size, strict=True)
        ]
        outputs = nn_conv2d_transpose(x, weights, [dims[0], *grown, num_outputs], steps, padding.upper())
        outputs = finish_layer(
            outputs, x, num_outputs, activation_fn, normalizer_fn, normalizer_params,
            biases_initializer, biases_regularizer, variables_collections, trainable,
        )  # fmt: skip
        return collect_named_outputs(outputs_collections, current.original_name_scope, outputs)


conv2d_transpose = convolution2d_transpose


@add_arg_scope
def separable_convolution2d(
    inputs: Any,
    num_outputs: int | None,
    kernel_size: Any,
    depth_multiplier: int = 1,
    stride: Any = 1,
    padding: str = "SAME",
    data_format: str = "NHWC",
    rate: Any = 1,
    activation_fn: Callable[..., Any] | None = nn_ops.relu,
    normalizer_fn: Callable[..., Any] | None = None,
    normalizer_params: dict[str, Any] | None = None,
    weights_initializer: Any = XAVIER,
    pointwise_initializer: Any = None,
    weights_regularizer: Callable[..., Any] | None = None,
    biases_initializer: Any = ZEROS,
    biases_regularizer: Callable[..., Any] | None = None,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    scope: Any = None,
) -> Tensor:
    """A depthwise convolution of images, then a pointwise one, which num_outputs=None omits."""
    check_format(data_format)
    with variable_scope(scope, "SeparableConv2d", [inputs], reuse=reuse) as current:
        x = convert_to_tensor(inputs)
        channels = channels_of(x, "separable_convolution2d")
        steps, rates = [1, *pair_of(stride), 1], pair_of(rate)
        depthwise = weights_of(
            "depthwise_weights", [*pair_of(kernel_size), channels, depth_multiplier], x, weights_initializer,
            weights_regularizer, variables_collections, trainable,
        )  # fmt: skip
        size = channels * depth_multiplier if num_outputs is None else num_outputs
        if num_outputs is None:
            outputs = depthwise_conv2d(x, depthwise, steps, padding.upper(), rates)
        else:
            pointwise = weights_of(
                "pointwise_weights", [1, 1, channels * depth_multiplier, num_outputs], x,
                pointwise_initializer or weights_initializer, weights_regularizer, variables_collections, trainable,
            )  # fmt: skip
            outputs = nn_separable_conv2d(x, depthwise, pointwise, steps, padding.upper(), rates)
        outputs = finish_layer(
            outputs, x, size, activation_fn, normalizer_fn, normalizer_params,
            biases_initializer, biases_regularizer, variables_collections, trainable,
        )  # fmt: skip
        return collect_named_outputs(outputs_collections, current.original_name_scope, outputs)


separable_conv2d = separable_convolution2d
