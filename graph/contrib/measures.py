"""contrib.losses and contrib.metrics: `tf.losses` and `tf.metrics` with the predictions first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weftwork.graph.build import convert_to_tensor
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import math_ops
from weftwork.graph.training import counted_metrics, losses, metrics, ranked_metrics


def _predictions_first(
    public: str, function: Callable[..., Any], words: tuple[str, str], options: tuple[str, ...] = ()
) -> Callable[..., Any]:
    """Wrap a function of (labels, predictions, ...) as one of (predictions, labels, options...)."""
    first, second = words

    def turned(predictions, labels=None, *args, **kwargs):
        given = dict(zip(options, args, strict=False))
        return function(**{second: predictions, first: labels}, **given, **kwargs)

    turned.__name__ = turned.__qualname__ = public
    turned.__doc__ = f"`{function.__name__}` with the predictions before the labels."
    return turned


# Losses

_REST = ("weights", "scope")
absolute_difference = _predictions_first(
    "absolute_difference", losses.absolute_difference, ("labels", "predictions"), _REST
)
mean_squared_error = _predictions_first(
    "mean_squared_error", losses.mean_squared_error, ("labels", "predictions"), _REST
)
log_loss = _predictions_first("log_loss", losses.log_loss, ("labels", "predictions"), ("weights", "epsilon", "scope"))
hinge_loss = _predictions_first("hinge_loss", losses.hinge_loss, ("labels", "logits"), ("scope",))
cosine_distance = _predictions_first(
    "cosine_distance", losses.cosine_distance, ("labels", "predictions"), ("axis", "weights", "scope")
)
mean_pairwise_squared_error = _predictions_first(
    "mean_pairwise_squared_error", losses.mean_pairwise_squared_error, ("labels", "predictions"), _REST
)
_SMOOTHED = ("weights", "label_smoothing", "scope")
sigmoid_cross_entropy = _predictions_first(
    "sigmoid_cross_entropy", losses.sigmoid_cross_entropy, ("multi_class_labels", "logits"), _SMOOTHED
)
softmax_cross_entropy = _predictions_first(
    "softmax_cross_entropy", losses.softmax_cross_entropy, ("onehot_labels", "logits"), _SMOOTHED
)
sparse_softmax_cross_entropy = _predictions_first(
    "sparse_softmax_cross_entropy", losses.sparse_softmax_cross_entropy, ("labels", "logits"), _REST
)


# Metrics


def accuracy(predictions: Any, labels: Any, weights: Any = None, name: str | None = None) -> Tensor:
    """The weighted fraction of this run's predictions that equal the labels."""
    right = math_ops.cast(math_ops.equal(predictions, labels), "float32")
    if weights is None:
        return math_ops.reduce_mean(right, name=name)
    weights = math_ops.cast(convert_to_tensor(weights), "float32")
    return math_ops.div_no_nan(math_ops.reduce_sum(right * weights), math_ops.reduce_sum(weights), name=name)


_PAIR = ("labels", "predictions")
_OPTIONS = ("weights", "metrics_collections", "updates_collections", "name")
streaming_mean = metrics.mean
streaming_mean_tensor = metrics.mean_tensor
streaming_percentage_less = metrics.percentage_below
streaming_accuracy = _predictions_first("streaming_accuracy", metrics.accuracy, _PAIR, _OPTIONS)
streaming_auc = _predictions_first(
    "streaming_auc", counted_metrics.auc, _PAIR, ("weights", "num_thresholds", *_OPTIONS[1:])
)
streaming_precision = _predictions_first("streaming_precision", counted_metrics.precision, _PAIR, _OPTIONS)
streaming_recall = _predictions_first("streaming_recall", counted_metrics.recall, _PAIR, _OPTIONS)
streaming_true_positives = _predictions_first(
    "streaming_true_positives", counted_metrics.true_positives, _PAIR, _OPTIONS
)
streaming_true_negatives = _predictions_first(
    "streaming_true_negatives", counted_metrics.true_negatives, _PAIR, _OPTIONS
)
streaming_false_positives = _predictions_first(
    "streaming_false_positives", counted_metrics.false_positives, _PAIR, _OPTIONS
)
streaming_false_negatives = _predictions_first(
    "streaming_false_negatives", counted_metrics.false_negatives, _PAIR, _OPTIONS
)
streaming_mean_iou = _predictions_first("streaming_mean_iou", metrics.mean_iou, _PAIR, ("num_classes", *_OPTIONS))
streaming_mean_absolute_error = _predictions_first(
    "streaming_mean_absolute_error", metrics.mean_absolute_error, _PAIR, _OPTIONS
)
streaming_mean_squared_error = _predictions_first(
    "streaming_mean_squared_error", metrics.mean_squared_error, _PAIR, _OPTIONS
)
streaming_root_mean_squared_error = _predictions_first(
    "streaming_root_mean_squared_error", metrics.root_mean_squared_error, _PAIR, _OPTIONS
)
streaming_sparse_recall_at_k = _predictions_first(
    "streaming_sparse_recall_at_k", ranked_metrics.recall_at_k, _PAIR, ("k", "class_id", *_OPTIONS)
)
streaming_sparse_precision_at_k = _predictions_first(
    "streaming_sparse_precision_at_k", ranked_metrics.precision_at_k, _PAIR, ("k", "class_id", *_OPTIONS)
)


def aggregate_metrics(*value_update_tuples: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """(values, updates) of several metrics."""
    if not value_update_tuples:
        raise ValueError("Expected at least one value_tensor/update_op pair")
    values, updates = zip(*value_update_tuples, strict=True)
    return list(values), list(updates)  # type: ignore[return-value]


def aggregate_metric_map(names_to_tuples: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(values by name, updates by name) of named metrics."""
    return (
        {name: value for name, (value, _) in names_to_tuples.items()},
        {name: update for name, (_, update) in names_to_tuples.items()},
    )
