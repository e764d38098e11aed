"""The base class of probability distributions, as in `tf.distributions` of TensorFlow 1.

A distribution stands for a batch of independent ones, as its parameters broadcast. A draw has the shape
`sample_shape + batch_shape + event_shape`. A class of your own defines what it has of `_sample_n`, `_log_prob` or
`_prob`, `_log_cdf` or `_cdf`, `_entropy`, `_mean`, `_variance` or `_stddev`, `_mode`, `_quantile`, `_covariance`, and
`_batch_shape`, `_event_shape` with their `_tensor`s.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import convert_to_tensor, static_value
from weftwork.graph.dtypes import DType
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, assertions, filling, joining, math_ops, reductions, selecting
from weftwork.graph.ops.flow import with_dependencies
from weftwork.graph.scopes import name_scope
from weftwork.graph.shapes import TensorShape
from weftwork.graph.stacks import get_default_graph


class ReparameterizationType:
    """Whether gradients flow through draws to the parameters. Instances are compared by identity; rep_type: a name."""

    def __init__(self, rep_type: str):
        self._rep_type = rep_type

    def __repr__(self) -> str:
        return f"<Reparameterization Type: {self._rep_type}>"


FULLY_REPARAMETERIZED = ReparameterizationType("FULLY_REPARAMETERIZED")
NOT_REPARAMETERIZED = ReparameterizationType("NOT_REPARAMETERIZED")


class Distribution:
    """A batch of probability distributions.

    dtype: of draws.   reparameterization_type: FULLY_REPARAMETERIZED or NOT_REPARAMETERIZED.
    validate_args: check parameters and values while running.
    allow_nan_stats: statistics that do not exist are NaN; else they raise InvalidArgumentError while running.
    parameters: the arguments of the constructor, for `copy`.   graph_parents: the tensors it is made of.
    """

    def __init__(
        self, dtype: DType, reparameterization_type: ReparameterizationType, validate_args: bool,
        allow_nan_stats: bool, parameters: Mapping[str, Any] | None = None,
        graph_parents: Iterable[Tensor] | None = None, name: str | None = None,
    ):  # fmt: skip
        self._dtype, self._reparameterization_type = dtype, reparameterization_type
        self._validate_args, self._allow_nan_stats = validate_args, allow_nan_stats
        given = {k: v for k, v in dict(parameters or {}).items() if k not in ("self", "__class__")}
        self._parameters, self._graph_parents = given, list(graph_parents or [])
        for number, tensor in enumerate(self._graph_parents):
            if not isinstance(tensor, Tensor):
                raise ValueError(f"Graph parent item {number} is not a Tensor; {tensor}.")
        name = name or type(self).__name__
        if not name.endswith("/"):
            with get_default_graph().name_scope(name) as scope:
                name = scope
        self._name = name

    # What it is

    @property
    def name(self) -> str:
        """The name scope of its nodes, with a slash at the end."""
        return self._name

    @property
    def dtype(self) -> DType:
        """The dtype of draws."""
        return self._dtype

    @property
    def parameters(self) -> dict[str, Any]:
        """The arguments that it was made with."""
        return dict(self._parameters)

    @property
    def reparameterization_type(self) -> ReparameterizationType:
        """Whether gradients flow through draws."""
        return self._reparameterization_type

    @property
    def allow_nan_stats(self) -> bool:
        """Whether statistics that do not exist are NaN."""
        return self._allow_nan_stats

    @property
    def validate_args(self) -> bool:
        """Whether parameters and values are checked while running."""
        return self._validate_args

    def __repr__(self) -> str:
        return (
            f"<tf.distributions.{type(self).__name__} {self.name!r} batch_shape={self.batch_shape} "
            f"event_shape={self.event_shape} dtype={self.dtype.name}>"
        )

    def __str__(self) -> str:
        return (
            f'tf.distributions.{type(self).__name__}("{self.name}", batch_shape={self.batch_shape}, '
            f"event_shape={self.event_shape}, dtype={self.dtype.name})"
        )

    def copy(self, **override_parameters_kwargs: Any) -> Distribution:
        """Another distribution of the same arguments, but for those given here."""
        return type(self)(**{**self._parameters, **override_parameters_kwargs})

    # Shapes

    @property
    def batch_shape(self) -> TensorShape:
        """The static shape of the batch."""
        return TensorShape(self._batch_shape())

    @property
    def event_shape(self) -> TensorShape:
        """The static shape of one draw of one distribution."""
        return TensorShape(self._event_shape())

    def batch_shape_tensor(self, name: str = "batch_shape_tensor") -> Tensor:
        """The shape of the batch, int32."""
        with self._scope(name):
            return _vector(self._batch_shape(), self._batch_shape_tensor, "batch_shape")

    def event_shape_tensor(self, name: str = "event_shape_tensor") -> Tensor:
        """The shape of one draw, int32."""
        with self._scope(name):
            return _vector(self._event_shape(), self._event_shape_tensor, "event_shape")

    def is_scalar_event(self, name: str = "is_scalar_event") -> Tensor:
        """Whether one draw is a number."""
        with self._scope(name):
            return math_ops.equal(array_ops.size(self.event_shape_tensor()), 0)

    def is_scalar_batch(self, name: str = "is_scalar_batch") -> Tensor:
        """Whether there is one distribution, not a batch."""
        with self._scope(name):
            return math_ops.equal(array_ops.size(self.batch_shape_tensor()), 0)

    def _batch_shape(self) -> Any:
        return None

    def _event_shape(self) -> Any:
        return None

    def _batch_shape_tensor(self) -> Any:
        return self._lacks("batch_shape_tensor")

    def _event_shape_tensor(self) -> Any:
        return self._lacks("event_shape_tensor")

    # Draws and probabilities

    def sample(self, sample_shape: Any = (), seed: int | None = None, name: str = "sample") -> Tensor:
        """Draws of the shape sample_shape + batch_shape + event_shape."""
        with self._scope(name):
            size = convert_to_tensor(sample_shape, dtypes.int32, name="sample_shape")
            known = static_value(size)
            drawn = self._sample_n(reductions.reduce_prod(size), seed)
            rows = array_ops.reshape(size, [-1])
            drawn = array_ops.reshape(drawn, joining.concat([rows, array_ops.shape(drawn)[1:]], 0))
            static = TensorShape(None if known is None else known.reshape(-1).tolist())
            drawn.set_shape(static.concatenate(self.batch_shape).concatenate(self.event_shape))
            return drawn

    def log_prob(self, value: Any, name: str = "log_prob") -> Tensor:
        """The logarithm of the probability or density."""
        return self._of_value(name, value, ("_log_prob", None), ("_prob", math_ops.log))

    def prob(self, value: Any, name: str = "prob") -> Tensor:
        """The probability or density."""
        return self._of_value(name, value, ("_prob", None), ("_log_prob", math_ops.exp))

    def log_cdf(self, value: Any, name: str = "log_cdf") -> Tensor:
        """The logarithm of the probability of a draw of at most `value`."""
        return self._of_value(name, value, ("_log_cdf", None), ("_cdf", math_ops.log))

    def cdf(self, value: Any, name: str = "cdf") -> Tensor:
        """The probability of a draw of at most `value`."""
        return self._of_value(name, value, ("_cdf", None), ("_log_cdf", math_ops.exp))

    def log_survival_function(self, value: Any, name: str = "log_survival_function") -> Tensor:
        """The logarithm of the probability of a draw of more than `value`."""
        return self._of_value(
            name, value, ("_log_survival_function", None), ("_cdf", lambda p: math_ops.log1p(-p)),
            ("_log_cdf", lambda p: math_ops.log1p(-math_ops.exp(p))),
        )  # fmt: skip

    def survival_function(self, value: Any, name: str = "survival_function") -> Tensor:
        """The probability of a draw of more than `value`."""
        return self._of_value(
            name, value, ("_survival_function", None), ("_cdf", lambda p: 1.0 - p),
            ("_log_cdf", lambda p: 1.0 - math_ops.exp(p)),
        )  # fmt: skip

    def quantile(self, value: Any, name: str = "quantile") -> Tensor:
        """The number that a draw does not exceed with this probability."""
        return self._of_value(name, value, ("_quantile", None))

    def cross_entropy(self, other: Distribution, name: str = "cross_entropy") -> Tensor:
        """The entropy plus the divergence from `other`."""
        with self._scope(name):
            return kl_divergence(self, other, self.allow_nan_stats) + self.entropy()

    def kl_divergence(self, other: Distribution, name: str = "kl_divergence") -> Tensor:
        """The Kullback-Leibler divergence from `other`, in nats."""
        with self._scope(name):
            return kl_divergence(self, other, self.allow_nan_stats)

    # Statistics

    def entropy(self, name: str = "entropy") -> Tensor:
        """Shannon's entropy in nats."""
        return self._statistic(name, ("_entropy", None))

    def mean(self, name: str = "mean") -> Tensor:
        """The mean."""
        return self._statistic(name, ("_mean", None))

    def mode(self, name: str = "mode") -> Tensor:
        """The most probable value."""
        return self._statistic(name, ("_mode", None))

    def variance(self, name: str = "variance") -> Tensor:
        """The variance."""
        return self._statistic(name, ("_variance", None), ("_stddev", math_ops.square))

    def stddev(self, name: str = "stddev") -> Tensor:
        """The standard deviation."""
        return self._statistic(name, ("_stddev", None), ("_variance", math_ops.sqrt))

    def covariance(self, name: str = "covariance") -> Tensor:
        """The covariance matrix of the parts of a draw."""
        return self._statistic(name, ("_covariance", None))

    # For the classes

    def _sample_n(self, n: Tensor, seed: int | None) -> Tensor:
        """n draws: [n] + batch_shape + event_shape."""
        return self._lacks("sample_n")

    def _lacks(self, method: str) -> Any:
        raise NotImplementedError(f"{method} is not implemented: {type(self).__name__}")

    @contextlib.contextmanager
    def _scope(self, name: str) -> Iterator[None]:
        graph = self._graph_parents[0].op.graph if self._graph_parents else get_default_graph()
        with graph.as_default(), name_scope(self._name), name_scope(name):
            yield

    def _statistic(self, name: str, *ways: tuple[str, Callable | None]) -> Tensor:
        with self._scope(name):
            return self._by(name, ways)

    def _of_value(self, name: str, value: Any, *ways: tuple[str, Callable | None]) -> Tensor:
        with self._scope(name):
            value = convert_to_tensor(value, name="value", preferred_dtype=self.dtype)
            return self._by(name, ways, value)

    def _by(self, name: str, ways: Iterable[tuple[str, Callable | None]], *args: Any) -> Tensor:
        """The first way that the class has: a method, and what to make of its result."""
        for method, then in ways:
            found = getattr(self, method, None)
            if found is not None:
                return found(*args) if then is None else then(found(*args))
        return self._lacks(name)

    def _checked(self, tensor: Tensor, *asserts: Callable[[Tensor], Any]) -> Tensor:
        """A tensor that waits for assertions about it, if arguments are to be validated."""
        if not self._validate_args or not asserts:
            return tensor
        return with_dependencies([check(tensor) for check in asserts], tensor)


