"""Writers of derivatives and of the updates of variables, as the operations of which they are composed."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.interchange.nodes import Inexpressible, Part
from weftwork.graph.interchange.read_training import filter_grad, pool_grad
from weftwork.graph.interchange.write_nn import spaced, windows
from weftwork.graph.interchange.writing import Node, writes
from weftwork.graph.kernels import arrays, indices

Written = tuple[list[Part], dict[str, Any]]
ZERO = np.array(0, np.int32)


def _shape(node: Node, number: int) -> Part:
    """The shape of an input: a constant, if it is known."""
    known = node.op.inputs[number].raw_shape
    if known is not None and None not in known:
        return node.constant("shape", list(known))
    return node.make("Shape", node.inputs()[number])


# Broadcasts and reductions


@writes("SumLike")
def _sum_like(node: Node) -> Written:
    """Summed over the axes along which an input was broadcast."""
    grad, _ = node.inputs()
    shape = _shape(node, 1)
    axes = node.make("BroadcastGradientArgs", node.make("Shape", grad), shape)
    node.type = "Reshape"
    return [node.make("Sum", grad, Part(f"{axes.name}:1", axes.dtype)), shape], {}


@writes("SumAxes")
def _sum_axes(node: Node) -> Written:
    """Summed over the first axes, and then over others that are kept."""
    (grad,), lead, ones = node.inputs(), node.attrs["lead"], list(node.attrs["ones"])
    if lead and ones:
        grad = node.make("Sum", grad, list(range(lead)))
    node.type = "Sum"
    return [grad, node.constant("axis", ones or list(range(lead)))], {"keep_dims": bool(ones)}


@writes("BroadcastLike", "ReshapeLike")
def _like(node: Node) -> Written:
    grad, _ = node.inputs()
    node.type = "BroadcastTo" if node.type == "BroadcastLike" else "Reshape"
    return [grad, _shape(node, 1)], {}


@writes("Spread")
def _spread(node: Node) -> Written:
    """The gradient of a reduction at each position; of a mean, divided by the number of elements."""
    attrs = node.attrs
    grad, *rest = node.inputs()
    if len(rest) == 2:
        raise Inexpressible
    known = node.op.outputs[0].raw_shape
    axis = attrs["axis"]
    axes = None if axis is None else [axis] if isinstance(axis, int) else list(axis)
    shape = _shape(node, 1) if rest else node.constant("shape", list(attrs["shape"]))
    rank = None if known is None else len(known)
    if axes is not None and rank is None:
        raise Inexpressible
    reduced = None if axes is None else {a % rank for a in axes}  # type: ignore[operator]
    if attrs["mean"]:
        sizes = shape if reduced is None else node.make("GatherV2", shape, sorted(reduced), ZERO)
        count = node.make("Maximum", node.make("Prod", sizes, [0]), 1)
        grad = node.make("RealDiv", grad, node.as_type(count, grad.dtype))
    if not attrs["keepdims"] and rank is not None:
        if reduced is None or len(reduced) == rank:
            grad = node.make("Reshape", grad, [1] * rank)
        else:
            ones = node.make("OnesLike", shape)
            kept = np.array([a not in reduced for a in range(rank)])
            grad = node.make("Reshape", grad, node.make("Select", kept, shape, ones))
    node.type = "BroadcastTo"
    return [grad, shape], {}


@writes("LossShape")
def _loss_shape(node: Node) -> Written:
    """Zeros of the shape of a loss."""
    logits = node.inputs()[0]
    if node.attrs["axis"] not in (None, -1):
        raise Inexpressible
    rows = node.make("StridedSlice", node.make("Shape", logits), [0], [-1], [1], begin_mask=1)
    node.type = "Fill"
    return [rows, node.constant("zero", 0, logits.dtype)], {}


@writes("SparseSoftmaxGrad")
def _sparse_softmax_grad(node: Node) -> Written:
    """grad (softmax(logits) - 1 at the label)."""
    grad, logits, labels = node.inputs()
    sizes = node.make("Shape", logits)
    classes = node.make("StridedSlice", sizes, [-1], [0], [1], end_mask=1, shrink_axis_mask=1)
    on, off = [node.constant(word, value, logits.dtype) for word, value in (("on", 1), ("off", 0))]
    wrong = node.make("Sub", node.make("Softmax", logits), node.make("OneHot", labels, classes, on, off))
    node.type = "Mul"
    return [node.make("ExpandDims", grad, np.array(-1, np.int32)), wrong], {}


# Selected rows


@writes("GatherKept")
def _gather_kept(node: Node) -> Written:
    """Rows, and zeros where an index is out of range."""
    x, ids = node.inputs()
    size = node.make("StridedSlice", node.make("Shape", x), [0], [1], [1], shrink_axis_mask=1)
    last = node.as_type(node.make("Sub", size, 1), ids.dtype)
    inside = node.make("LogicalAnd", node.make("GreaterEqual", ids, 0), node.make("LessEqual", ids, last))
    rows = node.make("GatherV2", x, node.make("ClipByValue", ids, node.constant("zero", 0, ids.dtype), last), ZERO)
    shape, outer = node.op.outputs[0].raw_shape, node.op.inputs[1].raw_shape
    if shape is None or outer is None:
        raise Inexpressible
    for _ in range(len(shape) - len(outer)):
        inside = node.make("ExpandDims", inside, np.array(-1, np.int32))
    node.type = "SelectV2"
    return [inside, rows, node.make("ZerosLike", rows)], {}


@writes("DenseRows")
def _dense_rows(node: Node) -> Written:
    """Rows added at their places in zeros."""
    rows, ids, *_ = node.inputs()
    shape = _shape(node, 2) if len(node.op.inputs) > 2 else node.constant("shape", list(node.attrs["shape"]))
    size = node.make("StridedSlice", shape, [0], [1], [1], shrink_axis_mask=1)
    node.type = "UnsortedSegmentSum"
    return [rows, ids, size], {}


@writes("SumRows")
def _sum_rows(node: Node) -> Written:
    """The distinct indices, and the sum of the rows of each."""
    indices, rows = node.inputs()
    found = node.make("Unique", node.make("Reshape", indices, [-1]))
    places = Part(f"{found.name}:1", dtypes.int32)
    node.type, node.made = "UnsortedSegmentSum", [found, Part(node.op.name, rows.dtype)]
    return [rows, places, node.make("Size", found)], {}


# Activations and windows


@writes("ReluGrad", "Relu6Grad")
def _gate(node: Node) -> Written:
    return node.inputs(), {}


@writes("LeakyReluGrad")
def _leaky(node: Node) -> Written:
    grad, x, slope = node.inputs()
    node.type = "SelectV2"
    return [node.make("Greater", x, 0), grad, node.make("Mul", grad, slope)], {}


@writes("Conv2DBackpropInput", "DepthwiseConv2dNativeBackpropInput")
def _for_input(node: Node) -> Written:
    grad, _, filters = node.inputs()
    return [_shape(node, 1), filters, grad], windows(node)


@writes("Conv2DBackpropFilter", "DepthwiseConv2dNativeBackpropFilter")
def _for_filter(node: Node) -> Written:
    if node.op.kernel is filter_grad:  # it has been read, and has TensorFlow's inputs
        return node.inputs(), windows(node)
    grad, x, _ = node.inputs()
    return [x, _shape(node, 2), grad], windows(node)


def _pool(node: Node) -> dict[str, Any]:
    attrs = node.attrs
    padding = "SAME" if attrs["padding"] == "SAME" else "VALID"
    return {"ksize": spaced(attrs["sizes"]), "strides": spaced(attrs["strides"]), "padding": padding}


@writes("MaxPoolGrad")
def _max_pool(node: Node) -> Written:
    if node.op.kernel is pool_grad:
        return node.inputs(), _pool(node)
    grad, x, y = node.inputs()
    return [x, y, grad], _pool(node)


@writes("AvgPoolGrad")
def _avg_pool(node: Node) -> Written:
    return [_shape(node, 1), node.inputs()[0]], _pool(node)


@writes("SqrtGrad")
def _of_result(node: Node) -> Written:
    grad, y = node.inputs()
    return [y, grad], {}


@writes("SplitLike")
def _split(node: Node) -> Written:
    """Split into parts of these sizes."""
    grad, *parts = node.inputs()
    if "axis" not in node.attrs:
        raise Inexpressible
    axis = node.attrs["axis"]
    ends = ([axis], [0], [1]) if axis == -1 else ([axis], [axis + 1], [1])
    masks = {"shrink_axis_mask": 1, "end_mask": 1 if axis == -1 else 0}
    sizes = [node.make("StridedSlice", _shape(node, at), *ends, **masks) for at in range(1, len(parts) + 1)]
    node.type = "SplitV"
    return [grad, node.make("Pack", *sizes), node.constant("axis", axis)], {"num_split": len(parts)}


@writes("MatrixDiagPartGrad")
def _diagonal(node: Node) -> Written:
    grad, x = node.inputs()
    node.type = "MatrixSetDiag"
    return [node.make("ZerosLike", x), grad], {}


@writes("Unpick")
def _unpicked(node: Node) -> Written:
    """Added where elements were taken from."""
    grad, _, *rest = node.inputs()
    function, options = node.attrs["function"], dict(node.attrs["options"])
    node.type = "ScatterNd"
    if function is indices.gather_nd:
        places = rest[0]
        return [places, grad, node.as_type(_shape(node, 1), places.dtype)], {}
    if function is arrays.boolean_mask and options.get("axis") == 0:
        return [node.make("Where", rest[0]), grad, node.as_type(_shape(node, 1), dtypes.int64)], {}
    raise Inexpressible
