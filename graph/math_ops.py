"""Mathematical operations: TensorFlow 1's names over NumPy's and SciPy's functions.

Elementwise operations broadcast, and promote dtypes as NumPy does; integers become float64 where the result is no
integer. Reductions and segments are in `reductions`, and have their names here too.
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph import kernels_math as kernels
from weftwork.graph.build import _ufunc_dtypes, apply, as_tensor, convert_to_tensor, convert_together, elementwise
from weftwork.graph.dtypes import DType, as_dtype
from weftwork.graph.known import whole_numbers
from weftwork.graph.operation import Tensor
from weftwork.graph.products import cross as cross
from weftwork.graph.products import einsum as einsum
from weftwork.graph.products import matmul as matmul
from weftwork.graph.products import tensordot as tensordot
from weftwork.graph.products import trace as trace
from weftwork.graph.reductions import argmax as argmax
from weftwork.graph.reductions import argmin as argmin
from weftwork.graph.reductions import bincount as bincount
from weftwork.graph.reductions import count_nonzero as count_nonzero
from weftwork.graph.reductions import cumprod as cumprod
from weftwork.graph.reductions import cumsum as cumsum
from weftwork.graph.reductions import reduce_all as reduce_all
from weftwork.graph.reductions import reduce_any as reduce_any
from weftwork.graph.reductions import reduce_logsumexp as reduce_logsumexp
from weftwork.graph.reductions import reduce_max as reduce_max
from weftwork.graph.reductions import reduce_mean as reduce_mean
from weftwork.graph.reductions import reduce_min as reduce_min
from weftwork.graph.reductions import reduce_prod as reduce_prod
from weftwork.graph.reductions import reduce_std as reduce_std
from weftwork.graph.reductions import reduce_sum as reduce_sum
from weftwork.graph.reductions import reduce_variance as reduce_variance
from weftwork.graph.reductions import segment_max as segment_max
from weftwork.graph.reductions import segment_min as segment_min
from weftwork.graph.reductions import segment_prod as segment_prod
from weftwork.graph.reductions import segment_sum as segment_sum
from weftwork.graph.reductions import unsorted_segment_max as unsorted_segment_max
from weftwork.graph.reductions import unsorted_segment_min as unsorted_segment_min
from weftwork.graph.reductions import unsorted_segment_prod as unsorted_segment_prod
from weftwork.graph.reductions import unsorted_segment_sum as unsorted_segment_sum
from weftwork.graph.scopes import name_scope


class Unary(Protocol):
    """An elementwise function of one tensor."""

    def __call__(self, x: Any, name: str | None = None) -> Tensor: ...


class Binary(Protocol):
    """An elementwise function of two tensors."""

    def __call__(self, x: Any, y: Any, name: str | None = None) -> Tensor: ...


def _unary(public: str, ufunc: np.ufunc | str, kind: str, doc: str) -> Unary:
    """The public function of a ufunc. ufunc: a str names one of scipy.special, imported when it is first needed."""

    def unary(x, name=None):
        return elementwise(_special(ufunc) if isinstance(ufunc, str) else ufunc, x, type=kind, name=name)

    return _public(unary, public, doc)


def _binary(public: str, ufunc: np.ufunc | str, kind: str, doc: str) -> Binary:
    def binary(x, y, name=None):
        return elementwise(_special(ufunc) if isinstance(ufunc, str) else ufunc, x, y, type=kind, name=name)

    return _public(binary, public, doc)


def _public(function: Any, public: str, doc: str) -> Any:
    function.__name__ = function.__qualname__ = public
    function.__doc__ = doc
    return function


@functools.cache
def _special(name: str) -> np.ufunc:
    import scipy.special  # here, since few programs need it: it would slow every start

    return getattr(scipy.special, name)


# Arithmetic

add = _binary("add", np.add, "Add", "x + y.")
subtract = _binary("subtract", np.subtract, "Sub", "x - y.")
multiply = _binary("multiply", np.multiply, "Mul", "x * y.")
realdiv = _binary("realdiv", np.divide, "RealDiv", "x / y.")
floordiv = _binary("floordiv", np.floor_divide, "FloorDiv", "x // y: the quotient rounded towards minus infinity.")
mod = _binary("mod", np.remainder, "FloorMod", "x % y, with the sign of y.")
pow = _binary("pow", np.power, "Pow", "x ** y.")
maximum = _binary("maximum", np.maximum, "Maximum", "The greater of x and y; NaN if either is.")
minimum = _binary("minimum", np.minimum, "Minimum", "The lesser of x and y; NaN if either is.")
floor_div, floormod = floordiv, mod

negative = _unary("negative", np.negative, "Neg", "-x.")
abs = _unary("abs", np.absolute, "Abs", "|x|, real also for complex x.")
sign = _unary("sign", np.sign, "Sign", "-1, 0 or 1.")
square = _unary("square", np.square, "Square", "x * x.")
reciprocal = _unary("reciprocal", np.reciprocal, "Reciprocal", "1 / x, of integers an integer.")
rint = _unary("rint", np.rint, "Rint", "The nearest whole number, halves to the even one.")
floor = _unary("floor", np.floor, "Floor", "The greatest whole number that is at most x.")
ceil = _unary("ceil", np.ceil, "Ceil", "The least whole number that is at least x.")
neg, sub, mul = negative, subtract, multiply


def divide(x: Any, y: Any, name: str | None = None) -> Tensor:
    """x / y, as Python 3 divides: of integers a float64."""
    return elementwise(np.divide, x, y, type="RealDiv", name=name or "truediv")


truediv = divide


def div(x: Any, y: Any, name: str | None = None) -> Tensor:
    """x / y, as Python 2 divides: integers are divided with floor, floats exactly."""
    a, b = convert_together([x, y])
    return (floordiv if a.dtype.is_integer and b.dtype.is_integer else realdiv)(a, b, name=name or "div")


def round(x: Any, name: str | None = None) -> Tensor:
    """The nearest whole number, halves to the even one, in x's dtype."""
    x = convert_to_tensor(x, name="x")
    return x if x.dtype.is_integer else elementwise(np.rint, x, type="Round", name=name)


