"""Metrics that average over many runs in local variables, and the confusion matrix.

A metric is two tensors: `value`, the average so far, and `update_op`, which adds this run's values and returns the new
average. Its variables are local: `tf.local_variables_initializer()` starts the average over.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import apply, convert_to_tensor
from weftwork.graph.default_scopes import control_dependencies
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.scopes import name_scope
from weftwork.graph.training.loss_weights import broadcast_weights, checked_weights, safe_div
from weftwork.graph.training.metric_tools import Metric, as_metric, metric_variable, no_nan, same_shaped, weighted
from weftwork.graph.variables import writes as state_ops
from weftwork.graph.variables.scoping import variable_scope


def mean(
    values: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """(value, update_op) of the weighted mean of `values`, of any shape; 0 until there are any.

    weights: broadcast to the values; None for 1.
    """
    with variable_scope(name, "mean", (values, weights)):
        values = math_ops.cast(convert_to_tensor(values), dtypes.float32)
        total, count = metric_variable([], dtypes.float32, "total"), metric_variable([], dtypes.float32, "count")
        if weights is None:
            number = math_ops.cast(array_ops.size(values), dtypes.float32)
        else:
            weights = math_ops.cast(convert_to_tensor(weights), dtypes.float32)
            weights = checked_weights(weights, values)
            values = math_ops.multiply(values, weights)
            number = math_ops.reduce_sum(broadcast_weights(weights, values))
        new_total = state_ops.assign_add(total, math_ops.reduce_sum(values))
        with control_dependencies([values]):
            new_count = state_ops.assign_add(count, number)
        value = safe_div(total, count)
        update_op = safe_div(new_total, new_count, name="update_op")
        return as_metric(value, update_op, metrics_collections, updates_collections)


def accuracy(
    labels: Any,
    predictions: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """(value, update_op) of the fraction of `predictions` that equal the `labels`, of the same shape.

    Raises ValueError if the shapes differ.
    """
    predictions, labels, weights = same_shaped(predictions, labels, weights)
    right = math_ops.cast(math_ops.equal(predictions, labels), dtypes.float32)
    return mean(right, weights, metrics_collections, updates_collections, name or "accuracy")


def mean_tensor(
    values: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """(value, update_op) of the elementwise mean of `values`, whose shape must be known, and is the result's.

    weights: broadcast to the values; an element whose weights are all zero is 0.
    """
    with variable_scope(name, "mean", (values, weights)):
        values = convert_to_tensor(values)
        shape = values.shape.as_list()
        total, count = (metric_variable(shape, dtypes.float32, f"{word}_tensor") for word in ("total", "count"))
        number = weighted(array_ops.ones_like(values, dtypes.float32), weights)
        new_total = state_ops.assign_add(total, weighted(values, weights))
        with control_dependencies([values]):
            new_count = state_ops.assign_add(count, number)
        value = no_nan(total, count, name="value")
        update_op = no_nan(new_total, new_count, name="update_op")
        return as_metric(value, update_op, metrics_collections, updates_collections)


def percentage_below(
    values: Any,
    threshold: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """(value, update_op) of the fraction of `values` below the threshold, from 0 to 1."""
    below = math_ops.cast(math_ops.less(values, threshold), dtypes.float32)
    return mean(below, weights, metrics_collections, updates_collections, name or "percentage_below_threshold")


# Errors


def mean_absolute_error(
    labels: Any,
    predictions: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """(value, update_op) of the mean of |predictions - labels|. Raises ValueError if the shapes differ."""
    predictions, labels, weights = same_shaped(predictions, labels, weights)
    error = math_ops.abs(predictions - labels)
    return mean(error, weights, metrics_collections, updates_collections, name or "mean_absolute_error")


def mean_squared_error(
    labels: Any,
    predictions: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """(value, update_op) of the mean of (predictions - labels)^2. Raises ValueError if the shapes differ."""
    predictions, labels, weights = same_shaped(predictions, labels, weights)
    error = math_ops.squared_difference(labels, predictions)
    return mean(error, weights, metrics_collections, updates_collections, name or "mean_squared_error")


def root_mean_squared_error(
    labels: Any,
    predictions: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """(value, update_op) of the square root of `mean_squared_error`."""
    value, update_op = mean_squared_error(labels, predictions, weights, name=name or "root_mean_squared_error")
    roots = math_ops.sqrt(value), math_ops.sqrt(update_op)
    return as_metric(*roots, metrics_collections, updates_collections)


def mean_relative_error(
    labels: Any,
    predictions: Any,
    normalizer: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """(value, update_op) of the mean of |labels - predictions| / normalizer, 0 where the normalizer is 0."""
    predictions, labels, weights = same_shaped(predictions, labels, weights)
    error = no_nan(math_ops.abs(labels - predictions), normalizer)
    return mean(error, weights, metrics_collections, updates_collections, name or "mean_relative_error")


def mean_cosine_distance(
    labels: Any,
    predictions: Any,
    dim: int,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """(value, update_op) of 1 - the mean of labels . predictions along axis `dim`; both must be unit vectors."""
    predictions, labels, weights = same_shaped(predictions, labels, weights)
    cosine = math_ops.reduce_sum(math_ops.multiply(predictions, labels), [dim], keepdims=True)
    value, update_op = mean(cosine, weights, name=name or "mean_cosine_distance")
    return as_metric(1.0 - value, 1.0 - update_op, metrics_collections, updates_collections)


# Classes


def mean_iou(
    labels: Any,
    predictions: Any,
    num_classes: int,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """(value, update_op) of the mean over the classes of true / (true + false positives + false negatives).

    labels, predictions: classes, of the same shape.   A class that never occurs does not count in the mean.
    update_op: the new confusion matrix, [num_classes, num_classes].
    """
    with variable_scope(name, "mean_iou", (predictions, labels, weights)):
        flat = [array_ops.reshape(convert_to_tensor(vector), [-1]) for vector in (labels, predictions)]
        if weights is not None:
            weights = array_ops.reshape(convert_to_tensor(weights), [-1])
        matrix = metric_variable([num_classes, num_classes], dtypes.float64, "total_confusion_matrix")
        update_op = state_ops.assign_add(
            matrix, confusion_matrix(flat[0], flat[1], num_classes, dtype=dtypes.float64, weights=weights)
        )
        sums = np.add(math_ops.reduce_sum(matrix, 0), math_ops.reduce_sum(matrix, 1))
        right = array_ops.matrix_diag_part(matrix)
        either = sums - right
        number = math_ops.reduce_sum(math_ops.cast(math_ops.not_equal(either, 0), dtypes.float64))
        value = no_nan(math_ops.reduce_sum(no_nan(right, either)), number)
        value = math_ops.cast(value, dtypes.float32, name="mean_iou")
        return as_metric(value, update_op, metrics_collections, updates_collections)


def mean_per_class_accuracy(
    labels: Any,
    predictions: Any,
    num_classes: int,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """(value, update_op) of the mean over the classes of the fraction of their labels that are predicted.

    update_op: the new accuracy of each class, [num_classes].
    """
    with variable_scope(name, "mean_accuracy", (predictions, labels, weights)):
        labels, predictions = (
            array_ops.reshape(math_ops.cast(convert_to_tensor(vector), dtypes.int64), [-1])
            for vector in (labels, predictions)
        )
        if weights is not None:
            weights = array_ops.reshape(convert_to_tensor(weights), [-1])
        total, count = (metric_variable([num_classes], dtypes.float32, word) for word in ("total", "count"))
        number = weighted(array_ops.ones_like(labels, dtypes.float32), weights)
        right = weighted(math_ops.equal(labels, predictions), weights)
        new_total = state_ops.scatter_add(total, labels, number)
        new_count = state_ops.scatter_add(count, labels, right)
        value = math_ops.reduce_mean(no_nan(count, total), name="mean_accuracy")
        update_op = no_nan(new_count, new_total, name="update_op")
        return as_metric(value, update_op, metrics_collections, updates_collections)


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
    """A matrix whose element in row i, column j counts the labels i predicted as j: [classes, classes].

    labels, predictions: vectors of integers from 0 on.   num_classes: by default the largest number plus one.
    weights: of each pair, 1 by default.   Raises ValueError for another number of weights, and InvalidArgumentError at
    run time for numbers out of range.
    """
    with name_scope(name, "confusion_matrix", [labels, predictions, weights]) as scope:
        predictions, labels, _ = same_shaped(convert_to_tensor(predictions), convert_to_tensor(labels), None)
        inputs = [math_ops.cast(vector, dtypes.int64) for vector in (labels, predictions)]
        kind = dtypes.as_dtype(dtype)
        if weights is not None:
            inputs.append(math_ops.cast(convert_to_tensor(weights), kind))
            inputs[2].shape.assert_is_compatible_with(predictions.shape)
        attrs = {"classes": num_classes, "dtype": kind.numpy}
        shape = (num_classes, num_classes)
        return apply(counted, inputs, attrs, type="ConfusionMatrix", name=scope, dtype=kind, shape=shape)
