"""2-D convolution and its derivatives, computed with BLAS.

Images are [batch, height, width, channels], filters [height, width, in, out].

panel     rows of some images, [row, image, column, taps of a window along the width, channels]; it stays in the cache
lines     rows of windows, that is of the result

A panel times one row of the filters is a share of the result; the shares of all filter rows are added up. So each
element is copied only once for each tap along the width, and rows outside the images are skipped. If there are too
few channels for BLAS to be efficient, the taps along the height are copied, too. The gradient of the images is itself
a convolution of the result's gradient: elements that lie `stride` apart see the same taps, in descending order.
Threads share the blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from weftwork.graph.kernels.team import share_out
from weftwork.graph.kernels.windows import Axis

BLOCK = 1 << 17
"""Elements of a panel: large enough for BLAS, small enough for a core's cache."""
SUMS, SUMS_SIZE = 8, 1 << 22
"""The largest number of partial sums of the filters' gradient, and their largest total size in elements."""
_MIN_ROW_SIZE = 16
"""With this many elements or fewer, a window along the width is too small for a matrix product of its own."""


def conv2d(x, filters, strides, dilations, paddings):
    """out[b, i, j, o] = sum over (di, dj, c) of x[b, s i + d di, s j + d dj, c] filters[di, dj, c, o].

    strides, dilations: (height, width).   paddings: of height and width, each "SAME" or (before, after).
    Raises ValueError if the depths differ or no window fits.
    """
    if x.shape[-1] != filters.shape[2]:
        raise ValueError(f"Depth of input ({x.shape[-1]}) is not the input depth of filter ({filters.shape[2]})")
    rows, columns = _axes(x.shape, filters.shape, strides, dilations, paddings)
    out = np.empty((x.shape[0], rows.count, columns.count, filters.shape[3]), np.result_type(x, filters))
    _correlate(x, filters, rows, columns, out)
    return out


