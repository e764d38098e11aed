"""Mathematical operations: TensorFlow 1's names over NumPy's and SciPy's functions.

Elementwise operations broadcast, and promote dtypes as NumPy does; integers become float64 if the result is not an
integer. Reductions and segments are in `reductions`, and are also available here.
"""

from __future__ import annotations

import builtins
import functools
import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.arguments import of_kind
from weftwork.graph.build import (
    apply,
    as_tensor,
    convert_to_tensor,
    convert_together,
    elementwise,
    graph_of,
    operands,
    static_value,
    to_value,
)
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.kernels import elementwise as kernels
from weftwork.graph.known import promoted, whole_numbers
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.clipping import clip_by_global_norm as clip_by_global_norm
from weftwork.graph.ops.clipping import clip_by_norm as clip_by_norm
from weftwork.graph.ops.clipping import clip_by_value as clip_by_value
from weftwork.graph.ops.clipping import global_norm as global_norm
from weftwork.graph.ops.composite import IndexedSlices, over_values
from weftwork.graph.ops.conversion import angle as angle
from weftwork.graph.ops.conversion import cast as cast
from weftwork.graph.ops.conversion import complex as complex
from weftwork.graph.ops.conversion import conj as conj
from weftwork.graph.ops.conversion import imag as imag
from weftwork.graph.ops.conversion import real as real
from weftwork.graph.ops.conversion import saturate_cast as saturate_cast
from weftwork.graph.ops.conversion import to_double as to_double
from weftwork.graph.ops.conversion import to_float as to_float
from weftwork.graph.ops.conversion import to_int32 as to_int32
from weftwork.graph.ops.conversion import to_int64 as to_int64
from weftwork.graph.ops.flow import identity
from weftwork.graph.ops.products import cross as cross
from weftwork.graph.ops.products import einsum as einsum
from weftwork.graph.ops.products import matmul as matmul
from weftwork.graph.ops.products import tensordot as tensordot
from weftwork.graph.ops.products import trace as trace
from weftwork.graph.ops.reductions import arg_max as arg_max
from weftwork.graph.ops.reductions import arg_min as arg_min
from weftwork.graph.ops.reductions import argmax as argmax
from weftwork.graph.ops.reductions import argmin as argmin
from weftwork.graph.ops.reductions import bincount as bincount
from weftwork.graph.ops.reductions import count_nonzero as count_nonzero
from weftwork.graph.ops.reductions import cumprod as cumprod
from weftwork.graph.ops.reductions import cumsum as cumsum
from weftwork.graph.ops.reductions import reduce_all as reduce_all
from weftwork.graph.ops.reductions import reduce_any as reduce_any
from weftwork.graph.ops.reductions import reduce_logsumexp as reduce_logsumexp
from weftwork.graph.ops.reductions import reduce_max as reduce_max
from weftwork.graph.ops.reductions import reduce_mean as reduce_mean
from weftwork.graph.ops.reductions import reduce_min as reduce_min
from weftwork.graph.ops.reductions import reduce_prod as reduce_prod
from weftwork.graph.ops.reductions import reduce_std as reduce_std
from weftwork.graph.ops.reductions import reduce_sum as reduce_sum
from weftwork.graph.ops.reductions import reduce_variance as reduce_variance
from weftwork.graph.ops.reductions import segment_max as segment_max
from weftwork.graph.ops.reductions import segment_mean as segment_mean
from weftwork.graph.ops.reductions import segment_min as segment_min
from weftwork.graph.ops.reductions import segment_prod as segment_prod
from weftwork.graph.ops.reductions import segment_sum as segment_sum
from weftwork.graph.ops.reductions import unsorted_segment_max as unsorted_segment_max
from weftwork.graph.ops.reductions import unsorted_segment_mean as unsorted_segment_mean
from weftwork.graph.ops.reductions import unsorted_segment_min as unsorted_segment_min
from weftwork.graph.ops.reductions import unsorted_segment_prod as unsorted_segment_prod
from weftwork.graph.ops.reductions import unsorted_segment_sqrt_n as unsorted_segment_sqrt_n
from weftwork.graph.ops.reductions import unsorted_segment_sum as unsorted_segment_sum
from weftwork.graph.ufuncs import ufunc_dtypes


