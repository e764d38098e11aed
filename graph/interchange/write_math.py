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


@writes("Abs")
def _abs(node: Node) -> Written:
    if node.op.inputs[0].dtype.is_complex:
        node.type = "ComplexAbs"
    return plain(node)


@writes("RealDiv", "Mul", "Sub", "Add", "AddV2", "Maximum", "Minimum", "Pow", "FloorDiv", "FloorMod")
def _same_types(node: Node) -> Written:
    """Operands of different dtypes are promoted here, but must be cast for TensorFlow."""
    wanted = node.op.outputs[0].dtype.base_dtype
    inputs = [_cast(node, part, wanted, f"Cast_{number}") for number, part in enumerate(node.inputs())]
    return inputs, {}


def _cast(node: Node, part: Part, dtype: Any, name: str) -> Part:
    if part.dtype is dtype:
        return part
    return node.helper(name, "Cast", [part], {"SrcT": part.dtype, "DstT": dtype}, dtype)


@writes("Less", "LessEqual", "Greater", "GreaterEqual", "Equal", "NotEqual")
def _compared(node: Node) -> Written:
    inputs = node.inputs()
    if inputs[0].dtype is not inputs[1].dtype:
        if any(part.dtype.numpy.kind not in "biufc" for part in inputs):
            raise Inexpressible
        wanted = dtypes.as_dtype(np.result_type(*[part.dtype.numpy for part in inputs]))
        inputs = [_cast(node, part, wanted, f"Cast_{number}") for number, part in enumerate(inputs)]
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


@writes("Cumsum", "Cumprod")
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
    if any(t.raw_shape is not None and len(t.raw_shape) != 2 for t in node.op.inputs):
        raise Inexpressible
    inputs = [_cast(node, part, node.op.outputs[0].dtype.base_dtype, "Cast") for part in node.inputs()]
    transposes = {
        f"transpose_{side}": bool(flags.get(f"transpose_{side}") or flags.get(f"adjoint_{side}")) for side in "ab"
    }
    return inputs, transposes


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


def _seeds(node: Node) -> dict[str, int]:
    seed = node.attrs.get("_seed")
    return {} if seed is None else {"seed": int(seed[0]), "seed2": int(seed[1])}


@writes("RandomUniform", "RandomStandardNormal", "TruncatedNormal")
def _drawn(node: Node) -> Written:
    """A draw, then scaling and shifting: TensorFlow draws only from the standard interval or distribution."""
    dtype = node.op.outputs[0].dtype.base_dtype
    attrs = {"dtype": dtype, **_seeds(node)}
    if node.op.kernel is random_ops.drop_mask:
        size, rate = node.inputs()
        drawn = node.helper(
            "RandomUniform", "RandomUniform", [size], {**attrs, "dtype": dtypes.float32}, dtypes.float32
        )
        rate = _cast(node, rate, dtypes.float32, "rate")
        keep = node.helper("GreaterEqual", "GreaterEqual", [drawn, rate], {}, dtypes.bool)
        one = node.constant("one", 1, dtype)
        share = node.helper("sub", "Sub", [one, _cast(node, rate, dtype, "Cast")], {}, dtype)
        node.type = "RealDiv"
        return [node.helper("mask", "Cast", [keep], {"DstT": dtype}, dtype), share], {}
    loc, scale = node.attrs["loc"], node.attrs["scale"]
    if loc == 0 and scale == 1:
        return node.inputs(), attrs
    drawn = node.helper(node.op.type, node.op.type, node.inputs(), attrs, dtype)
    scaled = node.helper("mul", "Mul", [drawn, node.constant("stddev", scale, dtype)], {}, dtype)
    node.type = "Add"
    return [scaled, node.constant("mean", loc, dtype)], {}


@writes("RandomUniformInt")
def _integers(node: Node) -> Written:
    return node.inputs(), _seeds(node)


@writes("RandomShuffle")
def _shuffled(node: Node) -> Written:
    return node.inputs(), _seeds(node)


@writes("CountNonzero")
def _count(node: Node) -> Written:
    x, dtype = node.inputs()[0], node.op.outputs[0].dtype.base_dtype
    if "axis" not in node.attrs or x.dtype.numpy.kind not in "biufc":
        raise Inexpressible
    if x.dtype is not dtypes.bool:
        x = node.helper("NotEqual", "NotEqual", [x, node.constant("zero", 0, x.dtype)], {}, dtypes.bool)
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
    inputs = [_cast(node, part, dtype, f"Cast_{number}") for number, part in enumerate(node.inputs())]
    return inputs, {"equation": f"{''.join(first)},{''.join(second)}->{''.join(kept)}"}


@writes("Einsum")
def _einsum(node: Node) -> Written:
    return node.inputs(), {"equation": node.attrs["equation"]}


@writes("Norm")
def _norm(node: Node) -> Written:
    """The length of vectors: the square root of the sum of squares."""
    x, dtype, axes = node.inputs()[0], node.op.outputs[0].dtype.base_dtype, node.attrs["axes"]
    if node.attrs["ord"] != 2 or x.dtype is not dtype or (axes is not None and len(axes) != 1):
        raise Inexpressible
    squares = node.helper("Square", "Square", [x], {}, dtype)
    keep = {"keep_dims": bool(node.attrs["keepdims"])}
    node.type = "Sqrt"
    return [node.helper("Sum", "Sum", [squares, node.axes("reduction_indices", axes)], keep, dtype)], {}
