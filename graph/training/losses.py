"""Losses: elementwise distances between predictions and labels, reduced to one number by `compute_weighted_loss`.

Every loss is added to a collection (LOSSES), from which `get_total_loss` sums them up.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Protocol

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import convert_to_tensor, convert_together
from weftwork.graph.graph import GraphKeys
from weftwork.graph.known import renamed
from weftwork.graph.nn import ops as nn_ops
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.parameters import function_with
from weftwork.graph.scopes import name_scope
from weftwork.graph.training.loss_weights import (
    BY_NONZERO_WEIGHTS,
    add_loss,
    broadcast_weights,
    checked_weights,
    compute_weighted_loss,
    safe_div,
)


class Loss(Protocol):
    """A function of labels and predictions, or logits. It has the options of all losses, and maybe some of its own."""

    def __call__(
        self,
        *args: Any,
        weights: Any = 1.0,
        scope: str | None = None,
        loss_collection: Any = GraphKeys.LOSSES,
        reduction: str = BY_NONZERO_WEIGHTS,
        **kwargs: Any,
    ) -> Tensor: ...


def weighted(title: str) -> Callable[[Callable], Loss]:
    """Make a loss from a function of labels, predictions and options that returns a number for each element.

    The loss also takes the options of `compute_weighted_loss`. title: the default name of its scope.
    """

    def make_loss(formula: Callable) -> Loss:
        first, second, *options = inspect.signature(formula).parameters.values()
        _, weights, *rest = inspect.signature(compute_weighted_loss).parameters.values()

        def body(weights: Any, scope: str | None, loss_collection: Any, reduction: str, **given: Any) -> Tensor:
            with name_scope(scope, title, [given[second.name], given[first.name], weights]) as prefix:
                return compute_weighted_loss(formula(**given), weights, prefix, loss_collection, reduction)

        parameters = [first, second, weights, *options, *rest]
        return function_with(formula.__name__, formula.__doc__, __name__, parameters, body)

    return make_loss


# Elementwise losses


def _floats(labels: Any, predictions: Any) -> list[Tensor]:
    """Convert both to float32. Raises ValueError for None, and if their shapes differ."""
    if labels is None:
        raise ValueError("labels must not be None.")
    if predictions is None:
        raise ValueError("predictions must not be None.")
    predictions, labels = [math_ops.cast(tensor, dtypes.float32) for tensor in convert_together([predictions, labels])]
    if not shapes.compatible(predictions.raw_shape, labels.raw_shape):
        raise ValueError(f"Shapes {predictions.shape} and {labels.shape} are incompatible")
    return [labels, predictions]


@weighted("mean_squared_error")
def mean_squared_error(labels: Any, predictions: Any) -> Tensor:
    """(predictions - labels) ** 2."""
    y, p = _floats(labels, predictions)
    return math_ops.squared_difference(p, y)


@weighted("absolute_difference")
def absolute_difference(labels: Any, predictions: Any) -> Tensor:
    """|predictions - labels|."""
    y, p = _floats(labels, predictions)
    return math_ops.abs(p - y)


@weighted("log_loss")
def log_loss(labels: Any, predictions: Any, epsilon: float = 1e-7) -> Tensor:
    """-labels log(predictions + epsilon) - (1 - labels) log(1 - predictions + epsilon)."""
    y, p = _floats(labels, predictions)
    return -(y * math_ops.log(p + epsilon)) - (1 - y) * math_ops.log(1 - p + epsilon)


@weighted("huber_loss")
def huber_loss(labels: Any, predictions: Any, delta: float = 1.0) -> Tensor:
    """e ** 2 / 2 where e = |predictions - labels| <= delta, else delta e - delta ** 2 / 2 (Huber 1964)."""
    y, p = _floats(labels, predictions)
    error = math_ops.abs(p - y)
    quadratic = math_ops.minimum(error, delta)
    return quadratic * quadratic * 0.5 + (error - quadratic) * delta


@weighted("hinge_loss")
def hinge_loss(labels: Any, logits: Any) -> Tensor:
    """max(1 - (2 labels - 1) logits, 0), labels 0 or 1."""
    y, x = _floats(labels, logits)
    return nn_ops.relu(1 - (2 * y - 1) * x)


# Cross entropies


@weighted("sigmoid_cross_entropy_loss")
def sigmoid_cross_entropy(multi_class_labels: Any, logits: Any, label_smoothing: float = 0) -> Tensor:
    """`nn.sigmoid_cross_entropy_with_logits`, after moving labels towards 1/2 by the fraction `label_smoothing`.

    multi_class_labels: numbers from 0 to 1, in the shape of the logits.
    """
    logits = convert_to_tensor(logits)
    labels = math_ops.cast(convert_to_tensor(multi_class_labels), logits.dtype)
    if label_smoothing > 0:
        labels = labels * (1 - label_smoothing) + 0.5 * label_smoothing
    return nn_ops.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits, name="xentropy")


@weighted("softmax_cross_entropy_loss")
def softmax_cross_entropy(onehot_labels: Any, logits: Any, label_smoothing: float = 0) -> Tensor:
    """`nn.softmax_cross_entropy_with_logits`, after moving labels towards 1/classes by the fraction `label_smoothing`.

    onehot_labels, logits: [batch, classes].  weights: a scalar or [batch].
    """
    logits = convert_to_tensor(logits)
    labels = math_ops.cast(convert_to_tensor(onehot_labels), logits.dtype)
    if not shapes.compatible(logits.raw_shape, labels.raw_shape):
        raise ValueError(f"Shapes {logits.shape} and {labels.shape} are incompatible")
    if label_smoothing > 0:
        classes = math_ops.cast(array_ops.shape(labels)[1], logits.dtype)
        labels = labels * (1 - label_smoothing) + label_smoothing / classes
    labels = array_ops.stop_gradient(labels, name="labels_stop_gradient")
    return nn_ops.softmax_cross_entropy_with_logits_v2(labels=labels, logits=logits, name="xentropy")


def sparse_softmax_cross_entropy(
    labels: Any,
    logits: Any,
    weights: Any = 1.0,
    scope: str | None = None,
    loss_collection: Any = GraphKeys.LOSSES,
    reduction: str = BY_NONZERO_WEIGHTS,
) -> Tensor:
    """`nn.sparse_softmax_cross_entropy_with_logits`.

    labels: class indices, integers [batch] or [batch, 1].  logits: [batch, classes].  weights: a scalar, [batch] or
    [batch, 1].
    """
    with name_scope(scope, "sparse_softmax_cross_entropy_loss", [logits, labels, weights]) as prefix:
        labels, logits, weights = [convert_to_tensor(value) for value in (labels, logits, weights)]
        rank = logits.shape.ndims
        labels, weights = [
            array_ops.squeeze(tensor, [-1]) if rank is not None and tensor.raw_shape and len(tensor.raw_shape) == rank
            and tensor.raw_shape[-1] in (None, 1) else tensor
            for tensor in (labels, weights)
        ]  # fmt: skip
        losses = nn_ops.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits, name="xentropy")
        return compute_weighted_loss(losses, weights, prefix, loss_collection, reduction)


def cosine_distance(
    labels: Any,
    predictions: Any,
    axis: int | None = None,
    weights: Any = 1.0,
    scope: str | None = None,
    loss_collection: Any = GraphKeys.LOSSES,
    reduction: str = BY_NONZERO_WEIGHTS,
    dim: int | None = None,
) -> Tensor:
    """1 - labels . predictions along an axis, for unit vectors. Raises ValueError without an axis."""
    axis = renamed("axis", axis, "dim", dim)
    if axis is None:
        raise ValueError("You must specify 'axis'.")
    with name_scope(scope, "cosine_distance_loss", [predictions, labels, weights]) as prefix:
        labels, predictions = _floats(labels, predictions)
        losses = 1 - math_ops.reduce_sum(math_ops.multiply(predictions, labels), [axis], keepdims=True)
        return compute_weighted_loss(losses, weights, prefix, loss_collection, reduction)


def mean_pairwise_squared_error(
    labels: Any, predictions: Any, weights: Any = 1.0, scope: str | None = None, loss_collection: Any = GraphKeys.LOSSES
) -> Tensor:
    """The sum over the batch of squared differences between pairwise differences of predictions and of labels.

    For each example, this is the mean over all pairs of elements.   weights: a scalar, [batch], or as the labels.
    """
    with name_scope(scope, "mean_pairwise_squared_error", [predictions, labels, weights]):
        labels, predictions = _floats(labels, predictions)
        weights = math_ops.cast(convert_to_tensor(weights), dtypes.float32)
        weights = checked_weights(weights, predictions)
        differences = predictions - labels
        rank: Any = array_ops.rank(differences) if differences.raw_shape is None else len(differences.raw_shape)
        axes = math_ops.range(1, rank) if differences.raw_shape is None else list(range(1, rank))
        present = array_ops.where_v2(
            math_ops.equal(broadcast_weights(weights, differences), 0.0),
            array_ops.zeros_like(differences),
            array_ops.ones_like(differences),
        )
        count = math_ops.reduce_sum(present, axes, keepdims=True)
        squares = math_ops.reduce_sum(math_ops.square(differences), axes, keepdims=True)
        total = math_ops.reduce_sum(differences, axes, keepdims=True)
        first = 2.0 * safe_div(squares, math_ops.maximum(count - 1.0, 0.0))
        second = 2.0 * safe_div(math_ops.square(total), count * math_ops.maximum(count - 1.0, 0.0))
        loss = math_ops.reduce_sum((first - second) * weights)
        has_any = math_ops.greater(math_ops.reduce_sum(count), 0.0)
        loss = array_ops.where_v2(has_any, loss, array_ops.zeros_like(loss), name="value")
        add_loss(loss, loss_collection)
        return loss
