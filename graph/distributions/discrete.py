"""Distributions of one of several outcomes: Bernoulli and Categorical."""

from __future__ import annotations

from typing import Any

from weftwork.graph import dtypes
from weftwork.graph.build import convert_to_tensor
from weftwork.graph.distributions.distribution import NOT_REPARAMETERIZED, Distribution, Elementwise
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.nn import cross_entropies
from weftwork.graph.nn.ops import log_softmax, softmax, softplus
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, assertions, conversion, joining, math_ops, random_ops, reductions, selecting
from weftwork.graph.ops.rearranging import transpose
from weftwork.graph.scopes import name_scope


def logits_and_probs(logits: Any, probs: Any, several: bool, name: str) -> tuple[Tensor, Tensor]:
    """Both, from the one that is given. several: along the last axis, else of 1 against 0.

    Raises ValueError unless exactly one is given.
    """
    if (logits is None) == (probs is None):
        raise ValueError("Must pass probs or logits, but not both.")
    with name_scope(name, "logits_and_probs", [logits, probs]):
        if probs is None:
            logits = convert_to_tensor(logits, name="logits", preferred_dtype=dtypes.float32)
            return logits, softmax(logits) if several else math_ops.sigmoid(logits)
        probs = convert_to_tensor(probs, name="probs", preferred_dtype=dtypes.float32)
        told = math_ops.log(probs)
        return told if several else told - math_ops.log1p(-probs), probs


class OfChances(Distribution):
    """Distributions that are given by the probabilities of outcomes, or by logits."""

    _logits: Tensor
    _probs: Tensor

    @property
    def logits(self) -> Tensor:
        """The logarithm of the odds of 1, or the logarithms of the classes' probabilities, up to a constant."""
        return self._logits

    @property
    def probs(self) -> Tensor:
        """The probability of 1, or of each class."""
        return self._probs


class Bernoulli(OfChances, Elementwise):
    """1 with the probability `probs`, or sigmoid(logits), and else 0."""

    def __init__(
        self, logits: Any = None, probs: Any = None, dtype: Any = dtypes.int32, validate_args: bool = False,
        allow_nan_stats: bool = True, name: str = "Bernoulli",
    ):  # fmt: skip
        parameters = {
            "logits": logits, "probs": probs, "dtype": dtype, "validate_args": validate_args,
            "allow_nan_stats": allow_nan_stats, "name": name,
        }  # fmt: skip
        with name_scope(name, "Bernoulli", [logits, probs]) as scope:
            self._logits, self._probs = logits_and_probs(logits, probs, False, scope)
            self._validate_args = validate_args
            if probs is not None:
                most = "probs has components greater than 1."
                self._probs = self._checked(
                    self._probs, assertions.assert_non_negative,
                    lambda t: assertions.assert_less_equal(t, 1.0, message=most),
                )  # fmt: skip
        self._tensors = [self._logits]
        super().__init__(
            as_dtype(dtype), NOT_REPARAMETERIZED, validate_args, allow_nan_stats, parameters,
            [self._logits, self._probs], scope,
        )  # fmt: skip

    def _sample_n(self, n: Tensor, seed: int | None) -> Tensor:
        uniform = random_ops.random_uniform(self._n_of(n), dtype=self._probs.dtype, seed=seed)
        return conversion.cast(uniform < self._probs, self.dtype)

    def _log_prob(self, event: Tensor) -> Tensor:
        if self._validate_args:
            event = self._checked(
                event, assertions.assert_non_negative, lambda t: assertions.assert_less_equal(t, type_one(t))
            )
        event = conversion.cast(event, self._logits.dtype)
        zero = 0.0 * (event + self._logits)
        return -cross_entropies.sigmoid_cross_entropy_with_logits(labels=event + zero, logits=self._logits + zero)

    def _entropy(self) -> Tensor:
        return -self._logits * (math_ops.sigmoid(self._logits) - 1.0) + softplus(-self._logits)

    def _mean(self) -> Tensor:
        return self._probs * 1.0

    def _variance(self) -> Tensor:
        return self._probs * (1.0 - self._probs)

    def _mode(self) -> Tensor:
        return conversion.cast(self._probs > 0.5, self.dtype)


