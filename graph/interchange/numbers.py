"""Readers and writers of operations on numbers: bits, products with a defined zero, counts, quantization, drawing."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.interchange.given import Given, known, read_by, reads
from weftwork.graph.interchange.nodes import Inexpressible, Part
from weftwork.graph.interchange.read_math import seed_of
from weftwork.graph.interchange.write_math import seeds
from weftwork.graph.interchange.writing import Node, writes
from weftwork.graph.ops import math_ops, quantized, random_ops, reductions, special, stateless

Written = tuple[list[Part], dict[str, Any]]

read_by({"BitwiseAnd": special.bitwise_and, "BitwiseOr": special.bitwise_or, "BitwiseXor": special.bitwise_xor})
read_by({"LeftShift": special.left_shift, "RightShift": special.right_shift, "Invert": special.invert})
read_by({"Xlogy": special.xlogy, "Xdivy": special.xdivy, "MulNoNan": special.multiply_no_nan})
read_by({"Betainc": special.betainc, "Polygamma": special.polygamma})


@reads("ApproximateEqual")
def _nearly(given: Given) -> Any:
    x, y = given.inputs
    return math_ops.less(math_ops.abs(x - y), given["tolerance"], name=given.name)


@reads("Bincount")
def _bincount(given: Given) -> Any:
    numbers, size, weights = given.inputs
    counted = weights.raw_shape is not None and 0 in weights.raw_shape
    return reductions.bincount(
        numbers, None if counted else weights, size, size, dtype=weights.dtype.base_dtype, name=given.name
    )


@reads("HistogramFixedWidth")
def _histogram(given: Given) -> Any:
    values, limits, bins = given.inputs
    (count,) = known([bins], "a number of bins", "is")
    return special.histogram_fixed_width(values, limits, int(count), given.outputs[0], name=given.name)


_STEPS = {"num_bits": "num_bits", "narrow_range": "narrow_range"}
read_by({"FakeQuantWithMinMaxVars": special.fake_quant_with_min_max_vars}, **_STEPS)
read_by({"FakeQuantWithMinMaxVarsPerChannel": special.fake_quant_with_min_max_vars_per_channel}, **_STEPS)
read_by({"FakeQuantWithMinMaxArgs": special.fake_quant_with_min_max_args}, **_STEPS, min="min", max="max")
read_by({"FakeQuantWithMinMaxVarsGradient": special.fake_quant_with_min_max_vars_gradient}, **_STEPS)


@writes("FakeQuantWithMinMaxVars")
def _write_quantized(node: Node) -> Written:
    low = node.op.inputs[1].raw_shape
    if low is None:
        raise Inexpressible
    if low:
        node.type = "FakeQuantWithMinMaxVarsPerChannel"
    return node.inputs(), {"num_bits": node.attrs["bits"], "narrow_range": node.attrs["narrow"]}


_RANGE = {"signed_input": "signed_input", "range_given": "range_given", "narrow_range": "narrow_range"}


@reads("QuantizeAndDequantizeV2", "QuantizeAndDequantizeV3")
def _quantized(given: Given) -> Any:
    words = {word: given[word] for word in _RANGE}
    if given.type == "QuantizeAndDequantizeV2":
        words |= {"num_bits": given["num_bits"], "round_mode": given["round_mode"]}
    else:
        words["num_bits"] = given.inputs[3]
    axis = given.attrs.get("axis", -1)
    axis = None if axis == -1 else axis
    return quantized.quantize_and_dequantize(*given.inputs[:3], **words, name=given.name, axis=axis)


@writes("QuantizeAndDequantizeV3")
def _write_rounded(node: Node) -> Written:
    attrs, shape = node.attrs, node.op.inputs[0].raw_shape
    if attrs["up"] or (attrs["axis"] is not None and shape is None):
        raise Inexpressible
    axis = -1 if attrs["axis"] is None else attrs["axis"] % len(shape or ())
    words = {"signed_input": attrs["signed"], "range_given": attrs["given"], "narrow_range": attrs["narrow"]}
    return node.inputs(), {**words, "axis": axis}


# Drawing


@reads("RandomGamma")
def _gamma(given: Given) -> Any:
    size, alpha = given.inputs
    return random_ops.random_gamma(size, alpha, dtype=alpha.dtype.base_dtype, seed=seed_of(given), name=given.name)


@reads("RandomPoissonV2")
def _poisson(given: Given) -> Any:
    size, rate = given.inputs
    return random_ops.random_poisson(rate, size, given["dtype"], seed=seed_of(given), name=given.name)


@reads("RandomCrop")
def _crop(given: Given) -> Any:
    return random_ops.random_crop(*given.inputs, seed=seed_of(given), name=given.name)


_STATELESS = {
    "StatelessRandomUniform": stateless.stateless_random_uniform,
    "StatelessRandomNormal": stateless.stateless_random_normal,
    "StatelessTruncatedNormal": stateless.stateless_truncated_normal,
}


@reads(*_STATELESS)
def _stateless(given: Given) -> Any:
    return _STATELESS[given.type](*given.inputs, dtype=given["dtype"], name=given.name)


@reads("StatelessRandomUniformInt")
def _stateless_integers(given: Given) -> Any:
    return stateless.stateless_random_uniform(*given.inputs, dtype=given.outputs[0], name=given.name)


read_by({"StatelessMultinomial": stateless.stateless_multinomial}, output_dtype="output_dtype")


@writes("RandomGamma")
def _write_gamma(node: Node) -> Written:
    """TensorFlow's has a rate of 1. Its zeros become the tiniest number."""
    size, alpha, beta = node.inputs()
    dtype = node.op.outputs[0].dtype.base_dtype
    drawn = node.make("RandomGamma", size, node.make("Add", alpha, node.make("ZerosLike", beta)), **seeds(node))
    node.type = "Maximum"
    least = node.constant("least", np.finfo(dtype.numpy).tiny, dtype)
    return [node.make("RealDiv", drawn, beta), least], {}


@writes("RandomPoissonV2", "Multinomial")
def _write_poisson(node: Node) -> Written:
    inputs = node.inputs()
    if node.type == "Multinomial":
        inputs[1] = node.as_type(inputs[1], dtypes.int32)
    return inputs, seeds(node)


@writes("RandomUniformInt")
def _write_integers(node: Node) -> Written:
    if node.op.kernel is not random_ops.crop_offset:
        return node.inputs(), seeds(node)
    whole, part = node.inputs()  # a crop's offset: each below the space that is left
    space = node.make("Add", node.make("Sub", whole, part), 1)
    most = node.constant("most", np.iinfo(np.int32).max)
    drawn = node.make("RandomUniformInt", node.make("Shape", space), node.constant("least", 0), most, **seeds(node))
    node.type = "FloorMod"
    return [drawn, space], {}


@writes("StatelessRandomUniform", "StatelessRandomNormal", "StatelessTruncatedNormal")
@writes("StatelessRandomUniformInt", "StatelessMultinomial")
def _write_stateless(node: Node) -> Written:
    key, *inputs = node.inputs()
    if node.type == "StatelessMultinomial":
        return [inputs[0], node.as_type(inputs[1], dtypes.int32), key], {}
    return [inputs[0], key, *inputs[1:]], {}
