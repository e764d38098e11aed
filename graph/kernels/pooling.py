"""Pooling of images and its derivatives.

Images are [batch, height, width, channels]. They are processed in blocks whose intermediate results fit into the cache;
threads share the blocks. window, tap, margin: see `windows`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from weftwork.graph.kernels.team import share_out
from weftwork.graph.kernels.windows import margin, output_size, pad

BLOCK = 1 << 17
"""Image elements in one block."""
_STEPS = 2
"""Work for each element and tap of a derivative, in the units of `team`."""


def max_pool(x, sizes, strides, padding):
    """The largest element of each window; padding is never the largest."""
    return _pooled(np.maximum, x, sizes, strides, padding, lowest(x.dtype))


def avg_pool(x, sizes, strides, padding):
    """The mean of each window; padding does not count."""
    counts = _counts(x, sizes, strides, padding)
    return _pooled(np.add, x, sizes, strides, padding, 0, lambda total: np.divide(total, counts, out=total))


def max_pool_grad(grad, x, y, sizes, strides, padding):
    """Each window's gradient goes to its largest element, the first among equals.   y: the result of max_pool."""
    out = np.empty(x.shape, grad.dtype)
    least = lowest(x.dtype)
    once = all([size <= stride for size, stride in zip(sizes, strides, strict=True)])
    tiled = all([size == stride for size, stride in zip(sizes, strides, strict=True)])
    covered = tiled and (y.shape[1] * sizes[0], y.shape[2] * sizes[1]) == x.shape[1:3]
    margins = _margins(x, sizes, strides, padding)
    inner = _inner(x, margins)

    def block(at: slice) -> None:
        padded = pad(x[at], margins, least)
        spread = out[at] if covered else np.zeros(padded.shape, grad.dtype)
        for place, hit in _hits(padded, y[at], sizes, strides):
            if once:
                np.multiply(grad[at], hit, out=spread[place])
            else:
                spread[place] += grad[at] * hit
        if not covered:
            out[at] = spread[inner]

    _by_images(block, x, _STEPS * sizes[0] * sizes[1])
    return out


def max_pool_pick(other, x, y, sizes, strides, padding):
    """The elements of `other`, which has x's shape, at the positions of each window's largest element of x."""
    out = np.zeros(y.shape, other.dtype)
    least = lowest(x.dtype)
    margins = _margins(x, sizes, strides, padding)

    def block(at: slice) -> None:
        padded = pad(x[at], margins, least)
        values = pad(other[at], margins, 0)
        for place, hit in _hits(padded, y[at], sizes, strides):
            out[at] += values[place] * hit

    _by_images(block, x, _STEPS * sizes[0] * sizes[1])
    return out


def avg_pool_grad(grad, x, sizes, strides, padding):
    """Each window's gradient is divided equally among its elements, without padding.   x: used only for its shape."""
    out = np.empty(x.shape, grad.dtype)
    counts = _counts(np.broadcast_to(grad.dtype.type(0), x.shape), sizes, strides, padding)
    margins = _margins(x, sizes, strides, padding)

    def block(at: slice) -> None:
        part = grad[at] / counts
        shape = [size + sum(extra) for size, extra in zip(x.shape[1:3], margins, strict=True)]
        spread = np.zeros((len(part), *shape, x.shape[3]), grad.dtype)
        for place in _taps(part.shape, sizes, strides):
            spread[place] += part
        out[at] = spread[_inner(x, margins)]

    _by_images(block, x, sizes[0] * sizes[1])
    return out


def _pooled(
    ufunc: Any, x: Any, sizes: Any, strides: Any, padding: Any, value: Any, finish: Callable | None = None
) -> Any:
    """`ufunc` over windows; a rectangular window is reduced along its height, then along its width."""
    margins = _margins(x, sizes, strides, padding)

    def folded(images: Any, out: Any) -> Any:
        padded = pad(images, margins, value)
        total = _fold(ufunc, _fold(ufunc, padded, 1, sizes[0], strides[0], None), 2, sizes[1], strides[1], out)
        return total if finish is None else finish(total)

    if type(x) is not np.ndarray:  # on a GPU
        return folded(x, None)
    axes = zip(x.shape[1:3], sizes, strides, strict=True)
    rows, columns = (output_size(size, window, stride, padding) for size, window, stride in axes)
    out = np.empty((x.shape[0], rows, columns, x.shape[3]), x.dtype)
    _by_images(lambda at: folded(x[at], out[at]), x, 1 + sizes[0] / strides[0])
    return out


def _fold(ufunc: Any, x: Any, axis: int, window: int, stride: int, out: Any) -> Any:
    """`ufunc` over windows along one axis."""
    count = output_size(x.shape[axis], window, stride, (0, 0))
    before = (slice(None),) * axis
    taps = [x[(*before, slice(tap, tap + (count - 1) * stride + 1, stride))] for tap in range(window)]
    if window == 1:
        return np.positive(taps[0], out=out)
    out = ufunc(taps[0], taps[1], out=out)
    for tap in taps[2:]:
        ufunc(out, tap, out=out)
    return out


def _by_images(block: Callable[[slice], Any], x: Any, steps: float) -> None:
    """Call block(images) for all blocks of images. steps: the work for each element of x."""
    size = max(1, BLOCK // max(1, x[:1].size))

    def work(numbers: Iterator[int]) -> None:
        for number in numbers:
            block(slice(number * size, (number + 1) * size))

    share_out(work, -(-len(x) // size), steps * x.size)


def _hits(x: Any, y: Any, sizes: Any, strides: Any) -> Iterator[tuple[tuple, Any]]:
    """For each tap: (index of its elements, mask of those that are the first largest of their windows)."""
    free = None
    for place in _taps(y.shape, sizes, strides):
        hit = np.equal(x[place], y)
        if free is None:
            free = ~hit
        else:
            hit &= free
            free ^= hit
        yield place, hit


def _counts(x: Any, sizes: Any, strides: Any, padding: Any) -> Any:
    """The number of x's elements in each window."""
    ones = np.ones((1, *x.shape[1:3], 1), x.dtype)
    return _pooled(np.add, ones, sizes, strides, padding, 0)


def lowest(dtype: np.dtype) -> Any:
    """The lowest value of a dtype."""
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def _margins(x: Any, sizes: Any, strides: Any, padding: Any) -> list[tuple[int, int]]:
    return [margin(*axis, padding) for axis in zip(x.shape[1:3], sizes, strides, strict=True)]


def _inner(x: Any, margins: list) -> tuple:
    (top, _), (left, _) = margins
    return slice(None), slice(top, top + x.shape[1]), slice(left, left + x.shape[2])


def _taps(shape: Any, sizes: Any, strides: Any) -> Iterator[tuple]:
    """For each position in the window, row by row, the index of that element of all windows."""
    rows, columns = shape[1:3]
    for i in range(sizes[0]):
        for j in range(sizes[1]):
            yield (
                slice(None),
                slice(i, i + (rows - 1) * strides[0] + 1, strides[0]),
                slice(j, j + (columns - 1) * strides[1] + 1, strides[1]),
            )