def type_one(tensor: Tensor) -> Tensor:
    """1 in the dtype of a tensor."""
    return convert_to_tensor(1, tensor.dtype.base_dtype)


class Categorical(OfChances):
    """One of the classes 0, 1 ... along the last axis, by their `probs`, or softmax(logits)."""

    def __init__(
        self, logits: Any = None, probs: Any = None, dtype: Any = dtypes.int32, validate_args: bool = False,
        allow_nan_stats: bool = True, name: str = "Categorical",
    ):  # fmt: skip
        parameters = {
            "logits": logits, "probs": probs, "dtype": dtype, "validate_args": validate_args,
            "allow_nan_stats": allow_nan_stats, "name": name,
        }  # fmt: skip
        with name_scope(name, "Categorical", [logits, probs]) as scope:
            self._logits, self._probs = logits_and_probs(logits, probs, True, scope)
            shape = self._logits.shape
            if shape.ndims == 0:
                raise ValueError("Argument `logits` must have rank at least 1.")
            self._raw = None if shape.ndims is None else shape[:-1].as_list()
            self._event_size = array_ops.shape(self._logits)[-1]
        super().__init__(
            as_dtype(dtype), NOT_REPARAMETERIZED, validate_args, allow_nan_stats, parameters,
            [self._logits, self._probs], scope,
        )  # fmt: skip

    @property
    def event_size(self) -> Tensor:
        """The number of classes."""
        return self._event_size

    def _batch_shape(self) -> Any:
        return self._raw

    def _batch_shape_tensor(self) -> Any:
        return array_ops.shape(self._logits)[:-1]

    def _event_shape(self) -> Any:
        return ()

    def _event_shape_tensor(self) -> Any:
        return convert_to_tensor([], dtypes.int32)

    def _sample_n(self, n: Tensor, seed: int | None) -> Tensor:
        rows = array_ops.reshape(self._logits, [-1, self._event_size])
        drawn = transpose(random_ops.multinomial(rows, n, seed=seed))
        shape = joining.concat([array_ops.reshape(n, [1]), self._batch_shape_tensor()], 0)
        return array_ops.reshape(conversion.cast(drawn, self.dtype), shape)

    def _log_prob(self, k: Tensor) -> Tensor:
        classes = conversion.cast(k, dtypes.int32)
        k, logits = _together(classes, self._logits)
        return -cross_entropies.sparse_softmax_cross_entropy_with_logits(labels=k, logits=logits)

    def _cdf(self, k: Tensor) -> Tensor:
        """The probability of a smaller class, as in TensorFlow 1: the class itself is left out."""
        k, probs = _together(k, self._probs)
        below = conversion.cast(math_ops.range(self._event_size), k.dtype.base_dtype) < array_ops.expand_dims(k, -1)
        return reductions.reduce_sum(selecting.where_v2(below, probs, probs * 0.0), -1)

    def _entropy(self) -> Tensor:
        told = log_softmax(self._logits)
        probs = math_ops.exp(told)
        return -reductions.reduce_sum(selecting.where_v2(probs > 0.0, probs * told, probs * 0.0), -1)

    def _mode(self) -> Tensor:
        return conversion.cast(reductions.argmax(self._logits, -1), self.dtype)


def _together(k: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """Classes and a table of classes, broadcast to one batch."""
    shape = array_ops.broadcast_dynamic_shape(array_ops.shape(k), array_ops.shape(table)[:-1])
    whole = joining.concat([shape, array_ops.shape(table)[-1:]], 0)
    return array_ops.broadcast_to(k, shape), array_ops.broadcast_to(table, whole)
