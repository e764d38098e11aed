"""The windows that slide over the height and width of images, and how they become matrices for BLAS.

Images are [batch, height, width, channels].

window: the part of an axis that one output element sees, `size` taps that lie `dilation` apart.
margin: how many elements a SAME padding adds before and after an axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

_A_PRODUCT = 1 << 20
"""Multiply-adds that BLAS does in the time that one more product takes (20 us)."""
_LONG_RUN = 16
"""Neighbouring elements that are copied together: from so many on, window by window, else image row by image row."""


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


def margin(size: int, window: int, stride: int, padding: Any) -> tuple[int, int]:
    """The elements that a padding adds before and after an axis."""
    if padding != "SAME":
        return padding
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def pad(x, margins, value):
    """`x` with `value` around its height and width."""
    (top, bottom), (left, right) = margins
    if not (top or bottom or left or right):
        return x
    n, h, w, c = x.shape
    out = np.full((n, top + h + bottom, left + w + right, c), value, dtype=x.dtype)
    out[:, top : top + h, left : left + w] = x
    return out


class Axis(NamedTuple):
    """Where the windows of an axis lie: tap t of window i sees element stride i + dilation t - before.

    Elements outside the axis are zeros. `before` may be negative: the first elements are not seen then.
    """

    size: int
    taps: int
    stride: int
    dilation: int
    before: int
    count: int

    @classmethod
    def of(cls, size: int, taps: int, stride: int, dilation: int, padding: Any) -> Axis:
        """The windows of a convolution. Raises ValueError when none fits."""
        extent = (taps - 1) * dilation + 1
        count = output_size(size, extent, stride, padding)
        return cls(size, taps, stride, dilation, margin(size, extent, stride, padding)[0], count)

    def seen(self, first: int, last: int) -> tuple[int, int]:
        """The elements that the windows from `first` up to `last` see: from, up to; they may lie outside."""
        return first * self.stride - self.before, (last - 1) * self.stride - self.before + self.extent

    def spans(self) -> tuple[Span, ...]:
        """The windows in runs that see the same of their taps; other taps are outside."""
        return _spans(self)

    @property
    def extent(self) -> int:
        """Elements from a window's first tap to its last."""
        return (self.taps - 1) * self.dilation + 1

    def residue(self, rest: int) -> tuple[Axis, slice, slice] | None:
        """Which windows see every stride-th element from `rest` on: (an axis over the windows, those elements, taps).

        It is the axis of the gradient of the elements: window m of it are the windows that see element
        rest + stride m, in falling order, and its taps are those of the slice of taps, reversed. None: no window does.
        """
        step = np.gcd(self.stride, self.dilation)
        period = self.stride // int(step)
        seen = rest + self.before
        tap = next((t for t in range(period) if (self.dilation * t - seen) % self.stride == 0), self.taps)
        taps = slice(tap, None, period)
        found = len(range(self.taps)[taps])
        count = len(range(rest, self.size, self.stride))
        if not found or not count:
            return None
        spacing = self.dilation // int(step)
        last = (seen - self.dilation * tap) // self.stride
        axis = Axis(self.count, found, 1, spacing, (found - 1) * spacing - last, count)
        return axis, slice(rest, None, self.stride), taps


class Span(NamedTuple):
    """Windows of an axis, from number `first` on, with their taps from number `tap` on, as an axis of their own."""

    axis: Axis
    first: int
    tap: int

    @property
    def windows(self) -> slice:
        """Which windows of the axis they are."""
        return slice(self.first, self.first + self.axis.count)

    @property
    def taps(self) -> slice:
        """Which taps of theirs they are."""
        return slice(self.tap, self.tap + self.axis.taps)


