"""Distributions on the whole line, or a part of it: Normal, Laplace, StudentT, Uniform."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from weftwork.graph.distributions.distribution import FULLY_REPARAMETERIZED, Elementwise
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, assertions, filling, math_ops, random_ops, selecting, special

_HALF_LOG_TAU = 0.5 * math.log(2.0 * math.pi)


class _Located(Elementwise):
    """Distributions that are moved by loc and stretched by scale."""

    def __init__(self, loc: Any, scale: Any, validate_args: bool, allow_nan_stats: bool, name: str | None, **more: Any):
        self._validate_args = validate_args
        given = {**more, "loc": loc, "scale": scale}
        checks = [(word, assertions.assert_positive) for word in given if word != "loc"]
        made = self._entered(name, given, *checks)
        self._loc, self._scale = made["loc"], made["scale"]
        self._more = {word: made[word] for word in more}
        parameters = {**given, "validate_args": validate_args, "allow_nan_stats": allow_nan_stats, "name": name}
        super().__init__(
            self._loc.dtype.base_dtype, FULLY_REPARAMETERIZED, validate_args, allow_nan_stats, parameters,
            self._tensors, self._name,
        )  # fmt: skip

    @property
    def loc(self) -> Tensor:
        """Where the distribution is centred."""
        return self._loc

    @property
    def scale(self) -> Tensor:
        """How wide it is."""
        return self._scale

    def _z(self, x: Tensor) -> Tensor:
        return (x - self._loc) / self._scale

    def _mean(self) -> Tensor:
        return self._spread(self._loc)

    def _mode(self) -> Tensor:
        return self._mean()


class Normal(_Located):
    """The normal distribution. loc: the mean. scale: the standard deviation."""

    def __init__(
        self, loc: Any, scale: Any, validate_args: bool = False, allow_nan_stats: bool = True, name: str = "Normal"
    ):
        super().__init__(loc, scale, validate_args, allow_nan_stats, name)

    def _sample_n(self, n: Tensor, seed: int | None) -> Tensor:
        return random_ops.random_normal(self._n_of(n), dtype=self.dtype, seed=seed) * self._scale + self._loc

    def _log_prob(self, x: Tensor) -> Tensor:
        return math_ops.square(self._z(x)) * -0.5 - (math_ops.log(self._scale) + _HALF_LOG_TAU)

    def _cdf(self, x: Tensor) -> Tensor:
        return math_ops.erfc(-self._z(x) / math.sqrt(2.0)) * 0.5

    def _log_cdf(self, x: Tensor) -> Tensor:
        return log_ndtr(self._z(x))

    def _survival_function(self, x: Tensor) -> Tensor:
        return math_ops.erfc(self._z(x) / math.sqrt(2.0)) * 0.5

    def _log_survival_function(self, x: Tensor) -> Tensor:
        return log_ndtr(-self._z(x))

    def _quantile(self, p: Tensor) -> Tensor:
        return special.ndtri(p) * self._scale + self._loc

    def _entropy(self) -> Tensor:
        return self._spread(math_ops.log(self._scale) + (0.5 + _HALF_LOG_TAU))

    def _stddev(self) -> Tensor:
        return self._spread(self._scale)


def log_ndtr(x: Tensor) -> Tensor:
    """The logarithm of the normal distribution's cdf, exact far below 0 by its asymptotic series there."""
    low = -5.0 if x.dtype.size < 8 else -14.0
    near, far = math_ops.maximum(x, low), math_ops.minimum(x, low)
    square = math_ops.square(far)
    series = 1.0 - 1.0 / square + 3.0 / square**2 - 15.0 / square**3 + 105.0 / square**4
    tail = -0.5 * square - math_ops.log(-far) - _HALF_LOG_TAU + math_ops.log(series)
    return selecting.where_v2(x > low, math_ops.log(0.5 * math_ops.erfc(-near / math.sqrt(2.0))), tail)


class Laplace(_Located):
    """The Laplace distribution: exponential on both sides of loc, with the mean distance `scale`."""

    def __init__(
        self, loc: Any, scale: Any, validate_args: bool = False, allow_nan_stats: bool = True, name: str = "Laplace"
    ):
        super().__init__(loc, scale, validate_args, allow_nan_stats, name)

    def _sample_n(self, n: Tensor, seed: int | None) -> Tensor:
        least = np.nextafter(self.dtype.numpy.type(-1), self.dtype.numpy.type(0))  # the logarithm of 0 is left out
        u = random_ops.random_uniform(self._n_of(n), least, 1.0, self.dtype, seed)
        return self._loc - self._scale * math_ops.sign(u) * math_ops.log1p(-math_ops.abs(u))

    def _log_prob(self, x: Tensor) -> Tensor:
        return -math_ops.abs(self._z(x)) - math.log(2.0) - math_ops.log(self._scale)

    def _cdf(self, x: Tensor) -> Tensor:
        z = self._z(x)
        return math_ops.sign(z) * (1.0 - math_ops.exp(-math_ops.abs(z))) * 0.5 + 0.5

    def _log_cdf(self, x: Tensor) -> Tensor:
        z = self._z(x)
        below = z - math.log(2.0)
        return selecting.where_v2(z < 0.0, below, math_ops.log1p(-math_ops.exp(-math_ops.abs(z) - math.log(2.0))))

    def _log_survival_function(self, x: Tensor) -> Tensor:
        z = self._z(x)
        above = math_ops.log1p(-math_ops.exp(-math_ops.abs(z) - math.log(2.0)))
        return selecting.where_v2(z < 0.0, above, -z - math.log(2.0))

    def _entropy(self) -> Tensor:
        return self._spread(math_ops.log(self._scale) + (1.0 + math.log(2.0)))

    def _stddev(self) -> Tensor:
        return self._spread(self._scale * math.sqrt(2.0))


