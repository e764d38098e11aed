"""Depthwise convolution, where each channel has filters of its own, and its derivatives.

Images are [batch, height, width, in], filters [height, width, in, multiplier], results [batch, rows, columns, in times
multiplier]. tap, margin: see `windows`. Each tap is one multiplication of whole arrays.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from weftwork.graph.kernels.windows import margin, output_size, pad


def depthwise(x, filters, strides, dilations, paddings):
    """out[b, i, j, c, m] = sum over (di, dj) of x[b, s i + d di, s j + d dj, c] filters[di, dj, c, m]."""
    margins, extents = _around(x, filters, strides, dilations, paddings)
    padded = pad(x, margins, 0)
    rows, columns = (
        output_size(size, extent, stride, (0, 0))
        for size, extent, stride in zip(padded.shape[1:3], extents, strides, strict=True)
    )
    depth, multiplier = filters.shape[2:]
    out = np.zeros((len(x), rows, columns, depth, multiplier), np.result_type(x, filters))
    for tap, seen in _taps(filters.shape, (rows, columns), strides, dilations):
        out += padded[seen][..., None] * filters[tap]
    return out.reshape(len(x), rows, columns, depth * multiplier)


def depthwise_input_grad(grad, x, filters, strides, dilations, paddings):
    """The gradient of the images, which are used only for their shape."""
    ((top, bottom), (left, right)), _ = _around(x, filters, strides, dilations, paddings)
    n, height, width, depth = x.shape
    out = np.zeros((n, top + height + bottom, left + width + right, depth), grad.dtype)
    by_channel = grad.reshape(*grad.shape[:3], depth, -1)
    for tap, seen in _taps(filters.shape, grad.shape[1:3], strides, dilations):
        out[seen] += (by_channel * filters[tap]).sum(-1)
    return out[:, top : top + height, left : left + width]


def depthwise_filter_grad(grad, x, filters, strides, dilations, paddings):
    """The gradient of the filters, which are used only for their shape."""
    margins, _ = _around(x, filters, strides, dilations, paddings)
    padded = pad(x, margins, 0)
    by_channel = grad.reshape(*grad.shape[:3], x.shape[3], -1)
    out = np.zeros(filters.shape, grad.dtype)
    for tap, seen in _taps(filters.shape, grad.shape[1:3], strides, dilations):
        out[tap] = (padded[seen][..., None] * by_channel).sum((0, 1, 2))
    return out


def _around(x: Any, filters: Any, strides: Any, dilations: Any, paddings: Any) -> tuple[list, list]:
    """The margins of height and width, and the extents of the filters."""
    extents = [(size - 1) * dilation + 1 for size, dilation in zip(filters.shape, dilations, strict=False)]
    return [margin(*axis) for axis in zip(x.shape[1:3], extents, strides, paddings, strict=True)], extents


def _taps(shape: Any, counts: Any, strides: Any, dilations: Any) -> Iterator[tuple]:
    """For each tap: its index in the filters, and the index of the elements it sees in the padded images."""
    for tap in np.ndindex(*shape[:2]):
        starts = [place * dilation for place, dilation in zip(tap, dilations, strict=True)]
        seen = [
            slice(start, start + (count - 1) * stride + 1, stride)
            for start, count, stride in zip(starts, counts, strides, strict=True)
        ]
        yield tap, (slice(None), *seen)
