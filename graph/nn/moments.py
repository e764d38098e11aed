"""Weighted moments, batch normalization from given statistics, and losses for counts."""

from __future__ import annotations

import math
from typing import Any

from weftwork.graph import dtypes
from weftwork.graph.build import convert_to_tensor
from weftwork.graph.nn.ops import batch_normalization, moments, relu, sigmoid
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.scopes import name_scope


def weighted_moments(
    x: Any,
    axes: Any,
    frequency_weights: Any,
    name: str | None = None,
    keep_dims: bool | None = None,
    keepdims: bool | None = None,
) -> tuple[Tensor, Tensor]:
    """(mean, variance) over axes, where each element counts as often as its weight, which broadcasts.

    frequency_weights: a tensor that broadcasts to x.
    """
    keep = bool(keepdims or keep_dims)
    with name_scope(name, "weighted_moments", [x, frequency_weights]):
        x = convert_to_tensor(x)
        weights = math_ops.cast(convert_to_tensor(frequency_weights), x.dtype)
        weights = weights + array_ops.zeros_like(x)
        total = math_ops.reduce_sum(weights, axes, keepdims=True)
        mean = math_ops.reduce_sum(weights * x, axes, keepdims=True) / total
        variance = math_ops.reduce_sum(weights * math_ops.squared_difference(x, mean), axes, keepdims=True) / total
        if keep:
            return mean, variance
        return tuple([math_ops.reduce_sum(part, axes) for part in (mean, variance)])  # type: ignore[return-value]