class Unary(Protocol):
    """An elementwise function of one tensor."""

    def __call__(self, x: Any, name: str | None = None) -> Tensor: ...


class Binary(Protocol):
    """An elementwise function of two tensors."""

    def __call__(self, x: Any, y: Any, name: str | None = None) -> Tensor: ...


def _unary(public: str, ufunc: np.ufunc, kind: str, doc: str) -> Unary:
    def unary(x, name=None):
        return elementwise(ufunc, x, type=kind, name=name)

    return _public(unary, public, doc)


def of_scipy(public: str, function: str, kind: str, doc: str) -> Unary:
    """The public function for a function of scipy.special."""

    def unary(x, name=None):
        return special(function, [x], kind, name)

    return _public(unary, public, doc)


def _binary(public: str, ufunc: np.ufunc, kind: str | None, doc: str) -> Binary:
    def binary(x, y, name=None):
        return elementwise(ufunc, x, y, type=kind, name=name, checked=True)

    return _public(binary, public, doc)


def _public(function: Any, public: str, doc: str) -> Any:
    function.__name__ = function.__qualname__ = public
    function.__doc__ = doc
    return function


@functools.cache
def _special(name: str) -> np.ufunc:
    import scipy.special  # imported here because it is slow, and few programs need it

    return getattr(scipy.special, name)


def special(function: str, args: list, kind: str, name: str | None, kernel: Callable | None = None) -> Tensor:
    """A node of scipy.special's `function`, which does not know float16: that is computed as float32.

    kernel: of our own, instead of the function; it has the same dtypes.
    """
    ufunc = _special(function)
    given = [tensor for tensor in map(as_tensor, args) if tensor is not None]
    full = name or kind
    if len(given) < len(args):
        full = graph_of(given).named(full)
    tensors = convert_together(args, folder=full)
    dtype = promoted(tensors)
    if dtype is dtypes.float16:
        shape = functools.reduce(shapes.broadcast, [t.raw_shape for t in tensors])
        attrs = {"function": kernel or ufunc}
        return apply(kernels.of_halves, tensors, attrs, type=kind, name=full, dtype=dtype, shape=shape)
    if kernel is not None:
        return _fused(kernel, ufunc, tensors, kind, full)
    return elementwise(ufunc, *tensors, type=kind, name=full)


# Arithmetic

add = _binary("add", np.add, "Add", "x + y.")
subtract = _binary("subtract", np.subtract, "Sub", "x - y.")
multiply = _binary("multiply", np.multiply, "Mul", "x * y.")
realdiv = _binary("realdiv", np.divide, "RealDiv", "x / y.")
floordiv = _binary("floordiv", np.floor_divide, None, "x // y: the quotient rounded towards minus infinity.")
mod = _binary("mod", np.remainder, "FloorMod", "x % y, with the sign of y.")
pow = _binary("pow", np.power, "Pow", "x ** y.")
maximum = _binary("maximum", np.maximum, "Maximum", "The greater of x and y; NaN if either is.")
minimum = _binary("minimum", np.minimum, "Minimum", "The lesser of x and y; NaN if either is.")
floor_div = _binary("floor_div", np.floor_divide, "FloorDiv", floordiv.__doc__ or "")
floormod = mod
truncatemod = _binary("truncatemod", np.fmod, "TruncateMod", "The remainder of x / y, with the sign of x.")

negative = over_values(_unary("negative", np.negative, "Neg", "-x."))
abs = over_values(_unary("abs", np.absolute, "Abs", "|x|, real also for complex x."))
sign = over_values(_unary("sign", np.sign, "Sign", "-1, 0 or 1."))
square = over_values(_unary("square", np.square, "Square", "x * x."))
reciprocal = _unary("reciprocal", np.reciprocal, "Reciprocal", "1 / x, of integers an integer.")
rint = _unary("rint", np.rint, "Rint", "The nearest whole number, halves to the even one.")
floor = _unary("floor", np.floor, "Floor", "The greatest whole number that is at most x.")
ceil = _unary("ceil", np.ceil, "Ceil", "The least whole number that is at least x.")


def divide(x: Any, y: Any, name: str | None = None) -> Tensor:
    """x / y with Python 3's rules: float64 for integers, float32 for those of 8 and 16 bits."""
    return elementwise(np.divide, x, y, type="RealDiv", name=name or "truediv", checked=True)


