"""Distributions over several classes at once: Dirichlet, Multinomial, DirichletMultinomial."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph.distributions.discrete import OfChances, logits_and_probs
from weftwork.graph.distributions.distribution import FULLY_REPARAMETERIZED, NOT_REPARAMETERIZED, Distribution, floats
from weftwork.graph.nn.ops import log_softmax
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import (
    array_ops,
    assertions,
    conversion,
    filling,
    indexing,
    joining,
    math_ops,
    random_ops,
    reductions,
    selecting,
    spaces,
    special,
)
from weftwork.graph.scopes import name_scope


class _Simplex(Distribution):
    """Draws are vectors with an entry for each class, along the last axis of the parameter `table`."""

    _table: Tensor

    def _batch_shape(self) -> Any:
        shape = self._table.shape
        return None if shape.ndims is None else shape[:-1].as_list()

    def _event_shape(self) -> Any:
        return [None] if self._table.shape.ndims is None else self._table.shape[-1:].as_list()

    def _batch_shape_tensor(self) -> Any:
        return array_ops.shape(self._table)[:-1]

    def _event_shape_tensor(self) -> Any:
        return array_ops.shape(self._table)[-1:]

    def _counts(self, total: Tensor, logits: Tensor, seed: int | None) -> Tensor:
        """How often each class comes in total[i] draws from logits[i]. total: [rows]; logits: [rows, classes]."""
        most = conversion.to_int32(reductions.reduce_max(total))
        drawn = random_ops.multinomial(logits, most, seed=seed)
        counted = math_ops.range(most) < conversion.to_int32(array_ops.expand_dims(total, -1))
        kept = indexing.one_hot(drawn, array_ops.shape(logits)[-1], dtype=self.dtype)
        return reductions.reduce_sum(kept * conversion.cast(array_ops.expand_dims(counted, -1), self.dtype), 1)

    def _rows(self, table: Tensor) -> Tensor:
        return array_ops.reshape(table, joining.stack([-1, array_ops.shape(table)[-1]]))


def _log_combinations(total: Tensor, counts: Tensor) -> Tensor:
    return math_ops.lgamma(total + 1.0) - reductions.reduce_sum(math_ops.lgamma(counts + 1.0), -1)


def _outer(x: Tensor) -> Tensor:
    return array_ops.expand_dims(x, -1) * array_ops.expand_dims(x, -2)


class Dirichlet(_Simplex):
    """Vectors of positive numbers that sum to 1. concentration: [..., classes] with at least 2 classes.

    Draws have no gradient.
    """

    def __init__(
        self, concentration: Any, validate_args: bool = False, allow_nan_stats: bool = True, name: str = "Dirichlet"
    ):
        parameters = {
            "concentration": concentration, "validate_args": validate_args, "allow_nan_stats": allow_nan_stats,
            "name": name,
        }  # fmt: skip
        self._validate_args = validate_args
        with name_scope(name, "Dirichlet", [concentration]) as scope:
            self._table = self._checked(floats(concentration, "concentration"), assertions.assert_positive)
            self._total = reductions.reduce_sum(self._table, -1)
        super().__init__(
            self._table.dtype.base_dtype, FULLY_REPARAMETERIZED, validate_args, allow_nan_stats, parameters,
            [self._table, self._total], scope,
        )  # fmt: skip

    @property
    def concentration(self) -> Tensor:
        """The weight of each class."""
        return self._table

    @property
    def total_concentration(self) -> Tensor:
        """Their sum."""
        return self._total

    def _sample_n(self, n: Tensor, seed: int | None) -> Tensor:
        drawn = random_ops.random_gamma(array_ops.reshape(n, [1]), self._table, None, self.dtype, seed)
        return drawn / reductions.reduce_sum(drawn, -1, keepdims=True)

    def _log_prob(self, x: Tensor) -> Tensor:
        if self._validate_args:
            x = self._checked(x, assertions.assert_positive)
        return reductions.reduce_sum(special.xlogy(self._table - 1.0, x), -1) - special.lbeta(self._table)

    def _entropy(self) -> Tensor:
        a, k = self._table, conversion.cast(array_ops.shape(self._table)[-1], self.dtype)
        weighted = reductions.reduce_sum((a - 1.0) * math_ops.digamma(a), -1)
        return special.lbeta(a) + (self._total - k) * math_ops.digamma(self._total) - weighted

    def _mean(self) -> Tensor:
        return self._table / array_ops.expand_dims(self._total, -1)

    def _variance(self) -> Tensor:
        mean = self._mean()
        return mean * (1.0 - mean) / (1.0 + array_ops.expand_dims(self._total, -1))

    def _covariance(self) -> Tensor:
        mean = self._mean()
        spread = -_outer(mean) / (1.0 + array_ops.expand_dims(array_ops.expand_dims(self._total, -1), -1))
        return spaces.matrix_set_diag(spread, self._variance())

    def _mode(self) -> Tensor:
        k = conversion.cast(array_ops.shape(self._table)[-1], self.dtype)
        mode = (self._table - 1.0) / array_ops.expand_dims(self._total - k, -1)
        return selecting.where_v2(self._table > 1.0, mode, filling.zeros_like(mode) + np.nan)


class Multinomial(OfChances, _Simplex):
    """How often each class comes in total_count draws, by `probs` or softmax(logits) [..., classes]."""

    def __init__(
        self, total_count: Any, logits: Any = None, probs: Any = None, validate_args: bool = False,
        allow_nan_stats: bool = True, name: str = "Multinomial",
    ):  # fmt: skip
        parameters = {
            "total_count": total_count, "logits": logits, "probs": probs, "validate_args": validate_args,
            "allow_nan_stats": allow_nan_stats, "name": name,
        }  # fmt: skip
        self._validate_args = validate_args
        with name_scope(name, "Multinomial", [total_count, logits, probs]) as scope:
            self._logits, self._probs = logits_and_probs(logits, probs, True, scope)
            total = floats(total_count, "total_count", self._logits.dtype.base_dtype)
            self._total = self._checked(total, assertions.assert_non_negative)
            self._table = self._logits + 0.0 * array_ops.expand_dims(self._total, -1)
        super().__init__(
            self._table.dtype.base_dtype, NOT_REPARAMETERIZED, validate_args, allow_nan_stats, parameters,
            [self._total, self._logits, self._probs], scope,
        )  # fmt: skip

    @property
    def total_count(self) -> Tensor:
        """The number of draws."""
        return self._total

    def _sample_n(self, n: Tensor, seed: int | None) -> Tensor:
        shape = joining.concat([array_ops.reshape(n, [1]), array_ops.shape(self._table)], 0)
        logits = array_ops.broadcast_to(self._table, shape)
        total = self._total + 0.0 * reductions.reduce_sum(logits, -1)
        drawn = self._counts(array_ops.reshape(total, [-1]), self._rows(logits), seed)
        return array_ops.reshape(drawn, shape)

    def _log_prob(self, counts: Tensor) -> Tensor:
        log_probs = reductions.reduce_sum(counts * log_softmax(self._table), -1)
        return log_probs + _log_combinations(self._total, counts)

    def _mean(self) -> Tensor:
        return self._probs * array_ops.expand_dims(self._total, -1)

    def _variance(self) -> Tensor:
        return self._mean() * (1.0 - self._probs)

    def _covariance(self) -> Tensor:
        total = array_ops.expand_dims(array_ops.expand_dims(self._total, -1), -1)
        return spaces.matrix_set_diag(-total * _outer(self._probs), self._variance())


class DirichletMultinomial(_Simplex):
    """A Multinomial of total_count draws whose probabilities come from a Dirichlet. concentration: [..., classes]."""

    def __init__(
        self, total_count: Any, concentration: Any, validate_args: bool = False, allow_nan_stats: bool = True,
        name: str = "DirichletMultinomial",
    ):  # fmt: skip
        parameters = {
            "total_count": total_count, "concentration": concentration, "validate_args": validate_args,
            "allow_nan_stats": allow_nan_stats, "name": name,
        }  # fmt: skip
        self._validate_args = validate_args
        with name_scope(name, "DirichletMultinomial", [total_count, concentration]) as scope:
            weights = self._checked(floats(concentration, "concentration"), assertions.assert_positive)
            total = floats(total_count, "total_count", weights.dtype.base_dtype)
            self._total = self._checked(total, assertions.assert_non_negative)
            self._table = weights + 0.0 * array_ops.expand_dims(self._total, -1)
            self._sum = reductions.reduce_sum(self._table, -1)
        super().__init__(
            self._table.dtype.base_dtype, NOT_REPARAMETERIZED, validate_args, allow_nan_stats, parameters,
            [self._total, self._table], scope,
        )  # fmt: skip

    @property
    def total_count(self) -> Tensor:
        """The number of draws."""
        return self._total

    @property
    def concentration(self) -> Tensor:
        """The weight of each class."""
        return self._table

    @property
    def total_concentration(self) -> Tensor:
        """The sum of the weights."""
        return self._sum

    def _sample_n(self, n: Tensor, seed: int | None) -> Tensor:
        again = None if seed is None else seed + 1
        gammas = random_ops.random_gamma(array_ops.reshape(n, [1]), self._table, None, self.dtype, again)
        total = self._total + 0.0 * reductions.reduce_sum(gammas, -1)
        drawn = self._counts(array_ops.reshape(total, [-1]), self._rows(math_ops.log(gammas)), seed)
        return array_ops.reshape(drawn, array_ops.shape(gammas))

    def _log_prob(self, counts: Tensor) -> Tensor:
        log_ratio = special.lbeta(self._table + counts) - special.lbeta(self._table)
        return log_ratio + _log_combinations(self._total, counts)

    def _probs(self) -> Tensor:
        return self._table / array_ops.expand_dims(self._sum, -1)

    def _mean(self) -> Tensor:
        return array_ops.expand_dims(self._total, -1) * self._probs()

    def _factor(self) -> Tensor:
        return array_ops.expand_dims((self._total + self._sum) / (1.0 + self._sum), -1)

    def _variance(self) -> Tensor:
        probs = self._probs()
        return self._factor() * self._mean() * (1.0 - probs)

    def _covariance(self) -> Tensor:
        total = array_ops.expand_dims(array_ops.expand_dims(self._total, -1), -1)
        spread = -array_ops.expand_dims(self._factor(), -1) * total * _outer(self._probs())
        return spaces.matrix_set_diag(spread, self._variance())
