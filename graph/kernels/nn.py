"""What the neural network operations compute: plain functions of NumPy arrays, called at run time.

Every kernel keeps the dtype of its first floating input (constants are made of that dtype, since NumPy 1 promotes
scalars) and leaves its inputs as they are. Images are [batch, height, width, channels].

window: the part of an axis that one output element sees, `size` taps that lie `dilation` apart.
margin: how many elements a SAME padding adds before and after an axis.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from weftwork.graph.kernels.reductions import max_over, sum_over

# Elements of the column matrix that a convolution fills at a time: large enough for BLAS, small enough for memory.
COLUMN_BUDGET = 1 << 22

# Activations


def relu(x):
    """max(x, 0)."""
    return np.maximum(x, x.dtype.type(0))


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
    """-log_softmax(logits)[label]. Raises ValueError for a label that is no class."""
    classes = logits.shape[-1]
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(f"Received a label value of {wrong} which is outside the valid range of [0, {classes}).")
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


def l2_loss(x):
    """sum(x ** 2) / 2."""
    return np.vdot(x, x) / x.dtype.type(2)


# Picking


def top_k(x, k):
    """The k largest of the last axis in descending order, and where they are; of equals the first comes first."""
    if k > x.shape[-1]:
        raise ValueError(f"input must have at least k columns. Had {x.shape[-1]}, needed {k}")
    # A stable ascending sort of the reversed axis, read backwards, is a stable descending one.
    order = np.argsort(x[..., ::-1], axis=-1, kind="stable")[..., ::-1][..., :k]
    indices = x.shape[-1] - 1 - order
    return np.take_along_axis(x, indices, axis=-1), indices.astype(np.int32)


def in_top_k(predictions, targets, k):
    """Whether fewer than k classes are predicted above the target; False where a prediction is not finite."""
    classes = predictions.shape[1]
    known = (targets >= 0) & (targets < classes) & np.isfinite(predictions).all(axis=1)
    of_target = predictions[np.arange(len(targets)), np.where(known, targets, 0)]
    return known & ((predictions > of_target[:, None]).sum(axis=1) < k)


# Windows over images


def output_size(size: int, window: int, stride: int, padding: Any) -> int:
    """How many windows fit on an axis: ceil(size / stride) for SAME, else ceil((padded size - window + 1) / stride).

    window: its extent, dilation included.   padding: "SAME", or the margin (before, after).
    Source: TensorFlow's "Notes on padding" (tf.nn.convolution). Raises ValueError when none fits.
    """
    if padding == "SAME":
        return -(-size // stride)
    size += sum(padding)
    if size < window:
        raise ValueError(f"Negative dimension size caused by subtracting {window} from {size}")
    return -(-(size - window + 1) // stride)


def _margin(size: int, window: int, stride: int, padding: Any) -> tuple[int, int]:
    if padding != "SAME":
        return padding
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def _pad(x, margins, value):
    """`x` with `value` around its height and width."""
    (top, bottom), (left, right) = margins
    if not (top or bottom or left or right):
        return x
    n, h, w, c = x.shape
    out = np.full((n, top + h + bottom, left + w + right, c), value, dtype=x.dtype)
    out[:, top : top + h, left : left + w] = x
    return out


def conv2d(x, filters, strides, dilations, paddings):
    """out[b, i, j, o] = sum over (di, dj, c) of x[b, s i + d di, s j + d dj, c] filters[di, dj, c, o].

    By im2col: the windows are copied to the rows of a matrix, some images at a time, and multiplied by the filters.
    strides, dilations: (height, width).   paddings: of height and width, each "SAME" or (before, after).
    """
    height, width, depth, out_depth = filters.shape
    if x.shape[-1] != depth:
        raise ValueError(f"Depth of input ({x.shape[-1]}) is not the input depth of filter ({depth})")
    extents = ((height - 1) * dilations[0] + 1, (width - 1) * dilations[1] + 1)
    margins = [_margin(*axis) for axis in zip(x.shape[1:3], extents, strides, paddings, strict=True)]
    x = _pad(x, margins, 0)
    for size, extent in zip(x.shape[1:3], extents, strict=True):
        output_size(size, extent, 1, (0, 0))
    windows = sliding_window_view(x, extents, axis=(1, 2))
    windows = windows[:, :: strides[0], :: strides[1], :, :: dilations[0], :: dilations[1]]
    windows = windows.transpose(0, 1, 2, 4, 5, 3)
    batch, rows, columns = windows.shape[:3]
    matrix = filters.reshape(-1, out_depth)
    out = np.empty((batch, rows * columns, out_depth), dtype=np.result_type(x, filters))
    step = max(1, COLUMN_BUDGET // max(1, rows * columns * len(matrix)))
    for start in range(0, batch, step):
        part = windows[start : start + step]
        block = out[start : start + step]
        np.matmul(part.reshape(-1, len(matrix)), matrix, out=block.reshape(-1, out_depth))
    return out.reshape(batch, rows, columns, out_depth)


def _fold(ufunc, x, axis, window, stride):
    """`ufunc` over the windows of one axis."""
    count = output_size(x.shape[axis], window, stride, (0, 0))
    before = (slice(None),) * axis
    out = x[(*before, slice(0, (count - 1) * stride + 1, stride))].copy()
    for tap in range(1, window):
        ufunc(out, x[(*before, slice(tap, tap + (count - 1) * stride + 1, stride))], out=out)
    return out


def _pool(ufunc, x, sizes, strides, padding, value):
    """`ufunc` over windows; a rectangle is folded along its height, then along its width."""
    margins = [_margin(*axis, padding) for axis in zip(x.shape[1:3], sizes, strides, strict=True)]
    x = _pad(x, margins, value)
    return _fold(ufunc, _fold(ufunc, x, 1, sizes[0], strides[0]), 2, sizes[1], strides[1])


def max_pool(x, sizes, strides, padding):
    """The largest element of each window; padding never wins."""
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    return _pool(np.maximum, x, sizes, strides, padding, lowest)


def avg_pool(x, sizes, strides, padding):
    """The mean of each window's elements; padding does not count."""
    total = _pool(np.add, x, sizes, strides, padding, 0)
    total /= _pool(np.add, np.ones((1, *x.shape[1:3], 1), x.dtype), sizes, strides, padding, 0)
    return total
