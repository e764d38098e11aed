"""Losses: how far predictions are from labels, one number for each element, which `compute_weighted_loss` makes one.

Every loss is put into a collection (LOSSES), from which `get_total_loss` sums them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import convert_to_tensor, convert_together
from weftwork.graph.graph import GraphKeys
from weftwork.graph.nn import ops as nn_ops
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.scopes import name_scope
from weftwork.graph.training.loss_weights import BY_NONZERO_WEIGHTS, compute_weighted_loss

# Element by element


def _elementwise(
    formula: Callable,
    name: str,
    labels: Any,
    predictions: Any,
    weights: Any,
    scope: str | None,
    loss_collection: Any,
    reduction: str,
) -> Tensor:
    """The loss of formula(labels, predictions), which are of one shape."""
    if labels is None:
        raise ValueError("labels must not be None.")
    if predictions is None:
        raise ValueError("predictions must not be None.")
    with name_scope(scope, name, [predictions, labels, weights]) as prefix:
        predictions, labels = [
            math_ops.cast(tensor, dtypes.float32) for tensor in convert_together([predictions, labels])
        ]
        if not shapes.compatible(predictions._shape, labels._shape):
            raise ValueError(f"Shapes {predictions.shape} and {labels.shape} are incompatible")
        return compute_weighted_loss(formula(labels, predictions), weights, prefix, loss_collection, reduction)


def mean_squared_error(
    labels: Any,
    predictions: Any,
    weights: Any = 1.0,
    scope: str | None = None,
    loss_collection: Any = GraphKeys.LOSSES,
    reduction: str = BY_NONZERO_WEIGHTS,
) -> Tensor:
    """(predictions - labels) ** 2."""
    rest = (labels, predictions, weights, scope, loss_collection, reduction)
    return _elementwise(lambda y, p: math_ops.squared_difference(p, y), "mean_squared_error", *rest)


def absolute_difference(
    labels: Any,
    predictions: Any,
    weights: Any = 1.0,
    scope: str | None = None,
    loss_collection: Any = GraphKeys.LOSSES,
    reduction: str = BY_NONZERO_WEIGHTS,
) -> Tensor:
    """|predictions - labels|."""
    rest = (labels, predictions, weights, scope, loss_collection, reduction)
    return _elementwise(lambda y, p: math_ops.abs(p - y), "absolute_difference", *rest)


def log_loss(
    labels: Any,
    predictions: Any,
    weights: Any = 1.0,
    epsilon: float = 1e-7,
    scope: str | None = None,
    loss_collection: Any = GraphKeys.LOSSES,
    reduction: str = BY_NONZERO_WEIGHTS,
) -> Tensor:
    """-labels log(predictions + epsilon) - (1 - labels) log(1 - predictions + epsilon)."""

    def formula(y, p):
        return -(y * math_ops.log(p + epsilon)) - (1 - y) * math_ops.log(1 - p + epsilon)

    return _elementwise(formula, "log_loss", labels, predictions, weights, scope, loss_collection, reduction)


def huber_loss(
    labels: Any,
    predictions: Any,
    weights: Any = 1.0,
    delta: float = 1.0,
    scope: str | None = None,
    loss_collection: Any = GraphKeys.LOSSES,
    reduction: str = BY_NONZERO_WEIGHTS,
) -> Tensor:
    """e ** 2 / 2 where e = |predictions - labels| <= delta, else delta e - delta ** 2 / 2 (Huber 1964)."""

    def formula(y, p):
        error = math_ops.abs(p - y)
        near = math_ops.minimum(error, delta)
        return 0.5 * near * near + delta * (error - near)

    return _elementwise(formula, "huber_loss", labels, predictions, weights, scope, loss_collection, reduction)


def hinge_loss(
    labels: Any,
    logits: Any,
    weights: Any = 1.0,
    scope: str | None = None,
    loss_collection: Any = GraphKeys.LOSSES,
    reduction: str = BY_NONZERO_WEIGHTS,
) -> Tensor:
    """max(1 - (2 labels - 1) logits, 0), labels 0 or 1."""
    rest = (labels, logits, weights, scope, loss_collection, reduction)
    return _elementwise(lambda y, x: nn_ops.relu(1 - (2 * y - 1) * x), "hinge_loss", *rest)


# Cross entropies


def sigmoid_cross_entropy(
    multi_class_labels: Any,
    logits: Any,
    weights: Any = 1.0,
    label_smoothing: float = 0,
    scope: str | None = None,
    loss_collection: Any = GraphKeys.LOSSES,
    reduction: str = BY_NONZERO_WEIGHTS,
) -> Tensor:
    """`nn.sigmoid_cross_entropy_with_logits`; labels are first moved towards 1/2 by the part `label_smoothing`."""
    with name_scope(scope, "sigmoid_cross_entropy_loss", [logits, multi_class_labels, weights]) as prefix:
        logits = convert_to_tensor(logits)
        labels = math_ops.cast(convert_to_tensor(multi_class_labels), logits.dtype)
        if label_smoothing > 0:
            labels = labels * (1 - label_smoothing) + 0.5 * label_smoothing
        losses = nn_ops.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits, name="xentropy")
        return compute_weighted_loss(losses, weights, prefix, loss_collection, reduction)


def softmax_cross_entropy(
    onehot_labels: Any,
    logits: Any,
    weights: Any = 1.0,
    label_smoothing: float = 0,
    scope: str | None = None,
    loss_collection: Any = GraphKeys.LOSSES,
    reduction: str = BY_NONZERO_WEIGHTS,
) -> Tensor:
    """`nn.softmax_cross_entropy_with_logits`; labels are first moved towards 1/classes by the part `label_smoothing`.

    onehot_labels, logits: [batch, classes].  weights: a scalar or [batch].
    """
    with name_scope(scope, "softmax_cross_entropy_loss", [logits, onehot_labels, weights]) as prefix:
        logits = convert_to_tensor(logits)
        labels = math_ops.cast(convert_to_tensor(onehot_labels), logits.dtype)
        if not shapes.compatible(logits._shape, labels._shape):
            raise ValueError(f"Shapes {logits.shape} and {labels.shape} are incompatible")
        if label_smoothing > 0:
            classes = math_ops.cast(array_ops.shape(labels)[1], logits.dtype)
            labels = labels * (1 - label_smoothing) + label_smoothing / classes
        labels = array_ops.stop_gradient(labels, name="labels_stop_gradient")
        losses = nn_ops.softmax_cross_entropy_with_logits_v2(labels=labels, logits=logits, name="xentropy")
        return compute_weighted_loss(losses, weights, prefix, loss_collection, reduction)


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
            array_ops.squeeze(tensor, [-1]) if rank is not None and tensor._shape and len(tensor._shape) == rank
            and tensor._shape[-1] in (None, 1) else tensor
            for tensor in (labels, weights)
        ]  # fmt: skip
        losses = nn_ops.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits, name="xentropy")
        return compute_weighted_loss(losses, weights, prefix, loss_collection, reduction)