def sufficient_statistics(
    x: Any,
    axes: Any,
    shift: Any = None,
    keep_dims: bool | None = None,
    name: str | None = None,
    keepdims: bool | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """(count, sum, sum of squares, shift) of x - shift over axes, the input of `normalize_moments`."""
    keep = bool(keepdims or keep_dims)
    axes = list({*axes}) if isinstance(axes, (list, tuple)) else [axes]
    with name_scope(name, "sufficient_statistics", [x, shift]):
        x = convert_to_tensor(x)
        dims = x.shape.as_list() if x.shape.ndims is not None else None
        if dims is not None and None not in [dims[axis] for axis in axes]:
            count = convert_to_tensor(math.prod([dims[axis] for axis in axes]), x.dtype)
        else:
            sizes = array_ops.gather(array_ops.shape(x), axes)
            count = math_ops.cast(math_ops.reduce_prod(sizes), x.dtype)
        if shift is None:
            return (
                count,
                math_ops.reduce_sum(x, axes, keepdims=keep, name="mean_ss"),
                math_ops.reduce_sum(math_ops.square(x), axes, keepdims=keep, name="var_ss"),
                None,
            )
        shift = convert_to_tensor(shift, x.dtype)
        total = math_ops.reduce_sum(x - shift, axes, keepdims=keep, name="mean_ss")
        squares = math_ops.reduce_sum(math_ops.squared_difference(x, shift), axes, keepdims=keep, name="var_ss")
        return count, total, squares, shift


def normalize_moments(
    counts: Any, mean_ss: Any, variance_ss: Any, shift: Any, name: str | None = None
) -> tuple[Tensor, Tensor]:
    """(mean, variance) from `sufficient_statistics`.

    counts, mean_ss, variance_ss, shift: the count, the sum, the sum of squares and the shift that it returned.
    """
    with name_scope(name, "normalize", [counts, mean_ss, variance_ss, shift]):
        divisor = math_ops.reciprocal(convert_to_tensor(counts))
        shifted = math_ops.multiply(mean_ss, divisor, name="mean" if shift is None else "shifted_mean")
        mean = shifted if shift is None else math_ops.add(shifted, shift, name="mean")
        return mean, math_ops.subtract(variance_ss * divisor, math_ops.square(shifted), name="variance")


def fused_batch_norm(
    x: Any,
    scale: Any,
    offset: Any,
    mean: Any = None,
    variance: Any = None,
    epsilon: float = 0.001,
    data_format: str = "NHWC",
    is_training: bool = True,
    name: str | None = None,
    exponential_avg_factor: float = 1.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """(images normalized channel by channel, mean, unbiased variance). Only the images get gradients.

    is_training: normalize by the batch's own moments, else by the given mean and variance (ValueError without them).
    exponential_avg_factor: the weight of the batch's moments in the returned ones; the rest is from the given ones.
    scale, offset: float vectors [channels].
    """
    if data_format not in ("NHWC", "NCHW"):
        raise ValueError(f"data_format must be NHWC or NCHW, not {data_format!r}")
    if not is_training and (mean is None or variance is None):
        raise ValueError("Both 'mean' and 'variance' must be a 1D tensor when is_training is False")
    with name_scope(name, "FusedBatchNorm", [x, scale, offset]):
        x = convert_to_tensor(x)
        channels_last = array_ops.transpose(x, [0, 2, 3, 1]) if data_format == "NCHW" else x
        if is_training:
            batch_mean, batch_variance = moments(channels_last, [0, 1, 2])
            result = batch_normalization(channels_last, batch_mean, batch_variance, offset, scale, epsilon)
            count = math_ops.cast(array_ops.size(channels_last), x.dtype) / math_ops.cast(
                array_ops.shape(channels_last)[3], x.dtype
            )
            unbiased = batch_variance * (count / math_ops.maximum(count - 1.0, 1.0))
            found = [batch_mean, unbiased]
            if exponential_avg_factor != 1.0 and mean is not None:
                rest = 1.0 - exponential_avg_factor
                found = [
                    old * rest + new * exponential_avg_factor for old, new in zip((mean, variance), found, strict=True)
                ]
        else:
            found = [convert_to_tensor(mean), convert_to_tensor(variance)]
            result = batch_normalization(channels_last, found[0], found[1], offset, scale, epsilon)
        result = array_ops.transpose(result, [0, 3, 1, 2]) if data_format == "NCHW" else result
        mean, variance = (array_ops.stop_gradient(part) for part in found)
        return result, mean, variance


def batch_norm_with_global_normalization(
    t: Any = None,
    m: Any = None,
    v: Any = None,
    beta: Any = None,
    gamma: Any = None,
    variance_epsilon: float | None = None,
    scale_after_normalization: bool | None = None,
    name: str | None = None,
    input: Any = None,
    mean: Any = None,
    variance: Any = None,
) -> Tensor:
    """`batch_normalization` under its oldest name; gamma is used only if scale_after_normalization.

    t: the tensor.   m, v, beta, gamma: the mean, the variance, the offset and the scale, each [channels].
    """
    x, mean, variance = (b if a is None else a for a, b in ((t, input), (m, mean), (v, variance)))
    scale = gamma if scale_after_normalization else None
    return batch_normalization(x, mean, variance, beta, scale, variance_epsilon, name)


def log_poisson_loss(targets: Any, log_input: Any, compute_full_loss: bool = False, name: str | None = None) -> Tensor:
    """exp(c) - targets c, for the log c of a prediction: the negative log-likelihood of a Poisson distribution.

    compute_full_loss: add Stirling's approximation of log(targets!).
    log_input: float tensor, the logarithm of the prediction.
    """
    with name_scope(name, "log_poisson_loss", [log_input, targets]):
        c, z = convert_to_tensor(log_input), convert_to_tensor(targets)
        loss = math_ops.exp(c) - c * z
        if compute_full_loss:
            stirling = z * math_ops.log(z) - z + 0.5 * math_ops.log(2.0 * math.pi * z)
            small = math_ops.logical_and(math_ops.greater_equal(z, 0.0), math_ops.less_equal(z, 1.0))
            loss = loss + array_ops.where_v2(small, array_ops.zeros_like(z), stirling)
        return loss


def relu_layer(x: Any, weights: Any, biases: Any, name: str | None = None) -> Tensor:
    """relu(x weights + biases)."""
    with name_scope(name, "relu_layer", [x, weights, biases]) as scope:
        return relu(math_ops.matmul(x, weights) + biases, name=scope)


def swish(features: Any, beta: Any = 1.0) -> Tensor:
    """x sigmoid(beta x)."""
    x = convert_to_tensor(features)
    return x * sigmoid(x * beta if beta != 1.0 else x)


silu = swish


def scale_regularization_loss(regularization_loss: Any) -> Tensor:
    """The loss unchanged: there is only one replica.

    regularization_loss: a float tensor.
    """
    return convert_to_tensor(regularization_loss, dtypes.float32 if isinstance(regularization_loss, float) else None)
