"""What the metrics share: their variables, their arguments, and how a pair of (value, update_op) is given out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import convert_to_tensor, convert_together
from weftwork.graph.graph import GraphKeys
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.training.loss_weights import broadcast_weights, check_weights
from weftwork.graph.variables.variable import Variable

METRIC_VARIABLES = GraphKeys.METRIC_VARIABLES
"""The collection of the metrics' variables."""

Metric = tuple[Tensor, Any]
"""What has been found until now, and the update that takes this run's values in."""


def metric_variable(shape: Sequence[int], dtype: Any, name: str) -> Variable:
    """A local variable that begins with zeros, in the collection METRIC_VARIABLES too."""
    return Variable(
        lambda: array_ops.zeros(list(shape), dtype),
        trainable=False,
        collections=[GraphKeys.LOCAL_VARIABLES, METRIC_VARIABLES],
        name=name,
    )


def given_out(value: Any, update: Any, metrics_collections: Any, updates_collections: Any) -> Any:
    """The metric, after both went into the collections that were asked for."""
    graph = get_default_graph()
    graph.add_to_collections(metrics_collections or (), value)
    graph.add_to_collections(updates_collections or (), update)
    return value, update


def of_one_shape(predictions: Any, labels: Any, weights: Any) -> tuple[Tensor, Tensor, Tensor | None]:
    """Predictions, labels and weights, without a last axis of one that only some of them have.

    Raises ValueError when the shapes of predictions and labels differ.
    """
    predictions, labels = convert_together([predictions, labels])
    if rank(labels) is not None and rank(predictions) is not None:
        if rank(labels) == rank(predictions) + 1:  # type: ignore[operator]
            labels = array_ops.squeeze(labels, [-1])
        elif rank(predictions) == rank(labels) + 1:  # type: ignore[operator]
            predictions = array_ops.squeeze(predictions, [-1])
    if not shapes.compatible(labels.raw_shape, predictions.raw_shape):
        raise ValueError(f"Shapes {predictions.shape} and {labels.shape} are incompatible")
    if weights is None:
        return predictions, labels, None
    weights = convert_to_tensor(weights)
    mine, wanted = rank(weights), rank(predictions)
    if mine is not None and wanted is not None and mine:
        if mine == wanted + 1:
            weights = array_ops.squeeze(weights, [-1])
        elif wanted == mine + 1:
            weights = array_ops.expand_dims(weights, -1)
    return predictions, labels, weights


def rank(tensor: Tensor) -> int | None:
    """The number of axes, None if it is not known."""
    return None if tensor.raw_shape is None else len(tensor.raw_shape)


def weighted(values: Tensor, weights: Any, dtype: Any = dtypes.float32) -> Tensor:
    """`values` of a dtype, times their weights, which broadcast. Raises ValueError when these do not fit."""
    values = math_ops.cast(values, dtype)
    if weights is None:
        return values
    weights = math_ops.cast(convert_to_tensor(weights), dtype)
    check_weights(weights, values)
    return math_ops.multiply(values, broadcast_weights(weights, values))


def no_nan(numerator: Any, denominator: Any, name: str | None = None) -> Tensor:
    """The quotient, and 0 where the denominator is 0."""
    return math_ops.div_no_nan(numerator, denominator, name=name)


def even_thresholds(count: int, epsilon: float = 1e-7) -> list[float]:
    """`count` thresholds from just below 0 to just above 1. Raises ValueError for less than two."""
    if count < 2:
        raise ValueError(f"num_thresholds must be at least 2, not {count}.")
    between = (np.arange(1, count - 1) / (count - 1)).tolist()
    return [-epsilon, *between, 1.0 + epsilon]
