"""Readers of mathematical operations: elementwise, along axes, products, random, and neural networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph.build import elementwise, static_value
from weftwork.graph.interchange.given import READERS, Given, read_by, reads
from weftwork.graph.nn import convolutions, cross_entropies, windows
from weftwork.graph.nn import ops as nn
from weftwork.graph.ops import array_ops, clipping, conversion, linalg_ops, math_ops, products, random_ops, reductions
from weftwork.graph.ops.filling import ones, zeros


def _truncated(x: Any, y: Any, name: str) -> Any:
    """x / y rounded towards zero, also for floats."""
    if x.dtype.is_integer:
        return math_ops.truncatediv(x, y, name=name)
    return elementwise(np.trunc, math_ops.realdiv(x, y), name=name)


read_by(
    {
        "Abs": math_ops.abs,
        "ComplexAbs": math_ops.abs,
        "Neg": math_ops.negative,
        "Sign": math_ops.sign,
        "Square": math_ops.square,
        "Sqrt": math_ops.sqrt,
        "Rsqrt": math_ops.rsqrt,
        "Reciprocal": math_ops.reciprocal,
        "Inv": math_ops.reciprocal,
        "Exp": math_ops.exp,
        "Expm1": math_ops.expm1,
        "Log": math_ops.log,
        "Log1p": math_ops.log1p,
        "Sin": math_ops.sin,
        "Cos": math_ops.cos,
        "Tan": math_ops.tan,
        "Asin": math_ops.asin,
        "Acos": math_ops.acos,
        "Atan": math_ops.atan,
        "Sinh": math_ops.sinh,
        "Cosh": math_ops.cosh,
        "Tanh": math_ops.tanh,
        "Asinh": math_ops.asinh,
        "Acosh": math_ops.acosh,
        "Atanh": math_ops.atanh,
        "Sigmoid": math_ops.sigmoid,
        "Erf": math_ops.erf,
        "Erfc": math_ops.erfc,
        "Lgamma": math_ops.lgamma,
        "Digamma": math_ops.digamma,
        "Floor": math_ops.floor,
        "Ceil": math_ops.ceil,
        "Round": math_ops.round,
        "Rint": math_ops.rint,
        "IsNan": math_ops.is_nan,
        "IsInf": math_ops.is_inf,
        "IsFinite": math_ops.is_finite,
        "LogicalNot": math_ops.logical_not,
        "Conj": math_ops.conj,
        "Relu": nn.relu,
        "Relu6": nn.relu6,
        "Elu": nn.elu,
        "Selu": nn.selu,
        "Softplus": nn.softplus,
        "Softsign": nn.softsign,
        "Softmax": nn.softmax,
        "LogSoftmax": nn.log_softmax,
        "L2Loss": nn.l2_loss,
        "Add": math_ops.add,
        "AddV2": math_ops.add,
        "Sub": math_ops.subtract,
        "Mul": math_ops.multiply,
        "RealDiv": math_ops.realdiv,
        "Div": math_ops.div,
        "TruncateDiv": _truncated,
        "FloorDiv": math_ops.floordiv,
        "FloorMod": math_ops.mod,
        "Mod": math_ops.truncatemod,
        "TruncateMod": math_ops.truncatemod,
        "Pow": math_ops.pow,
        "Maximum": math_ops.maximum,
        "Minimum": math_ops.minimum,
        "SquaredDifference": math_ops.squared_difference,
        "Atan2": math_ops.atan2,
        "DivNoNan": math_ops.div_no_nan,
        "Igamma": math_ops.igamma,
        "Igammac": math_ops.igammac,
        "Zeta": math_ops.zeta,
        "Equal": math_ops.equal,
        "NotEqual": math_ops.not_equal,
        "Less": math_ops.less,
        "LessEqual": math_ops.less_equal,
        "Greater": math_ops.greater,
        "GreaterEqual": math_ops.greater_equal,
        "LogicalAnd": math_ops.logical_and,
        "LogicalOr": math_ops.logical_or,
        "Complex": math_ops.complex,
        "Real": math_ops.real,
        "Imag": math_ops.imag,
        "Angle": math_ops.angle,
        "ClipByValue": clipping.clip_by_value,
        "Cross": products.cross,
        "MatrixDeterminant": linalg_ops.det,
        "InTopKV2": nn.in_top_k,
        "SegmentSum": reductions.segment_sum,
        "SegmentProd": reductions.segment_prod,
        "SegmentMax": reductions.segment_max,
        "SegmentMin": reductions.segment_min,
        "SegmentMean": reductions.segment_mean,
        "UnsortedSegmentSum": reductions.unsorted_segment_sum,
        "UnsortedSegmentProd": reductions.unsorted_segment_prod,
        "UnsortedSegmentMax": reductions.unsorted_segment_max,
        "UnsortedSegmentMin": reductions.unsorted_segment_min,
    }
)


@reads("InTopK")
def _in_top_k(given: Given) -> Any:
    predictions, targets = given.inputs
    return nn.in_top_k(predictions, targets, given["k"], name=given.name)


def _reduction(function: Callable) -> Callable[[Given], Any]:
    def read(given: Given) -> Any:
        x, axis = given.inputs
        if given["keep_dims"]:
            return function(x, _axes(axis), keepdims=True, name=given.name)
        return function(x, _axes(axis), name=given.name)

    return read


def _axes(axis: Any) -> Any:
    known = static_value(axis)
    return axis if known is None else np.asarray(known).tolist()


for _type, _function in {
    "Sum": reductions.reduce_sum,
    "Prod": reductions.reduce_prod,
    "Mean": reductions.reduce_mean,
    "Max": reductions.reduce_max,
    "Min": reductions.reduce_min,
    "Any": reductions.reduce_any,
    "All": reductions.reduce_all,
}.items():
    READERS[_type] = _reduction(_function)


@reads("ArgMax", "ArgMin")
def _extreme(given: Given) -> Any:
    function = reductions.argmax if given.type == "ArgMax" else reductions.argmin
    return function(*given.inputs, name=given.name, output_type=given["output_type"])


_SCANS = {
    "Cumsum": reductions.cumsum, "Cumprod": reductions.cumprod, "CumulativeLogsumexp": reductions.cumulative_logsumexp,
}  # fmt: skip


@reads(*_SCANS)
def _scan(given: Given) -> Any:
    function = _SCANS[given.type]
    return function(*given.inputs, exclusive=given["exclusive"], reverse=given["reverse"], name=given.name)


@reads("AddN", "AccumulateNV2")
def _add_n(given: Given) -> Any:
    return math_ops.add_n(given.inputs, name=given.name)


@reads("Cast")
def _cast(given: Given) -> Any:
    return conversion.cast(given.inputs[0], given["DstT"], name=given.name)


@reads("LeakyRelu")
def _leaky(given: Given) -> Any:
    return nn.leaky_relu(given.inputs[0], given["alpha"], name=given.name)


@reads("BiasAdd", "BiasAddV1")
def _bias(given: Given) -> Any:
    return nn.bias_add(*given.inputs, data_format=given.attrs.get("data_format"), name=given.name)


@reads("MatMul")
def _matmul(given: Given) -> Any:
    transposes = {f"transpose_{side}": given[f"transpose_{side}"] for side in "ab"}
    return products.matmul(*given.inputs, **transposes, name=given.name)


@reads("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
def _batch_matmul(given: Given) -> Any:
    return products.matmul(*given.inputs, adjoint_a=given["adj_x"], adjoint_b=given["adj_y"], name=given.name)


@reads("Einsum")
def _einsum(given: Given) -> Any:
    return products.einsum(given["equation"], *given.inputs, name=given.name)


@reads("MatrixInverse")
def _inverse(given: Given) -> Any:
    return linalg_ops.inv(given.inputs[0], adjoint=given["adjoint"], name=given.name)


@reads("Cholesky")
def _cholesky(given: Given) -> Any:
    return linalg_ops.cholesky(given.inputs[0], name=given.name)


# Neural networks


def _format(given: Given) -> None:
    if given.attrs.get("data_format", "NHWC") != "NHWC":
        raise ValueError(f"Only the data format NHWC is supported on a CPU, but got {given['data_format']!r}")


def _padding(given: Given) -> Any:
    if given["padding"] != "EXPLICIT":
        return given["padding"]
    flat = given["explicit_paddings"]
    return [[flat[at], flat[at + 1]] for at in range(0, 8, 2)]


@reads("Conv2D")
def _conv2d(given: Given) -> Any:
    _format(given)
    return windows.conv2d(
        *given.inputs, strides=given["strides"], padding=_padding(given), dilations=given["dilations"], name=given.name
    )


@reads("DepthwiseConv2dNative")
def _depthwise(given: Given) -> Any:
    _format(given)
    return convolutions.depthwise_conv2d(
        *given.inputs, strides=given["strides"], padding=_padding(given), dilations=given["dilations"], name=given.name
    )


@reads("Conv2DBackpropInput")
def _conv2d_transpose(given: Given) -> Any:
    _format(given)
    sizes, filters, value = given.inputs
    return convolutions.conv2d_transpose(
        value, filters, sizes, given["strides"], _padding(given), name=given.name, dilations=given["dilations"]
    )


@reads("MaxPool", "AvgPool")
def _pool(given: Given) -> Any:
    _format(given)
    function = windows.max_pool if given.type == "MaxPool" else windows.avg_pool
    return function(given.inputs[0], given["ksize"], given["strides"], given["padding"], name=given.name)


@reads("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
def _batch_norm(given: Given) -> Any:
    """(y, mean, variance ...) for images, normalized by the given statistics, or by the batch's in training."""
    _format(given)
    x, scale, offset, mean, variance = given.inputs
    kind = scale.dtype.base_dtype
    values = conversion.cast(x, kind)
    if given["is_training"]:
        mean, variance = nn.moments(values, [0, 1, 2])
    y = nn.batch_normalization(values, mean, variance, offset, scale, given["epsilon"])
    y = conversion.cast(y, x.dtype)
    if given["is_training"]:
        count = math_ops.cast(array_ops.size(x) // array_ops.size(mean), kind)
        variance = variance * (count / math_ops.maximum(count - 1, 1))
    return [y, mean, variance, mean, variance, mean][: len(given.outputs)]


@reads("LRN")
def _lrn(given: Given) -> Any:
    words = ("depth_radius", "bias", "alpha", "beta")
    return convolutions.lrn(*given.inputs, **{word: given[word] for word in words}, name=given.name)


@reads("SoftmaxCrossEntropyWithLogits")
def _cross_entropy(given: Given) -> Any:
    logits, labels = given.inputs
    loss = cross_entropies.softmax_cross_entropy_with_logits_v2(labels, logits, name=given.name)
    return [loss, nn.softmax(logits) - labels]


@reads("SparseSoftmaxCrossEntropyWithLogits")
def _sparse_cross_entropy(given: Given) -> Any:
    logits, labels = given.inputs
    loss = cross_entropies.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits, name=given.name)
    classes = array_ops.shape(logits)[-1]
    return [loss, nn.softmax(logits) - _one_hot(labels, classes, logits.dtype)]


