"""Special functions, bitwise functions, histograms, and simulated quantization for training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.arguments import of_kind
from weftwork.graph.build import apply, convert_to_tensor, convert_together, elementwise
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.known import promoted
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.math_ops import of_scipy
from weftwork.graph.scopes import name_scope

# Functions from SciPy


erfinv = of_scipy("erfinv", "erfinv", "Erfinv", "The inverse of the error function.")
erfcinv = of_scipy("erfcinv", "erfcinv", "Erfcinv", "The inverse of the complementary error function.")
ndtri = of_scipy("ndtri", "ndtri", "Ndtri", "The inverse of the standard normal distribution's function.")
bessel_i0 = of_scipy("bessel_i0", "i0", "BesselI0", "The modified Bessel function of the first kind of order 0.")
bessel_i0e = of_scipy("bessel_i0e", "i0e", "BesselI0e", "exp(-|x|) bessel_i0(x).")
bessel_i1 = of_scipy("bessel_i1", "i1", "BesselI1", "The modified Bessel function of the first kind of order 1.")
bessel_i1e = of_scipy("bessel_i1e", "i1e", "BesselI1e", "exp(-|x|) bessel_i1(x).")


def betainc(a: Any, b: Any, x: Any, name: str | None = None) -> Tensor:
    """The regularized incomplete beta function for x from 0 to 1. Differentiable with respect to x."""
    return math_ops.special("betainc", [a, b, x], "Betainc", name)


def polygamma(a: Any, x: Any, name: str | None = None) -> Tensor:
    """The derivative of order a of `digamma` at x > 0; a is an integer in x's dtype, a float."""
    a, x = convert_together([a, x])
    of_kind(x, "x", "f")
    shape = shapes.broadcast(a.raw_shape, x.raw_shape)
    return apply(_polygamma, [a, x], type="Polygamma", name=name, dtype=x.dtype.base_dtype, shape=shape)


def _polygamma(a, x):
    import scipy.special

    return np.asarray(scipy.special.polygamma(a.astype(int), x)).astype(x.dtype)


def lbeta(x: Any, name: str | None = None) -> Tensor:
    """log |beta(x)| along the last axis: the sum of lgamma minus lgamma of the sum."""
    with name_scope(name, "lbeta", [x]):
        x = convert_to_tensor(x)
        return math_ops.reduce_sum(math_ops.lgamma(x), -1) - math_ops.lgamma(math_ops.reduce_sum(x, -1))


# Products and quotients with a defined result for zero times infinity


def _guarded(public: str, kernel: Callable, kind: str, doc: str) -> Callable[..., Tensor]:
    def pair(x, y, name=None):
        a, b = convert_together([x, y])
        for word, tensor in (("x", a), ("y", b)):
            of_kind(tensor, word, "fc")
        shape = shapes.broadcast(a.raw_shape, b.raw_shape)
        return apply(kernel, [a, b], type=kind, name=name, dtype=promoted([a, b]), shape=shape)

    pair.__name__ = pair.__qualname__ = public
    pair.__doc__ = f"{doc} Raises TypeError for integers."
    return pair


def _xlogy(x, y):
    return np.where(x == 0, x.dtype.type(0), x * np.log(np.where(x == 0, y.dtype.type(1), y)))[()]


def _xlog1py(x, y):
    return np.where(x == 0, x.dtype.type(0), x * np.log1p(np.where(x == 0, y.dtype.type(0), y)))[()]


def _xdivy(x, y):
    return np.where(x == 0, x.dtype.type(0), x / np.where(x == 0, y.dtype.type(1), y))[()]


def _multiply_no_nan(x, y):
    return np.where(y == 0, x.dtype.type(0), np.where(y == 0, x.dtype.type(0), x) * y)[()]


