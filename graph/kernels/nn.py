"""Kernels of neural network operations, on NumPy arrays.

Every kernel keeps the dtype of its first floating input (constants are created with that dtype, since NumPy 1 promotes
scalars) and leaves its inputs unchanged.
"""

from __future__ import annotations

import numpy as np

from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.kernels.reductions import max_over, sum_over
from weftwork.graph.kernels.team import over_rows

_WORTHWHILE_SIZE = 1 << 13
"""Below this number of elements there is nothing to gain."""
SHARED_SIZE = 1 << 19
"""From this number of elements on, threads share an elementwise kernel."""
_ROW, _LONGEST_ROW = 256, 1 << 14
"""Length of a row of zeros used for comparison: long enough to be fast, short enough for the cache."""

# Activations


def relu(x):
    """max(x, 0)."""
    if x.size < _WORTHWHILE_SIZE or type(x) is not np.ndarray:
        return np.maximum(x, x.dtype.type(0))
    return over_rows(_positive, x, steps=2) if x.size >= SHARED_SIZE else _positive(x)


def _positive(x, out=None):
    """max(x, 0) of a large array. NumPy compares two rows several times as fast as a row with a scalar."""
    width, axis = 1, x.ndim
    while axis and width < _ROW:
        axis -= 1
        width *= x.shape[axis]
    if not _ROW <= width <= _LONGEST_ROW or not x.flags.c_contiguous:
        return np.maximum(x, x.dtype.type(0), out=out)
    rows = None if out is None else out.reshape(-1, width)
    return np.maximum(x.reshape(-1, width), np.zeros(width, x.dtype), out=rows).reshape(x.shape)


def relu6(x):
    """min(max(x, 0), 6)."""
    return np.minimum(np.maximum(x, x.dtype.type(0)), x.dtype.type(6))


def leaky_relu(x, alpha):
    """x where x > 0, else alpha x."""
    return np.where(x > 0, x, alpha * x)[()]


def elu(x):
    """x where x > 0, else exp(x) - 1."""
    return np.where(x > 0, x, np.expm1(np.minimum(x, x.dtype.type(0))))[()]


def selu(x):
    """scale * (x where x > 0, else alpha (exp(x) - 1)): arXiv:1706.02515, equation 2."""
    scale, alpha = x.dtype.type(1.0507009873554805), x.dtype.type(1.6732632423543772)
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, x.dtype.type(0))))[()]


def softplus(x):
    """log(1 + exp(x)) without overflow."""
    return np.logaddexp(x, x.dtype.type(0))


def softsign(x):
    """x / (1 + |x|)."""
    return x / (x.dtype.type(1) + np.abs(x))


def softmax(x, axis):
    """exp(x - max) / sum(exp(x - max))."""
    e = np.exp(x - max_over(x, axis, keepdims=True))
    e /= sum_over(e, axis, keepdims=True)
    return e


def log_softmax(x, axis):
    """(x - max) - log(sum(exp(x - max)))."""
    shifted = x - max_over(x, axis, keepdims=True)
    shifted -= np.log(sum_over(np.exp(shifted), axis, keepdims=True))
    return shifted


# Losses


def softmax_cross_entropy(logits, labels, axis):
    """-sum(labels * log_softmax(logits))."""
    return -(labels * log_softmax(logits, axis)).sum(axis=axis)


def sparse_softmax_cross_entropy(logits, labels):
    """-log_softmax(logits)[label]. Raises InvalidArgumentError for a label that is not a class."""
    classes = logits.shape[-1]
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        text = f"Received a label value of {wrong} which is outside the valid range of [0, {classes})."
        raise InvalidArgumentError(None, None, f"{text}  Label values: {' '.join(map(str, labels.ravel()[:1000]))}")
    index = np.asarray(labels)[..., None].astype(np.intp, copy=False)
    return -np.take_along_axis(log_softmax(logits, -1), index, axis=-1)[..., 0]


def sigmoid_cross_entropy(logits, labels):
    """z * -log(sigmoid(x)) + (1 - z) * -log(1 - sigmoid(x)) as max(x, 0) - x z + log(1 + exp(-|x|))."""
    return relu(logits) - logits * labels + np.log1p(np.exp(-np.abs(logits)))


def weighted_cross_entropy(logits, labels, pos_weight):
    """q z * -log(sigmoid(x)) + (1 - z) * -log(1 - sigmoid(x)) as (1 - z) x + l (log(1 + exp(-|x|)) + max(-x, 0)),
    where l = 1 + (q - 1) z."""
    one = logits.dtype.type(1)
    weight = one + (pos_weight - one) * labels
    return (one - labels) * logits + weight * (np.log1p(np.exp(-np.abs(logits))) + relu(-logits))


def add_bias(x, bias):
    """x plus a bias for each element of its last axis. Raises ValueError unless there are as many."""
    if np.shape(bias) != np.shape(x)[-1:]:
        raise ValueError(
            "Must provide as many biases as the last dimension of the input tensor: "
            f"{list(np.shape(bias))} vs. {list(np.shape(x))}"
        )
    if np.size(x) < SHARED_SIZE or type(x) is not np.ndarray or x.ndim < 2 or x.dtype != bias.dtype:
        return x + bias
    return over_rows(lambda rows, out: np.add(rows, bias, out=out), x, steps=2)


def l2_loss(x):
    """sum(x ** 2) / 2."""
    return np.vdot(x, x) / x.dtype.type(2)


# Selecting


def top_k(x, k):
    """The k largest elements along the last axis in descending order, and their indices; equals stay in order."""
    if k > x.shape[-1]:
        raise ValueError(f"input must have at least k columns. Had {x.shape[-1]}, needed {k}")
    # Reading a stable ascending sort of the reversed axis backwards gives a stable descending sort.
    order = np.argsort(x[..., ::-1], axis=-1, kind="stable")[..., ::-1][..., :k]
    indices = x.shape[-1] - 1 - order
    return np.take_along_axis(x, indices, axis=-1), indices.astype(np.int32)


def in_top_k(predictions, targets, k):
    """True where fewer than k classes score higher than the target; False where a prediction is not finite."""
    classes = predictions.shape[1]
    known = (targets >= 0) & (targets < classes) & np.isfinite(predictions).all(axis=1)
    of_target = predictions[np.arange(len(targets)), np.where(known, targets, 0)]
    return known & ((predictions > of_target[:, None]).sum(axis=1) < k)