def conv2d_input_grad(grad, x, filters, strides, dilations, paddings):
    """The gradient of conv2d's input.  grad: [batch, rows, columns, out].   x: used only for its shape."""
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

    grad: [batch, rows, columns, out].   filters: used only for their shape.
    """
    rows, columns = _axes(x.shape, filters.shape, strides, dilations, paddings)
    panels = _Panels(x, rows, columns)
    if not filters.size or not panels.blocks:
        return np.zeros(filters.shape, grad.dtype)
    count = min(len(panels.blocks), max(2, min(SUMS, SUMS_SIZE // filters.size)))
    out_depth = filters.shape[3]
    sums = np.zeros((count, filters.size // (panels.width * out_depth), panels.width, out_depth), grad.dtype)

    def work(numbers: Iterator[int]) -> None:
        matrices = panels.maker()
        part = np.empty(sums.shape[2:], sums.dtype)
        for number in numbers:
            for block in panels.blocks[number::count]:
                results = grad[block.images, block.lines].swapaxes(0, 1).copy()
                for share, matrix in zip(block.shares, matrices(block), strict=True):
                    np.matmul(matrix.T, results[share.lines].reshape(-1, out_depth), out=part)
                    sums[number, share.tap] += part

    share_out(work, count, panels.steps(out_depth))
    for further in sums[1:]:
        sums[0] += further
    return sums[0].reshape(filters.shape)


def _axes(images: Any, filters: Any, strides: Any, dilations: Any, paddings: Any) -> list[Axis]:
    axes = zip(images[1:3], filters[:2], strides, dilations, paddings, strict=True)
    return [Axis.of(*axis) for axis in axes]


def _correlate(x: Any, filters: Any, rows: Axis, columns: Axis, out: Any) -> None:
    """Write the cross-correlation along two axes to `out`, an array or a view of one."""
    if not filters.size:
        out[...] = 0
        return
    panels = _Panels(x, rows, columns)
    out_depth = out.shape[3]
    factors = np.ascontiguousarray(filters).reshape(-1, panels.width, out_depth)

    def work(numbers: Iterator[int]) -> None:
        matrices = panels.maker()
        sums = np.empty(panels.most * out_depth, out.dtype)
        part = np.empty_like(sums)
        for number in numbers:
            block = panels.blocks[number]
            target = out[block.images, block.lines].swapaxes(0, 1)
            total = sums[: target.size].reshape(target.shape)
            if not block.is_whole:
                total[...] = 0
            for at, (share, matrix) in enumerate(zip(block.shares, matrices(block), strict=True)):
                into = total[share.lines].reshape(-1, out_depth)
                if at == 0 and block.is_whole:
                    np.matmul(matrix, factors[share.tap], out=into)
                else:
                    into += np.matmul(matrix, factors[share.tap], out=part[: into.size].reshape(into.shape))
            target[...] = total

    share_out(work, len(panels.blocks), panels.steps(out_depth))


class _Share(NamedTuple):
    """One row of the filters: tap number `tap` multiplies rows of the panel, and is added to lines of the block."""

    tap: int
    lines: slice
    rows: slice


class _Block(NamedTuple):
    """Some images, a range of their lines, and the image rows that these lines see. Shares count lines from the first.

    groups: rows that lie `stride` apart are neighbors in a panel: their positions in the panel and in the images.
    start, stop: the rows that all taps would see; some may lie outside the image.
    is_whole: the first share covers all lines.
    """

    images: slice
    lines: slice
    start: int
    stop: int
    height: int
    groups: tuple[tuple[slice, slice], ...]
    shares: tuple[_Share, ...]
    is_whole: bool


@lru_cache(maxsize=256)
def _blocks(batch: int, rows: Axis, line: int, few: bool, budget: int) -> tuple[_Block, ...]:
    """Split a batch into blocks whose panels have about `budget` elements.   line: panel elements for each line."""
    if not rows.count:
        return ()
    most = max(1, budget // max(1, line))
    images = max(1, most // rows.count)
    parts = [_of_all_rows(rows, lines) if few else _row_by_row(rows, lines) for lines in _parts(rows.count, most)]
    return tuple([part._replace(images=some) for some in _parts(batch, images) for part in parts])


def _parts(count: int, most: int) -> list[slice]:
    """Split `count` items into equal parts of at most `most` items: four, eight, ... if that is more than two.

    So two or four threads are done at the same time.
    """
    parts = -(-count // max(1, most))
    parts = min(count, parts if parts < 3 else -(-parts // 4) * 4)
    return [slice(count * part // parts, count * (part + 1) // parts) for part in range(parts)]


def _row_by_row(rows: Axis, lines: slice) -> _Block:
    """A block with one share for each filter row; the row that most lines see inside the image comes first."""
    start, stop = rows.seen(lines.start, lines.stop)
    low, high = max(start, 0), max(min(stop, rows.size), max(start, 0))
    groups, offsets = [], []
    for first in range(low, min(low + rows.stride, high)):
        offsets.append(groups[-1][0].stop if groups else 0)
        groups.append((slice(offsets[-1], offsets[-1] + len(range(first, high, rows.stride))), slice(first, high)))
    shares = []
    for tap in range(rows.taps):
        first, last = rows.seeing(tap, lines.start, lines.stop)
        if first < last:
            step, group = divmod(first * rows.stride + tap * rows.dilation - rows.before - low, rows.stride)
            at = offsets[group] + step
            of_lines = slice(first - lines.start, last - lines.start)
            shares.append(_Share(tap, of_lines, slice(at, at + last - first)))
    shares.sort(key=lambda share: share.lines.start - share.lines.stop)
    whole = bool(shares) and shares[0].lines == slice(0, lines.stop - lines.start)
    return _Block(slice(0), lines, start, stop, high - low, tuple(groups), tuple(shares), whole)


def _of_all_rows(rows: Axis, lines: slice) -> _Block:
    """A block with a single share, for all filter rows at once."""
    start, stop = rows.seen(lines.start, lines.stop)
    low, high = max(start, 0), max(min(stop, rows.size), max(start, 0))
    count = lines.stop - lines.start
    groups = ((slice(low - start, high - start), slice(low, high)),) if low < high else ()
    shares = (_Share(0, slice(0, count), slice(0, count)),)
    return _Block(slice(0), lines, start, stop, stop - start, groups, shares, True)


class _Panels:
    """The panels of a batch of images, block by block.

    width: elements in a row of their matrices.   most: windows of the largest block.
    """

    def __init__(self, x: np.ndarray, rows: Axis, columns: Axis):
        self.x, self.rows, self.columns = x, rows, columns
        self.width = columns.taps * x.shape[3]
        self._few = self.width < _MIN_ROW_SIZE
        line = columns.count * self.width * (rows.taps if self._few else rows.stride)
        if self._few:
            self.width *= rows.taps
        self.blocks = _blocks(len(x), rows, line, self._few, BLOCK)
        windows = [(b.images.stop - b.images.start) * (b.lines.stop - b.lines.start) for b in self.blocks]
        self.most = max(windows, default=0) * columns.count
        left, right = columns.seen(0, columns.count)
        self._inside = slice(max(left, 0), max(left, 0, min(right, columns.size)))
        self._place = slice(self._inside.start - left, self._inside.stop - left)
        self._span = max(0, right - left)

    def steps(self, out_depth: int) -> float:
        """The amount of work, in the units of `team`."""
        taps = self.rows.taps * self.columns.taps * self.x.shape[3]
        return len(self.x) * self.rows.count * self.columns.count * taps * (1 + out_depth / 16)

    def maker(self) -> Callable[[_Block], list[np.ndarray]]:
        """A function that returns the matrix for each share of a block.

        A matrix has one row for each window, line by line, then image by image. It lies in a buffer that the next
        block overwrites.
        """
        views: dict[tuple[int, int, int], tuple] = {}

        def matrices(block: _Block) -> list[np.ndarray]:
            key = block.height, block.images.stop - block.images.start, block.lines.stop - block.lines.start
            if key not in views:
                views[key] = self._buffers(*key)
            around, windows, panel = views[key]
            if self._few and len(self.blocks) > 1:
                around[...] = 0
            for at, rows in block.groups:
                source = self.x[block.images, rows.start : rows.stop : 1 if self._few else self.rows.stride]
                around[at, :, self._place] = source[:, :, self._inside].swapaxes(0, 1)
            np.copyto(panel, windows)
            if self._few:
                return [panel.reshape(self.width, -1).T]
            flat = panel.reshape(len(panel), panel.shape[1] * panel.shape[2], self.width)
            return [flat[share.rows].reshape(-1, self.width) for share in block.shares]

        return matrices

    def _buffers(self, height: int, images: int, lines: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(rows padded with zeros, a view of their windows, the panel that the windows are copied to)."""
        rows, columns, depth = self.rows, self.columns, self.x.shape[3]
        around = np.zeros((height, images, self._span, depth), self.x.dtype)
        r, i, w, c = around.strides
        if self._few:  # columns of windows are longer than single windows
            shape = rows.taps, columns.taps, depth, lines, images, columns.count
            strides = r * rows.dilation, w * columns.dilation, c, r * rows.stride, i, w * columns.stride
        else:
            shape = height, images, columns.count, columns.taps, depth
            strides = r, i, w * columns.stride, w * columns.dilation, c
        return around, as_strided(around, shape, strides, writeable=False), np.empty(shape, self.x.dtype)