class Elementwise(Distribution):
    """Distributions of numbers whose parameters broadcast to the batch."""

    def _entered(self, name: str | None, given: Mapping[str, Any], *checks: tuple[str, Callable]) -> dict[str, Tensor]:
        """The parameters as tensors of one float dtype. checks: assertions about a parameter of this name."""
        with name_scope(name or type(self).__name__, values=list(given.values())) as scope:
            self._name = scope
            tensors = {word: floats(value, word) for word, value in given.items()}
            kinds = {tensor.dtype.base_dtype for tensor in tensors.values()}
            if len(kinds) > 1:
                names = sorted(kind.name for kind in kinds)
                raise ValueError(f"The parameters of {scope[:-1]} must have the same dtype, not {names}.")
            if self._validate_args:
                for word, check in checks:
                    tensors[word] = self._checked(tensors[word], check)
        self._tensors = list(tensors.values())
        return tensors

    def _batch_shape(self) -> Any:
        raw = ()
        for tensor in self._tensors:
            raw = shapes.broadcast(raw, tensor.raw_shape)
        return raw

    def _batch_shape_tensor(self) -> Any:
        size = array_ops.shape(self._tensors[0])
        for tensor in self._tensors[1:]:
            size = array_ops.broadcast_dynamic_shape(size, array_ops.shape(tensor))
        return size

    def _event_shape(self) -> Any:
        return ()

    def _event_shape_tensor(self) -> Any:
        return convert_to_tensor([], dtypes.int32)

    def _spread(self, tensor: Tensor) -> Tensor:
        """A tensor in the shape of the batch."""
        return array_ops.broadcast_to(tensor, self._whole())

    def _whole(self) -> Tensor:
        return _vector(self._batch_shape(), self._batch_shape_tensor, "batch_shape")

    def _where(self, fine: Tensor, value: Tensor, why: str) -> Tensor:
        """A statistic where it exists; elsewhere NaN, or an error."""
        if self.allow_nan_stats:
            return selecting.where_v2(fine, value, filling.zeros_like(value) + np.nan)
        return with_dependencies([assertions.assert_equal(reductions.reduce_all(fine), True, message=why)], value)

    def _n_of(self, n: Tensor) -> Tensor:
        """The shape of n draws."""
        return joining.concat([array_ops.reshape(n, [1]), self._whole()], 0)


