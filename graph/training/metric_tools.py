"""Helpers for metrics: their variables and arguments, and how a (value, update_op) pair is returned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import convert_to_tensor, convert_together
from weftwork.graph.graph import GraphKeys
from weftwork.graph.known import rank_of
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.training.loss_weights import broadcast_weights, checked_weights
from weftwork.graph.variables.variable import Variable

METRIC_VARIABLES = GraphKeys.METRIC_VARIABLES
"""The collection of all metrics' variables."""

Metric = tuple[Tensor, Any]
"""The result so far, and the operation that adds this run's values to it."""


def metric_variable(shape: Sequence[int], dtype: Any, name: str) -> Variable:
    """A local variable initialized with zeros, also in the collection METRIC_VARIABLES."""
    return Variable(
        lambda: array_ops.zeros(list(shape), dtype),
        trainable=False,
        collections=[GraphKeys.LOCAL_VARIABLES, METRIC_VARIABLES],
        name=name,
    )


def as_metric(value: Any, update: Any, metrics_collections: Any, updates_collections: Any) -> Any:
    """Return the metric after adding both tensors to the requested collections."""
    graph = get_default_graph()
    graph.add_to_collections(metrics_collections or (), value)
    graph.add_to_collections(updates_collections or (), update)
    return value, update


def same_shaped(predictions: Any, labels: Any, weights: Any) -> tuple[Tensor, Tensor, Tensor | None]:
    """Predictions, labels and weights, without a last axis of size 1 that only some of them have.

    Raises ValueError if the shapes of predictions and labels differ.
    """
    predictions, labels = convert_together([predictions, labels])
    if rank_of(labels) is not None and rank_of(predictions) is not None:
        if rank_of(labels) == rank_of(predictions) + 1:  # type: ignore[operator]
            labels = array_ops.squeeze(labels, [-1])
        elif rank_of(predictions) == rank_of(labels) + 1:  # type: ignore[operator]
            predictions = array_ops.squeeze(predictions, [-1])
    if not shapes.compatible(labels.raw_shape, predictions.raw_shape):
        raise ValueError(f"Shapes {predictions.shape} and {labels.shape} are incompatible")
    if weights is None:
        return predictions, labels, None
    weights = convert_to_tensor(weights)
    own_rank, wanted = rank_of(weights), rank_of(predictions)
    if own_rank is not None and wanted is not None and own_rank:
        if own_rank == wanted + 1:
            weights = array_ops.squeeze(weights, [-1])
        elif wanted == own_rank + 1:
            weights = array_ops.expand_dims(weights, -1)
    return predictions, labels, weights


def weighted(values: Tensor, weights: Any, dtype: Any = dtypes.float32) -> Tensor:
    """`values` as a dtype, times their weights, which broadcast. Raises ValueError if they do not match."""
    values = math_ops.cast(values, dtype)
    if weights is None:
        return values
    weights = math_ops.cast(convert_to_tensor(weights), dtype)
    weights = checked_weights(weights, values)
    return math_ops.multiply(values, broadcast_weights(weights, values))


def no_nan(numerator: Any, denominator: Any, name: str | None = None) -> Tensor:
    """The quotient; 0 where the denominator is 0."""
    return math_ops.div_no_nan(numerator, denominator, name=name)


def even_thresholds(count: int, epsilon: float = 1e-7) -> list[float]:
    """`count` thresholds from just below 0 to just above 1. Raises ValueError for fewer than two."""
    if count < 2:
        raise ValueError(f"num_thresholds must be at least 2, not {count}.")
    between = (np.arange(1, count - 1) / (count - 1)).tolist()
    return [-epsilon, *between, 1.0 + epsilon]
