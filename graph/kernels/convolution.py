"""Convolution of images, and its derivatives, by BLAS: called at run time.

Images are [batch, height, width, channels], filters [height, width, in, out].

The windows of some images are copied to the rows of a matrix that stays in the cache (im2col), which is multiplied by
the filters, or by the gradient of what they gave. The gradient of the images is a convolution of that gradient again:
the elements that lie `stride` apart see the same taps, in falling order. Threads share the blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from weftwork.graph.kernels.team import share
from weftwork.graph.kernels.windows import Axis, Block, blocks_of, matrices

BLOCK = 1 << 18
"""Elements of a block's matrix: large enough for BLAS, small enough for the cache of a core."""
SUMS, SUMS_SIZE = 8, 1 << 22
"""Sums of the filters' gradient that are made beside each other, at most, and their elements in all."""


def conv2d(x, filters, strides, dilations, paddings):
    """out[b, i, j, o] = sum over (di, dj, c) of x[b, s i + d di, s j + d dj, c] filters[di, dj, c, o].

    strides, dilations: (height, width).   paddings: of height and width, each "SAME" or (before, after).
    Raises ValueError when depths differ or no window fits.
    """
    if x.shape[-1] != filters.shape[2]:
        raise ValueError(f"Depth of input ({x.shape[-1]}) is not the input depth of filter ({filters.shape[2]})")
    rows, columns = _axes(x.shape, filters.shape, strides, dilations, paddings)
    out = np.empty((x.shape[0], rows.count, columns.count, filters.shape[3]), np.result_type(x, filters))
    _correlate(x, filters, rows, columns, out)
    return out


def conv2d_input_grad(grad, x, filters, strides, dilations, paddings):
    """The gradient of conv2d's input.  grad: [batch, rows, columns, out].   x: only its shape counts."""
    rows, columns = _axes(x.shape, filters.shape, strides, dilations, paddings)
    out = np.empty(x.shape, np.result_type(grad, filters))
    for rest in np.ndindex(*strides):
        high, wide = rows.residue(rest[0]), columns.residue(rest[1])
        if high is None or wide is None:
            out[:, rest[0] :: strides[0], rest[1] :: strides[1]] = 0
            continue
        taps = filters[high[2], wide[2]][::-1, ::-1].swapaxes(2, 3)
        _correlate(grad, taps, high[0], wide[0], out[:, high[1], wide[1]])
    return out.astype(grad.dtype, copy=False)


def conv2d_filter_grad(grad, x, filters, strides, dilations, paddings):
    """The gradient of conv2d's filters: the sum over images of windows^T grad.

    grad: [batch, rows, columns, out].   filters: only their shape counts.
    """
    rows, columns = _axes(x.shape, filters.shape, strides, dilations, paddings)
    depth, out_depth = filters.shape[2:]
    blocks = blocks_of(len(x), rows, columns, depth, out_depth, 2 * BLOCK)
    count = min(len(blocks), max(2, min(SUMS, SUMS_SIZE // max(1, filters.size))))
    if not count:
        return np.zeros(filters.shape, grad.dtype)
    sums = np.zeros((count, *filters.shape), grad.dtype)

    def work(numbers: Iterator[int]) -> None:
        matrix_of = matrices(x, blocks)
        buffer = np.empty(filters.size, sums.dtype)
        for number in numbers:
            for block in blocks[number::count]:
                size = block.width * depth
                part = buffer[: size * out_depth].reshape(size, out_depth)
                np.matmul(matrix_of(block).T, grad[block.at].reshape(-1, out_depth), out=part)
                into = sums[number][block.taps]
                into += part.reshape(into.shape)

    share(work, count, _steps(blocks, depth, out_depth))
    for further in sums[1:]:
        sums[0] += further
    return sums[0]


def _axes(images: Any, filters: Any, strides: Any, dilations: Any, paddings: Any) -> list[Axis]:
    axes = zip(images[1:3], filters[:2], strides, dilations, paddings, strict=True)
    return [Axis.of(*axis) for axis in axes]


def _correlate(x: Any, filters: Any, rows: Axis, columns: Axis, out: Any) -> None:
    """Write to `out`, an array or a view of one, what filters see in the windows of two axes."""
    depth, out_depth = filters.shape[2:]
    blocks = blocks_of(len(x), rows, columns, depth, out_depth, BLOCK)
    if sum([block.count for block in blocks]) < out.size // max(1, out_depth):
        out[...] = 0
    seen = {block.spans: filters[block.taps].reshape(-1, out_depth) for block in blocks}

    def work(numbers: Iterator[int]) -> None:
        matrix_of = matrices(x, blocks)
        for number in numbers:
            block = blocks[number]
            target = out[block.at]
            if target.flags.c_contiguous:
                np.matmul(matrix_of(block), seen[block.spans], out=target.reshape(-1, out_depth))
            else:
                target[...] = np.matmul(matrix_of(block), seen[block.spans]).reshape(target.shape)

    share(work, len(blocks), _steps(blocks, depth, out_depth))


def _steps(blocks: Sequence[Block], depth: int, out_depth: int) -> float:
    return sum([block.count * block.width for block in blocks]) * depth * (1 + out_depth / 16)
