"""Writers of neural network operations."""

from __future__ import annotations

from typing import Any

from weftwork.graph.interchange.nodes import Inexpressible, Part
from weftwork.graph.interchange.writing import Node, writes

Written = tuple[list[Part], dict[str, Any]]


def _spaced(pair: Any) -> list[int]:
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


def _windows(node: Node) -> dict[str, Any]:
    attrs = {word: _spaced(node.attrs[word]) for word in ("strides", "dilations")}
    return {**attrs, **_padding(node.attrs["paddings"])}


@writes("Conv2D", "DepthwiseConv2dNative")
def _conv2d(node: Node) -> Written:
    return node.inputs(), _windows(node)


@writes("Conv2DTranspose")
def _transposed(node: Node) -> Written:
    x, filters, sizes = node.inputs()
    node.type = "Conv2DBackpropInput"
    return [sizes, filters, x], _windows(node)


@writes("MaxPool", "AvgPool")
def _pool(node: Node) -> Written:
    attrs = node.attrs
    padding = "SAME" if attrs["padding"] == "SAME" else "VALID"
    return node.inputs(), {"ksize": _spaced(attrs["sizes"]), "strides": _spaced(attrs["strides"]), "padding": padding}


@writes("BiasAdd")
def _bias(node: Node) -> Written:
    if node.op.inputs[1].raw_shape is not None and len(node.op.inputs[1].raw_shape) != 1:
        node.type = "Add"  # channels first: the bias already has the trailing axes
    return node.inputs(), {}


def _check_last(node: Node, axis: int) -> None:
    """Refuse any axis but the last, the only one of TensorFlow's softmax."""
    shape = node.op.inputs[0].raw_shape
    if axis != -1 and (shape is None or axis % len(shape) != len(shape) - 1):
        raise Inexpressible


@writes("Softmax", "LogSoftmax")
def _softmax(node: Node) -> Written:
    _check_last(node, node.attrs["axis"])
    return node.inputs(), {}


@writes("SoftmaxCrossEntropyWithLogits")
def _cross_entropy(node: Node) -> Written:
    _check_last(node, node.attrs["axis"])
    _check_matrix(node)
    return node.inputs(), {}


def _check_matrix(node: Node) -> None:
    shape = node.op.inputs[0].raw_shape
    if shape is not None and len(shape) != 2:
        raise Inexpressible


@writes("SparseSoftmaxCrossEntropyWithLogits")
def _sparse_cross_entropy(node: Node) -> Written:
    _check_matrix(node)
    return node.inputs(), {}


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