truediv = divide


def div(x: Any, y: Any, name: str | None = None) -> Tensor:
    """x / y with Python 2's rules: floor division for integers, true division for floats."""
    a, b = convert_together([x, y])
    return (floordiv if a.dtype.is_integer and b.dtype.is_integer else realdiv)(a, b, name=name or "div")


def truncatediv(x: Any, y: Any, name: str | None = None) -> Tensor:
    """x / y, rounded towards zero for integers. Dividing an integer by zero raises at run time."""
    a, b = convert_together([x, y])
    if not (a.dtype.is_integer and b.dtype.is_integer):
        return realdiv(a, b, name=name or "TruncateDiv")
    return _fused(kernels.truncate_divide, np.floor_divide, [a, b], "TruncateDiv", name)


def div_no_nan(x: Any, y: Any, name: str | None = None) -> Tensor:
    """x / y for floats, and 0 where y is 0."""
    return _fused(kernels.div_no_nan, np.divide, [x, y], "DivNoNan", name or "div_no_nan")


def round(x: Any, name: str | None = None) -> Tensor:
    """The nearest integer in x's dtype; halves are rounded to even."""
    x = convert_to_tensor(x, name="x")
    return x if x.dtype.is_integer else elementwise(np.rint, x, type="Round", name=name)


def squared_difference(x: Any, y: Any, name: str | None = None) -> Tensor:
    """(x - y)^2; |x - y|^2 for complex numbers."""
    return _fused(kernels.squared_difference, np.subtract, [x, y], "SquaredDifference", name)


def rsqrt(x: Any, name: str | None = None) -> Tensor:
    """1 / sqrt(x)."""
    return _fused(kernels.rsqrt, np.sqrt, [x], "Rsqrt", name)


def _fused(kernel: Callable, like: np.ufunc, args: list, kind: str, name: str | None) -> Tensor:
    """An elementwise node with a kernel of our own; the ufunc `like` determines the dtypes."""
    full = name or kind
    if len(args) > 1:
        full = graph_of([t for t in map(as_tensor, args) if t is not None]).named(full)
    tensors = convert_together(args, folder=full)
    dtype = ufunc_dtypes(like, tuple([t.dtype.base_dtype for t in tensors]), kind)[0]
    shape = functools.reduce(shapes.broadcast, [t.raw_shape for t in tensors])
    return apply(kernel, tensors, type=kind, name=full, dtype=dtype, shape=shape)


def scalar_mul(scalar: Any, x: Any, name: str | None = None) -> Any:
    """scalar * x; x may be IndexedSlices. Raises ValueError if `scalar` is not a scalar."""
    if isinstance(x, IndexedSlices):
        return IndexedSlices(scalar_mul(scalar, x.values, name), x.indices, x.dense_shape)
    scalar, x = convert_together([scalar, x])
    if scalar.raw_shape not in (None, ()):
        raise ValueError(f"Only scalar multiply works, got shape {shapes.text(scalar.raw_shape)}")
    return multiply(scalar, x, name=name)


def add_n(inputs: Any, name: str | None = None) -> Tensor:
    """The sum of a list of tensors of one shape. Raises ValueError if the list is empty or the shapes differ."""
    message = "inputs must be a list of at least one Tensor with the same dtype and shape"
    if not isinstance(inputs, (list, tuple)) or not inputs:
        raise ValueError(message)
    tensors = convert_together(inputs)
    if len(tensors) == 1:
        return tensors[0] if name is None else identity(tensors[0], name)
    shape: shapes.RawShape = None
    for tensor in tensors:
        if not shapes.compatible(shape, tensor.raw_shape):
            raise ValueError(f"{message}: {[shapes.text(t.raw_shape) for t in tensors]}")
        shape = shapes.merge(shape, tensor.raw_shape)
    dtype = promoted(tensors)
    return apply(kernels.add_n, tensors, type="AddN", name=name, dtype=dtype, shape=shape)


def accumulate_n(inputs: Any, shape: Any = None, tensor_dtype: Any = None, name: str | None = None) -> Tensor:
    """The same as `add_n`. Raises TypeError if the tensors are not of `tensor_dtype`."""
    total = add_n(inputs, name=name or ("AccumulateNV2" if len(inputs) > 1 else None))
    if tensor_dtype is not None and total.dtype != as_dtype(tensor_dtype):
        raise TypeError(f"tensor_dtype is {as_dtype(tensor_dtype).name}, but input is of type {total.dtype.name}")
    total.set_shape(shape)
    return total


