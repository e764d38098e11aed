"""Metrics of the k classes that a model ranks highest: recall, precision, average precision at k.

labels   classes, int64 [..., labels], as a tensor or SparseTensor, or [...] with one label each; -1 and other numbers
  that are not classes count as labels that are never found
top      the predicted classes, [..., k]; duplicates in a row do not count
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import apply, convert_to_tensor
from weftwork.graph.known import rank_of
from weftwork.graph.nn.ops import top_k
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.composite import SparseTensor, SparseTensorValue
from weftwork.graph.ops.flow import identity
from weftwork.graph.training.metric_tools import Metric, as_metric, metric_variable
from weftwork.graph.variables import writes as state_ops
from weftwork.graph.variables.scoping import variable_scope

_NO_LABEL = np.iinfo(np.int64).min
"""The label at an empty position."""


# Kernels


def in_rows(indices: Any, values: Any, shape: Any) -> Any:
    """The labels of a sparse tensor as rows, padded with `_NO_LABEL`."""
    shape = tuple(np.asarray(shape).tolist())
    rows = np.asarray(np.ravel_multi_index(tuple(np.asarray(indices)[:, :-1].T), shape[:-1]))
    order = np.argsort(rows, kind="stable")
    counts = np.bincount(rows, minlength=int(np.prod(shape[:-1])))
    out = np.full((len(counts), int(counts.max(initial=0))), _NO_LABEL, np.int64)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    out[rows[order], place] = np.asarray(values)[order]
    return out.reshape((*shape[:-1], out.shape[1]))


def _first(rows: np.ndarray) -> np.ndarray:
    """True where a number appears in its row for the first time."""
    order = np.argsort(rows, axis=-1, kind="stable")
    ranked = np.take_along_axis(rows, order, -1)
    new = np.concatenate([np.ones_like(ranked[..., :1], bool), ranked[..., 1:] != ranked[..., :-1]], -1)
    out = np.zeros_like(new)
    np.put_along_axis(out, order, new, -1)
    return out


def _within(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """True where an element of a row of a is in the same row of b."""
    return (a[..., :, None] == b[..., None, :]).any(-1)


def hits(labels: Any, top: Any, class_id: int | None) -> tuple:
    """(true positives, false positives, false negatives) for each row, float64."""
    labels, top = np.asarray(labels), np.asarray(top, np.int64)
    given, named = _first(labels) & (labels != _NO_LABEL), _first(top)
    if class_id is not None:
        given, named = given & (labels == class_id), named & (top == class_id)
    found = named & _within(top, labels)
    missed = given & ~_within(labels, top)
    return tuple([part.sum(-1).astype(np.float64) for part in (found, named & ~found, missed)])


def averaged(labels: Any, top: Any, sparse: bool) -> Any:
    """The average precision of each row, float64: the mean of the precisions at the ranks of relevant classes.

    NaN for a row without labels.
    """
    labels, top = np.asarray(labels), np.asarray(top, np.int64)
    k = top.shape[-1]
    found = (_within(top, labels) & _first(top)).astype(np.float64)
    precisions = np.cumsum(found, -1) / np.arange(1, k + 1)
    relevant = (
        (_first(labels) & (labels != _NO_LABEL)).sum(-1) if sparse else np.full(labels.shape[:-1], labels.shape[-1])
    )
    relevant = np.minimum(relevant, k)
    with np.errstate(invalid="ignore"):
        return (precisions * found).sum(-1) / relevant


# Arguments


def _rows(labels: Any, top: Tensor) -> tuple[Tensor, bool]:
    """(labels as a tensor with one more axis than the rows, whether they were sparse)."""
    if isinstance(labels, SparseTensorValue):
        labels = SparseTensor.from_value(labels)
    if isinstance(labels, SparseTensor):
        shape = None if top.raw_shape is None else (*top.raw_shape[:-1], None)
        inputs = [labels.indices, math_ops.cast(labels.values, dtypes.int64), labels.dense_shape]
        return apply(in_rows, inputs, type="SparseRows", dtype=dtypes.int64, shape=shape), True
    labels = math_ops.cast(convert_to_tensor(labels), dtypes.int64)
    if rank_of(labels) is not None and rank_of(top) is not None and rank_of(labels) == rank_of(top) - 1:  # type: ignore[operator]
        labels = array_ops.expand_dims(labels, -1)
    return labels, False


def _weighted(numbers: Tensor, weights: Any) -> Tensor:
    if weights is None:
        return numbers
    weights = math_ops.cast(convert_to_tensor(weights), dtypes.float64)
    if rank_of(weights) and rank_of(numbers) is not None and rank_of(weights) == rank_of(numbers) + 1:  # type: ignore[operator]
        weights = array_ops.squeeze(weights, [-1])
    return numbers * weights


def _scope(name: str | None, word: str, k: Any, class_id: int | None) -> str:
    if name is not None:
        return name
    return f"{word}_at_{'k' if k is None else k}" + ("" if class_id is None else f"_class{class_id}")


def _ratio(labels, top, k, class_id, weights, metrics_collections, updates_collections, name, word: str) -> Metric:
    """Precision (among the predicted) or recall (among the labels) at k."""
    top = convert_to_tensor(top)
    with variable_scope(None, _scope(name, word, k, class_id), (top, labels, weights)) as scope:
        rows, _ = _rows(labels, top)
        specs = [(dtypes.float64, None if top.raw_shape is None else top.raw_shape[:-1])] * 3
        tp, fp, fn = apply(hits, [rows, top], {"class_id": class_id}, type="HitsAtK", outputs=specs)
        at = f"_at_{'k' if k is None else k}" + ("" if class_id is None else f"_class{class_id}")
        words = ("true_positive", "false_positive" if word == "precision" else "false_negative")
        values, updates = [], []
        for label, numbers in zip(words, (tp, fp if word == "precision" else fn), strict=True):
            variable = metric_variable([], dtypes.float64, f"{label}{at}")
            values.append(identity(variable))
            updates.append(state_ops.assign_add(variable, math_ops.reduce_sum(_weighted(numbers, weights))))
        value = math_ops.divide(values[0], values[0] + values[1], name=scope.original_name_scope)
        update_op = math_ops.divide(updates[0], updates[0] + updates[1], name="update")
        return as_metric(value, update_op, metrics_collections, updates_collections)


def _top(predictions: Any, k: int) -> Tensor:
    if k < 1:
        raise ValueError(f"Invalid k={k}.")
    return top_k(predictions, k).indices


# The metrics


def recall_at_k(
    labels: Any,
    predictions: Any,
    k: int,
    class_id: int | None = None,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """(value, update_op) of the fraction of labels that are among the k highest predictions, float64.

    labels: int64 [..., labels] or [...], or a SparseTensor.   predictions: a number for each class, [..., classes].
    class_id: only count this class.   weights: one for each row, or one for all.
    Both are NaN as long as nothing has been counted. Raises ValueError for k < 1.
    """
    top = _top(predictions, k)
    return _ratio(labels, top, k, class_id, weights, metrics_collections, updates_collections, name, "recall")


def recall_at_top_k(
    labels: Any,
    predictions_idx: Any,
    k: int | None = None,
    class_id: int | None = None,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """`recall_at_k` for predictions that are already classes, [..., k].

    predictions_idx: int64 [..., k], the predicted classes.
    """
    return _ratio(
        labels, predictions_idx, k, class_id, weights, metrics_collections, updates_collections, name, "recall"
    )


def precision_at_k(
    labels: Any,
    predictions: Any,
    k: int,
    class_id: int | None = None,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """(value, update_op) of the fraction of the k highest predictions that are labels, float64. See `recall_at_k`."""
    top = _top(predictions, k)
    return _ratio(labels, top, k, class_id, weights, metrics_collections, updates_collections, name, "precision")


def precision_at_top_k(
    labels: Any,
    predictions_idx: Any,
    k: int | None = None,
    class_id: int | None = None,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """`precision_at_k` for predictions that are already classes, [..., k].

    predictions_idx: int64 [..., k], the predicted classes.
    """
    return _ratio(
        labels, predictions_idx, k, class_id, weights, metrics_collections, updates_collections, name, "precision"
    )


def average_precision_at_k(
    labels: Any,
    predictions: Any,
    k: int,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """(value, update_op) of the mean average precision of the k highest predictions, float64.

    A row's average precision is the sum of the precisions at the ranks of relevant classes, divided by the number of
    labels, at most k: NaN for a row without labels.
    """
    top = _top(predictions, k)
    with variable_scope(None, _scope(name, "average_precision", k, None), (top, labels, weights)):
        rows, sparse = _rows(labels, top)
        shape = None if top.raw_shape is None else top.raw_shape[:-1]
        precisions = apply(
            averaged, [rows, top], {"sparse": sparse}, type="AveragePrecision", dtype=dtypes.float64, shape=shape
        )
        most, total = (metric_variable([], dtypes.float64, word) for word in ("max", "total"))
        ones = _weighted(array_ops.ones_like(precisions), weights)
        new_most = state_ops.assign_add(most, math_ops.reduce_sum(ones))
        new_total = state_ops.assign_add(total, math_ops.reduce_sum(_weighted(precisions, weights)))
        value = math_ops.div_no_nan(identity(total), identity(most), name="mean")
        update_op = math_ops.div_no_nan(new_total, new_most, name="update")
        return as_metric(value, update_op, metrics_collections, updates_collections)


def sparse_precision_at_k(
    labels: Any,
    predictions: Any,
    k: int,
    class_id: int | None = None,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """`precision_at_k` under its old name."""
    return precision_at_k(labels, predictions, k, class_id, weights, metrics_collections, updates_collections, name)


def sparse_average_precision_at_k(
    labels: Any,
    predictions: Any,
    k: int,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """`average_precision_at_k` under its old name."""
    return average_precision_at_k(labels, predictions, k, weights, metrics_collections, updates_collections, name)