class StudentT(_Located):
    """Student's t-distribution with df degrees of freedom. Gradients flow through draws to loc and scale, not to df."""

    def __init__(
        self, df: Any, loc: Any, scale: Any, validate_args: bool = False, allow_nan_stats: bool = True,
        name: str = "StudentT",
    ):  # fmt: skip
        super().__init__(loc, scale, validate_args, allow_nan_stats, name, df=df)

    @property
    def df(self) -> Tensor:
        """The degrees of freedom."""
        return self._more["df"]

    def _sample_n(self, n: Tensor, seed: int | None) -> Tensor:
        size = self._n_of(n)
        normal = random_ops.random_normal(size, dtype=self.dtype, seed=seed)
        half = 0.5 * self._spread(self.df)
        again = None if seed is None else seed + 1
        chi = random_ops.random_gamma(array_ops.reshape(n, [1]), half, 0.5, self.dtype, again)
        return normal * math_ops.rsqrt(chi / self.df) * self._scale + self._loc

    def _log_prob(self, x: Tensor) -> Tensor:
        df = self.df
        norm = math_ops.log(math_ops.abs(self._scale)) + 0.5 * math_ops.log(df) + 0.5 * math.log(math.pi)
        norm += math_ops.lgamma(0.5 * df) - math_ops.lgamma(0.5 * (df + 1.0))
        return -0.5 * (df + 1.0) * math_ops.log1p(math_ops.square(self._z(x)) / df) - norm

    def _cdf(self, x: Tensor) -> Tensor:
        z = self._z(x)
        tail = 0.5 * special.betainc(0.5 * (self.df + 0.0 * z), 0.5 + 0.0 * (z + self.df), self.df / (z * z + self.df))
        return selecting.where_v2(z < 0.0, tail, 1.0 - tail)

    def _entropy(self) -> Tensor:
        half, above = 0.5 * self.df, 0.5 * (self.df + 1.0)
        beta = math_ops.lgamma(half) - math_ops.lgamma(above) + math.lgamma(0.5)
        standard = above * (math_ops.digamma(above) - math_ops.digamma(half)) + 0.5 * math_ops.log(self.df) + beta
        return self._spread(math_ops.log(math_ops.abs(self._scale)) + standard)

    def _mean(self) -> Tensor:
        return self._where(
            self._spread(self.df) > 1.0, self._spread(self._loc), "mean not defined for components of df <= 1"
        )

    def _mode(self) -> Tensor:
        return self._spread(self._loc)

    def _variance(self) -> Tensor:
        df = self._spread(self.df)
        finite = math_ops.square(self._scale) * df / selecting.where_v2(df > 2.0, df - 2.0, filling.ones_like(df))
        value = selecting.where_v2(df > 2.0, finite, filling.zeros_like(df) + np.inf)
        return self._where(df > 1.0, value, "variance not defined for components of df <= 1")


class Uniform(Elementwise):
    """The uniform distribution on [low, high)."""

    def __init__(
        self, low: Any = 0.0, high: Any = 1.0, validate_args: bool = False, allow_nan_stats: bool = True,
        name: str = "Uniform",
    ):  # fmt: skip
        self._validate_args = validate_args
        made = self._entered(name, {"low": low, "high": high})
        self._low, self._high = made["low"], made["high"]
        if validate_args:
            message = "uniform not defined when low >= high."
            self._low = self._checked(self._low, lambda t: assertions.assert_less(t, self._high, message=message))
        parameters = {
            "low": low, "high": high, "validate_args": validate_args, "allow_nan_stats": allow_nan_stats, "name": name,
        }  # fmt: skip
        super().__init__(
            self._low.dtype.base_dtype, FULLY_REPARAMETERIZED, validate_args, allow_nan_stats, parameters,
            self._tensors, self._name,
        )  # fmt: skip

    @property
    def low(self) -> Tensor:
        """The lower end."""
        return self._low

    @property
    def high(self) -> Tensor:
        """The upper end, which is not drawn."""
        return self._high

    def range(self, name: str = "range") -> Tensor:
        """high - low."""
        with self._scope(name):
            return self._high - self._low

    def _sample_n(self, n: Tensor, seed: int | None) -> Tensor:
        return self._low + (self._high - self._low) * random_ops.random_uniform(
            self._n_of(n), dtype=self.dtype, seed=seed
        )

    def _prob(self, x: Tensor) -> Tensor:
        density = 1.0 / (self._high - self._low) + 0.0 * x
        outside = math_ops.logical_or(x + 0.0 * density < self._low, x + 0.0 * density >= self._high)
        kept = selecting.where_v2(math_ops.is_nan(x + 0.0 * density), x + 0.0 * density, density)
        return selecting.where_v2(outside, filling.zeros_like(kept), kept)

    def _cdf(self, x: Tensor) -> Tensor:
        return math_ops.minimum(math_ops.maximum((x - self._low) / (self._high - self._low), 0.0), 1.0)

    def _quantile(self, p: Tensor) -> Tensor:
        return self._low * (1.0 - p) + self._high * p

    def _entropy(self) -> Tensor:
        return math_ops.log(self._high - self._low)

    def _mean(self) -> Tensor:
        return (self._low + self._high) / 2.0

    def _variance(self) -> Tensor:
        return math_ops.square(self._high - self._low) / 12.0