# Functions of a number

sqrt = over_values(_unary("sqrt", np.sqrt, "Sqrt", "The square root."))
exp = _unary("exp", np.exp, "Exp", "e to the power x.")
expm1 = _unary("expm1", np.expm1, "Expm1", "e to the power x, minus 1, exact near 0.")
log = _unary("log", np.log, "Log", "The natural logarithm.")
log1p = _unary("log1p", np.log1p, "Log1p", "The natural logarithm of 1 + x, exact near 0.")
sin = _unary("sin", np.sin, "Sin", "The sine of x in radians.")
cos = _unary("cos", np.cos, "Cos", "The cosine of x in radians.")
tan = _unary("tan", np.tan, "Tan", "The tangent of x in radians.")
asin = _unary("asin", np.arcsin, "Asin", "The inverse sine, in radians.")
acos = _unary("acos", np.arccos, "Acos", "The inverse cosine, in radians.")
atan = _unary("atan", np.arctan, "Atan", "The inverse tangent, in radians.")
sinh = _unary("sinh", np.sinh, "Sinh", "The hyperbolic sine.")
cosh = _unary("cosh", np.cosh, "Cosh", "The hyperbolic cosine.")
tanh = over_values(_unary("tanh", np.tanh, "Tanh", "The hyperbolic tangent."))
asinh = _unary("asinh", np.arcsinh, "Asinh", "The inverse hyperbolic sine.")
acosh = _unary("acosh", np.arccosh, "Acosh", "The inverse hyperbolic cosine.")
atanh = _unary("atanh", np.arctanh, "Atanh", "The inverse hyperbolic tangent.")
erf = over_values(of_scipy("erf", "erf", "Erf", "The error function."))
erfc = of_scipy("erfc", "erfc", "Erfc", "1 - erf(x), exact for large x.")
lgamma = of_scipy("lgamma", "gammaln", "Lgamma", "log |gamma(x)|.")


def sigmoid(x: Any, name: str | None = None) -> Tensor:
    """1 / (1 + exp(-x))."""
    if (known := as_tensor(x)) is None:
        name, (known,) = operands("Sigmoid", name, x=x)
    if known.dtype.is_complex:
        return _fused(kernels.complex_sigmoid, np.exp, [known], "Sigmoid", name)
    return special("expit", [known], "Sigmoid", name)


def digamma(x: Any, name: str | None = None) -> Tensor:
    """The derivative of lgamma; NaN at 0, -1, -2..."""
    return special("psi", [x], "Digamma", name, kernels.digamma)


def igamma(a: Any, x: Any, name: str | None = None) -> Tensor:
    """The lower regularized incomplete gamma function P(a, x)."""
    return special("gammainc", [a, x], "Igamma", name)


def igammac(a: Any, x: Any, name: str | None = None) -> Tensor:
    """The upper regularized incomplete gamma function Q(a, x)."""
    return special("gammaincc", [a, x], "Igammac", name)


def zeta(x: Any, q: Any, name: str | None = None) -> Tensor:
    """The Hurwitz zeta function: the sum over n >= 0 of (n + q) ** -x. Raises TypeError for what is no float."""
    x, q = convert_together([x, q])
    return _fused(kernels.zeta, np.divide, [of_kind(x, "x", "f"), of_kind(q, "q", "f")], "Zeta", name)


def atan2(y: Any, x: Any, name: str | None = None) -> Tensor:
    """The angle of the point (x, y), in radians from -pi to pi."""
    return elementwise(np.arctan2, y, x, type="Atan2", name=name)


# Comparison and logic

