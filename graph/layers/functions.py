"""Layers as functions: each makes a layer and calls it once.

Two calls with one name share variables if the variable scope's `reuse`, or the argument, says so; a call without a name
creates variables of its own. The classes document the arguments.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from inspect import Parameter
from typing import Any, ParamSpec, Protocol, overload

from weftwork.graph.layers.base import ONES, ZEROS, Layer, snake_case
from weftwork.graph.layers.convolutions import AveragePooling1D, Conv1D, Conv2DTranspose, MaxPooling1D, SeparableConv2D
from weftwork.graph.layers.core import Dense, Dropout, Flatten
from weftwork.graph.layers.normalization import BatchNormalization
from weftwork.graph.layers.volumes import AveragePooling3D, Conv3D, Conv3DTranspose, MaxPooling3D, SeparableConv1D
from weftwork.graph.layers.windows import AveragePooling2D, Conv2D, MaxPooling2D
from weftwork.graph.operation import Tensor
from weftwork.graph.parameters import function_with

P = ParamSpec("P")
_INPUTS = Parameter("inputs", Parameter.POSITIONAL_OR_KEYWORD, annotation="Any")
_REUSE = Parameter("reuse", Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation="Any")


class LayerFunction(Protocol[P]):
    """A function of the inputs and a layer's arguments."""

    @overload
    def __call__(self, inputs: Any, /, *args: P.args, **kwargs: P.kwargs) -> Tensor: ...
    @overload
    def __call__(self, *, inputs: Any, **kwargs: Any) -> Tensor: ...


def as_function(layer: Callable[P, Layer], doc: str) -> LayerFunction[P]:
    """A function that makes a layer and calls it once. layer: the class; the function's name is its snake case.

    The parameters are `inputs`, those of the class and, if the layer has variables, `reuse`.
    """
    own = _parameters(layer)
    shares = "trainable" in own

    def body(inputs: Any, reuse: Any = None, **given: Any) -> Tensor:
        if shares:
            given.update(_scope=given["name"], _reuse=reuse)
        return layer(**given)(inputs)  # type: ignore[call-arg]

    parameters = [_INPUTS, *own.values(), *([_REUSE] if shares else [])]
    return function_with(snake_case(layer.__name__), doc, __name__, parameters, body)


def _parameters(layer: Callable) -> dict[str, Parameter]:
    """The parameters of a class; `*args` are those of Conv2D, or SeparableConv2D, after `dilation_rate`."""
    own = dict(inspect.signature(layer).parameters)
    del own["kwargs"]
    if own.pop("args", None):
        shared = _parameters(SeparableConv2D if layer is SeparableConv1D else Conv2D)
        own |= dict(list(shared.items())[list(shared).index("dilation_rate") + 1 :])
    return own


dense = as_function(
    Dense,
    """activation(inputs kernel + bias).  inputs: [..., in].  Returns [..., units]. See `Dense`.""",
)

conv2d = as_function(
    Conv2D,
    """activation(convolution + bias).  inputs: [batch, height, width, in].  Returns [..., filters].

    See `Conv2D`.
    """,
)

conv1d = as_function(
    Conv1D,
    """activation(convolution + bias) along one axis.  inputs: [batch, length, in].  Returns [..., filters].

    See `Conv1D`.
    """,
)

conv2d_transpose = as_function(
    Conv2DTranspose,
    """activation(transposed convolution + bias).  inputs: [batch, rows, columns, in].  Returns [..., filters].

    See `Conv2DTranspose`.
    """,
)

separable_conv2d = as_function(
    SeparableConv2D,
    """activation(depthwise, then pointwise convolution, + bias).  inputs: [batch, height, width, in].

    See `SeparableConv2D`.
    """,
)

max_pooling1d = as_function(
    MaxPooling1D,
    """The largest element of each window.  inputs: [batch, length, channels]. See `MaxPooling1D`.""",
)

average_pooling1d = as_function(
    AveragePooling1D,
    """The mean of each window.  inputs: [batch, length, channels]. See `AveragePooling1D`.""",
)

max_pooling2d = as_function(
    MaxPooling2D,
    """The largest element of each window.  inputs: [batch, height, width, channels]. See `MaxPooling2D`.""",
)

average_pooling2d = as_function(
    AveragePooling2D,
    """The mean of each window.  inputs: [batch, height, width, channels]. See `AveragePooling2D`.""",
)


conv3d = as_function(
    Conv3D,
    """activation(convolution + bias).  inputs: [batch, depth, height, width, in].  Returns [..., filters].

    See `Conv3D`.
    """,
)

conv3d_transpose = as_function(
    Conv3DTranspose,
    """activation(transposed convolution + bias) of volumes.  Returns [..., filters].

    See `Conv3DTranspose`.
    """,
)

separable_conv1d = as_function(
    SeparableConv1D,
    """activation(depthwise, then pointwise convolution, + bias).  inputs: [batch, length, in].

    See `SeparableConv1D`.
    """,
)

max_pooling3d = as_function(
    MaxPooling3D,
    """The largest element of each window.  inputs: [batch, depth, height, width, channels]. See `MaxPooling3D`.""",
)

average_pooling3d = as_function(
    AveragePooling3D,
    """The mean of each window.  inputs: [batch, depth, height, width, channels]. See `AveragePooling3D`.""",
)


def dropout(
    inputs: Any,
    rate: Any = 0.5,
    noise_shape: Any = None,
    seed: int | None = None,
    training: Any = False,
    name: str | None = None,
) -> Tensor:
    """In training, zero elements with probability `rate` and scale the others by 1 / (1 - rate). See `Dropout`."""
    return Dropout(rate, noise_shape, seed, name)(inputs, training=training)


def flatten(inputs: Any, name: str | None = None, data_format: str = "channels_last") -> Tensor:
    """Flatten all axes but the first. See `Flatten`."""
    return Flatten(data_format, name)(inputs)


def batch_normalization(
    inputs: Any,
    axis: Any = -1,
    momentum: Any = 0.99,
    epsilon: float = 1e-3,
    center: bool = True,
    scale: bool = True,
    beta_initializer: Any = ZEROS,
    gamma_initializer: Any = ONES,
    moving_mean_initializer: Any = ZEROS,
    moving_variance_initializer: Any = ONES,
    beta_regularizer: Callable[..., Any] | None = None,
    gamma_regularizer: Callable[..., Any] | None = None,
    beta_constraint: Callable[..., Any] | None = None,
    gamma_constraint: Callable[..., Any] | None = None,
    training: Any = False,
    trainable: bool = True,
    name: str | None = None,
    reuse: Any = None,
    renorm: bool = False,
    renorm_clipping: Mapping[str, Any] | None = None,
    renorm_momentum: float = 0.99,
    fused: bool | None = None,
    virtual_batch_size: int | None = None,
    adjustment: Callable[[Tensor], Any] | None = None,
) -> Tensor:
    """gamma (inputs - mean) / sqrt(variance + epsilon) + beta; in training, adds updates to UPDATE_OPS.

    See `BatchNormalization`.
    """
    layer = BatchNormalization(
        axis, momentum, epsilon, center, scale, beta_initializer, gamma_initializer, moving_mean_initializer,
        moving_variance_initializer, beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint,
        renorm, renorm_clipping, renorm_momentum, fused, trainable, virtual_batch_size, adjustment, name,
        _scope=name, _reuse=reuse,
    )  # fmt: skip
    return layer(inputs, training=training)
