"""Simulated quantization for training: values are rounded to those that an integer of few bits can represent."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import apply, convert_to_tensor
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.operation import Tensor


def quantize_and_dequantize(
    input: Any, input_min: Any, input_max: Any, signed_input: bool = True, num_bits: Any = 8, range_given: bool = False,
    round_mode: str = "HALF_TO_EVEN", name: str | None = None, narrow_range: bool = False, axis: int | None = None,
) -> Tensor:  # fmt: skip
    """Round values to the steps of an integer of num_bits whose range contains all of them. The gradient is 1.

    input: a tensor of floats.   input_min, input_max: the range, if range_given; otherwise the range of the values
    themselves.
    signed_input: the integer has a sign.   round_mode: "HALF_TO_EVEN" or "HALF_UP".
    narrow_range: leave out the smallest integer. axis: use a separate range for each slice along this axis; None for a
    single one. Raises ValueError for another round_mode. At run time, raises InvalidArgumentError for an empty range.
    """
    if round_mode not in ("HALF_TO_EVEN", "HALF_UP"):
        raise ValueError(f"round_mode must be HALF_TO_EVEN or HALF_UP, not {round_mode!r}")
    x = convert_to_tensor(input)
    kind = x.dtype.base_dtype
    limits = [convert_to_tensor(limit, kind) for limit in (input_min, input_max)]
    attrs = {
        "signed": bool(signed_input), "given": bool(range_given), "narrow": bool(narrow_range),
        "up": round_mode == "HALF_UP", "axis": axis,
    }  # fmt: skip
    inputs = [x, *limits, convert_to_tensor(num_bits, dtypes.int32)]
    return apply(_rounded, inputs, attrs, type="QuantizeAndDequantizeV3", name=name, dtype=kind, shape=x.raw_shape)


def _rounded(
    x: Any, low: Any, high: Any, bits: Any, *, signed: bool, given: bool, narrow: bool, up: bool, axis: int | None
) -> Any:
    """The kernel of QuantizeAndDequantizeV3."""
    others = None if axis is None else tuple([i for i in range(x.ndim) if i != axis % x.ndim])
    if not given:
        low, high = (f(x, axis=others, keepdims=axis is not None) for f in (np.min, np.max))
    elif axis is not None:
        shape = [-1 if i == axis % x.ndim else 1 for i in range(x.ndim)]
        low, high = np.reshape(low, shape), np.reshape(high, shape)
    if np.any(low > high):
        raise InvalidArgumentError(None, None, f"Invalid range: input_min {low} > input_max {high}")
    half = 1 << (int(bits) - 1)
    least, most = (-half + int(narrow), half - 1) if signed else (0, 2 * half - 1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # The factor with which both ends of the range are integers that there are.
        ranges = ((least, low), (most, high))
        ends = [np.where(end * value > 0, np.true_divide(end, value), np.inf) for end, value in ranges]
        factor = np.minimum(*ends).astype(x.dtype)
        steps = np.where(ends[0] < ends[1], np.true_divide(low, least or 1), np.true_divide(high, most)).astype(x.dtype)
    finite = np.isfinite(factor)
    factor = np.where(finite, factor, x.dtype.type(0))
    counts = (np.clip(x, least * steps, most * steps) if given else x) * factor
    whole = np.floor(counts + x.dtype.type(0.5)) if up else np.rint(counts)
    return np.where(finite, whole * steps, 0 * x).astype(x.dtype)


quantize_and_dequantize_v2 = quantize_and_dequantize
