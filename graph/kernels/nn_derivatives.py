"""What the derivatives of convolution and pooling compute: called at run time.

Images are [batch, height, width, channels]. window, tap, margin: as in `nn`, whose padding rule this shares.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from weftwork.graph.kernels.nn import COLUMN_BUDGET, _margin, _pad

# Convolution


def conv2d_filter_grad(grad, x, filters, strides, dilations, paddings):
    """The gradient of conv2d's filters: the sum over images of windows^T grad.

    grad: [batch, rows, columns, out].   filters: only their shape counts.
    """
    extents = _extents(filters.shape, dilations)
    margins = [_margin(*axis) for axis in zip(x.shape[1:3], extents, strides, paddings, strict=True)]
    windows = sliding_window_view(_pad(x, margins, 0), extents, axis=(1, 2))
    windows = windows[:, :: strides[0], :: strides[1], :, :: dilations[0], :: dilations[1]]
    windows = windows.transpose(0, 1, 2, 4, 5, 3)
    batch, rows, columns = grad.shape[:3]
    size = filters.shape[0] * filters.shape[1] * filters.shape[2]
    out = np.zeros((size, filters.shape[3]), grad.dtype)
    step = max(1, COLUMN_BUDGET // max(1, rows * columns * size))
    for start in range(0, batch, step):
        matrix = windows[start : start + step].reshape(-1, size)
        out += matrix.T @ grad[start : start + step].reshape(-1, filters.shape[3])
    return out.reshape(filters.shape)


def conv2d_input_grad(grad, x, filters, strides, dilations, paddings):
    """The gradient of conv2d's input: for each tap, grad times that tap's filters is added where the tap has looked.

    grad: [batch, rows, columns, out].   x: only its shape counts.
    """
    height, width, depth, out_depth = filters.shape
    extents = _extents(filters.shape, dilations)
    margins = [_margin(*axis) for axis in zip(x.shape[1:3], extents, strides, paddings, strict=True)]
    (top, bottom), (left, right) = margins
    batch, rows, columns = grad.shape[:3]
    n, h, w, _ = x.shape
    out = np.zeros((n, top + h + bottom, left + w + right, depth), grad.dtype)
    flat = grad.reshape(-1, out_depth)
    for i in range(height):
        for j in range(width):
            down, across = i * dilations[0], j * dilations[1]
            out[
                :,
                down : down + (rows - 1) * strides[0] + 1 : strides[0],
                across : across + (columns - 1) * strides[1] + 1 : strides[1],
            ] += (flat @ filters[i, j].T).reshape(batch, rows, columns, depth)
    return out[:, top : top + h, left : left + w]


def _extents(shape: Any, dilations: Any) -> tuple[int, int]:
    return (shape[0] - 1) * dilations[0] + 1, (shape[1] - 1) * dilations[1] + 1


# Pooling


def max_pool_grad(grad, x, y, sizes, strides, padding):
    """Each window's gradient goes to its largest element, of equals the first. y: what max_pool gave."""
    padded, inner = _padded(x, sizes, strides, padding, -np.inf)
    out = np.zeros(padded.shape, grad.dtype)
    free = np.ones(y.shape, bool)
    for at in _taps(y.shape, sizes, strides):
        hit = (padded[at] == y) & free
        free &= ~hit
        out[at] += grad * hit
    return out[inner]


def max_pool_pick(other, x, y, sizes, strides, padding):
    """The elements of `other`, of x's shape, where max_pool found each window's largest of x."""
    padded, _ = _padded(x, sizes, strides, padding, -np.inf)
    values, _ = _padded(other, sizes, strides, padding, 0)
    out = np.zeros(y.shape, other.dtype)
    free = np.ones(y.shape, bool)
    for at in _taps(y.shape, sizes, strides):
        hit = (padded[at] == y) & free
        free &= ~hit
        out += values[at] * hit
    return out


def avg_pool_grad(grad, x, sizes, strides, padding):
    """Each window's gradient goes to its elements in equal parts; padding is none of them. x: only its shape counts."""
    ones, inner = _padded(np.ones((1, *x.shape[1:3], 1), grad.dtype), sizes, strides, padding, 0)
    counts = np.zeros((1, *grad.shape[1:3], 1), grad.dtype)
    taps = list(_taps(grad.shape, sizes, strides))
    for at in taps:
        counts += ones[at]
    part = grad / counts
    out = np.zeros((x.shape[0], *ones.shape[1:3], x.shape[3]), grad.dtype)
    for at in taps:
        out[at] += part
    return out[inner]


def _padded(x: Any, sizes: Any, strides: Any, padding: Any, value: Any) -> tuple[Any, tuple]:
    """(x with its margins, the index of x in it)."""
    margins = [_margin(*axis, padding) for axis in zip(x.shape[1:3], sizes, strides, strict=True)]
    if x.dtype.kind != "f" and value != 0:
        value = np.iinfo(x.dtype).min
    (top, _), (left, _) = margins
    inner = (slice(None), slice(top, top + x.shape[1]), slice(left, left + x.shape[2]))
    return _pad(x, margins, value), inner


def _taps(shape: Any, sizes: Any, strides: Any) -> Iterator[tuple]:
    """For each place in a window, row by row, the index of that element of all windows."""
    rows, columns = shape[1:3]
    for i in range(sizes[0]):
        for j in range(sizes[1]):
            yield (
                slice(None),
                slice(i, i + (rows - 1) * strides[0] + 1, strides[0]),
                slice(j, j + (columns - 1) * strides[1] + 1, strides[1]),
            )
