"""How weighted elements are reduced to a loss, and the collections that keep losses.

weights      broadcast to the elements: a scalar, or of the same rank with dimensions of 1; 0 excludes an element
reduction    how the weighted elements become the loss; see `Reduction`
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import apply, convert_to_tensor
from weftwork.graph.graph import GraphKeys
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.assertions import Assert
from weftwork.graph.ops.flow import with_dependencies
from weftwork.graph.scopes import name_scope
from weftwork.graph.stacks import get_default_graph


class Reduction:
    """How to combine weighted losses."""

    NONE = "none"
    """No reduction: one loss for each element."""
    SUM = "weighted_sum"
    """The sum."""
    SUM_OVER_BATCH_SIZE = "weighted_sum_over_batch_size"
    """The sum divided by the number of elements."""
    MEAN = "weighted_mean"
    """The sum divided by the sum of the weights."""
    SUM_OVER_NONZERO_WEIGHTS = "weighted_sum_by_nonzero_weights"
    """The sum divided by the number of elements with nonzero weight."""
    SUM_BY_NONZERO_WEIGHTS = SUM_OVER_NONZERO_WEIGHTS

    @classmethod
    def all(cls) -> tuple[str, ...]:
        """All reductions."""
        return (cls.NONE, cls.SUM, cls.MEAN, cls.SUM_OVER_BATCH_SIZE, cls.SUM_OVER_NONZERO_WEIGHTS)

    @classmethod
    def validate(cls, key: str) -> None:
        """Raise ValueError unless `key` is one of them."""
        if key not in cls.all():
            raise ValueError(f"Invalid Reduction Key {key}.")


BY_NONZERO_WEIGHTS = Reduction.SUM_BY_NONZERO_WEIGHTS


def compute_weighted_loss(
    losses: Any,
    weights: Any = 1.0,
    scope: str | None = None,
    loss_collection: Any = GraphKeys.LOSSES,
    reduction: str = BY_NONZERO_WEIGHTS,
) -> Tensor:
    """Weight elementwise losses and reduce them to the loss; 0 if the divisor is 0.

    Raises ValueError if the weights do not broadcast to the losses.
    """
    Reduction.validate(reduction)
    with name_scope(scope, "weighted_loss", [losses, weights]):
        losses = convert_to_tensor(losses)
        dtype = losses.dtype.base_dtype
        number = float(weights) if isinstance(weights, (int, float)) else None
        weights = math_ops.cast(convert_to_tensor(weights), dtypes.float32)
        weights = checked_weights(weights, losses)
        loss = _reduced(math_ops.cast(losses, dtypes.float32), weights, number, reduction)
        loss = math_ops.cast(loss, dtype)
        add_loss(loss, loss_collection)
        return loss


def checked_weights(weights: Tensor, values: Tensor) -> Tensor:
    """The weights. Raises ValueError if they are known not to broadcast to the values.

    Where this shows only at run time, they raise InvalidArgumentError then.
    """
    given, wanted = weights.raw_shape, values.raw_shape
    if given == ():
        return weights
    if given is None or wanted is None:
        sizes = [array_ops.shape(weights), array_ops.shape(values)]
        fits = apply(_fit, sizes, type="IsBroadcastable", dtype=dtypes.bool, shape=())
        told = ["weights can not be broadcast to values.", "weights.shape=", weights.name, sizes[0]]
        told += ["values.shape=", values.name, sizes[1]]
        return with_dependencies([Assert(fits, told)], weights)
    if not _fit(given, wanted):
        raise ValueError(
            f"weights can not be broadcast to values. values.rank={len(wanted)}. weights.rank={len(given)}. "
            f"values.shape={shapes.text(wanted)}. weights.shape={shapes.text(given)}."
        )
    return weights


def _fit(given: Any, wanted: Any) -> np.bool_:
    """Whether weights of a shape broadcast to values of a shape; what is not known may fit."""
    alike = [a in (None, 1) or b is None or a == b for a, b in zip(given, wanted, strict=False)]
    return np.bool_(len(given) == 0 or (len(given) == len(wanted) and all(alike)))


def broadcast_weights(weights: Tensor, values: Tensor) -> Tensor:
    """The weights, broadcast to the shape of `values`."""
    if weights.raw_shape is not None and weights.raw_shape == values.raw_shape and shapes.is_full(weights.raw_shape):
        return weights
    return math_ops.multiply(weights, array_ops.ones_like(values, weights.dtype), name="broadcast_weights")


def safe_div(numerator: Any, denominator: Any, name: str = "value") -> Tensor:
    """The quotient; 0 where the denominator is 0, also in the gradient."""
    zero = math_ops.equal(denominator, 0)
    # Divide by one where the quotient is not used: a NaN in the branch not taken would reach the gradient.
    quotient = math_ops.divide(numerator, array_ops.where_v2(zero, array_ops.ones_like(denominator), denominator))
    return array_ops.where_v2(zero, array_ops.zeros_like(quotient), quotient, name=name)


def _reduced(losses: Tensor, weights: Tensor, number: float | None, reduction: str) -> Tensor:
    """number: the value of the weights if they are a single number that is known now; this simplifies the result."""
    weighted = losses if number == 1 else math_ops.multiply(losses, weights)
    if reduction == Reduction.NONE:
        return weighted
    total = math_ops.reduce_sum(weighted)
    if reduction == Reduction.SUM:
        return total
    size = weighted.shape.num_elements()
    if size and (number or reduction == Reduction.SUM_OVER_BATCH_SIZE):
        divisor = size * number if number and reduction == Reduction.MEAN else size
        return math_ops.divide(total, divisor, name="value")
    if reduction == Reduction.SUM_OVER_BATCH_SIZE:
        return safe_div(total, math_ops.cast(array_ops.size(weighted), dtypes.float32))
    spread = broadcast_weights(weights, weighted)
    if reduction == Reduction.SUM_BY_NONZERO_WEIGHTS:
        spread = math_ops.cast(math_ops.not_equal(spread, 0.0), dtypes.float32)
    return safe_div(total, math_ops.reduce_sum(spread))


# The collections


def add_loss(loss: Any, loss_collection: Any = GraphKeys.LOSSES) -> None:
    """Add a loss to a collection, unless the collection is None."""
    if loss_collection:
        get_default_graph().add_to_collection(loss_collection, loss)


def get_losses(scope: str | None = None, loss_collection: Any = GraphKeys.LOSSES) -> list[Any]:
    """The losses of a collection, optionally only those in a name scope."""
    return get_default_graph().get_collection(loss_collection, scope)


def get_regularization_losses(scope: str | None = None) -> list[Any]:
    """The losses from regularizers of variables and layers."""
    return get_default_graph().get_collection(GraphKeys.REGULARIZATION_LOSSES, scope)


def get_regularization_loss(scope: str | None = None, name: str = "total_regularization_loss") -> Tensor:
    """The sum of the regularization losses; 0 if there are none."""
    losses = get_regularization_losses(scope)
    return math_ops.add_n(losses, name=name) if losses else convert_to_tensor(0.0)


def get_total_loss(
    add_regularization_losses: bool = True, name: str = "total_loss", scope: str | None = None
) -> Tensor:
    """The sum of the losses and, by default, the regularization losses. Raises ValueError if there are none.

    add_regularization_losses: False leaves the regularization losses out.
    """
    losses = get_losses(scope)
    if add_regularization_losses:
        losses += get_regularization_losses(scope)
    return math_ops.add_n(losses, name=name)