equal = _binary("equal", np.equal, "Equal", "x == y, element by element.")
not_equal = _binary("not_equal", np.not_equal, "NotEqual", "x != y, element by element.")
less = _binary("less", np.less, "Less", "x < y.")
less_equal = _binary("less_equal", np.less_equal, "LessEqual", "x <= y.")
greater = _binary("greater", np.greater, "Greater", "x > y.")
greater_equal = _binary("greater_equal", np.greater_equal, "GreaterEqual", "x >= y.")
logical_and = _binary("logical_and", np.logical_and, "LogicalAnd", "Whether both are true.")
logical_or = _binary("logical_or", np.logical_or, "LogicalOr", "Whether either is true.")
logical_xor = _binary("logical_xor", np.logical_xor, "LogicalXor", "Whether exactly one is true.")
logical_not = _unary("logical_not", np.logical_not, "LogicalNot", "Whether x is false.")
is_nan = _unary("is_nan", np.isnan, "IsNan", "Whether x is not a number.")
is_inf = _unary("is_inf", np.isinf, "IsInf", "Whether x is plus or minus infinity.")
is_finite = _unary("is_finite", np.isfinite, "IsFinite", "Whether x is a number and not infinite.")


# Sequences


_RANGE_DTYPES = [dtypes.int32, dtypes.int64, dtypes.float32, dtypes.float64]


def range(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str | None = "range") -> Tensor:
    """The numbers start, start + delta... below limit; with a single argument, from 0 to that.

    dtype: None for the last of int32, int64, float32, float64 among the arguments' dtypes; tensors are cast to it.
    Raises TypeError for numbers that this dtype cannot hold. Raises ValueError, or at run time InvalidArgumentError, if
    delta is 0 or leads away from limit.
    """
    if limit is None:
        start, limit = 0, start
    given = [start, limit, delta]
    for word, value in zip(("start", "limit", "delta"), given, strict=True):
        _check_bound(word, value)
    dtype = None if dtype is None else as_dtype(dtype)
    known = [static_value(v) if as_tensor(v) is not None else v for v in given]
    values: list[Any] = [None if value is None else to_value(value, dtype) for value in known]
    if dtype is not None:
        given = [cast(g, dtype) if value is None else value for g, value in zip(given, values, strict=True)]
    tensors = [] if all(value is not None for value in values) else convert_together(given)
    if dtype is None:
        found = [as_dtype(v.dtype) for v in values] if not tensors else [t.dtype.base_dtype for t in tensors]
        dtype = builtins.max(found, key=lambda d: _RANGE_DTYPES.index(d) if d in _RANGE_DTYPES else -1)
    if tensors:
        attrs: dict[str, Any] = {"dtype": dtype.numpy}
        return apply(kernels.arange, tensors, attrs, type="Range", name=name, dtype=dtype, shape=(None,))
    start, limit, delta = (value.item() for value in values)
    kernels.check_range(start, limit, delta)
    size = builtins.max(0, math.ceil((limit - start) / delta))
    attrs = {"start": start, "stop": limit, "step": delta, "dtype": dtype.numpy}
    return apply(np.arange, [], attrs, type="Range", name=name, dtype=dtype, shape=(size,))


def _check_bound(word: str, value: Any) -> None:
    """Raise ValueError for an argument of `range` that is no scalar, TypeError for one that is no number."""
    known = as_tensor(value)
    if np.ndim(value) if known is None else known.raw_shape:
        raise ValueError(f"Shape must be rank 0 for the {word} of range: {value!r}")
    if isinstance(value, (str, bytes)) or (known is not None and known.dtype is dtypes.string):
        raise TypeError(f"The {word} of range must be a number: {value!r}")


def linspace(start: Any, stop: Any, num: Any, name: str | None = None) -> Tensor:
    """num evenly spaced floats from start to stop, both included: [...], [...] -> [num, ...].

    Raises ValueError for a num below 1.
    """
    start, stop = convert_together([start, stop])
    of_kind(start, "start", "biufc")
    dtype = promoted([start, stop])
    dtype = dtype if dtype.is_floating else dtypes.float64
    count = whole_numbers(num)
    attrs: dict[str, Any] = {"dtype": dtype.numpy}
    inputs = [start, stop]
    if count is None:
        inputs.append(convert_to_tensor(num, name="num"))
    elif count < 1:  # type: ignore[operator]
        raise ValueError(f"Requires num > 0: {count}")
    else:
        attrs["num"] = count
    ends = shapes.broadcast(start.raw_shape, stop.raw_shape)
    shape = None if ends is None else (count, *ends)
    return apply(kernels.linspace, inputs, attrs, type="LinSpace", name=name, dtype=dtype, shape=shape)  # type: ignore[arg-type]


lin_space = linspace