def squared_difference(x: Any, y: Any, name: str | None = None) -> Tensor:
    """(x - y)^2; |x - y|^2 of complex numbers."""
    return _fused(kernels.squared_difference, np.subtract, [x, y], "SquaredDifference", name)


def rsqrt(x: Any, name: str | None = None) -> Tensor:
    """1 / sqrt(x)."""
    return _fused(kernels.rsqrt, np.sqrt, [x], "Rsqrt", name)


def _fused(kernel: Callable, like: np.ufunc, args: list, kind: str, name: str | None) -> Tensor:
    """An elementwise node with a kernel of our own, whose dtypes are those of the ufunc `like`."""
    tensors = convert_together(args)
    dtype = _ufunc_dtypes(like, tuple([t.dtype.base_dtype for t in tensors]), kind)[0]
    shape = functools.reduce(shapes.broadcast, [t._shape for t in tensors])
    return apply(kernel, tensors, type=kind, name=name, dtype=dtype, shape=shape)


def scalar_mul(scalar: Any, x: Any, name: str | None = None) -> Tensor:
    """scalar * x. Raises ValueError when `scalar` has a shape."""
    scalar, x = convert_together([scalar, x])
    if scalar._shape not in (None, ()):
        raise ValueError(f"Only scalar multiply works, got shape {shapes.text(scalar._shape)}")
    return multiply(scalar, x, name=name)


def add_n(inputs: Any, name: str | None = None) -> Tensor:
    """The sum of a list of tensors of one shape. Raises ValueError when it is empty or the shapes differ."""
    message = "inputs must be a list of at least one Tensor with the same dtype and shape"
    if not isinstance(inputs, (list, tuple)) or not inputs:
        raise ValueError(message)
    tensors = convert_together(inputs)
    shape: shapes.RawShape = None
    for tensor in tensors:
        if not shapes.compatible(shape, tensor._shape):
            raise ValueError(f"{message}: {[shapes.text(t._shape) for t in tensors]}")
        shape = shapes.merge(shape, tensor._shape)
    dtype = _promoted(tensors)
    return apply(kernels.add_n, tensors, type="AddN", name=name, dtype=dtype, shape=shape)