@lru_cache(maxsize=256)
def _spans(axis: Axis) -> tuple[Span, ...]:
    starts = [i * axis.stride - axis.before for i in range(axis.count)]
    first = [min(max(0, -(start // axis.dilation)), axis.taps) for start in starts]
    ends = [min(axis.taps, (axis.size - 1 - start) // axis.dilation + 1) for start in starts]
    made = []
    for (tap, end), run in groupby(range(axis.count), key=lambda i: (first[i], max(first[i], ends[i]))):
        windows = list(run)
        before = -starts[windows[0]] - tap * axis.dilation
        made.append(Span(axis._replace(taps=end - tap, before=before, count=len(windows)), windows[0], tap))
    return tuple(made)


class Block(NamedTuple):
    """The windows of some images: of two spans, or of some lines of the rows of one image."""

    images: slice
    lines: slice
    rows: Span
    columns: Span

    @property
    def at(self) -> tuple[slice, slice, slice]:
        """Where the windows lie in the result of a convolution."""
        first = self.rows.first
        return self.images, slice(first + self.lines.start, first + self.lines.stop), self.columns.windows

    @property
    def taps(self) -> tuple[slice, slice]:
        """Which taps they see."""
        return self.rows.taps, self.columns.taps

    @property
    def spans(self) -> tuple[Span, Span]:
        """The spans of height and width."""
        return self.rows, self.columns

    @property
    def count(self) -> int:
        """How many windows they are."""
        lines = self.lines.stop - self.lines.start
        return (self.images.stop - self.images.start) * lines * self.columns.axis.count

    @property
    def width(self) -> int:
        """The taps of a window."""
        return self.rows.axis.taps * self.columns.axis.taps


@lru_cache(maxsize=256)
def blocks_of(batch: int, rows: Axis, columns: Axis, depth: int, out_depth: int, budget: int) -> tuple[Block, ...]:
    """The windows of a batch in blocks whose matrices have some `budget` elements, the largest first.

    Taps that lie outside the images are left out where that saves more than it costs. Windows that see nothing are in
    no block.
    """
    spans = rows.spans(), columns.spans()
    taps = [sum(span.axis.taps * span.axis.count for span in each) for each in spans]
    windows = rows.count * columns.count
    saved = windows * rows.taps * columns.taps - taps[0] * taps[1]
    if batch * saved * depth * out_depth < _A_PRODUCT * len(spans[0]) * len(spans[1]):
        spans = (Span(rows, 0, 0),), (Span(columns, 0, 0),)
    made: list[Block] = []
    for row in spans[0]:
        for column in spans[1]:
            line = max(1, column.axis.count * row.axis.taps * column.axis.taps * depth)
            lines = row.axis.count
            if line * lines <= budget:
                parts = _parts(batch, budget // max(1, line * lines))
                made += [Block(images, slice(0, lines), row, column) for images in parts]
            else:
                parts = _parts(lines, max(1, budget // line))
                made += [Block(slice(n, n + 1), part, row, column) for n in range(batch) for part in parts]
    return tuple(sorted([block for block in made if block.width], key=lambda block: -block.count * block.width))


def _parts(count: int, most: int) -> list[slice]:
    """`count` things in equal parts of at most so many."""
    parts = -(-count // max(1, most))
    return [slice(count * part // parts, count * (part + 1) // parts) for part in range(parts)]


def matrices(x: np.ndarray, blocks: Sequence[Block]) -> Callable[[Block], np.ndarray]:
    """A function that gives the matrix of a block: a window in each row, tap by tap.

    All matrices lie in one buffer: the next call overwrites the last one's.
    """
    depth = x.shape[3]
    buffer = np.empty(max([block.count * block.width for block in blocks], default=0) * depth, x.dtype)
    views: dict[tuple[Span, Span], Callable[[Block], np.ndarray]] = {}

    def matrix_of(block: Block) -> np.ndarray:
        if block.spans not in views:
            views[block.spans] = _viewer(x, block.rows.axis, block.columns.axis)
        windows = views[block.spans](block)
        shape = block.count, block.width * depth
        if block.width == 1 and windows.flags.c_contiguous:
            return windows.reshape(shape)
        together = block.columns.axis.taps * depth if block.columns.axis.dilation == 1 else depth
        if together < _LONG_RUN:
            windows = windows.transpose(3, 4, 5, 0, 1, 2)
        out = buffer[: windows.size].reshape(windows.shape)
        np.copyto(out, windows)
        return out.reshape(shape[::-1]).T if together < _LONG_RUN else out.reshape(shape)

    return matrix_of


def _viewer(x: np.ndarray, rows: Axis, columns: Axis) -> Callable[[Block], np.ndarray]:
    """A function that gives a block's windows as a view [images, rows, columns, taps, taps, channels]."""
    (top, bottom), (left, right) = rows.seen(0, rows.count), columns.seen(0, columns.count)
    if top >= 0 and left >= 0 and bottom <= rows.size and right <= columns.size:
        whole = _windows(x[:, top:, left:], rows, columns)
        return lambda block: whole[block.images, block.lines]
    inner = slice(max(left, 0), min(right, columns.size))
    place = slice(inner.start - left, inner.stop - left)
    made: dict[tuple, tuple] = {}

    def view(block: Block) -> np.ndarray:
        images, lines = block.images.stop - block.images.start, block.lines.stop - block.lines.start
        first, last = rows.seen(block.lines.start, block.lines.stop)
        key = images, lines
        if key not in made:
            scratch = np.zeros((images, last - first, right - left, x.shape[3]), x.dtype)
            made[key] = scratch, _windows(scratch, rows._replace(count=lines), columns)
        scratch, windows = made[key]
        low, high = max(first, 0), min(last, rows.size)
        if lines < rows.count:
            scratch[:, : max(low - first, 0)] = 0
            scratch[:, max(high - first, 0) :] = 0
        if low < high and inner.start < inner.stop:
            scratch[:, low - first : high - first, place] = x[block.images, low:high, inner]
        return windows

    return view


def _windows(x: np.ndarray, rows: Axis, columns: Axis) -> np.ndarray:
    """The windows of images as a view, of which the first begins at the first element."""
    n, h, w, c = x.strides
    strides = (n, h * rows.stride, w * columns.stride, h * rows.dilation, w * columns.dilation, c)
    shape = (x.shape[0], rows.count, columns.count, rows.taps, columns.taps, x.shape[3])
    return as_strided(x, shape, strides, writeable=False)