def floats(value: Any, name: str, dtype: DType = dtypes.float32) -> Tensor:
    """A parameter as a tensor of floats: of `dtype`, unless it has a dtype of its own. Raises ValueError otherwise."""
    tensor = convert_to_tensor(value, name=name, preferred_dtype=dtype)
    if not tensor.dtype.is_floating:
        raise ValueError(f"Expected floating point type for {name}, got {tensor.dtype.name}.")
    return tensor


def _vector(raw: Any, dynamic: Callable[[], Any], name: str) -> Tensor:
    """A shape as a vector: a constant if it is known, else what `dynamic` makes."""
    shape = TensorShape(raw)
    return convert_to_tensor(shape.as_list() if shape.is_fully_defined() else dynamic(), dtypes.int32, name=name)


# Divergences

_DIVERGENCES: dict[tuple[type, type], Callable] = {}


class RegisterKL:
    """Decorates the function (a, b, name=None) that gives the divergence of two kinds of distributions.

    dist_cls_a, dist_cls_b: their classes.
    """

    def __init__(self, dist_cls_a: type, dist_cls_b: type):
        self._key = (dist_cls_a, dist_cls_b)

    def __call__(self, kl_fn: Callable) -> Callable:
        """Register the function. Raises TypeError if it is none, ValueError if there is one already."""
        if not callable(kl_fn):
            raise TypeError(f"kl_fn must be callable, received: {kl_fn}")
        if self._key in _DIVERGENCES:
            a, b = (kind.__name__ for kind in self._key)
            raise ValueError(f"KL({a} || {b}) has already been registered to: {_DIVERGENCES[self._key]}")
        _DIVERGENCES[self._key] = kl_fn
        return kl_fn


