"""Writers of neural network operations."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.interchange.nodes import Inexpressible, Part
from weftwork.graph.interchange.writing import Node, writes

Written = tuple[list[Part], dict[str, Any]]


def spaced(pair: Any) -> list[int]:
    """(height, width) as one number for each axis of NHWC."""
    return [1, int(pair[0]), int(pair[1]), 1]


def _padding(paddings: Any) -> dict[str, Any]:
    """The padding of height and width as attributes."""
    if paddings == ("SAME", "SAME"):
        return {"padding": "SAME"}
    if paddings == ((0, 0), (0, 0)):
        return {"padding": "VALID"}
    if "SAME" in paddings:
        raise Inexpressible
    return {"padding": "EXPLICIT", "explicit_paddings": [0, 0, *paddings[0], *paddings[1], 0, 0]}


def windows(node: Node) -> dict[str, Any]:
    attrs = {word: spaced(node.attrs[word]) for word in ("strides", "dilations")}
    return {**attrs, **_padding(node.attrs["paddings"])}


@writes("Conv2D", "DepthwiseConv2dNative")
def _conv2d(node: Node) -> Written:
    return node.inputs(), windows(node)


@writes("Conv2DTranspose")
def _transposed(node: Node) -> Written:
    x, filters, sizes = node.inputs()
    node.type = "Conv2DBackpropInput"
    return [sizes, filters, x], windows(node)


@writes("MaxPool", "AvgPool")
def _pool(node: Node) -> Written:
    attrs = node.attrs
    padding = "SAME" if attrs["padding"] == "SAME" else "VALID"
    return node.inputs(), {"ksize": spaced(attrs["sizes"]), "strides": spaced(attrs["strides"]), "padding": padding}


@writes("BiasAdd")
def _bias(node: Node) -> Written:
    if node.op.inputs[1].raw_shape is not None and len(node.op.inputs[1].raw_shape) != 1:
        node.type = "Add"  # channels first: the bias already has the trailing axes
    return node.inputs(), {}


def _exchange(node: Node, axis: int) -> list[int] | None:
    """The order of axes that brings this one to the last place, and back; None if it is there."""
    shape = node.op.inputs[0].raw_shape
    if axis == -1 or (shape is not None and axis % len(shape) == len(shape) - 1):
        return None
    if shape is None:
        raise Inexpressible
    order = list(range(len(shape)))
    order[axis], order[-1] = order[-1], order[axis]
    return order


@writes("Softmax", "LogSoftmax")
def _softmax(node: Node) -> Written:
    order = _exchange(node, node.attrs["axis"])
    if order is None:
        return node.inputs(), {}
    kind, node.type = node.type, "Transpose"
    result = node.make(kind, node.make("Transpose", *node.inputs(), order))
    return [result, node.constant("perm", order)], {}


@writes("SoftmaxCrossEntropyWithLogits", "SparseSoftmaxCrossEntropyWithLogits")
def _cross_entropy(node: Node) -> Written:
    """Of matrices. Other ranks become matrices, and the losses take the shape that is left."""
    logits, labels = node.inputs()
    sparse = node.type.startswith("Sparse")
    order = None if sparse else _exchange(node, node.attrs["axis"])
    if order is not None:
        logits, labels = [node.make("Transpose", part, order) for part in (logits, labels)]
    shape = node.op.inputs[0].raw_shape
    if shape is None or len(shape) == 2:
        return [logits, labels], {}
    sizes = node.make("Shape", logits)
    last = node.make("StridedSlice", sizes, [-1], [0], [1], end_mask=1)
    wide = node.make("ConcatV2", node.constant("rows", [-1]), last, np.array(0, np.int32))
    labels = node.make("Reshape", labels, [-1] if sparse else wide)
    kind, node.type = node.type, "Reshape"
    rows = node.make("StridedSlice", sizes, [0], [-1], [1], begin_mask=1)
    return [node.make(kind, node.make("Reshape", logits, wide), labels), rows], {}


@writes("WeightedCrossEntropyWithLogits")
def _weighted(node: Node) -> Written:
    """(1 - z) x + l (log1p(exp(-|x|)) + max(-x, 0)), where l = 1 + (q - 1) z."""
    x, z, q = node.inputs()
    dtype = node.op.outputs[0].dtype.base_dtype
    if {part.dtype for part in (x, z, q)} != {dtype}:
        raise Inexpressible
    weight = node.make("Add", node.make("Mul", node.make("Sub", q, 1), z), 1)
    rest = node.make("Log1p", node.make("Exp", node.make("Neg", node.make("Abs", x))))
    sum = node.make("Add", rest, node.make("Relu", node.make("Neg", x)))
    one = node.constant("one", 1, dtype)
    node.type = "Add"
    return [node.make("Mul", node.make("Sub", one, z), x), node.make("Mul", weight, sum)], {}


@writes("EmbeddingLookup")
def _embedded(node: Node) -> Written:
    """Each part looks up its ids, and the rows are put together again."""
    ids, *parts = node.inputs()
    if not node.attrs["by_mod"]:
        raise Inexpressible
    flat = node.make("Reshape", ids, [-1])
    size = node.constant("parts", len(parts), ids.dtype)
    places, rows = node.make("FloorMod", flat, size), node.make("FloorDiv", flat, size)
    numbers = node.make("Range", node.constant("start", 0), node.make("Size", flat), node.constant("delta", 1))
    of = node.as_type(places, dtypes.int32)
    rows, numbers = [node.make("DynamicPartition", part, of, num_partitions=len(parts)) for part in (rows, numbers)]

    def share(whole: Part, at: int) -> Part:
        return Part(f"{whole.name}:{at}" if at else whole.name, whole.dtype)

    found = [node.make("GatherV2", part, share(rows, at), np.array(0, np.int32)) for at, part in enumerate(parts)]
    row = node.make("StridedSlice", node.make("Shape", parts[0]), [1], [0], [1], end_mask=1)
    shape = node.make("ConcatV2", node.make("Shape", ids), row, np.array(0, np.int32))
    node.type = "Reshape"
    return [node.make("DynamicStitch", *[share(numbers, at) for at in range(len(parts))], *found), shape], {}


@writes("SigmoidCrossEntropyWithLogits")
def _logistic(node: Node) -> Written:
    """max(x, 0) - x z + log1p(exp(-|x|)), the composition that TensorFlow uses, too."""
    x, z = node.inputs()
    dtype = node.op.outputs[0].dtype.base_dtype
    if (x.dtype, z.dtype) != (dtype, dtype):
        raise Inexpressible
    top = node.helper("Relu", "Relu", [x], {}, dtype)
    product = node.helper("mul", "Mul", [x, z], {}, dtype)
    size = node.helper("Neg", "Neg", [node.helper("Abs", "Abs", [x], {}, dtype)], {}, dtype)
    rest = node.helper("Log1p", "Log1p", [node.helper("Exp", "Exp", [size], {}, dtype)], {}, dtype)
    node.type = "Add"
    return [node.helper("sub", "Sub", [top, product], {}, dtype), rest], {}


@writes("TopKV2")
def _top_k(node: Node) -> Written:
    return node.inputs(), {"sorted": True}
