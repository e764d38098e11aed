"""Metrics of binary predictions: true and false positives and negatives, and functions of these four counts.

threshold   a prediction from 0 to 1 counts as positive if it exceeds the threshold
Counts     the four counts, each with its update; with thresholds each is a vector
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import apply, constant, convert_to_tensor
from weftwork.graph.default_scopes import control_dependencies
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, assertions, math_ops
from weftwork.graph.ops.flow import identity
from weftwork.graph.training.metric_tools import (
    Metric,
    as_metric,
    even_thresholds,
    metric_variable,
    no_nan,
    same_shaped,
    weighted,
)
from weftwork.graph.variables import writes as state_ops
from weftwork.graph.variables.scoping import variable_scope

EPSILON = 1e-7


class Counts(NamedTuple):
    """The four counts: either the accumulated values, or those after this run's update."""

    tp: Any
    fn: Any
    tn: Any
    fp: Any


_WORDS = {
    "tp": "true_positives",
    "fn": "false_negatives",
    "tn": "true_negatives",
    "fp": "false_positives",
}
_MEANING = {  # the (label, prediction) pair that each metric counts
    "tp": (True, True),
    "fn": (True, False),
    "tn": (False, False),
    "fp": (False, True),
}


# Single counts


def _counter(which: str) -> Callable[..., Metric]:
    word, (label, guess) = _WORDS[which], _MEANING[which]

    def count(labels, predictions, weights=None, metrics_collections=None, updates_collections=None, name=None):
        with variable_scope(name, word, (predictions, labels, weights)):
            predictions, labels, weights = same_shaped(
                math_ops.cast(predictions, dtypes.bool), math_ops.cast(labels, dtypes.bool), weights
            )
            hit = math_ops.logical_and(math_ops.equal(labels, label), math_ops.equal(predictions, guess))
            return _summed(hit, weights, metrics_collections, updates_collections)

    count.__name__ = count.__qualname__ = word
    count.__doc__ = (
        f"(value, update_op) of the number of {word.replace('_', ' ')}, or the sum of their weights.\n\n"
        "labels, predictions: of one shape, cast to bool."
    )
    return count


def _summed(hit: Tensor, weights: Any, metrics_collections: Any, updates_collections: Any) -> Metric:
    count = metric_variable([], dtypes.float32, "count")
    update_op = state_ops.assign_add(count, math_ops.reduce_sum(weighted(hit, weights)))
    return as_metric(identity(count), update_op, metrics_collections, updates_collections)


true_positives = _counter("tp")
false_positives = _counter("fp")
true_negatives = _counter("tn")
false_negatives = _counter("fn")