def _one_hot(labels: Any, classes: Any, dtype: Any) -> Any:
    places = math_ops.range(conversion.cast(classes, labels.dtype))
    return conversion.cast(math_ops.equal(array_ops.expand_dims(labels, -1), places), dtype)


@reads("TopKV2")
def _top_k(given: Given) -> Any:
    return list(nn.top_k(*given.inputs, name=given.name))


@reads("TopK")
def _old_top_k(given: Given) -> Any:
    return list(nn.top_k(given.inputs[0], given["k"], name=given.name))


# Random


def seed_of(given: Given) -> int | None:
    return given["seed2"] or given["seed"] or None


@reads("RandomUniform", "RandomStandardNormal", "TruncatedNormal")
def _drawn(given: Given) -> Any:
    functions = {
        "RandomUniform": random_ops.random_uniform,
        "RandomStandardNormal": random_ops.random_normal,
        "TruncatedNormal": random_ops.truncated_normal,
    }
    return functions[given.type](given.inputs[0], dtype=given["dtype"], seed=seed_of(given), name=given.name)


@reads("RandomUniformInt")
def _integers(given: Given) -> Any:
    shape, low, high = given.inputs
    return random_ops.random_uniform(shape, low, high, given["Tout"], seed=seed_of(given), name=given.name)


@reads("RandomShuffle")
def _shuffled(given: Given) -> Any:
    return random_ops.random_shuffle(given.inputs[0], seed=seed_of(given), name=given.name)


@reads("Multinomial")
def _multinomial(given: Given) -> Any:
    logits, count = given.inputs
    result = random_ops.multinomial(logits, count, seed=seed_of(given), name=given.name)
    return conversion.cast(result, given["output_dtype"])


@reads("ZerosLike", "OnesLike")
def _like(given: Given) -> Any:
    shape, dtype = array_ops.shape(given.inputs[0]), given.inputs[0].dtype.base_dtype
    return (ones if given.type == "OnesLike" else zeros)(shape, dtype, name=given.name)
