"""Derivatives of elementwise operations, and of products.

x, y, g: an operation's input, its output, and the gradient of its output.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph.build import apply, static_value
from weftwork.graph.gradients.composition import by_composition
from weftwork.graph.gradients.registry import not_differentiable, rule
from weftwork.graph.gradients.tools import sum_to
from weftwork.graph.kernels import derivatives as kernels
from weftwork.graph.kernels import elementwise as elementwise_kernels
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops import math_ops as m
from weftwork.graph.ops.filling import zeros_like
from weftwork.graph.ops.reductions import reduce_sum
from weftwork.graph.ops.selecting import where_v2
from weftwork.graph.shapes import broadcast

# Functions of one tensor

_ROOT_PI = math.sqrt(math.pi)

_DERIVATIVES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "Neg": lambda x, y, g: -g,
    "Positive": lambda x, y, g: g,
    "Square": lambda x, y, g: g * (m.conj(x) * 2.0),
    "Sqrt": lambda x, y, g: _over_root(g, y),
    "Cbrt": lambda x, y, g: g / (3.0 * m.square(y)),
    "Rsqrt": lambda x, y, g: g * (-0.5) * m.conj(y * y * y),
    "Reciprocal": lambda x, y, g: -(g * m.conj(y * y)),
    "Exp": lambda x, y, g: g * m.conj(y),
    "Expm1": lambda x, y, g: g * m.conj(y + 1.0),
    "Log": lambda x, y, g: g / m.conj(x),
    "Log1p": lambda x, y, g: g / m.conj(x + 1.0),
    "Sin": lambda x, y, g: g * m.conj(m.cos(x)),
    "Cos": lambda x, y, g: -(g * m.conj(m.sin(x))),
    "Tan": lambda x, y, g: g * m.conj(1.0 + y * y),
    "Asin": lambda x, y, g: g * m.conj(m.rsqrt(1.0 - x * x)),
    "Acos": lambda x, y, g: -(g * m.conj(m.rsqrt(1.0 - x * x))),
    "Atan": lambda x, y, g: g / m.conj(1.0 + x * x),
    "Sinh": lambda x, y, g: g * m.conj(m.cosh(x)),
    "Cosh": lambda x, y, g: g * m.conj(m.sinh(x)),
    "Tanh": lambda x, y, g: g * m.conj(1.0 - y * y),
    "Asinh": lambda x, y, g: g / m.conj(m.cosh(y)),
    "Acosh": lambda x, y, g: g / m.conj(m.sinh(y)),
    "Atanh": lambda x, y, g: g / m.conj(1.0 - x * x),
    "Sigmoid": lambda x, y, g: g * m.conj(y * (1.0 - y)),
    "Erf": lambda x, y, g: g * (2.0 / _ROOT_PI) * m.exp(-(x * x)),
    "Erfc": lambda x, y, g: g * (-2.0 / _ROOT_PI) * m.exp(-(x * x)),
    "Lgamma": lambda x, y, g: g * m.digamma(x),
    "Digamma": lambda x, y, g: g * m.zeta(2.0, x),  # the trigamma function
    "Abs": lambda x, y, g: g * _direction(x),
    "Real": lambda x, y, g: m.complex(g, 0.0),
    "Imag": lambda x, y, g: m.complex(0.0, g),
    "Conj": lambda x, y, g: m.conj(g),
    "Angle": lambda x, y, g: _of_angle(x, g),
    "Sign": lambda x, y, g: zeros_like(x),
    "Cast": lambda x, y, g: m.cast(g, x.dtype.base_dtype),
}


def _over_root(g: Tensor, y: Tensor) -> Tensor:
    """g / 2 y, conjugated; 0 where g is 0, as in TensorFlow: the square of a square root has a slope at 0."""
    return apply(kernels.over_root, [g, y], type="SqrtGrad", dtype=g.dtype.base_dtype, shape=y.raw_shape)


@rule("SqrtGrad")
def _over_root_rule(op: Operation, grad: Tensor):
    y = op.inputs[1]
    each = grad / m.conj(y)
    return [lambda: each * 0.5, lambda: -(m.conj(each) * op.outputs[0])]


def _direction(x: Tensor) -> Tensor:
    """x / |x|; 0 where x is 0."""
    if not x.dtype.is_complex:
        return m.sign(x)
    size = m.abs(x)
    return x / m.cast(where_v2(m.equal(size, 0.0), 1.0, size), x.dtype)


def _of_angle(x: Tensor, g: Tensor) -> Any:
    if not x.dtype.is_complex:
        return None
    return m.complex(0.0, 1.0) * m.cast(g, x.dtype) * x / m.cast(m.square(m.abs(x)), x.dtype)


def _unary(op: Operation, g: Tensor) -> list:
    x = op.inputs[0]
    return [_DERIVATIVES[op.type](x, op.outputs[0], g)]


rule(*_DERIVATIVES)(_unary)

not_differentiable(
    "Floor", "Ceil", "Rint", "Round", "FloorDiv", "Equal", "NotEqual", "Less", "LessEqual", "Greater",
    "GreaterEqual", "LogicalAnd", "LogicalOr", "LogicalXor", "LogicalNot", "IsNan", "IsInf", "IsFinite", "Range",
    "LinSpace", "TruncateDiv",
)  # fmt: skip


@rule("SaturateCast")
def _saturate_cast(op: Operation, g: Tensor):
    x = op.inputs[0]
    inside = m.logical_and(m.greater_equal(x, op.attrs["low"]), m.less_equal(x, op.attrs["high"]))
    return [m.cast(g, x.dtype.base_dtype) * m.cast(inside, x.dtype.base_dtype)]


# Functions of two tensors that broadcast


def _pair(op: Operation, first: Callable[[], Tensor], second: Callable[[], Tensor]) -> list:
    """The gradients of a function of two tensors, given its gradients in the shape of the output."""
    x, y = op.inputs
    return [lambda: sum_to(first(), x, y), lambda: sum_to(second(), y, x)]


@rule("Add", "AddV2", "BiasAdd")
def _add(op: Operation, g: Tensor):
    return _pair(op, lambda: g, lambda: g)


@rule("Sub")
def _sub(op: Operation, g: Tensor):
    return _pair(op, lambda: g, lambda: -g)


@rule("Mul")
def _mul(op: Operation, g: Tensor):
    x, y = op.inputs
    return _pair(op, lambda: g * m.conj(y), lambda: g * m.conj(x))


@rule("RealDiv")
def _div(op: Operation, g: Tensor):
    x, y = op.inputs
    return _pair(op, lambda: g / m.conj(y), lambda: -(g * m.conj(op.outputs[0] / y)))


@rule("DivNoNan")
def _div_no_nan(op: Operation, g: Tensor):
    x, y = op.inputs
    return _pair(op, lambda: m.div_no_nan(g, y), lambda: -(g * m.div_no_nan(op.outputs[0], y)))


@rule("Pow")
def _pow(op: Operation, g: Tensor):
    x, y = op.inputs
    return _pair(op, lambda: g * m.conj(_power_rule(x, y)), lambda: g * m.conj(op.outputs[0] * _safe_log(x)))


def _power_rule(x: Tensor, y: Tensor) -> Tensor:
    known = static_value(y)
    if known is not None and np.ndim(known) == 0 and known == 2:
        return x * 2.0
    return y * m.pow(x, y - 1.0)


def _safe_log(x: Tensor) -> Tensor:
    """log(x); 0 where x is not positive: x ** y is not differentiable with respect to y there."""
    positive = m.not_equal(x, 0.0) if x.dtype.is_complex else m.greater(x, 0.0)
    return where_v2(positive, m.log(where_v2(positive, x, 1.0)), 0.0)


@rule("FloorMod")
def _mod(op: Operation, g: Tensor):
    x, y = op.inputs
    return _pair(op, lambda: g, lambda: -(g * m.floordiv(x, y)))


@rule("TruncateMod")
def _truncate_mod(op: Operation, g: Tensor):
    x, y = op.inputs
    return _pair(op, lambda: g, lambda: -(g * np.trunc(x / y)))


@rule("Maximum", "Minimum")
def _extreme(op: Operation, g: Tensor):
    x, y = op.inputs
    first = m.greater_equal(x, y) if op.type == "Maximum" else m.less_equal(x, y)
    return _pair(op, lambda: where_v2(first, g, 0.0), lambda: where_v2(first, 0.0, g))


@rule("SquaredDifference")
def _squared_difference(op: Operation, g: Tensor):
    x, y = op.inputs

    @functools.cache
    def both() -> Tensor:
        return g * (x - y) * 2.0

    return _pair(op, both, lambda: -both())


@rule("Atan2")
def _atan2(op: Operation, g: Tensor):
    y, x = op.inputs
    return _pair(op, lambda: g * x / (x * x + y * y), lambda: -(g * y / (x * x + y * y)))


@rule("Zeta")
def _zeta(op: Operation, g: Tensor):
    s, q = op.inputs
    return [None, lambda: sum_to(-(g * s * m.zeta(s + 1.0, q)), q, s)]


@rule("Igamma", "Igammac")
def _igamma(op: Operation, g: Tensor):
    a, x = op.inputs
    sign = 1.0 if op.type == "Igamma" else -1.0
    return _pair(
        op,
        lambda: g * sign * _of_pair(elementwise_kernels.igamma_grad_a, "IgammaGradA", a, x),
        lambda: g * sign * m.exp((a - 1.0) * m.log(x) - x - m.lgamma(a)),
    )


@rule("RandomGamma")
def _random_gamma(op: Operation, g: Tensor):
    _, alpha, beta = op.inputs
    draws = op.outputs[0]

    def by_alpha() -> Tensor:
        slope = _of_pair(elementwise_kernels.random_gamma_grad, "RandomGammaGrad", alpha, draws * beta)
        return sum_to(g * slope / beta, alpha, draws)

    return [None, by_alpha, lambda: sum_to(-g * draws / beta, beta, draws)]


def _of_pair(kernel: Callable, kind: str, x: Tensor, y: Tensor) -> Tensor:
    return apply(kernel, [x, y], type=kind, dtype=x.dtype.base_dtype, shape=broadcast(x.raw_shape, y.raw_shape))


@rule("Complex")
def _complex(op: Operation, g: Tensor):
    return _pair(op, lambda: m.real(g), lambda: m.imag(g))


# Functions of several tensors


@rule("AddN")
def _add_n(op: Operation, g: Tensor):
    return [g] * len(op.inputs)


@rule("ClipByValue")
def _clip(op: Operation, g: Tensor):
    x, low, high = op.inputs
    below, above = m.less(x, low), m.greater(x, high)

    def inside() -> Tensor:
        return where_v2(m.logical_or(below, above), 0.0, g)

    return [
        lambda: sum_to(inside(), x, low, high),
        lambda: sum_to(where_v2(below, g, 0.0), low, x, high),
        lambda: sum_to(where_v2(above, g, 0.0), high, x, low),
    ]


@rule("ClipByNorm")
@by_composition
def _clip_by_norm(op: Operation, x: Tensor, limit: Tensor):
    total = reduce_sum(m.square(x), op.attrs["axes"], keepdims=True)
    positive = m.greater(total, 0.0)
    norm = where_v2(positive, m.sqrt(where_v2(positive, total, 1.0)), total)
    return x * limit / m.maximum(norm, limit)


@rule("GlobalNorm")
def _global_norm(op: Operation, g: Tensor):
    scale = _over_root(g, op.outputs[0]) * 2.0
    return [functools.partial(_scaled, x, scale) for x in op.inputs]


def _scaled(x: Tensor, scale: Tensor) -> Tensor:
    return x * m.cast(scale, x.dtype.base_dtype)


@rule("ClipScale")
@by_composition
def _clip_scale(op: Operation, norm: Tensor, limit: Tensor):
    return limit * m.minimum(m.reciprocal(norm), m.reciprocal(limit))
