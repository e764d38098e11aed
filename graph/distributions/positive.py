"""Distributions of positive numbers: Gamma, Exponential, and Beta between 0 and 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph.distributions.distribution import FULLY_REPARAMETERIZED, Elementwise
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, assertions, filling, math_ops, random_ops, special


class _Shaped(Elementwise):
    """Distributions of two positive parameters whose draws are made of gamma variates."""

    def __init__(self, given: dict[str, Any], validate_args: bool, allow_nan_stats: bool, name: str | None):
        self._validate_args = validate_args
        self._made = self._entered(name, given, *[(word, assertions.assert_positive) for word in given])
        parameters = {**given, "validate_args": validate_args, "allow_nan_stats": allow_nan_stats, "name": name}
        super().__init__(
            self._tensors[0].dtype.base_dtype, FULLY_REPARAMETERIZED, validate_args, allow_nan_stats, parameters,
            self._tensors, self._name,
        )  # fmt: skip

    def _drawn(self, n: Tensor, alpha: Tensor, beta: Any, seed: int | None) -> Tensor:
        return random_ops.random_gamma(array_ops.reshape(n, [1]), self._spread(alpha), beta, self.dtype, seed)


class Gamma(_Shaped):
    """The gamma distribution with shape `concentration` and `rate`. Draws have no gradient."""

    def __init__(
        self, concentration: Any, rate: Any, validate_args: bool = False, allow_nan_stats: bool = True,
        name: str = "Gamma",
    ):  # fmt: skip
        super().__init__({"concentration": concentration, "rate": rate}, validate_args, allow_nan_stats, name)

    @property
    def concentration(self) -> Tensor:
        """The shape."""
        return self._made["concentration"]

    @property
    def rate(self) -> Tensor:
        """One divided by the scale."""
        return self._made["rate"]

    def _sample_n(self, n: Tensor, seed: int | None) -> Tensor:
        return self._drawn(n, self.concentration, self.rate, seed)

    def _log_prob(self, x: Tensor) -> Tensor:
        a, b = self.concentration, self.rate
        return special.xlogy(a - 1.0, x) - b * x - (math_ops.lgamma(a) - a * math_ops.log(b))

    def _cdf(self, x: Tensor) -> Tensor:
        return math_ops.igamma(self.concentration, self.rate * x)

    def _entropy(self) -> Tensor:
        a = self.concentration
        return a - math_ops.log(self.rate) + math_ops.lgamma(a) + (1.0 - a) * math_ops.digamma(a)

    def _mean(self) -> Tensor:
        return self.concentration / self.rate

    def _variance(self) -> Tensor:
        return self.concentration / math_ops.square(self.rate)

    def _stddev(self) -> Tensor:
        return math_ops.sqrt(self.concentration) / self.rate

    def _mode(self) -> Tensor:
        value = (self.concentration - 1.0) / self.rate
        return self._where(self._spread(self.concentration) > 1.0, value, "mode not defined when concentration <= 1")


class Exponential(Gamma):
    """The exponential distribution with a rate."""

    def __init__(self, rate: Any, validate_args: bool = False, allow_nan_stats: bool = True, name: str = "Exponential"):
        rate = math_ops.multiply(rate, 1.0) if isinstance(rate, int) else rate
        super().__init__(filling.ones_like(rate), rate, validate_args, allow_nan_stats, name)
        self._parameters = {
            "rate": rate, "validate_args": validate_args, "allow_nan_stats": allow_nan_stats, "name": name,
        }  # fmt: skip

    def _sample_n(self, n: Tensor, seed: int | None) -> Tensor:
        tiny = np.finfo(self.dtype.numpy).tiny  # the logarithm of 0 is left out
        return -math_ops.log(random_ops.random_uniform(self._n_of(n), tiny, 1.0, self.dtype, seed)) / self.rate

    def _cdf(self, x: Tensor) -> Tensor:
        return -math_ops.expm1(-self.rate * math_ops.maximum(x, 0.0))

    def _log_survival_function(self, x: Tensor) -> Tensor:
        return -self.rate * math_ops.maximum(x, 0.0)

    def _quantile(self, p: Tensor) -> Tensor:
        return -math_ops.log1p(-p) / self.rate

    def _mode(self) -> Tensor:
        return filling.zeros_like(self._spread(self.rate))


class Beta(_Shaped):
    """The beta distribution. `concentration1` draws the values to 1, `concentration0` to 0. Draws have no gradient."""

    def __init__(
        self, concentration1: Any = None, concentration0: Any = None, validate_args: bool = False,
        allow_nan_stats: bool = True, name: str = "Beta",
    ):  # fmt: skip
        given = {"concentration1": concentration1, "concentration0": concentration0}
        super().__init__(given, validate_args, allow_nan_stats, name)

    @property
    def concentration1(self) -> Tensor:
        """The weight of 1."""
        return self._made["concentration1"]

    @property
    def concentration0(self) -> Tensor:
        """The weight of 0."""
        return self._made["concentration0"]

    @property
    def total_concentration(self) -> Tensor:
        """The sum of both."""
        return self.concentration1 + self.concentration0

    def _sample_n(self, n: Tensor, seed: int | None) -> Tensor:
        one = self._drawn(n, self.concentration1, None, seed)
        zero = self._drawn(n, self.concentration0, None, None if seed is None else seed + 1)
        return one / (one + zero)

    def log_beta(self) -> Tensor:
        """The logarithm of the beta function, by which densities are divided."""
        a, b = self.concentration1, self.concentration0
        return math_ops.lgamma(a) + math_ops.lgamma(b) - math_ops.lgamma(a + b)

    def _log_prob(self, x: Tensor) -> Tensor:
        return (
            special.xlogy(self.concentration1 - 1.0, x) + (self.concentration0 - 1.0) * math_ops.log1p(-x)
            - self.log_beta()
        )  # fmt: skip

    def _cdf(self, x: Tensor) -> Tensor:
        zero = 0.0 * (x + self.total_concentration)
        return special.betainc(self.concentration1 + zero, self.concentration0 + zero, x + zero)

    def _entropy(self) -> Tensor:
        a, b, total = self.concentration1, self.concentration0, self.total_concentration
        weighted = (a - 1.0) * math_ops.digamma(a) + (b - 1.0) * math_ops.digamma(b)
        return self.log_beta() - weighted + (total - 2.0) * math_ops.digamma(total)

    def _mean(self) -> Tensor:
        return self.concentration1 / self.total_concentration

    def _variance(self) -> Tensor:
        total = self.total_concentration
        return self.concentration1 * self.concentration0 / (math_ops.square(total) * (total + 1.0))

    def _mode(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        fine = math_ops.logical_and(self._spread(a) > 1.0, self._spread(b) > 1.0)
        return self._where(fine, (a - 1.0) / (a + b - 2.0), "Mode undefined for concentrations <= 1.")
