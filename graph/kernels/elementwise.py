"""Kernels of mathematical operations that no single NumPy function computes.

Every kernel keeps the dtype of its inputs (constants are created with that dtype, since NumPy 1 promotes scalars) and
leaves its inputs unchanged.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from weftwork.graph.divisions import divisor
from weftwork.graph.errors import InvalidArgumentError, RefusedError
from weftwork.graph.kernels.reductions import max_over
from weftwork.graph.shapes import bracket_text

# From this size of an einsum's largest operand, it pays to search for a contraction order that uses BLAS.
EINSUM_PLANNED = 2000

# Element by element


def rsqrt(x):
    """1 / sqrt(x)."""
    return np.reciprocal(np.sqrt(x))


def squared_difference(x, y):
    """(x - y)^2; |x - y|^2 of complex numbers, as the same dtype."""
    difference = np.subtract(x, y)
    return np.multiply(difference, np.conj(difference))


def truncate_divide(x, y):
    """x / y of integers, rounded towards zero."""
    quotient = np.floor_divide(x, divisor(x, y))
    return quotient + ((quotient < 0) & (quotient * y != x)).astype(quotient.dtype)


def div_no_nan(x, y):
    """x / y, and 0 where y is 0."""
    zero = np.equal(y, y.dtype.type(0))
    quotient = np.divide(x, np.where(zero, y.dtype.type(1), y))
    return np.where(zero, quotient.dtype.type(0), quotient)[()]


def digamma(x):
    """The derivative of lgamma; NaN at its poles 0, -1, -2..."""
    import scipy.special  # imported here because it is slow, and few programs need it

    value = scipy.special.psi(x)
    return np.where(np.equal(x, 0), value.dtype.type(np.nan), value)[()]


def of_halves(*values, function):
    """A function of float16, computed as float32."""
    return cast(function(*[cast(x, np.dtype(np.float32)) for x in values]), np.dtype(np.float16))


def complex_sigmoid(x):
    """1 / (1 + exp(-x)) of complex numbers."""
    one = x.dtype.type(1)
    return one / (one + np.exp(-x))


def igamma_grad_a(a, x):
    """The derivative of igamma(a, x) with respect to a."""
    lower, value, slope = _log_tail(a, x)
    return cast(np.nan_to_num(np.where(lower, 1.0, -1.0) * np.exp(value) * slope), np.result_type(a, x))


def random_gamma_grad(alpha, sample):
    """The derivative of draws from gamma distributions of shape alpha with respect to alpha, by implicit
    differentiation (Figurnov, Mohamed and Mnih, "Implicit Reparameterization Gradients", 2018).
    """
    import scipy.special

    lower, value, slope = _log_tail(alpha, sample)
    log_density = (alpha - 1.0) * np.log(sample, dtype=np.float64) - sample - scipy.special.gammaln(alpha)
    return cast(np.where(lower, -1.0, 1.0) * np.exp(value - log_density) * slope, np.result_type(alpha, sample))


def _log_tail(a, x):
    """Of a gamma distribution of shape a, cut at x: whether the lower tail is the smaller one, the logarithm of the
    smaller one, and its derivative with respect to a. A central difference of order 4: SciPy has no such derivative.
    """
    import scipy.special

    a, x = np.asarray(a, np.float64), np.asarray(x, np.float64)
    lower = scipy.special.gammainc(a, x) < 0.5
    step = 1e-3 * np.minimum(a, np.sqrt(a))

    def at(shift):
        near = a + shift * step
        return np.log(np.where(lower, scipy.special.gammainc(near, x), scipy.special.gammaincc(near, x)))

    with np.errstate(divide="ignore", invalid="ignore"):
        return lower, at(0), (8.0 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12.0 * step)


def zeta(x, q):
    """The Hurwitz zeta function."""
    import scipy.special  # imported here because it is slow, and few programs need it

    return cast(scipy.special.zeta(x, q), np.result_type(x, q))


def clip(x, low, high):
    """max(min(x, high), low)."""
    return np.maximum(np.minimum(x, high), low)


def add_n(*values):
    """The sum of all values."""
    return functools.reduce(np.add, values)


def cast(x, dtype):
    """x as another dtype; a complex number loses its imaginary part."""
    return x.astype(dtype, copy=False) if isinstance(x, np.ndarray) else dtype.type(x)


def cast_complex(x, dtype):
    """The real part of x as another dtype."""
    return cast(np.real(x), dtype)


def cast_object(x, dtype):
    """Any Python object as an array or scalar."""
    return np.asarray(x).astype(dtype)[()]


def saturate_cast(x, low, high, dtype):
    """x clipped to the range of the dtype."""
    return cast(np.minimum(np.maximum(x, x.dtype.type(low)), x.dtype.type(high)), dtype)


def complex_of(real, imag, dtype):
    """real + i imag, correct for infinities, too."""
    out = np.empty(np.broadcast(real, imag).shape, dtype)
    out.real, out.imag = real, imag
    return out[()]


def angle(x):
    """The argument of complex numbers or floats. (In NumPy 1, np.angle of a float32 scalar is float64.)"""
    return np.arctan2(np.imag(x), np.real(x))


# Reductions


def reduce_over(x, axis, function, **options):
    """A NumPy reduction over axes known only at run time."""
    rank, axes = np.ndim(x), [int(a) for a in np.ravel(axis)]
    for a in axes:
        if not -rank <= a < rank:
            raise ValueError(f"Invalid reduction dimension ({a} for input with {rank} dimension(s)")
    twice = next((a for i, a in enumerate(axes) if a % rank in [b % rank for b in axes[:i]]), None)
    if twice is not None:
        raise ValueError(f"Invalid reduction arguments: Axes contains duplicate dimension: {twice % rank}")
    return function(x, axis=tuple(axes), **options)


def logsumexp(x, axis=None, keepdims=False):
    """log(sum(exp(x))) without overflow: m + log(sum(exp(x - m))), where m is the maximum."""
    if x.dtype.kind in "biu":
        x = x.astype(np.float64)
    top = max_over(x, axis, keepdims=True)
    top = np.where(np.isfinite(top), top, np.zeros_like(top))
    total = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return total if keepdims else np.squeeze(total, axis)[()]


def count_nonzero(x, dtype, axis=None, keepdims=False):
    """The number of elements that are not zero; for strings, not empty."""
    return np.sum(np.not_equal(x, x.dtype.type(0)), axis=axis, keepdims=keepdims, dtype=dtype)


def count_nonempty(x, dtype, axis=None, keepdims=False):
    """The number of strings or objects that are true."""
    return np.sum(np.asarray(x, dtype=object).astype(bool), axis=axis, keepdims=keepdims, dtype=dtype)


def scan(x, axis, function, unit, exclusive=False, reverse=False):
    """np.cumsum or np.cumprod from either end; exclusive: without the element itself.

    unit: the value of an empty one.
    """
    if reverse:
        x = np.flip(x, axis)
    if exclusive:
        first = np.full_like(np.take(x, [0], axis), unit) if x.shape[axis] else x
        x = np.concatenate([first, np.take(x, range(x.shape[axis] - 1), axis)], axis) if x.shape[axis] else x
    out = function(x, axis=axis, dtype=x.dtype)
    return np.flip(out, axis) if reverse else out


def scan_over(x, axis, function, unit, exclusive=False, reverse=False):
    """`scan` along an axis known only at run time."""
    return scan(x, scanned_axis(axis, np.ndim(x)), function, unit, exclusive, reverse)


def scanned_axis(axis, rank):
    """The axis of a scan as an int. Raises RefusedError unless it is a scalar, and one of `rank` axes if this is known.

    rank: None if it is not known yet.
    """
    if np.ndim(axis):
        raise RefusedError(None, None, f"ScanOp: axis must be a scalar, not {bracket_text(np.shape(axis))}")
    if rank is not None and not -rank <= axis < rank:
        text = f"ScanOp: Expected scan axis in the range [{-rank}, {rank}), but got {axis}"
        raise RefusedError(None, None, text)
    return int(axis)


def arg_extreme(x, axis, function, dtype):
    """argmax_over or argmin_over with another integer dtype, or over an axis known only at run time."""
    axis, rank = int(axis), np.ndim(x)
    if not -rank <= axis < rank:
        raise ValueError(f"Expected dimension in the range [{-rank}, {rank}), but got {axis}")
    if not x.shape[axis]:
        raise ValueError(f"Reduction axis {axis} is empty in shape {bracket_text(x.shape)}")
    return cast(function(x, axis=axis), dtype)


def global_norm(*values):
    """The square root of the sum of squares over all elements of all values."""
    return np.sqrt(functools.reduce(np.add, [np.sum(np.square(np.abs(v))) for v in values]))


def clip_by_norm(x, limit, axes):
    """x * limit / max(|x|, limit)."""
    norm = np.sqrt(np.sum(np.square(x), axis=axes, keepdims=True))
    return x * (limit / np.maximum(norm, limit))


def clip_scale(norm, limit):
    """The factor that limits a norm to `limit`; NaN if the norm is not finite."""
    return limit * np.minimum(np.reciprocal(norm), np.reciprocal(limit)) + (norm - norm)


# Segments


def bincount(x, minlength, maxlength, dtype):
    """The number of occurrences of 0, 1, 2...; numbers of maxlength and above are dropped."""
    flat = np.ravel(x)
    if flat.size and flat.min() < 0:
        raise ValueError(f"Input arr must be non-negative! It has {flat.min()}")
    counts = np.bincount(flat if flat.size else np.zeros(0, np.intp), minlength=int(minlength)).astype(dtype)
    return counts if maxlength is None else counts[: int(maxlength)]


def weighted_bincount(x, weights, minlength, maxlength):
    """The sum of weights for each number."""
    flat, weights = np.ravel(x), np.ravel(weights)
    if flat.size and flat.min() < 0:
        raise ValueError(f"Input arr must be non-negative! It has {flat.min()}")
    size = max(int(flat.max()) + 1 if flat.size else 0, int(minlength))
    out = np.zeros(size, weights.dtype)
    np.add.at(out, flat, weights)
    return out if maxlength is None else out[: int(maxlength)]


# Products


def matmul(a, b, transpose_a=False, transpose_b=False, adjoint_a=False, adjoint_b=False):
    """a b, where each may be transposed, or conjugated and transposed, first. Neither may be a vector."""
    for number, factor in enumerate((a, b)):
        if factor.ndim < 2:
            text = f"In[{number}] is not a matrix. Instead it has shape {bracket_text(factor.shape)}"
            raise InvalidArgumentError(None, None, text)
    return np.matmul(_oriented(a, transpose_a, adjoint_a), _oriented(b, transpose_b, adjoint_b))


def _oriented(x: Any, transpose: bool, adjoint: bool) -> Any:
    if adjoint:
        return np.conj(np.swapaxes(x, -1, -2))
    return np.swapaxes(x, -1, -2) if transpose else x


def einsum(*values, equation):
    """np.einsum. Large contractions are planned first: only planned ones use BLAS."""
    large = max([np.size(v) for v in values]) >= EINSUM_PLANNED
    return np.einsum(equation, *values, optimize=large or len(values) > 2)


def checked_einsum(*values, equation):
    """`einsum` of shapes known only at run time. NumPy would broadcast an axis of size 1."""
    sizes: dict[str, int] = {}
    for term, value in zip(equation.partition("->")[0].split(","), values, strict=True):
        before, _, after = term.partition("...")
        places = [*range(len(before)), *range(value.ndim - len(after), value.ndim)]
        for label, place in zip(before + after, places, strict=True):
            size = sizes.setdefault(label, value.shape[place])
            if size != value.shape[place]:
                raise InvalidArgumentError(
                    None, None, f"Expected dimension {size} at axis {place} of the input shaped "
                    f"{bracket_text(value.shape)} but got dimension {value.shape[place]}",
                )  # fmt: skip
    return einsum(*values, equation=equation)


def cross(a, b):
    """The cross products of vectors of three elements."""
    if np.shape(a) != np.shape(b):
        text = f"Both inputs must be of same shape: {bracket_text(np.shape(a))} vs. {bracket_text(np.shape(b))}"
        raise InvalidArgumentError(None, None, text)
    return np.cross(a, b)


def linspace(start, stop, num, dtype):
    """num evenly spaced numbers from start to stop, both included, along the first axis."""
    return np.linspace(start, stop, int(num), dtype=dtype)


def check_range(start, limit, delta):
    """Raise ValueError unless steps of delta lead from start towards limit."""
    if delta == 0:
        raise ValueError("Requires delta != 0: 0")
    if (limit < start) if delta > 0 else (limit > start):
        sign, word = ("<=", ">") if delta > 0 else (">=", "<")
        raise ValueError(f"Requires start {sign} limit when delta {word} 0: {start}/{limit}")


def arange(start, limit, delta, dtype):
    """start, start + delta... up to but excluding limit."""
    check_range(start, limit, delta)
    return np.arange(start, limit, delta, dtype=dtype)