def accumulate_n(inputs: Any, shape: Any = None, tensor_dtype: Any = None, name: str | None = None) -> Tensor:
    """The same as `add_n`. Raises TypeError when the tensors are not of `tensor_dtype`."""
    total = add_n(inputs, name=name or "AccumulateN")
    if tensor_dtype is not None and total.dtype != as_dtype(tensor_dtype):
        raise TypeError(f"tensor_dtype is {as_dtype(tensor_dtype).name}, but input is of type {total.dtype.name}")
    total.set_shape(shape)
    return total


def _promoted(tensors: Sequence[Tensor]) -> DType:
    if any(t.dtype.numpy.kind == "O" for t in tensors):
        return tensors[0].dtype.base_dtype
    return as_dtype(np.result_type(*[t.dtype.numpy for t in tensors]))


# Functions of a number

sqrt = _unary("sqrt", np.sqrt, "Sqrt", "The square root.")
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
tanh = _unary("tanh", np.tanh, "Tanh", "The hyperbolic tangent.")
asinh = _unary("asinh", np.arcsinh, "Asinh", "The inverse hyperbolic sine.")
acosh = _unary("acosh", np.arccosh, "Acosh", "The inverse hyperbolic cosine.")
atanh = _unary("atanh", np.arctanh, "Atanh", "The inverse hyperbolic tangent.")
sigmoid = _unary("sigmoid", "expit", "Sigmoid", "1 / (1 + exp(-x)).")
erf = _unary("erf", "erf", "Erf", "The error function.")
erfc = _unary("erfc", "erfc", "Erfc", "1 - erf(x), exact for large x.")
lgamma = _unary("lgamma", "gammaln", "Lgamma", "log |gamma(x)|.")
digamma = _unary("digamma", "psi", "Digamma", "The derivative of lgamma.")
igamma = _binary("igamma", "gammainc", "Igamma", "The lower regularized incomplete gamma function P(x, y).")
igammac = _binary("igammac", "gammaincc", "Igammac", "The upper regularized incomplete gamma function Q(x, y).")
zeta = _binary("zeta", "zeta", "Zeta", "The Hurwitz zeta function: sum over n >= 0 of (n + y) ** -x.")


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


# Conversion


def cast(x: Any, dtype: Any, name: str | None = None) -> Tensor:
    """x as another dtype, as C casts: floats lose their fraction, complex numbers their imaginary part.

    Raises TypeError for a cast between strings and numbers.
    """
    x, dtype = convert_to_tensor(x, name="x"), as_dtype(dtype).base_dtype
    given = x.dtype.base_dtype
    if given is dtype:
        return x
    if dtypes.string in (given, dtype):
        raise TypeError(f"Cast {given.name} to {dtype.name} is not supported")
    kernel = kernels.cast_object if given.numpy.kind == "O" else kernels.cast
    if given.is_complex and not dtype.is_complex:
        kernel = kernels.cast_complex
    attrs = {"dtype": dtype.numpy}
    return apply(kernel, [x], attrs, type="Cast", name=name, dtype=dtype, shape=x._shape)


def to_float(x: Any, name: str | None = "ToFloat") -> Tensor:
    """x as float32."""
    return cast(x, dtypes.float32, name)


def to_double(x: Any, name: str | None = "ToDouble") -> Tensor:
    """x as float64."""
    return cast(x, dtypes.float64, name)


def to_int32(x: Any, name: str | None = "ToInt32") -> Tensor:
    """x as int32."""
    return cast(x, dtypes.int32, name)


def to_int64(x: Any, name: str | None = "ToInt64") -> Tensor:
    """x as int64."""
    return cast(x, dtypes.int64, name)