def precision(
    labels: Any,
    predictions: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """(value, update_op) of the fraction of positive predictions that are right; 0 until there are any."""
    return _part_of_two(
        "precision", true_positives, false_positives, labels, predictions, weights,
        metrics_collections, updates_collections, name,
    )  # fmt: skip


def recall(
    labels: Any,
    predictions: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """(value, update_op) of the fraction of positive labels that are predicted; 0 until there are any."""
    return _part_of_two(
        "recall", true_positives, false_negatives, labels, predictions, weights,
        metrics_collections, updates_collections, name,
    )  # fmt: skip


def _part_of_two(word, first, second, labels, predictions, weights, metrics_collections, updates_collections, name):
    with variable_scope(name, word, (predictions, labels, weights)):
        a, new_a = first(labels, predictions, weights)
        b, new_b = second(labels, predictions, weights)
        value, update_op = no_nan(a, a + b, name="value"), no_nan(new_a, new_a + new_b, name="update_op")
        return as_metric(value, update_op, metrics_collections, updates_collections)


# With thresholds


def counted_at(labels: Any, predictions: Any, *weights: Any, thresholds: Any) -> tuple:
    """The kernel of ThresholdCounts: (tp, fn, tn, fp), each a float32 for each threshold."""
    yes = np.ravel(predictions)[None, :] > np.asarray(thresholds)[:, None]
    truth = np.ravel(labels).astype(bool)
    weight = np.ravel(weights[0]).astype(np.float32) if weights else np.ones(truth.size, np.float32)
    positive, negative = np.where(truth, weight, np.float32(0)), np.where(truth, np.float32(0), weight)
    tp, fp = (yes @ part for part in (positive, negative))
    return tp, positive.sum(dtype=np.float32) - tp, negative.sum(dtype=np.float32) - fp, fp


def _at_thresholds(labels: Any, predictions: Any, thresholds: Sequence[float], weights: Any, kept: str) -> tuple:
    """(Counts of variables, Counts of updates) for the names in `kept`, separated by spaces; None for the others."""
    predictions = math_ops.cast(convert_to_tensor(predictions), dtypes.float32)
    checks = [
        assertions.assert_greater_equal(predictions, 0.0, message="predictions must be in [0, 1]"),
        assertions.assert_less_equal(predictions, 1.0, message="predictions must be in [0, 1]"),
    ]
    with control_dependencies(checks):
        predictions, labels, weights = same_shaped(predictions, math_ops.cast(labels, dtypes.bool), weights)
        predictions = identity(predictions)
    inputs = [labels, predictions]
    if weights is not None:
        inputs.append(weighted(array_ops.ones_like(predictions, dtypes.float32), weights))
    limits = tuple([float(np.float32(t)) for t in thresholds])
    outputs: list[tuple[Any, Any]] = [(dtypes.float32, (len(limits),))] * 4
    result = apply(counted_at, inputs, {"thresholds": limits}, type="ThresholdCounts", outputs=outputs)
    values: dict[str, Any] = dict.fromkeys(_WORDS)
    updates = dict(values)
    for key, now in zip(_WORDS, result, strict=True):
        if key in kept.split():
            variable = metric_variable([len(limits)], dtypes.float32, _WORDS[key])
            values[key], updates[key] = identity(variable), state_ops.assign_add(variable, now)
    return Counts(**values), Counts(**updates)


def _count_at(which: str) -> Callable[..., Metric]:
    word = _WORDS[which]

    def count(
        labels, predictions, thresholds, weights=None, metrics_collections=None, updates_collections=None, name=None
    ):
        with variable_scope(name, word, (predictions, labels, weights)):
            values, updates = _at_thresholds(labels, predictions, thresholds, weights, which)
            pair = getattr(values, which), getattr(updates, which)
            return as_metric(pair[0], pair[1], metrics_collections, updates_collections)

    count.__name__ = count.__qualname__ = f"{word}_at_thresholds"
    count.__doc__ = (
        f"(value, update_op) of the number of {word.replace('_', ' ')} for each threshold, a vector.\n\n"
        "labels: cast to bool.   predictions: from 0 to 1; others raise InvalidArgumentError at run time."
    )
    return count


true_positives_at_thresholds = _count_at("tp")
false_positives_at_thresholds = _count_at("fp")
true_negatives_at_thresholds = _count_at("tn")
false_negatives_at_thresholds = _count_at("fn")


def precision_at_thresholds(
    labels: Any,
    predictions: Any,
    thresholds: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """(value, update_op) of the precision for each threshold, a vector.

    predictions: from 0 to 1; others raise InvalidArgumentError at run time.
    """
    with variable_scope(name, "precision_at_thresholds", (predictions, labels, weights)):
        pair = _at_thresholds(labels, predictions, thresholds, weights, "tp fp")
        ratio = [math_ops.divide(c.tp, c.tp + c.fp + EPSILON, name=n) for c, n in zip(pair, _NAMES, strict=True)]
        return as_metric(ratio[0], ratio[1], metrics_collections, updates_collections)


def recall_at_thresholds(
    labels: Any,
    predictions: Any,
    thresholds: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """(value, update_op) of the recall for each threshold, a vector.

    predictions: from 0 to 1; others raise InvalidArgumentError at run time.
    """
    with variable_scope(name, "recall_at_thresholds", (predictions, labels, weights)):
        pair = _at_thresholds(labels, predictions, thresholds, weights, "tp fn")
        ratio = [math_ops.divide(c.tp, c.tp + c.fn + EPSILON, name=n) for c, n in zip(pair, _NAMES, strict=True)]
        return as_metric(ratio[0], ratio[1], metrics_collections, updates_collections)


_NAMES = ("value", "update_op")


def sensitivity_at_specificity(
    labels: Any,
    predictions: Any,
    specificity: float,
    weights: Any = None,
    num_thresholds: int = 200,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """(value, update_op) of the recall at the threshold whose specificity is nearest to the given one.

    specificity: true negatives / all negatives, from 0 to 1. Raises ValueError for any other.
    """
    _check_part(specificity, "specificity")

    def at_nearest(c: Counts, word: str) -> Tensor:
        best = math_ops.argmin(math_ops.abs(c.tn / (c.tn + c.fp + EPSILON) - specificity), 0)
        return math_ops.divide(c.tp[best], c.tp[best] + c.fn[best] + EPSILON, name=word)

    with variable_scope(name, "sensitivity_at_specificity", (predictions, labels, weights)):
        pair = _at_thresholds(labels, predictions, even_thresholds(num_thresholds), weights, "tp fn tn fp")
        found = [at_nearest(c, word) for c, word in zip(pair, _NAMES, strict=True)]
        return as_metric(found[0], found[1], metrics_collections, updates_collections)


def specificity_at_sensitivity(
    labels: Any,
    predictions: Any,
    sensitivity: float,
    weights: Any = None,
    num_thresholds: int = 200,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """(value, update_op) of the specificity at the greatest threshold whose recall is nearest to the given one.

    sensitivity: true positives / all positives, from 0 to 1. Raises ValueError for any other.
    """
    _check_part(sensitivity, "sensitivity")

    def at_nearest(c: Counts, word: str) -> Tensor:
        distance = math_ops.abs(c.tp / (c.tp + c.fn + EPSILON) - sensitivity)
        nearest = math_ops.cast(math_ops.equal(distance, math_ops.reduce_min(distance)), dtypes.int64)
        best = math_ops.argmax(math_ops.cumsum(nearest), 0)
        return math_ops.divide(c.tn[best], c.tn[best] + c.fp[best] + EPSILON, name=word)

    with variable_scope(name, "specificity_at_sensitivity", (predictions, labels, weights)):
        pair = _at_thresholds(labels, predictions, even_thresholds(num_thresholds), weights, "tp fn tn fp")
        found = [at_nearest(c, word) for c, word in zip(pair, _NAMES, strict=True)]
        return as_metric(found[0], found[1], metrics_collections, updates_collections)


def _check_part(value: float, what: str) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"`{what}` must be in the range [0, 1].")


# The area under a curve


def auc(
    labels: Any,
    predictions: Any,
    weights: Any = None,
    num_thresholds: int = 200,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    curve: str = "ROC",
    name: str | None = None,
    summation_method: str = "trapezoidal",
    thresholds: Sequence[float] | None = None,
) -> Metric:
    """(value, update_op) of the area under a curve, computed from thresholds.

    labels: cast to bool.   predictions: from 0 to 1; others raise InvalidArgumentError at run time.
    curve: "ROC", recall over false positive rate, or "PR", precision over recall.
    summation_method: "trapezoidal", "careful_interpolation" (Davis and Goadrich 2006, for PR), "minoring", "majoring".
    thresholds: those between 0 and 1, instead of num_thresholds evenly spaced ones.
    Raises ValueError for another curve or method.
    """
    if curve not in ("ROC", "PR"):
        raise ValueError(f"curve must be either ROC or PR, {curve} unknown")
    if summation_method not in ("trapezoidal", "careful_interpolation", "minoring", "majoring"):
        raise ValueError(f"Invalid summation_method: {summation_method}")
    if thresholds is None:
        limits = even_thresholds(num_thresholds)
    else:
        limits = [-EPSILON, *sorted(thresholds), 1.0 + EPSILON]
    with variable_scope(name, "auc", (labels, predictions, weights)):
        pair = _at_thresholds(labels, predictions, limits, weights, "tp fn tn fp")
        found = [_area(c, curve, summation_method, word) for c, word in zip(pair, _NAMES, strict=True)]
        return as_metric(found[0], found[1], metrics_collections, updates_collections)


def _area(c: Counts, curve: str, method: str, name: str) -> Tensor:
    epsilon = constant(1e-6)
    if curve == "PR" and method == "careful_interpolation":
        return _interpolated(c, name)
    sensitivity = (c.tp + epsilon) / (c.tp + c.fn + epsilon)
    if curve == "ROC":
        x, y = c.fp / (c.fp + c.tn + epsilon), sensitivity
    else:
        x, y = sensitivity, (c.tp + epsilon) / (c.tp + c.fp + epsilon)
    low, high = y[:-1], y[1:]
    heights = {
        "minoring": lambda: math_ops.minimum(low, high),
        "majoring": lambda: math_ops.maximum(low, high),
    }.get(method, lambda: (low + high) / 2.0)()
    return math_ops.reduce_sum((x[:-1] - x[1:]) * heights, name=name)


def _interpolated(c: Counts, name: str) -> Tensor:
    """The area under precision and recall, interpolating true positives, not precision, linearly between points."""
    p = c.tp + c.fp
    step = c.tp[:-1] - c.tp[1:]
    slope = no_nan(step, math_ops.maximum(p[:-1] - p[1:], 0))
    start = c.tp[1:] - slope * p[1:]
    both_positive = math_ops.logical_and(p[:-1] > 0, p[1:] > 0)
    ratio = array_ops.where_v2(both_positive, no_nan(p[:-1], math_ops.maximum(p[1:], 0)), array_ops.ones_like(step))
    part = no_nan(slope * (step + start * math_ops.log(ratio)), math_ops.maximum(c.tp[1:] + c.fn[1:], 0))
    return math_ops.reduce_sum(part, name=name)