xlogy = _guarded("xlogy", _xlogy, "Xlogy", "x log(y), and 0 where x is 0.")
xlog1py = _guarded("xlog1py", _xlog1py, "Xlog1py", "x log(1 + y), and 0 where x is 0.")
xdivy = _guarded("xdivy", _xdivy, "Xdivy", "x / y, and 0 where x is 0.")
multiply_no_nan = _guarded("multiply_no_nan", _multiply_no_nan, "MulNoNan", "x y, and 0 where y is 0, whatever x is.")


def reciprocal_no_nan(x: Any, name: str | None = None) -> Tensor:
    """1 / x, and 0 where x is 0."""
    x = convert_to_tensor(x)
    return math_ops.div_no_nan(array_ops.ones_like(x), x, name=name or "reciprocal_no_nan")


def nextafter(x1: Any, x2: Any, name: str | None = None) -> Tensor:
    """The next representable number after x1 in the direction of x2."""
    return elementwise(np.nextafter, x1, x2, type="NextAfter", name=name)


def polyval(coeffs: Any, x: Any, name: str | None = None) -> Tensor:
    """coeffs[0] x^(n-1) + ... + coeffs[n-1], by Horner's rule. coeffs: a list of tensors or numbers.

    Raises ValueError if coeffs is not a list.
    """
    if not isinstance(coeffs, list):
        raise ValueError(f"Argument coeffs must be list type. Received type {type(coeffs)}.")
    with name_scope(name, "polyval", [*coeffs, x]):
        x = convert_to_tensor(x)
        total = array_ops.zeros_like(x)
        for coefficient in coeffs:
            total = total * x + coefficient
        return total