def kl_divergence(
    distribution_a: Distribution, distribution_b: Distribution, allow_nan_stats: bool = True, name: str | None = None
) -> Tensor:
    """The Kullback-Leibler divergence KL(a || b) in nats, by the function registered for their nearest classes.

    distribution_a, distribution_b: the expectation is over draws from a.
    allow_nan_stats: if False, NaN raises InvalidArgumentError while running.
    Raises NotImplementedError if none is registered.
    """
    kinds = [type(distribution_a).__mro__, type(distribution_b).__mro__]
    pairs = [(i + j, i, a, b) for i, a in enumerate(kinds[0]) for j, b in enumerate(kinds[1]) if (a, b) in _DIVERGENCES]
    if not pairs:
        a, b = type(distribution_a).__name__, type(distribution_b).__name__
        raise NotImplementedError(f"No KL(distribution_a || distribution_b) registered for distribution_a type {a} "
                                  f"and distribution_b type {b}")  # fmt: skip
    _, _, a, b = min(pairs, key=lambda pair: pair[:2])
    with name_scope(name or "KullbackLeibler"):
        divergence = _DIVERGENCES[a, b](distribution_a, distribution_b, name=name)
        if allow_nan_stats:
            return divergence
        message = "KL calculation returned NaN values"
        fine = math_ops.logical_not(reductions.reduce_any(math_ops.is_nan(divergence)))
        return with_dependencies([assertions.assert_equal(fine, True, message=message)], divergence)