def saturate_cast(value: Any, dtype: Any, name: str | None = None) -> Tensor:
    """value as another real dtype; what it cannot hold becomes the nearest that it can."""
    x, dtype = convert_to_tensor(value, name="value"), as_dtype(dtype).base_dtype
    given = x.dtype.base_dtype
    if given.min >= dtype.min and given.max <= dtype.max:
        return cast(x, dtype, name)
    attrs = {"low": _within(given, dtype, dtype.min), "high": _within(given, dtype, dtype.max), "dtype": dtype.numpy}
    name = name or "saturate_cast"
    return apply(kernels.saturate_cast, [x], attrs, type="SaturateCast", name=name, dtype=dtype, shape=x._shape)


def _within(given: DType, wanted: DType, limit: Any) -> Any:
    """The number of the given dtype nearest to a limit of the wanted dtype that both can hold."""
    if given.is_integer:
        return builtins.min(builtins.max(int(limit), given.min), given.max)
    with np.errstate(over="ignore"):
        number = given.numpy.type(limit)
    if np.isinf(number):
        return given.max if number > 0 else given.min
    beyond = number > wanted.max if limit > 0 else number < wanted.min
    if wanted.is_integer:
        beyond = int(number) > wanted.max if limit > 0 else int(number) < wanted.min
    return np.nextafter(number, given.numpy.type(0)) if beyond else number


def complex(real: Any, imag: Any, name: str | None = None) -> Tensor:
    """real + i imag: complex64 of float32, complex128 of float64. Raises TypeError for other dtypes."""
    real, imag = convert_together([real, imag])
    dtype = _promoted([real, imag])
    if dtype not in (dtypes.float32, dtypes.float64):
        raise TypeError(f"real and imag have incorrect types: {real.dtype.name} {imag.dtype.name}")
    dtype = dtypes.complex64 if dtype is dtypes.float32 else dtypes.complex128
    shape = shapes.broadcast(real._shape, imag._shape)
    attrs = {"dtype": dtype.numpy}
    return apply(kernels.complex_of, [real, imag], attrs, type="Complex", name=name, dtype=dtype, shape=shape)


def real(input: Any, name: str | None = None) -> Tensor:
    """The real part; a real input itself."""
    x = convert_to_tensor(input, name="input")
    if not x.dtype.is_complex:
        return x
    return apply(np.real, [x], type="Real", name=name, dtype=x.dtype.real_dtype, shape=x._shape)


def imag(input: Any, name: str | None = None) -> Tensor:
    """The imaginary part; zeros of a real input."""
    x = convert_to_tensor(input, name="input")
    return apply(np.imag, [x], type="Imag", name=name, dtype=x.dtype.real_dtype, shape=x._shape)


def conj(x: Any, name: str | None = None) -> Tensor:
    """The complex conjugate; a real input itself."""
    x = convert_to_tensor(x, name="x")
    return elementwise(np.conjugate, x, type="Conj", name=name) if x.dtype.is_complex else x


def angle(input: Any, name: str | None = None) -> Tensor:
    """The argument of complex numbers in radians; 0 or pi of floats."""
    x = convert_to_tensor(input, name="input")
    dtype = x.dtype.real_dtype if x.dtype.numpy.kind in "fc" else dtypes.float64
    return apply(np.angle, [x], type="Angle", name=name, dtype=dtype, shape=x._shape)


# Sequences


def range(
    start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str | None = "range"
) -> Tensor:
    """The numbers start, start + delta... before limit; with one argument from 0 to it.

    dtype: None promotes those of the arguments. Raises ValueError when delta is 0.
    """
    if limit is None:
        start, limit = 0, start
    dtype = None if dtype is None else as_dtype(dtype)
    if all(as_tensor(value) is None for value in (start, limit, delta)):
        dtype = dtype or as_dtype(np.result_type(*[convert_to_tensor(v).dtype.numpy for v in (start, limit, delta)]))
        if delta == 0:
            raise ValueError("Requires delta != 0: 0")
        size = builtins.max(0, int(np.ceil((limit - start) / delta)))
        attrs = {"start": start, "stop": limit, "step": delta, "dtype": dtype.numpy}
        return apply(np.arange, [], attrs, type="Range", name=name, dtype=dtype, shape=(size,))
    tensors = convert_together([start, limit, delta], dtype)
    dtype = dtype or _promoted(tensors)
    attrs = {"dtype": dtype.numpy}
    return apply(kernels.arange, tensors, attrs, type="Range", name=name, dtype=dtype, shape=(None,))


