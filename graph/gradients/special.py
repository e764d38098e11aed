"""Derivatives of special functions, and of simulated quantization."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from weftwork.graph.gradients.registry import not_differentiable, rule
from weftwork.graph.gradients.tools import sum_to
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops import math_ops as m
from weftwork.graph.ops import scipy_functions, special

not_differentiable(
    *("BitwiseAnd", "BitwiseOr", "BitwiseXor", "LeftShift", "RightShift", "Invert", "NextAfter", "HistogramBins"),
    *("HistogramFixedWidth", "FakeQuantSide"),
)

_DERIVATIVES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "Erfinv": lambda x, y, g: g * (math.sqrt(math.pi) / 2) * m.exp(y * y),
    "Erfcinv": lambda x, y, g: -(g * (math.sqrt(math.pi) / 2) * m.exp(y * y)),
    "Ndtri": lambda x, y, g: g * math.sqrt(2 * math.pi) * m.exp(y * y / 2.0),
    "BesselI0": lambda x, y, g: g * special.bessel_i1(x),
    "BesselI0e": lambda x, y, g: g * (special.bessel_i1e(x) - m.sign(x) * y),
    "BesselI1": lambda x, y, g: g * (special.bessel_i0(x) - _over(y, x)),
    "BesselI1e": lambda x, y, g: g * (special.bessel_i0e(x) - m.sign(x) * y - _over(y, x)),
    "BesselK0": lambda x, y, g: -g * scipy_functions.bessel_k1(x),
    "BesselK0e": lambda x, y, g: g * (y - scipy_functions.bessel_k1e(x)),
    "BesselK1": lambda x, y, g: -g * (scipy_functions.bessel_k0(x) + y / x),
    "BesselK1e": lambda x, y, g: g * (y - scipy_functions.bessel_k0e(x) - y / x),
    "Dawsn": lambda x, y, g: g * (1.0 - 2.0 * x * y),
    "Expint": lambda x, y, g: g * m.exp(x) / x,
    "FresnelSin": lambda x, y, g: g * m.sin((math.pi / 2) * x * x),
    "FresnelCos": lambda x, y, g: g * m.cos((math.pi / 2) * x * x),
    "Spence": lambda x, y, g: g * _spence_slope(x),
}


def _spence_slope(x: Tensor) -> Tensor:
    """log(x) / (1 - x); -1 at 1."""
    one = m.cast(m.equal(x, 1.0), x.dtype)
    return m.div_no_nan(m.log(x), 1.0 - x) - one


def _over(y: Tensor, x: Tensor) -> Tensor:
    """bessel_i1(x) / x; 1/2 at 0."""
    zero = m.cast(m.equal(x, 0.0), x.dtype)
    return m.div_no_nan(y, x) + zero * 0.5


@rule(*_DERIVATIVES)
def _unary(op: Operation, g: Tensor):
    return [_DERIVATIVES[op.type](op.inputs[0], op.outputs[0], g)]


@rule("Polygamma")
def _polygamma(op: Operation, g: Tensor):
    a, x = op.inputs
    return [None, lambda: sum_to(g * special.polygamma(a + 1.0, x), x, a)]


@rule("Betainc")
def _betainc(op: Operation, g: Tensor):
    a, b, x = op.inputs

    def slope() -> Tensor:
        constant = m.lgamma(a) + m.lgamma(b) - m.lgamma(a + b)
        density = m.exp(special.xlog1py(b - 1.0, -x) + special.xlogy(a - 1.0, x) - constant)
        return sum_to(g * density, x, a, b)

    return [None, None, slope]


def _not_zero(x: Tensor) -> Tensor:
    return m.cast(m.not_equal(x, 0.0), x.dtype)


_PAIRS: dict[str, tuple[Callable, Callable]] = {
    "Xlogy": (lambda x, y: special.xlogy(_not_zero(x), y), special.xdivy),
    "Xlog1py": (lambda x, y: special.xlog1py(_not_zero(x), y), lambda x, y: special.xdivy(x, y + 1.0)),
    "Xdivy": (lambda x, y: special.xdivy(_not_zero(x), y), lambda x, y: special.xdivy(-x, y * y)),
}


@rule(*_PAIRS)
def _pair(op: Operation, g: Tensor):
    x, y = op.inputs
    first, second = _PAIRS[op.type]
    return [lambda: sum_to(g * first(x, y), x, y), lambda: sum_to(g * second(x, y), y, x)]


@rule("MulNoNan")
def _multiply_no_nan(op: Operation, g: Tensor):
    x, y = op.inputs
    return [
        lambda: sum_to(special.multiply_no_nan(g, y), x, y),
        lambda: sum_to(special.multiply_no_nan(x, g), y, x),
    ]


@rule("FakeQuantWithMinMaxVars")
def _fake_quant(op: Operation, g: Tensor):
    bits, narrow = op.attrs["bits"], op.attrs["narrow"]
    inputs, low, high = op.inputs
    return list(special.fake_quant_with_min_max_vars_gradient(g, inputs, low, high, bits, narrow))


@rule("QuantizeAndDequantizeV3")
def _quantized(op: Operation, g: Tensor):
    return [g, None, None, None]
