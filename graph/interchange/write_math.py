"""Writers of mathematical operations: elementwise, along axes, products, random."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import static_value
from weftwork.graph.interchange.nodes import Inexpressible, Part
from weftwork.graph.interchange.writing import Node, plain, writes
from weftwork.graph.ops import random_ops

Written = tuple[list[Part], dict[str, Any]]
ZERO = np.array(0, np.int32)


@writes("Abs")
def _abs(node: Node) -> Written:
    if node.op.inputs[0].dtype.is_complex:
        node.type = "ComplexAbs"
    return plain(node)


@writes("Less", "LessEqual", "Greater", "GreaterEqual", "Equal", "NotEqual")
def _compared(node: Node) -> Written:
    inputs = node.inputs()
    if inputs[0].dtype is not inputs[1].dtype:
        if any(part.dtype.numpy.kind not in "biufc" for part in inputs):
            raise Inexpressible
        wanted = dtypes.as_dtype(np.result_type(*[part.dtype.numpy for part in inputs]))
        inputs = [node.as_type(part, wanted) for part in inputs]
    return inputs, {}


@writes("Cast")
def _cast_node(node: Node) -> Written:
    return node.inputs(), {"DstT": node.op.outputs[0].dtype}


@writes("Complex")
def _complex(node: Node) -> Written:
    return node.inputs(), {"Tout": node.op.outputs[0].dtype}


@writes("LeakyRelu")
def _leaky(node: Node) -> Written:
    slope = static_value(node.op.inputs[1])
    if slope is None:
        raise Inexpressible
    return node.inputs()[:1], {"alpha": float(slope)}


@writes("ClipByValue", "AddN", "SegmentSum", "SegmentProd", "SegmentMax", "SegmentMin", "FresnelCos", "FresnelSin")
def _as_it_is(node: Node) -> Written:
    return node.inputs(), {}


# Along axes


@writes("Sum", "Prod", "Mean", "Max", "Min", "Any", "All")
def _reduction(node: Node) -> Written:
    keep = {"keep_dims": bool(node.attrs.get("keepdims", False))}
    if len(node.op.inputs) == 2:
        return node.inputs(), keep
    return [*node.inputs(), node.axes("reduction_indices", node.attrs["axis"])], keep


@writes("ArgMax", "ArgMin")
def _extreme(node: Node) -> Written:
    attrs = {"output_type": node.op.outputs[0].dtype}
    if len(node.op.inputs) == 2:
        return node.inputs(), attrs
    return [*node.inputs(), node.constant("dimension", node.attrs["axis"])], attrs


@writes("Cumsum", "Cumprod", "CumulativeLogsumexp")
def _scan(node: Node) -> Written:
    attrs = {word: bool(node.attrs.get(word, False)) for word in ("exclusive", "reverse")}
    if len(node.op.inputs) == 2:
        return node.inputs(), attrs
    return [*node.inputs(), node.constant("axis", node.attrs["axis"])], attrs


@writes("UnsortedSegmentSum", "UnsortedSegmentProd", "UnsortedSegmentMax", "UnsortedSegmentMin")
def _unsorted_segment(node: Node) -> Written:
    inputs = node.inputs()
    if len(inputs) == 2:
        inputs.append(node.constant("num_segments", node.attrs["count"]))
    return inputs, {}


@writes("ReduceLogsumexp")
def _logsumexp(node: Node) -> Written:
    """log(sum(exp(x - top))) + top, with top the maximum if it is finite: TensorFlow has no single operation."""
    dtype = node.op.outputs[0].dtype.base_dtype
    if "axis" not in node.attrs or node.op.inputs[0].dtype.base_dtype is not dtype:
        raise Inexpressible
    keep = {"keep_dims": bool(node.attrs.get("keepdims", False))}
    x, axes = node.inputs()[0], node.axes("reduction_indices", node.attrs["axis"])
    shifted = node.helper("sub", "Sub", [x, _finite_max(node, x, axes, {"keep_dims": True}, dtype)], {}, dtype)
    total = node.helper("Sum", "Sum", [node.helper("Exp", "Exp", [shifted], {}, dtype), axes], keep, dtype)
    node.type = "Add"
    return [node.helper("Log", "Log", [total], {}, dtype), _finite_max(node, x, axes, keep, dtype)], {}


def _finite_max(node: Node, x: Part, axes: Part, keep: dict, dtype: Any) -> Part:
    top = node.helper("Max", "Max", [x, axes], keep, dtype)
    finite = node.helper("IsFinite", "IsFinite", [top], {}, dtypes.bool)
    nothing = node.helper("zeros_like", "ZerosLike", [top], {}, dtype)
    return node.helper("Select", "Select", [finite, top, nothing], {}, dtype)


# Products


@writes("MatMul")
def _matmul(node: Node) -> Written:
    flags = {key: True for key in node.attrs}
    if {"adjoint_a", "adjoint_b"} & set(flags) and node.op.outputs[0].dtype.is_complex:
        raise Inexpressible
    if any(t.raw_shape is not None and len(t.raw_shape) == 1 for t in node.op.inputs):
        return _with_vector(node)
    if any(t.raw_shape is not None and len(t.raw_shape) != 2 for t in node.op.inputs):
        raise Inexpressible
    transposes = {
        f"transpose_{side}": bool(flags.get(f"transpose_{side}") or flags.get(f"adjoint_{side}")) for side in "ab"
    }
    return node.inputs(), transposes


def _with_vector(node: Node) -> Written:
    """A vector is a row on the left, and a column on the right; the axis that this makes goes again."""
    dtype = node.op.outputs[0].dtype.base_dtype
    parts, gone = [], []
    for at, (part, t) in enumerate(zip(node.inputs(), node.op.inputs, strict=True)):
        single = t.raw_shape is not None and len(t.raw_shape) == 1
        wide = node.make("ExpandDims", part, np.array(at, np.int32)) if single else part
        parts.append(node.as_type(wide, dtype))
        gone += [at] if single else []
    if node.attrs or any(t.raw_shape is None or len(t.raw_shape) > 2 for t in node.op.inputs):
        raise Inexpressible
    node.type = "Squeeze"
    return [node.make("MatMul", *parts)], {"squeeze_dims": gone}


@writes("BatchMatMulV2")
def _batch_matmul(node: Node) -> Written:
    flags = node.attrs
    if any(t.raw_shape is None or len(t.raw_shape) < 2 for t in node.op.inputs):
        raise Inexpressible
    if ("transpose_a" in flags or "transpose_b" in flags) and node.op.outputs[0].dtype.is_complex:
        raise Inexpressible
    adj = {f"adj_{x}": bool(flags.get(f"transpose_{a}") or flags.get(f"adjoint_{a}")) for x, a in ("xa", "yb")}
    return node.inputs(), adj


# Random


def seeds(node: Node) -> dict[str, int]:
    seed = node.attrs.get("_seed")
    return {} if seed is None else {"seed": int(seed[0]), "seed2": int(seed[1])}


@writes("RandomUniform", "RandomStandardNormal", "TruncatedNormal")
def _drawn(node: Node) -> Written:
    """A draw, then scaling and shifting: TensorFlow draws only from the standard interval or distribution."""
    dtype = node.op.outputs[0].dtype.base_dtype
    attrs = {"dtype": dtype, **seeds(node)}
    if node.op.kernel is random_ops.drop_mask:
        size, rate = node.inputs()
        drawn = node.helper(
            "RandomUniform", "RandomUniform", [size], {**attrs, "dtype": dtypes.float32}, dtypes.float32
        )
        rate = node.as_type(rate, dtypes.float32)
        keep = node.helper("GreaterEqual", "GreaterEqual", [drawn, rate], {}, dtypes.bool)
        one = node.constant("one", 1, dtype)
        share = node.helper("sub", "Sub", [one, node.as_type(rate, dtype)], {}, dtype)
        node.type = "RealDiv"
        return [node.helper("mask", "Cast", [keep], {"DstT": dtype}, dtype), share], {}
    loc, scale = node.attrs["loc"], node.attrs["scale"]
    if loc == 0 and scale == 1:
        return node.inputs(), attrs
    drawn = node.helper(node.op.type, node.op.type, node.inputs(), attrs, dtype)
    scaled = node.helper("mul", "Mul", [drawn, node.constant("stddev", scale, dtype)], {}, dtype)
    node.type = "Add"
    return [scaled, node.constant("mean", loc, dtype)], {}


@writes("RandomShuffle")
def _shuffled(node: Node) -> Written:
    return node.inputs(), seeds(node)


@writes("CountNonzero")
def _count(node: Node) -> Written:
    x, dtype = node.inputs()[0], node.op.outputs[0].dtype.base_dtype
    if "axis" not in node.attrs or x.dtype.numpy.kind not in "biufcO":
        raise Inexpressible
    if x.dtype is not dtypes.bool:
        zero = b"" if x.dtype is dtypes.string else 0
        x = node.helper("NotEqual", "NotEqual", [x, node.constant("zero", zero, x.dtype)], {}, dtypes.bool)
    ones = node.helper("Cast", "Cast", [x], {"DstT": dtype}, dtype)
    node.type = "Sum"
    keep = {"keep_dims": bool(node.attrs.get("keepdims", False))}
    return [ones, node.axes("reduction_indices", node.attrs["axis"])], keep


@writes("Tensordot")
def _tensordot(node: Node) -> Written:
    """As an einsum, if the numbers of axes are known."""
    one, two = [t.raw_shape for t in node.op.inputs]
    if one is None or two is None:
        raise Inexpressible
    axes = node.attrs["axes"]
    left, right = axes if isinstance(axes, tuple) else (range(len(one) - axes, len(one)), range(axes))
    letters = "abcdefghijklmnopqrstuvwxyz"
    first, second = list(letters[: len(one)]), list(letters[len(one) : len(one) + len(two)])
    for a, b in zip(left, right, strict=True):
        second[b] = first[a]
    kept = [c for c in first if c not in second] + [c for c in second if c not in first]
    node.type = "Einsum"
    dtype = node.op.outputs[0].dtype.base_dtype
    inputs = [node.as_type(part, dtype) for part in node.inputs()]
    return inputs, {"equation": f"{''.join(first)},{''.join(second)}->{''.join(kept)}"}


@writes("Einsum")
def _einsum(node: Node) -> Written:
    return node.inputs(), {"equation": node.attrs["equation"]}


@writes("Norm")
def _norm(node: Node) -> Written:
    """Of vectors by sums of powers, of matrices by sums of rows or columns."""
    (x,), axes, order = node.inputs(), node.attrs["axes"], node.attrs["ord"]
    keep = {"keep_dims": bool(node.attrs["keepdims"])}
    of_matrices: Any = axes is not None and len(axes) == 2 and axes
    if of_matrices and order == 2:
        raise Inexpressible  # the largest singular value
    over = node.axes("reduction_indices", axes if axes is None else list(axes))
    if order == "fro" or (order == 2 and not x.dtype.is_complex):
        node.type = "Sqrt"
        return [node.make("Sum", node.make("Square", x), over, **keep)], {}
    sizes = node.make("ComplexAbs", x, Tout=x.dtype.real_dtype) if x.dtype.is_complex else node.make("Abs", x)
    if of_matrices:
        summed, largest = of_matrices if order == 1 else of_matrices[::-1]
        node.type = "Max"
        total = node.make("Sum", sizes, [summed], keep_dims=True)
        if keep["keep_dims"]:
            return [total, node.constant("axis", [largest])], keep
        rank = len(node.op.inputs[0].raw_shape or ())
        left = node.make("Max", total, [largest], keep_dims=True)
        node.type = "Squeeze"
        return [left], {"squeeze_dims": [axis % rank if rank else axis for axis in of_matrices]}
    if order in (1, np.inf):
        node.type = "Sum" if order == 1 else "Max"
        return [sizes, over], keep
    powers = node.make("Sum", node.make("Pow", sizes, float(order)), over, **keep)
    node.type = "Pow"
    return [powers, node.constant("one_over", 1 / order, powers.dtype)], {}


@writes("ReduceVariance", "ReduceStd")
def _variance(node: Node) -> Written:
    """The mean of squared distances from the mean, or its root."""
    (x,), keep = node.inputs(), {"keep_dims": bool(node.attrs.get("keepdims", False))}
    if x.dtype.is_complex:
        raise Inexpressible
    axes = node.axes("reduction_indices", node.attrs["axis"])
    squares = node.make("SquaredDifference", x, node.make("Mean", x, axes, keep_dims=True))
    if node.type == "ReduceVariance":
        node.type = "Mean"
        return [squares, axes], keep
    node.type = "Sqrt"
    return [node.make("Mean", squares, axes, **keep)], {}


# Limits


@writes("ClipByNorm")
def _clipped(node: Node) -> Written:
    """x * limit / max(norm, limit)."""
    x, limit = node.inputs()
    axes = node.attrs["axes"]
    total = node.make("Sum", node.make("Square", x), node.axes("axes", axes), keep_dims=True)
    positive = node.make("Greater", total, 0)
    safe = node.make("Select", positive, total, node.make("OnesLike", total))
    norm = node.make("Select", positive, node.make("Sqrt", safe), total)
    node.type = "RealDiv"
    return [node.make("Mul", x, limit), node.make("Maximum", norm, limit)], {}


@writes("GlobalNorm")
def _global_norm(node: Node) -> Written:
    halves = [node.make("L2Loss", part) for part in node.inputs()]
    node.type = "Sqrt"
    return [node.make("Mul", node.make("Sum", node.make("Pack", *halves), [0]), 2)], {}


@writes("ClipScale")
def _clip_scale(node: Node) -> Written:
    """limit * min(1 / norm, 1 / limit), not a number for an infinite norm."""
    norm, limit = node.inputs()
    one = node.make("OnesLike", norm)
    least = node.make("Minimum", node.make("RealDiv", one, norm), node.make("RealDiv", one, limit))
    node.type = "Add"
    return [node.make("Mul", limit, least), node.make("Sub", norm, norm)], {}


@writes("SaturateCast")
def _saturated(node: Node) -> Written:
    (x,), dtype = node.inputs(), node.op.outputs[0].dtype.base_dtype
    limits = [node.constant(word, node.attrs[word], x.dtype) for word in ("low", "high")]
    node.type = "Cast"
    return [node.make("ClipByValue", x, *limits)], {"DstT": dtype}


@writes("LogicalXor")
def _either(node: Node) -> Written:
    """One of both, and not both."""
    x, y = [node.as_type(part, dtypes.bool) for part in node.inputs()]
    node.type = "LogicalAnd"
    return [node.make("LogicalOr", x, y), node.make("LogicalNot", node.make("LogicalAnd", x, y))], {}


@writes("Logaddexp")
def _log_of_sum(node: Node) -> Written:
    """max(x, y) + log1p(exp(-|x - y|)), and the maximum where it is infinite."""
    x, y = node.inputs()
    most, least = node.make("Maximum", x, y), node.make("Minimum", x, y)
    apart = node.make("Sub", least, most)
    rest = node.make("Log1p", node.make("Exp", apart))
    node.type = "Select"
    return [node.make("IsFinite", most), node.make("Add", most, rest), most], {}


# Counting


@writes("Bincount")
def _bincount(node: Node) -> Written:
    """TensorFlow's takes the number of bins, and drops what is larger; an empty list of weights means ones."""
    (numbers, *weights), attrs = node.inputs(), node.attrs
    numbers = node.as_type(numbers, dtypes.int32)
    size = _one_above(node, numbers)
    if attrs["minlength"]:
        size = node.make("Maximum", size, attrs["minlength"])
    if attrs["maxlength"] is not None:
        size = node.make("Minimum", size, attrs["maxlength"])
    dtype = node.op.outputs[0].dtype.base_dtype
    given = weights[0] if weights else node.constant("weights", np.empty(0, dtype.numpy), dtype)
    return [numbers, size, given], {}