def linspace(start: Any, stop: Any, num: Any, name: str | None = None) -> Tensor:
    """num evenly spaced floats from start to stop, both included."""
    start, stop = convert_together([start, stop])
    dtype = _promoted([start, stop])
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
    return apply(kernels.linspace, inputs, attrs, type="LinSpace", name=name, dtype=dtype, shape=(count,))  # type: ignore[arg-type]


lin_space = linspace


# Clipping


def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any, name: str | None = None) -> Tensor:
    """min(max(t, clip_value_min), clip_value_max). Raises ValueError when the limits do not broadcast to t's shape."""
    tensors = convert_together([t, clip_value_min, clip_value_max])
    shape = functools.reduce(shapes.broadcast, [tensor._shape for tensor in tensors])
    shape = shapes.merge(tensors[0]._shape, shape)
    dtype = _promoted(tensors)
    return apply(kernels.clip, tensors, type="ClipByValue", name=name or "clip_by_value", dtype=dtype, shape=shape)


def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None, name: str | None = None) -> Tensor:
    """t, scaled down where its Euclidean norm (over `axes`, by default all) exceeds clip_norm: t * c / max(|t|, c)."""
    x, limit = convert_together([t, clip_norm])
    attrs = {"axes": whole_numbers(axes)}
    dtype = _promoted([x, limit])
    return apply(
        kernels.clip_by_norm, [x, limit], attrs, type="ClipByNorm", name=name or "clip_by_norm", dtype=dtype,
        shape=x._shape,
    )  # fmt: skip


def global_norm(t_list: Any, name: str | None = None) -> Tensor | None:
    """The Euclidean norm of all elements of all tensors together; None entries are left out, of none there is None.

    Raises TypeError when t_list is no list.
    """
    tensors = [convert_to_tensor(t) for t in _sequence(t_list) if t is not None]
    if not tensors:
        return None
    dtype = _promoted(tensors).real_dtype
    dtype = dtype if dtype.is_floating else dtypes.float64
    return apply(kernels.global_norm, tensors, type="GlobalNorm", name=name or "global_norm", dtype=dtype, shape=())


def clip_by_global_norm(
    t_list: Any, clip_norm: Any, use_norm: Any = None, name: str | None = None
) -> tuple[list[Tensor | None], Tensor | None]:
    """(tensors scaled by clip_norm / max(global norm, clip_norm), global norm); None entries stay.

    use_norm: the norm if it is known already. An infinite norm gives NaN everywhere, to be noticed.
    Reference: Pascanu et al. 2013, arXiv:1211.5063.   Raises TypeError when t_list is no list.
    """
    items = list(_sequence(t_list))
    with name_scope(name, "clip_by_global_norm", [t for t in items if t is not None]) as scope:
        norm = global_norm(items) if use_norm is None else convert_to_tensor(use_norm)
        if norm is None:
            return items, None
        norm, limit = convert_together([norm, clip_norm])
        scale = apply(kernels.clip_scale, [norm, limit], type="ClipScale", name="scale", dtype=norm.dtype, shape=())
        clipped = []
        for i, item in enumerate(items):
            tensor = None if item is None else convert_to_tensor(item)
            same = tensor is None or tensor.dtype.base_dtype is scale.dtype
            factor = scale if same else cast(scale, tensor.dtype)  # type: ignore[union-attr]
            clipped.append(None if tensor is None else multiply(tensor, factor, name=f"clipped_{i}"))
        return clipped, norm


def _sequence(t_list: Any) -> Sequence:
    if not isinstance(t_list, Sequence) or isinstance(t_list, (str, bytes)):
        raise TypeError("t_list should be a sequence")
    return t_list
