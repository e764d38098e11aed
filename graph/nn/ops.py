"""Neural network operations: the functions of `tf.nn` as nodes over the kernels of `nn`.

Functions that can be expressed by other operations are compositions (`moments`, `batch_normalization`, `dropout`, ...);
the others are one node each. Floating-point arguments keep their dtype.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.arguments import axis_or_dim, check_axis, check_equal, common_dtype, of_dtype, of_kind
from weftwork.graph.build import apply, convert_to_tensor, convert_together, static_value
from weftwork.graph.kernels import indices as kernels_indices
from weftwork.graph.kernels import nn as kernels
from weftwork.graph.nn.cross_entropies import (
    sigmoid_cross_entropy_with_logits,
    softmax_cross_entropy_with_logits,
    softmax_cross_entropy_with_logits_v2,
    sparse_softmax_cross_entropy_with_logits,
    weighted_cross_entropy_with_logits,
)
from weftwork.graph.nn.windows import avg_pool, conv2d, max_pool
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops, random_ops
from weftwork.graph.scopes import name_scope
from weftwork.graph.variables.partitioned import PartitionedVariable

__all__ = [
    "TopK",
    "avg_pool",
    "batch_normalization",
    "bias_add",
    "conv2d",
    "dropout",
    "elu",
    "embedding_lookup",
    "in_top_k",
    "l2_loss",
    "l2_normalize",
    "leaky_relu",
    "log_softmax",
    "max_pool",
    "moments",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "sigmoid_cross_entropy_with_logits",
    "softmax",
    "softmax_cross_entropy_with_logits",
    "softmax_cross_entropy_with_logits_v2",
    "softplus",
    "softsign",
    "sparse_softmax_cross_entropy_with_logits",
    "tanh",
    "top_k",
    "weighted_cross_entropy_with_logits",
    "xw_plus_b",
]

TopK = namedtuple("TopK", ["values", "indices"])
TopK.__doc__ = "The result of `top_k`: the largest values, and their int32 positions along the last axis."

sigmoid = math_ops.sigmoid
tanh = math_ops.tanh

# Activations


def relu(features: Any, name: str | None = None) -> Tensor:
    """max(features, 0), for any real dtype."""
    x = convert_to_tensor(features)
    of_kind(x, "features", "biuf")
    return apply(kernels.relu, [x], type="Relu", name=name, dtype=x.dtype, shape=x.raw_shape)


def relu6(features: Any, name: str | None = None) -> Tensor:
    """min(max(features, 0), 6), for any real dtype."""
    x = convert_to_tensor(features)
    of_kind(x, "features", "biuf")
    return apply(kernels.relu6, [x], type="Relu6", name=name, dtype=x.dtype, shape=x.raw_shape)


def leaky_relu(features: Any, alpha: Any = 0.2, name: str | None = None) -> Tensor:
    """features where positive, else alpha * features; integers become float32."""
    x = convert_to_tensor(features)
    of_kind(x, "features", "iuf")
    with name_scope(name, "LeakyRelu", [x]) as scope:
        if x.dtype.numpy.kind in "iu":
            x = math_ops.cast(x, dtypes.float32)
        x, slope = convert_together([x, alpha])
        return apply(kernels.leaky_relu, [x, slope], type="LeakyRelu", name=scope, dtype=x.dtype, shape=x.raw_shape)


def elu(features: Any, name: str | None = None) -> Tensor:
    """features where positive, else exp(features) - 1 (arXiv:1511.07289). Takes floats."""
    return _activation(kernels.elu, "Elu", features, name)


def selu(features: Any, name: str | None = None) -> Tensor:
    """Scaled exponential linear: scale * elu with slope alpha (arXiv:1706.02515). Takes floats."""
    return _activation(kernels.selu, "Selu", features, name)


def softplus(features: Any, name: str | None = None) -> Tensor:
    """log(1 + exp(features)). Takes floats."""
    return _activation(kernels.softplus, "Softplus", features, name)


def softsign(features: Any, name: str | None = None) -> Tensor:
    """features / (1 + |features|). Takes floats."""
    return _activation(kernels.softsign, "Softsign", features, name)


def softmax(logits: Any, axis: int | None = None, name: str | None = None, dim: int | None = None) -> Tensor:
    """exp(logits) / sum(exp(logits)) along `axis` (the last; `dim` is its old name). Takes floats of rank 1 or more."""
    return _along_axis(kernels.softmax, "Softmax", logits, axis_or_dim(axis, dim), name)


def log_softmax(logits: Any, axis: int | None = None, name: str | None = None, dim: int | None = None) -> Tensor:
    """logits - log(sum(exp(logits))) along `axis` (the last; `dim` is its old name). Takes floats of rank 1 or more."""
    return _along_axis(kernels.log_softmax, "LogSoftmax", logits, axis_or_dim(axis, dim), name)


def _activation(kernel: Callable, kind: str, features: Any, name: str | None) -> Tensor:
    x = of_dtype(features, "features")
    return apply(kernel, [x], type=kind, name=name, dtype=x.dtype, shape=x.raw_shape)


def _along_axis(kernel: Callable, kind: str, logits: Any, axis: int, name: str | None) -> Tensor:
    x = of_dtype(logits, "logits")
    check_axis(axis, x.raw_shape)
    return apply(kernel, [x], {"axis": axis}, type=kind, name=name, dtype=x.dtype, shape=x.raw_shape)


# Regularization and normalization


def dropout(
    x: Any,
    keep_prob: Any = None,
    noise_shape: Any = None,
    seed: int | None = None,
    name: str | None = None,
    rate: Any = None,
) -> Tensor:
    """Set each element of `x` to zero with probability `rate` (1 - keep_prob), and scale the others by 1 / (1 - rate).

    noise_shape: broadcasts to the shape of `x`; along an axis of size 1, elements are kept or dropped together.
    Source: jmlr.org/papers/v15/srivastava14a.html.
    Raises ValueError for a rate outside [0, 1), or an `x` that is not floating.
    """
    rate = _drop_rate(rate, keep_prob)
    with name_scope(name, "dropout", [x, rate]) as scope:
        x = convert_to_tensor(x, name="x")
        if x.dtype.numpy.kind != "f":
            raise ValueError(
                "x has to be a floating point tensor since it's going to be scaled. "
                f"Got a {x.dtype.name} tensor instead."
            )
        if not isinstance(rate, Tensor) and rate == 0:
            return x
        if noise_shape is None:
            noise_shape = x.raw_shape if shapes.is_full(x.raw_shape) else array_ops.shape(x)
        mask = random_ops.dropout_mask(noise_shape, rate, x.dtype, seed)
        return math_ops.multiply(x, mask, name=scope)


def _drop_rate(rate: Any, keep_prob: Any) -> Any:
    if keep_prob is not None:
        if rate is not None:
            raise ValueError("Cannot specify both 'rate' and 'keep_prob'")
        try:
            rate = 1.0 - keep_prob
        except TypeError:
            raise ValueError(f"keep_prob must be a floating point number or Tensor (got {keep_prob!r})") from None
    if rate is None:
        raise ValueError("You must provide a rate to dropout.")
    if isinstance(rate, (int, float, np.number)) and not 0 <= rate < 1:
        raise ValueError(f"rate must be a scalar tensor or a float in the range [0, 1), got {rate:g}")
    return rate


def bias_add(value: Any, bias: Any, data_format: str | None = None, name: str | None = None) -> Tensor:
    """`value` plus the vector `bias`, one element for each channel: the last axis, or axis 1 for "NCHW".

    Raises ValueError if `bias` is not a vector of that length.
    """
    if data_format not in (None, "NHWC", "NCHW", "N...C", "NC..."):
        raise ValueError("data_format must be of the form `N...C` or `NC...`")
    first = data_format in ("NCHW", "NC...")
    with name_scope(name, "BiasAdd", [value, bias]) as scope:
        value, bias = convert_together([value, bias])
        of_kind(value, "value", "biufc")
        if bias.raw_shape is not None and len(bias.raw_shape) != 1:
            raise ValueError(f"Shape must be rank 1 but is rank {len(bias.raw_shape)} for {scope[:-1]!r}, input bias.")
        if value.raw_shape is not None and len(value.raw_shape) < 2:
            rank = len(value.raw_shape)
            raise ValueError(f"Shape must be at least rank 2 but is rank {rank} for {scope[:-1]!r}, input value.")
        result = value.raw_shape
        if value.raw_shape is not None and bias.raw_shape is not None:
            at = 1 if first else len(value.raw_shape) - 1
            check_equal(value.raw_shape[at], bias.raw_shape[0], scope[:-1])
            if value.raw_shape[at] is None:
                result = (*value.raw_shape[:at], bias.raw_shape[0], *value.raw_shape[at + 1 :])
        if first:
            rank = value.shape.ndims
            if rank is None:
                raise ValueError("The rank of `value` must be known for channels-first data.")
            bias = array_ops.reshape(bias, [-1] + [1] * (rank - 2))
        fits = value.raw_shape is not None and bias.raw_shape is not None and bias.raw_shape[0] is not None
        kernel = np.add if first or (fits and value.raw_shape[-1] is not None) else kernels.add_bias  # type: ignore[index]
        dtype = common_dtype(value, bias)
        return apply(kernel, [value, bias], type="BiasAdd", name=scope, dtype=dtype, shape=result)


def xw_plus_b(x: Any, weights: Any, biases: Any, name: str | None = None) -> Tensor:
    """matmul(x, weights) + biases.  x: [batch, in].  weights: [in, out].  biases: [out]."""
    with name_scope(name, "xw_plus_b", [x, weights, biases]) as scope:
        return bias_add(math_ops.matmul(x, weights), biases, name=scope)


def l2_loss(t: Any, name: str | None = None) -> Tensor:
    """sum(t ** 2) / 2, a scalar. Takes floats."""
    t = of_dtype(t, "t")
    return apply(kernels.l2_loss, [t], type="L2Loss", name=name, dtype=t.dtype, shape=())


def l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, name: str | None = None, dim: Any = None) -> Tensor:
    """x / sqrt(max(sum(|x|^2), epsilon)), summed over `axis`: one, several, or None for all (old name: `dim`)."""
    with name_scope(name, "l2_normalize", [x]) as scope:
        x = convert_to_tensor(x, name="x")
        squares = math_ops.square(math_ops.abs(x) if x.dtype.is_complex else x)
        square_sum = math_ops.reduce_sum(squares, axis_or_dim(axis, dim, None), keepdims=True)
        factor = math_ops.rsqrt(math_ops.maximum(square_sum, epsilon))
        return math_ops.multiply(x, math_ops.cast(factor, x.dtype) if x.dtype.is_complex else factor, name=scope)


def moments(
    x: Any,
    axes: Any,
    shift: Any = None,
    name: str | None = None,
    keep_dims: bool | None = None,
    keepdims: bool | None = None,
) -> tuple[Tensor, Tensor]:
    """(mean, variance) of `x` over `axes`: mean(x), mean((x - mean) ** 2). `shift` is ignored, as in TensorFlow 1.

    float16 is computed in float32. Raises ValueError for both keep_dims and keepdims.
    """
    if keep_dims is not None and keepdims is not None:
        raise ValueError("Cannot specify both 'keep_dims' and 'keepdims'")
    with name_scope(name, "moments", [x]):
        x = convert_to_tensor(x, name="x")
        y = math_ops.cast(x, dtypes.float32) if x.dtype.base_dtype is dtypes.float16 else x
        mean = math_ops.reduce_mean(y, axes, keepdims=True, name="mean")
        variance = math_ops.reduce_mean(math_ops.squared_difference(y, mean), axes, keepdims=True, name="variance")
        if not (keep_dims or keepdims):
            axes = None if axes is None else [int(axis) for axis in np.atleast_1d(axes)]
            mean, variance = array_ops.squeeze(mean, axes), array_ops.squeeze(variance, axes)
        if y is not x:
            mean, variance = math_ops.cast(mean, x.dtype), math_ops.cast(variance, x.dtype)
        return mean, variance


def batch_normalization(
    x: Any,
    mean: Any,
    variance: Any,
    offset: Any,
    scale: Any,
    variance_epsilon: Any,
    name: str | None = None,
) -> Tensor:
    """scale * (x - mean) / sqrt(variance + variance_epsilon) + offset; offset and scale may be None.

    Source: arXiv:1502.03167, algorithm 1. The statistics broadcast against `x`.
    """
    with name_scope(name, "batchnorm", [x, mean, variance, scale, offset]):
        x, mean, variance = convert_together([x, mean, variance])
        factor = math_ops.rsqrt(math_ops.add(variance, variance_epsilon))
        if scale is not None:
            factor = math_ops.multiply(factor, scale)
        bias = math_ops.negative(math_ops.multiply(mean, factor))
        if offset is not None:
            bias = math_ops.add(offset, bias)
        return math_ops.add(math_ops.multiply(x, factor), bias)


# Selecting


def embedding_lookup(
    params: Any,
    ids: Any,
    partition_strategy: str = "mod",
    name: str | None = None,
    validate_indices: bool = True,
    max_norm: float | None = None,
) -> Tensor:
    """The rows `ids` of `params`, a table or a list of its parts.  ids: integers of any shape.

    An id out of range raises InvalidArgumentError at run time, also in the gradient.

    partition_strategy: id i is in part i % n ("mod"), or the parts hold consecutive ids ("div").
    max_norm: scale longer rows down to this length.
    validate_indices: accepted as in TensorFlow; ids are always checked.
    """
    if params is None or (isinstance(params, (list, tuple)) and not params):
        raise ValueError("Need at least one param.")
    if partition_strategy not in ("mod", "div"):
        raise ValueError("Unrecognized partition strategy: " + partition_strategy)
    parts = list(params) if isinstance(params, (list, tuple, PartitionedVariable)) else [params]
    with name_scope(name, "embedding_lookup", [*parts, ids]) as scope:
        result = "Identity" if len(parts) == 1 else None
        parts = [convert_to_tensor(part) for part in parts]
        ids = convert_to_tensor(ids, name="ids")
        if len(parts) == 1:
            rows = array_ops.gather(parts[0], ids, name=result if max_norm is None else scope)
        else:
            row = parts[0].raw_shape
            shape = None if row is None or ids.raw_shape is None else (*ids.raw_shape, *row[1:])
            attrs = {"by_mod": partition_strategy == "mod"}
            rows = apply(
                kernels_indices.embedded, [ids, *parts], attrs, type="EmbeddingLookup", name=scope,
                dtype=parts[0].dtype, shape=shape,
            )  # fmt: skip
        if max_norm is None:
            return rows
        known = ids.raw_shape is not None and rows.raw_shape is not None
        first, last = ((len(t.raw_shape) if known else array_ops.rank(t)) for t in (ids, rows))  # type: ignore[arg-type]
        axes = list(range(first, last)) if known else math_ops.range(first, last)
        norm = math_ops.sqrt(math_ops.reduce_sum(math_ops.square(rows), axes, keepdims=True))
        return math_ops.divide(math_ops.multiply(rows, max_norm), math_ops.maximum(norm, max_norm), name=result)


def top_k(input: Any, k: Any = 1, sorted: bool = True, name: str | None = None) -> TopK:
    """(values, indices) of the k largest elements along the last axis, descending; among equals the first comes first.

    indices: int32. Raises ValueError if k is negative, or the axis is known to be shorter.
    sorted: accepted as in TensorFlow; the values are always in order.
    """
    with name_scope(name, "TopKV2", [input, k]) as scope:
        x = convert_to_tensor(input, name="input")
        k = convert_to_tensor(k, dtypes.int32 if not isinstance(k, Tensor) else None, name="k")
        of_kind(x, "input", "biuf")
        of_kind(k, "k", "iu")
        count, shape = static_value(k), x.raw_shape
        if count is not None and count < 0:
            raise ValueError(
                f"Dimension size, given by scalar input 1, must be non-negative but is {count} for 'TopKV2'"
            )
        if shape is not None:
            if not shape:
                raise ValueError("Shape must be at least rank 1 but is rank 0 for 'TopKV2'")
            if count is not None and shape[-1] is not None and count > shape[-1]:
                raise ValueError(f"input must have last dimension >= k = {count} but is {shape[-1]}")
            shape = (*shape[:-1], None if count is None else int(count))
        outputs = [(x.dtype, shape), (dtypes.int32, shape)]
        return TopK(*apply(kernels.top_k, [x, k], type="TopKV2", name=scope, outputs=outputs))


def in_top_k(predictions: Any, targets: Any, k: Any, name: str | None = None) -> Tensor:
    """Whether each target is among the k highest predicted classes; ties count as in.

    predictions: [batch, classes].  targets: integers [batch].  Returns bool [batch], False for non-finite predictions.
    Raises TypeError for targets that are no integers.
    """
    with name_scope(name, "in_top_k", [predictions, targets, k]) as scope:
        predictions = convert_to_tensor(predictions)
        targets = convert_to_tensor(targets)
        k = convert_to_tensor(k)
        for word, tensor, kinds in (("predictions", predictions, "biuf"), ("targets", targets, "iu"), ("k", k, "iu")):
            of_kind(tensor, word, kinds)
        for tensor, rank in ((predictions, 2), (targets, 1)):
            tensor.shape.with_rank(rank)
        if predictions.raw_shape and targets.raw_shape:
            check_equal(predictions.raw_shape[0], targets.raw_shape[0], scope[:-1])
        shape = targets.raw_shape or (predictions.raw_shape and predictions.raw_shape[:1])
        inputs = [predictions, targets, k]
        return apply(kernels.in_top_k, inputs, type="InTopKV2", name=name, dtype=dtypes.bool, shape=shape)
