"""Metrics: averages over many runs, kept in local variables; the matrix of what was taken for what.

A metric is two tensors: `value`, what has been averaged until now, and `update_op`, which takes this run's values in
and is the new value. Its variables are local: `tf.local_variables_initializer()` begins the average again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import apply, convert_to_tensor, convert_together
from weftwork.graph.default_scopes import control_dependencies
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.graph import GraphKeys
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.scopes import name_scope
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.training.loss_weights import broadcast_weights, check_weights, safe_div
from weftwork.graph.variables import writes as state_ops
from weftwork.graph.variables.sharing import variable_scope
from weftwork.graph.variables.variable import Variable

METRIC_VARIABLES = "metric_variables"
"""The collection of the metrics' variables."""


def mean(
    values: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> tuple[Tensor, Tensor]:
    """(value, update_op) of the weighted mean of `values`, of any shape; 0 before there are any.

    weights: broadcast to the values; None for 1.
    """
    with variable_scope(name, "mean", (values, weights)):
        values = math_ops.cast(convert_to_tensor(values), dtypes.float32)
        total, count = _counter("total"), _counter("count")
        if weights is None:
            number = math_ops.cast(array_ops.size(values), dtypes.float32)
        else:
            weights = math_ops.cast(convert_to_tensor(weights), dtypes.float32)
            check_weights(weights, values)
            values = math_ops.multiply(values, weights)
            number = math_ops.reduce_sum(broadcast_weights(weights, values))
        new_total = state_ops.assign_add(total, math_ops.reduce_sum(values))
        with control_dependencies([values]):
            new_count = state_ops.assign_add(count, number)
        value = safe_div(total, count)
        update_op = safe_div(new_total, new_count, name="update_op")
        graph = get_default_graph()
        graph.add_to_collections(metrics_collections or (), value)
        graph.add_to_collections(updates_collections or (), update_op)
        return value, update_op


def accuracy(
    labels: Any,
    predictions: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> tuple[Tensor, Tensor]:
    """(value, update_op) of how often `predictions` are the `labels`, two tensors of one shape.

    Raises ValueError when the shapes differ.
    """
    labels, predictions = convert_together([labels, predictions])
    if labels.shape.ndims == (predictions.shape.ndims or 0) + 1:
        labels = array_ops.squeeze(labels, [-1])
    elif predictions.shape.ndims == (labels.shape.ndims or 0) + 1:
        predictions = array_ops.squeeze(predictions, [-1])
    if not shapes.compatible(labels.raw_shape, predictions.raw_shape):
        raise ValueError(f"Shapes {predictions.shape} and {labels.shape} are incompatible")
    right = math_ops.cast(math_ops.equal(predictions, labels), dtypes.float32)
    return mean(right, weights, metrics_collections, updates_collections, name or "accuracy")


def _counter(name: str) -> Variable:
    return Variable(
        lambda: array_ops.zeros([], dtypes.float32),
        trainable=False,
        collections=[GraphKeys.LOCAL_VARIABLES, METRIC_VARIABLES],
        name=name,
    )


def counted(labels: Any, predictions: Any, *weights: Any, classes: int | None, dtype: np.dtype) -> np.ndarray:
    """The kernel of ConfusionMatrix."""
    for what, values in (("labels", labels), ("predictions", predictions)):
        if np.size(values) and np.min(values) < 0:
            raise InvalidArgumentError(None, None, f"`{what}` contains negative values")
        if classes is not None and np.size(values) and np.max(values) >= classes:
            raise InvalidArgumentError(None, None, f"`{what}` out of bound")
    size = classes if classes is not None else int(max(np.max(labels, initial=-1), np.max(predictions, initial=-1))) + 1
    matrix = np.zeros((size, size), dtype)
    np.add.at(matrix, (labels, predictions), *(weights or (1,)))
    return matrix


def confusion_matrix(
    labels: Any,
    predictions: Any,
    num_classes: int | None = None,
    dtype: Any = dtypes.int32,
    name: str | None = None,
    weights: Any = None,
) -> Tensor:
    """A matrix that tells in row i, column j how often what is labelled i was predicted as j, [classes, classes].

    labels, predictions: vectors of whole numbers from 0 on.   num_classes: by default one more than the largest number.
    weights: of each pair, 1 by default.   Raises InvalidArgumentError, when it runs, for numbers out of range.
    """
    with name_scope(name, "confusion_matrix", [labels, predictions, weights]) as scope:
        inputs = [math_ops.cast(convert_to_tensor(vector), dtypes.int64) for vector in (labels, predictions)]
        kind = dtypes.as_dtype(dtype)
        if weights is not None:
            inputs.append(math_ops.cast(convert_to_tensor(weights), kind))
        attrs = {"classes": num_classes, "dtype": kind.numpy}
        shape = (num_classes, num_classes)
        return apply(counted, inputs, attrs, type="ConfusionMatrix", name=scope, dtype=kind, shape=shape)
