"""tf.contrib.layers: functions that create a layer's variables and nodes.

weights, biases   the variables of a layer, in the collection MODEL_VARIABLES, in a scope named after the layer
normalizer_fn     replaces the biases, e.g. batch_norm
outputs_collections   collections to which the outputs are added, under the layer's name
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from weftwork.graph import dtypes
from weftwork.graph.build import convert_to_tensor
from weftwork.graph.contrib.arg_scope import add_arg_scope
from weftwork.graph.contrib.variables import model_variable
from weftwork.graph.default_scopes import control_dependencies
from weftwork.graph.graph import GraphKeys
from weftwork.graph.layers.base import ZEROS
from weftwork.graph.layers.normalization import BatchNormalization
from weftwork.graph.nn import ops as nn_ops
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.control_flow import cond
from weftwork.graph.ops.flow import identity
from weftwork.graph.ops.products import tensordot
from weftwork.graph.scopes import name_scope
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.variables.initializers import Ones, VarianceScaling, Zeros, xavier_initializer
from weftwork.graph.variables.scoping import variable_scope

xavier_initializer_conv2d = xavier_initializer
XAVIER = xavier_initializer()


def variance_scaling_initializer(
    factor: float = 2.0,
    mode: str = "FAN_IN",
    uniform: bool = False,
    seed: int | None = None,
    dtype: Any = dtypes.float32,
) -> Any:
    """Weights with variance factor / n, n being FAN_IN, FAN_OUT or FAN_AVG. Raises ValueError for another mode."""
    if mode not in ("FAN_IN", "FAN_OUT", "FAN_AVG"):
        raise ValueError(f"Unknown mode {mode} [FAN_IN, FAN_OUT, FAN_AVG]")
    spread = "uniform" if uniform else "truncated_normal"
    return VarianceScaling(factor, mode.lower(), spread, seed=seed, dtype=dtype)


# Helpers


def _collections(given: Any, name: str) -> list:
    """The collections for the variable `name`: given for all variables, or for this one."""
    if isinstance(given, dict):
        given = given.get(name)
    if given is None:
        return []
    return list(given) if isinstance(given, (list, tuple)) else [given]


def weights_of(
    name: str, shape: list, x: Tensor, initializer: Any, regularizer: Any, collections: Any, trainable: bool
):
    return model_variable(
        name, shape=shape, dtype=x.dtype.base_dtype, initializer=initializer, regularizer=regularizer,
        collections=_collections(collections, name), trainable=trainable,
    )  # fmt: skip


def finish_layer(
    outputs: Tensor, x: Tensor, size: int, activation_fn: Any, normalizer_fn: Any, normalizer_params: Any,
    biases_initializer: Any, biases_regularizer: Any, variables_collections: Any, trainable: bool,
) -> Tensor:  # fmt: skip
    """Add biases to the outputs, or normalize them, then apply the activation."""
    if normalizer_fn is not None:
        outputs = normalizer_fn(outputs, **(normalizer_params or {}))
    elif biases_initializer is not None:
        biases = weights_of(
            "biases", [size], x, biases_initializer, biases_regularizer, variables_collections, trainable
        )
        outputs = nn_ops.bias_add(outputs, biases)
    return outputs if activation_fn is None else activation_fn(outputs)


def collect_named_outputs(collections: Any, alias: str, outputs: Tensor) -> Tensor:
    """Add the outputs to collections, and return them."""
    if collections:
        get_default_graph().add_to_collections(collections, outputs)
    return outputs


def channels_of(x: Tensor, what: str) -> int:
    size = x.shape.as_list()[-1]
    if size is None:
        raise ValueError(f"The last dimension of the inputs to {what} should be defined. Found None.")
    return size


def pair_of(value: Any) -> list[int]:
    given = list(value) if isinstance(value, (list, tuple)) else [value, value]
    return [int(v) for v in given]


def check_format(data_format: str | None) -> None:
    if data_format not in (None, "NHWC", "NWC", "NDHWC"):
        raise ValueError(f"Only channels last are supported on a CPU, but got {data_format!r}; transpose the input.")


# Layers with weights


@add_arg_scope
def fully_connected(
    inputs: Any,
    num_outputs: int,
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
    """activation_fn(inputs weights + biases) along the last axis.  [..., in] -> [..., num_outputs]."""
    if not isinstance(num_outputs, int):
        raise ValueError(f"num_outputs type should be one of int, got {type(num_outputs).__name__}.")
    with variable_scope(scope, "fully_connected", [inputs], reuse=reuse) as current:
        x = convert_to_tensor(inputs)
        shape = [channels_of(x, "fully_connected"), num_outputs]
        weights = weights_of(
            "weights", shape, x, weights_initializer, weights_regularizer, variables_collections, trainable
        )
        outputs = math_ops.matmul(x, weights) if x.shape.ndims == 2 else tensordot(x, weights, 1)
        outputs = finish_layer(
            outputs, x, num_outputs, activation_fn, normalizer_fn, normalizer_params,
            biases_initializer, biases_regularizer, variables_collections, trainable,
        )  # fmt: skip
        return collect_named_outputs(outputs_collections, current.original_name_scope, outputs)


relu = functools.partial(fully_connected, activation_fn=nn_ops.relu)
relu6 = functools.partial(fully_connected, activation_fn=nn_ops.relu6)
linear = functools.partial(fully_connected, activation_fn=None)


# Normalization


class _BatchNorm(BatchNormalization):
    """A layer that collects its updates itself; its function decides where they go."""

    def add_update(self, updates: Any, inputs: Any = None) -> None:
        self._updates += list(updates) if isinstance(updates, (list, tuple)) else [updates]


@add_arg_scope
def batch_norm(
    inputs: Any,
    decay: float = 0.999,
    center: bool = True,
    scale: bool = False,
    epsilon: float = 0.001,
    activation_fn: Callable[..., Any] | None = None,
    param_initializers: dict[str, Any] | None = None,
    param_regularizers: dict[str, Any] | None = None,
    updates_collections: Any = GraphKeys.UPDATE_OPS,
    is_training: Any = True,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    batch_weights: Any = None,
    fused: bool | None = None,
    data_format: str = "NHWC",
    zero_debias_moving_mean: bool = False,
    scope: Any = None,
    renorm: bool = False,
    renorm_clipping: Any = None,
    renorm_decay: float = 0.99,
    adjustment: Any = None,
) -> Tensor:
    """Batch normalization with moving averages; see `tf.layers.batch_normalization`.

    decay: of the averages.   scale: use a gamma.   updates_collections: where to add the updates of the averages; None
    makes the outputs wait for them.   is_training: a bool, or a tensor.
    renorm, renorm_clipping, renorm_decay, adjustment: as `renorm`, `renorm_clipping`, `renorm_momentum` and
        `adjustment` of `tf.layers.batch_normalization`.
    Raises ValueError for batch_weights, which are not supported.
    """
    if batch_weights is not None:
        raise ValueError("batch_norm does not support batch_weights.")
    if data_format not in ("NHWC", "NCHW"):
        raise ValueError("data_format has to be either NCHW or NHWC.")
    starts, losses = param_initializers or {}, param_regularizers or {}
    with variable_scope(
        scope, "BatchNorm", [inputs], reuse=reuse, custom_getter=_of_model(variables_collections)
    ) as at:
        x = convert_to_tensor(inputs)
        layer = _BatchNorm(
            axis=1 if data_format == "NCHW" else -1, momentum=decay, epsilon=epsilon, center=center, scale=scale,
            beta_initializer=starts.get("beta", Zeros()), gamma_initializer=starts.get("gamma", Ones()),
            moving_mean_initializer=starts.get("moving_mean", Zeros()),
            moving_variance_initializer=starts.get("moving_variance", Ones()),
            beta_regularizer=losses.get("beta"), gamma_regularizer=losses.get("gamma"),
            trainable=trainable, name=at.name.rpartition("/")[2], _scope=at, fused=fused, _reuse=reuse,
            renorm=renorm, renorm_clipping=renorm_clipping, renorm_momentum=renorm_decay, adjustment=adjustment,
        )  # fmt: skip
        outputs = layer.apply(x, training=is_training)
        if updates_collections is None:
            with control_dependencies(list(layer.updates)):
                outputs = identity(outputs)
        else:
            for update in layer.updates:
                get_default_graph().add_to_collections(updates_collections, update)
        outputs = outputs if activation_fn is None else activation_fn(outputs)
        return collect_named_outputs(outputs_collections, at.original_name_scope, outputs)


def _of_model(collections: Any) -> Callable[..., Any]:
    """A custom getter that also adds variables to MODEL_VARIABLES."""

    def getter(get: Callable[..., Any], name: str, *args: Any, **kwargs: Any) -> Any:
        names = [GraphKeys.GLOBAL_VARIABLES, GraphKeys.MODEL_VARIABLES]
        kwargs["collections"] = [*names, *_collections(collections, name.rpartition("/")[2])]
        return get(name, *args, **kwargs)

    return getter


@add_arg_scope
def layer_norm(
    inputs: Any,
    center: bool = True,
    scale: bool = True,
    activation_fn: Callable[..., Any] | None = None,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    begin_norm_axis: int = 1,
    begin_params_axis: int = -1,
    scope: Any = None,
) -> Tensor:
    """Normalize each example to zero mean and unit variance over axes from begin_norm_axis on (arXiv:1607.06450)."""
    with variable_scope(scope, "LayerNorm", [inputs], reuse=reuse) as at:
        x = convert_to_tensor(inputs)
        dims = x.shape.as_list()
        axes = list(range(begin_norm_axis % len(dims), len(dims)))
        shape = dims[begin_params_axis % len(dims) :]
        if None in shape:
            raise ValueError(f"Inputs {x.name}: shape{shape} is not fully defined")
        beta = gamma = None
        if center:
            beta = weights_of("beta", shape, x, Zeros(), None, variables_collections, trainable)
        if scale:
            gamma = weights_of("gamma", shape, x, Ones(), None, variables_collections, trainable)
        mean, variance = nn_ops.moments(x, axes, keep_dims=True)
        outputs = nn_ops.batch_normalization(x, mean, variance, beta, gamma, variance_epsilon=1e-12)
        outputs.set_shape(x.shape)
        outputs = outputs if activation_fn is None else activation_fn(outputs)
        return collect_named_outputs(outputs_collections, at.original_name_scope, outputs)


@add_arg_scope
def unit_norm(inputs: Any, dim: int, epsilon: float = 1e-7, scope: str | None = None) -> Tensor:
    """Normalize the inputs to length 1 along an axis."""
    with name_scope(scope, "UnitNorm", [inputs]):
        x = convert_to_tensor(inputs)
        return x / math_ops.sqrt(epsilon + math_ops.reduce_sum(math_ops.square(x), dim, keepdims=True))


# Layers without weights


def _pool(public: str, kind: str, title: str) -> Callable[..., Tensor]:
    function = nn_ops.max_pool if kind == "MAX" else nn_ops.avg_pool

    def pool(inputs, kernel_size, stride=2, padding="VALID", data_format="NHWC", outputs_collections=None, scope=None):
        check_format(data_format)
        with name_scope(scope, title, [inputs]) as at:
            outputs = function(inputs, pair_of(kernel_size), pair_of(stride), padding.upper())
            return collect_named_outputs(outputs_collections, at, outputs)

    pool.__name__ = pool.__qualname__ = public
    statistic = "largest element" if kind == "MAX" else "mean"
    pool.__doc__ = f"The {statistic} of each window of images [batch, height, width, channels]."
    return add_arg_scope(pool)


max_pool2d = _pool("max_pool2d", "MAX", "MaxPool2D")
avg_pool2d = _pool("avg_pool2d", "AVG", "AvgPool2D")


@add_arg_scope
def dropout(
    inputs: Any,
    keep_prob: Any = 0.5,
    noise_shape: Any = None,
    is_training: Any = True,
    outputs_collections: Any = None,
    scope: str | None = None,
    seed: int | None = None,
) -> Tensor:
    """`nn.dropout` in training, else the unchanged inputs. is_training: a bool, or a tensor."""
    with name_scope(scope, "Dropout", [inputs]) as at:
        x = convert_to_tensor(inputs)
        if isinstance(is_training, bool) or is_training is None:
            outputs = nn_ops.dropout(x, keep_prob, noise_shape, seed) if is_training else identity(x)
        else:
            flag = convert_to_tensor(is_training)
            outputs = cond(flag, lambda: nn_ops.dropout(x, keep_prob, noise_shape, seed), lambda: identity(x))
        return collect_named_outputs(outputs_collections, at, outputs)


@add_arg_scope
def flatten(inputs: Any, outputs_collections: Any = None, scope: str | None = None) -> Tensor:
    """Flatten all axes but the first: [batch, ...] -> [batch, elements]."""
    with name_scope(scope, "Flatten", [inputs]) as at:
        x = convert_to_tensor(inputs)
        dims = x.shape.as_list()
        if len(dims) < 1:
            raise ValueError("Inputs must be at least rank 1.")
        rest = None if None in dims[1:] else math.prod(dim for dim in dims[1:] if dim is not None)
        first = dims[0] if dims[0] is not None else array_ops.shape(x)[0]
        outputs = array_ops.reshape(x, [first, -1 if rest is None else rest])
        outputs.set_shape([dims[0], rest])
        return collect_named_outputs(outputs_collections, at, outputs)


@add_arg_scope
def one_hot_encoding(
    labels: Any,
    num_classes: int,
    on_value: float = 1.0,
    off_value: float = 0.0,
    outputs_collections: Any = None,
    scope: str | None = None,
) -> Tensor:
    """A one-hot row for each label, float32."""
    with name_scope(scope, "OneHotEncoding", [labels, num_classes]) as at:
        ids = math_ops.cast(convert_to_tensor(labels), dtypes.int64)
        outputs = array_ops.one_hot(ids, num_classes, on_value=on_value, off_value=off_value)
        return collect_named_outputs(outputs_collections, at, outputs)


@add_arg_scope
def bias_add(
    inputs: Any,
    activation_fn: Callable[..., Any] | None = None,
    initializer: Any = ZEROS,
    regularizer: Callable[..., Any] | None = None,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    data_format: str = "NHWC",
    scope: Any = None,
) -> Tensor:
    """The inputs plus a bias for each channel."""
    with variable_scope(scope, "BiasAdd", [inputs], reuse=reuse) as at:
        x = convert_to_tensor(inputs)
        biases = weights_of(
            "biases", [channels_of(x, "bias_add")], x, initializer, regularizer, variables_collections, trainable
        )
        outputs = nn_ops.bias_add(x, biases)
        outputs = outputs if activation_fn is None else activation_fn(outputs)
        return collect_named_outputs(outputs_collections, at.original_name_scope, outputs)


def embed_sequence(
    ids: Any,
    vocab_size: int | None = None,
    embed_dim: int | None = None,
    unique: bool = False,
    initializer: Any = None,
    regularizer: Callable[..., Any] | None = None,
    trainable: bool = True,
    scope: Any = None,
    reuse: Any = None,
) -> Tensor:
    """Look up integers in a table: [batch, length] -> [batch, length, embed_dim]."""
    if not (reuse or (vocab_size and embed_dim)):
        raise ValueError(
            "Must specify vocab size and embedding dimension when not reusing. Got vocab_size="
            f"{vocab_size} and embed_dim={embed_dim}"
        )
    with variable_scope(scope, "EmbedSequence", [ids], reuse=reuse):
        shape = [vocab_size, embed_dim] if vocab_size and embed_dim else None
        table = model_variable(
            "embeddings", shape=shape, initializer=initializer, regularizer=regularizer, trainable=trainable
        )
        return nn_ops.embedding_lookup(table, ids)


# Repeated layers


def repeat(inputs: Any, repetitions: int, layer: Callable[..., Any], *args: Any, **kwargs: Any) -> Tensor:
    """Apply a layer repeatedly, in the scopes NAME/NAME_1, NAME/NAME_2..."""
    scope = kwargs.pop("scope", None)
    with variable_scope(scope, "Repeat", [inputs]):
        name = scope or getattr(layer, "__name__", None) or getattr(getattr(layer, "func", None), "__name__", "repeat")
        outputs = inputs
        for number in range(repetitions):
            outputs = layer(outputs, *args, **{**kwargs, "scope": f"{name}_{number + 1}"})
        return outputs


def stack(inputs: Any, layer: Callable[..., Any], stack_args: Sequence[Any], **kwargs: Any) -> Tensor:
    """Apply a layer once for each item of stack_args, in the scopes NAME/NAME_1, NAME/NAME_2..."""
    scope = kwargs.pop("scope", None)
    if not isinstance(stack_args, (list, tuple)):
        raise ValueError("stack_args need to be a list or tuple")
    with variable_scope(scope, "Stack", [inputs]):
        name = scope or getattr(layer, "__name__", None) or getattr(getattr(layer, "func", None), "__name__", "stack")
        outputs = inputs
        for number, args in enumerate(stack_args):
            given = args if isinstance(args, (list, tuple)) else [args]
            outputs = layer(outputs, *given, **{**kwargs, "scope": f"{name}_{number + 1}"})
        return outputs
