"""The cross entropies of `tf.nn`: one node each, which uses the stable formulas of `nn`.

logits: unnormalized log probabilities.   labels: the true classes or probabilities.
"""

from __future__ import annotations

from typing import Any

from weftwork.graph import shapes
from weftwork.graph.arguments import axis_or_dim, check_axis, common_dtype, of_dtype, same_shape
from weftwork.graph.build import apply, convert_together
from weftwork.graph.kernels import nn as kernels
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops
from weftwork.graph.ops.conversion import cast
from weftwork.graph.scopes import name_scope


def softmax_cross_entropy_with_logits_v2(
    labels: Any = None, logits: Any = None, axis: int | None = None, name: str | None = None, dim: int | None = None
) -> Tensor:
    """-sum(labels * log_softmax(logits)) along `axis` (the last; `dim` is its old name), which is reduced.

    labels: a distribution over the classes; its shape broadcasts to that of `logits`, and it takes their dtype.
    """
    return _softmax_cross_entropy("softmax_cross_entropy_with_logits", labels, logits, axis_or_dim(axis, dim), name)


def softmax_cross_entropy_with_logits(
    _sentinel: Any = None,
    labels: Any = None,
    logits: Any = None,
    dim: int | None = None,
    name: str | None = None,
    axis: int | None = None,
) -> Tensor:
    """As `softmax_cross_entropy_with_logits_v2`, but no gradient flows to the labels.

    Raises ValueError unless labels and logits are passed by keyword.
    """
    _check_named("softmax_cross_entropy_with_logits", _sentinel, labels, logits)
    with name_scope(name, "softmax_cross_entropy_with_logits_sg", [logits, labels]) as scope:
        logits, labels = convert_together([of_dtype(logits, "logits"), labels])
        labels = array_ops.stop_gradient(labels, name="labels_stop_gradient")
        return _softmax_cross_entropy(
            "softmax_cross_entropy_with_logits", labels, logits, axis_or_dim(axis, dim), scope
        )


def _softmax_cross_entropy(caller: str, labels: Any, logits: Any, axis: int, name: str | None) -> Tensor:
    _check_named(caller, None, labels, logits)
    with name_scope(name, caller, [logits, labels]) as scope:
        logits, labels = convert_together([of_dtype(logits, "logits"), labels])
        labels = cast(labels, logits.dtype)
        known = labels.raw_shape is not None
        full = shapes.broadcast(logits.raw_shape, labels.raw_shape) if known else logits.raw_shape
        check_axis(axis, logits.raw_shape)
        shape = None if full is None else tuple([d for i, d in enumerate(full) if i != axis % len(full)])
        return apply(
            kernels.softmax_cross_entropy, [logits, labels], {"axis": axis},
            type="SoftmaxCrossEntropyWithLogits", name=scope, dtype=logits.dtype, shape=shape,
        )  # fmt: skip


def sparse_softmax_cross_entropy_with_logits(
    _sentinel: Any = None, labels: Any = None, logits: Any = None, name: str | None = None
) -> Tensor:
    """-log_softmax(logits)[label] for each label.

    labels: class indices, integers [...].  logits: [..., classes].  Returns [...].
    Raises ValueError if the shapes do not match, TypeError for other labels. The run fails for a label outside
    [0, classes).
    """
    _check_named("sparse_softmax_cross_entropy_with_logits", _sentinel, labels, logits)
    with name_scope(name, "SparseSoftmaxCrossEntropyWithLogits", [labels, logits]):
        labels = of_dtype(labels, "labels", ("int32", "int64", "int16", "int8", "uint8"))
        logits = of_dtype(logits, "logits")
        given, wanted = labels.raw_shape, None if logits.raw_shape is None else logits.raw_shape[:-1]
        if logits.raw_shape == ():
            raise ValueError("Logits cannot be scalars - received shape ().")
        if given is not None and wanted is not None:
            if len(given) != len(wanted):
                raise ValueError(
                    f"Rank mismatch: Rank of labels (received {len(given)}) should equal rank of logits minus 1 "
                    f"(received {len(wanted) + 1})."
                )
            if not shapes.compatible(given, wanted):
                raise ValueError(
                    f"Shape mismatch: The shape of labels (received {shapes.text(given)}) should equal the shape of "
                    f"logits except for the last dimension (received {shapes.text(logits.raw_shape)})."
                )
        shape = shapes.merge(given, wanted)
        kind = "SparseSoftmaxCrossEntropyWithLogits"
        last = name or kind if shape is not None and len(shape) < 2 else "Reshape_2"
        function = kernels.sparse_softmax_cross_entropy
        return apply(function, [logits, labels], type=kind, name=last, dtype=logits.dtype, shape=shape)


def sigmoid_cross_entropy_with_logits(
    _sentinel: Any = None, labels: Any = None, logits: Any = None, name: str | None = None
) -> Tensor:
    """-z log(sigmoid(x)) - (1 - z) log(1 - sigmoid(x)) elementwise; z: labels, x: logits, of the same shape."""
    _check_named("sigmoid_cross_entropy_with_logits", _sentinel, labels, logits)
    with name_scope(name, "logistic_loss", [logits, labels]) as scope:
        logits, labels = convert_together([logits, labels])
        shape = same_shape(logits, labels, "labels")
        return apply(
            kernels.sigmoid_cross_entropy, [logits, labels], type="SigmoidCrossEntropyWithLogits",
            name=scope, dtype=common_dtype(logits, labels), shape=shape,
        )  # fmt: skip


def weighted_cross_entropy_with_logits(
    labels: Any = None, logits: Any = None, pos_weight: Any = None, name: str | None = None, targets: Any = None
) -> Tensor:
    """-q z log(sigmoid(x)) - (1 - z) log(1 - sigmoid(x)) elementwise; z: labels, x: logits, q: pos_weight.

    labels and logits have the same shape; `targets` is the old name of `labels`; `pos_weight` broadcasts.
    Raises ValueError for both labels and targets.
    """
    if labels is not None and targets is not None:
        raise ValueError("Cannot specify both 'labels' and 'targets'")
    labels = targets if labels is None else labels
    _check_named("weighted_cross_entropy_with_logits", None, labels, logits)
    with name_scope(name, "logistic_loss", [logits, labels]) as scope:
        logits, labels, weight = convert_together([logits, labels, pos_weight])
        shape = same_shape(logits, labels, "targets")
        return apply(
            kernels.weighted_cross_entropy, [logits, labels, weight], type="WeightedCrossEntropyWithLogits",
            name=scope, dtype=common_dtype(logits, labels, weight), shape=shapes.broadcast(shape, weight.raw_shape),
        )  # fmt: skip


def _check_named(caller: str, sentinel: Any, labels: Any, logits: Any) -> None:
    if sentinel is not None:
        raise ValueError(f"Only call `{caller}` with named arguments (labels=..., logits=..., ...)")
    if labels is None or logits is None:
        raise ValueError("Both labels and logits must be provided.")