def _one_above(node: Node, numbers: Part) -> Part:
    """One more than the largest of the numbers, 0 for none."""
    flat = node.make("ConcatV2", node.make("Reshape", numbers, [-1]), node.constant("least", [-1], numbers.dtype), ZERO)
    return node.make("Add", node.make("Max", flat, [0]), 1)


@writes("HistogramBins")
def _bins(node: Node) -> Written:
    """floor((x - low) / (high - low) * bins), within the bins."""
    x, limits = node.inputs()
    count = node.attrs["count"]
    low, high = [node.make("StridedSlice", limits, [at], [at + 1], [1], shrink_axis_mask=1) for at in range(2)]
    share = node.make("RealDiv", *[node.as_type(node.make("Sub", part, low), dtypes.float64) for part in (x, high)])
    places = node.make("Floor", node.make("Mul", share, count))
    node.type = "Cast"
    return [node.make("ClipByValue", places, 0, count - 1)], {"DstT": node.op.outputs[0].dtype.base_dtype}


@writes("HistogramFixedWidth")
def _histogram(node: Node) -> Written:
    return [*node.inputs(), node.constant("nbins", node.attrs["count"])], {}


@writes("ConfusionMatrix")
def _confusion(node: Node) -> Written:
    """Ones, or weights, added at (label, prediction)."""
    labels, predictions, *weights = node.inputs()
    classes, dtype = node.attrs["classes"], node.op.outputs[0].dtype.base_dtype
    places = node.make("Pack", *[node.as_type(part, dtypes.int64) for part in (labels, predictions)], axis=1)
    if classes is None:
        size = _one_above(node, places)
        shape = node.make("Pack", size, size)
    else:
        shape = node.constant("shape", [classes, classes], dtypes.int64)
    ones = node.make("OnesLike", node.make("Cast", labels, DstT=dtype))
    node.type = "ScatterNd"
    return [places, node.as_type(weights[0], dtype) if weights else ones, shape], {}