def reduce_euclidean_norm(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Tensor:
    """The square root of the sum of |x|^2 over axes, in x's dtype. Integers are rounded down."""
    with name_scope(name, "EuclideanNorm", [input_tensor]) as scope:
        x = convert_to_tensor(input_tensor)
        of_kind(x, "input", "iufc")
        wide = math_ops.cast(x, dtypes.float64) if x.dtype.is_integer else math_ops.abs(x) if x.dtype.is_complex else x
        last = scope if wide is x else None
        norm = math_ops.sqrt(math_ops.reduce_sum(math_ops.square(wide), axis, keepdims), name=last)
        return norm if wide is x else math_ops.cast(norm, x.dtype, name=scope)


def log_sigmoid(x: Any, name: str | None = None) -> Tensor:
    """log(sigmoid(x)), accurate for large negative x."""
    x = convert_to_tensor(x)
    return np.negative(np.logaddexp(array_ops.zeros_like(x), -x))  # type: ignore[return-value]


# Bits


def _bits(public: str, ufunc: np.ufunc, kind: str, doc: str) -> Callable[..., Tensor]:
    def pair(x, y, name=None):
        a, b = convert_together([x, y])
        for tensor in (a, b):
            if not tensor.dtype.is_integer:
                raise TypeError(f"{public} needs integers, but got {tensor.dtype.name}: {tensor}")
        return elementwise(ufunc, a, b, type=kind, name=name)

    pair.__name__ = pair.__qualname__ = public
    pair.__doc__ = f"{doc} Raises TypeError unless both are integers."
    return pair


bitwise_and = _bits("bitwise_and", np.bitwise_and, "BitwiseAnd", "Bitwise and of integers.")
bitwise_or = _bits("bitwise_or", np.bitwise_or, "BitwiseOr", "Bitwise or of integers.")
bitwise_xor = _bits("bitwise_xor", np.bitwise_xor, "BitwiseXor", "Bitwise exclusive or of integers.")
left_shift = _bits("left_shift", np.left_shift, "LeftShift", "Shift the bits of x left by y positions.")
right_shift = _bits(
    "right_shift", np.right_shift, "RightShift", "Shift the bits of x right by y positions, keeping the sign."
)


def invert(x: Any, name: str | None = None) -> Tensor:
    """Bitwise not. Raises TypeError unless x is an integer."""
    x = convert_to_tensor(x)
    if not x.dtype.is_integer:
        raise TypeError(f"invert needs integers, but got {x.dtype.name}: {x}")
    return elementwise(np.invert, x, type="Invert", name=name)


# Histograms


def histogram_fixed_width_bins(
    values: Any, value_range: Any, nbins: int = 100, dtype: Any = dtypes.int32, name: str | None = None
) -> Tensor:
    """The bin of each value, among `nbins` bins of equal width from value_range[0] to value_range[1].

    Values outside the range belong to the first or the last bin.
    """
    x, limits = convert_together([values, value_range])
    of_kind(x, "values", "biuf")
    kind = as_dtype(dtype)
    attrs = {"count": int(nbins), "dtype": kind.numpy}
    return apply(
        _bins, [x, limits], attrs, type="HistogramBins", name=name or "histogram_fixed_width_bins",
        dtype=kind, shape=x.raw_shape,
    )  # fmt: skip


def histogram_fixed_width(
    values: Any, value_range: Any, nbins: Any = 100, dtype: Any = dtypes.int32, name: str | None = None
) -> Tensor:
    """The number of values in each of `nbins` bins; see `histogram_fixed_width_bins`.

    value_range: [smallest, largest]; values outside count in the first and last bin. Raises ValueError without bins.
    """
    x, limits = convert_together([values, value_range])
    of_kind(x, "values", "biuf")
    kind = as_dtype(dtype)
    if int(nbins) <= 0:
        raise ValueError(f"Requires nbins > 0: {nbins}")
    attrs = {"count": int(nbins), "dtype": kind.numpy}
    return apply(
        _histogram, [x, limits], attrs, type="HistogramFixedWidth", name=name or "histogram_fixed_width",
        dtype=kind, shape=(int(nbins),),
    )  # fmt: skip


def _bins(x, limits, count, dtype):
    low, high = np.asarray(limits, np.float64)
    if low >= high:
        raise InvalidArgumentError(
            None, None, f"value_range should satisfy value_range[0] < value_range[1], but got '[{low}, {high}]'"
        )
    scaled = (np.asarray(x, np.float64) - low) / (high - low) * count
    return np.clip(np.floor(scaled), 0, count - 1).astype(dtype)


def _histogram(x, limits, count, dtype):
    return np.bincount(_bins(x, limits, count, np.int64).ravel(), minlength=count).astype(dtype)


# Simulated quantization


def _nudged(low: Any, high: Any, bits: int, narrow: bool) -> tuple:
    """(minimum, maximum, step width), shifted so that 0 is one of the steps."""
    least, most = (1.0 if narrow else 0.0), float(2**bits - 1)
    low, high = np.asarray(low, np.float32), np.asarray(high, np.float32)
    scale = (high - low) / np.float32(most - least)
    with np.errstate(all="ignore"):
        zero = np.where(scale == 0, np.float32(0), least - low / np.where(scale == 0, np.float32(1), scale))
    nudged = np.clip(np.floor(zero + 0.5), least, most).astype(np.float32)
    return (least - nudged) * scale, (most - nudged) * scale, scale


def fake_quantized(x, low, high, bits, narrow):
    """The kernel of fake_quant: round x to the nearest step between low and high."""
    start, end, scale = _nudged(low, high, bits, narrow)
    step = np.where(scale == 0, np.float32(1), scale)
    clipped = np.minimum(np.maximum(x, start), end)
    result = np.floor((clipped - start) / step + np.float32(0.5)) * scale + start
    return result.astype(x.dtype)


def within(x, low, high, bits, narrow):
    """-1, 0 or 1, float32: whether x is below, between, or above the adjusted limits of fake_quant."""
    start, end, _ = _nudged(low, high, bits, narrow)
    return ((x > end).astype(np.float32) - (x < start)).astype(np.float32)


def _checked(num_bits: int, narrow_range: bool) -> dict:
    if not 2 <= num_bits <= 16:
        raise ValueError(f"num_bits must be between 2 and 16, inclusive, but is {num_bits}")
    return {"bits": int(num_bits), "narrow": bool(narrow_range)}


def fake_quant_with_min_max_vars(
    inputs: Any, min: Any, max: Any, num_bits: int = 8, narrow_range: bool = False, name: str | None = None
) -> Tensor:
    """Round the inputs to the nearest of 2^num_bits steps from min to max (scalars): float32 in, float32 out.

    The gradient goes to the inputs between the limits, to min for those below, to max for those above.
    """
    x, low, high = (convert_to_tensor(part, dtypes.float32) for part in (inputs, min, max))
    attrs = _checked(num_bits, narrow_range)
    return apply(
        fake_quantized, [x, low, high], attrs, type="FakeQuantWithMinMaxVars", name=name, dtype=dtypes.float32,
        shape=x.raw_shape,
    )  # fmt: skip


def fake_quant_with_min_max_vars_per_channel(
    inputs: Any, min: Any, max: Any, num_bits: int = 8, narrow_range: bool = False, name: str | None = None
) -> Tensor:
    """`fake_quant_with_min_max_vars` with separate limits, vectors, for each element of the last axis."""
    name = name or "FakeQuantWithMinMaxVarsPerChannel"
    return fake_quant_with_min_max_vars(inputs, min, max, num_bits, narrow_range, name)


def fake_quant_with_min_max_args(
    inputs: Any,
    min: float = -6,
    max: float = 6,
    num_bits: int = 8,
    narrow_range: bool = False,
    name: str | None = None,
) -> Tensor:
    """`fake_quant_with_min_max_vars` with constant limits. Raises ValueError unless min < max."""
    if min >= max:
        raise ValueError(f"min has to be smaller than max, was: {min} >= {max}")
    name = name or "FakeQuantWithMinMaxArgs"
    return fake_quant_with_min_max_vars(inputs, float(min), float(max), num_bits, narrow_range, name)


def fake_quant_with_min_max_vars_gradient(
    gradients: Any,
    inputs: Any,
    min: Any,
    max: Any,
    num_bits: int = 8,
    narrow_range: bool = False,
    name: str | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """(with respect to the inputs, min, max): the gradients of `fake_quant_with_min_max_vars`."""
    with name_scope(name, "FakeQuantWithMinMaxVarsGradient"):
        g, x, low, high = (convert_to_tensor(part, dtypes.float32) for part in (gradients, inputs, min, max))
        attrs = _checked(num_bits, narrow_range)
        side = apply(within, [x, low, high], attrs, type="FakeQuantSide", dtype=dtypes.float32, shape=x.raw_shape)
        axes = None if low.raw_shape in (None, ()) else list(range(len(x.raw_shape or (0,)) - 1))
        zeros = array_ops.zeros_like(g)
        parts = [array_ops.where_v2(math_ops.equal(side, sign), g, zeros) for sign in (0.0, -1.0, 1.0)]
        return parts[0], math_ops.reduce_sum(parts[1], axes), math_ops.reduce_sum(parts[2], axes)


def fake_quant_with_min_max_vars_per_channel_gradient(
    gradients: Any,
    inputs: Any,
    min: Any,
    max: Any,
    num_bits: int = 8,
    narrow_range: bool = False,
    name: str | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """(with respect to the inputs, min, max): the gradients of `fake_quant_with_min_max_vars_per_channel`."""
    return fake_quant_with_min_max_vars_gradient(gradients, inputs, min, max, num_bits, narrow_range, name)


def fake_quant_with_min_max_args_gradient(
    gradients: Any,
    inputs: Any,
    min: float = -6,
    max: float = 6,
    num_bits: int = 8,
    narrow_range: bool = False,
    name: str | None = None,
) -> Tensor:
    """The gradient of `fake_quant_with_min_max_args` with respect to its inputs.

    gradients: of the output, a float tensor.
    """
    limits = float(min), float(max)
    return fake_quant_with_min_max_vars_gradient(gradients, inputs, *limits, num_bits, narrow_range, name)[0]
