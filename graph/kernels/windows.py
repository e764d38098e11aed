"""The windows that slide over the height and width of images: their number, and the elements that they see.

Images are [batch, height, width, channels].

window: the part of an axis that one output element sees, `size` taps that lie `dilation` apart.
margin: the number of elements that SAME padding adds before and after an axis.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np


def output_size(size: int, window: int, stride: int, padding: Any) -> int:
    """The number of windows on an axis: ceil(size / stride) for SAME, else ceil((padded size - window + 1) / stride).

    window: its extent, dilation included.   padding: "SAME", or the margin (before, after).
    Source: TensorFlow's "Notes on padding" (tf.nn.convolution). Raises ValueError if none fits.
    """
    if padding == "SAME":
        return -(-size // stride)
    size += sum(padding)
    if size < window:
        raise ValueError(f"Negative dimension size caused by subtracting {window} from {size}")
    return -(-(size - window + 1) // stride)


def margin(size: int, window: int, stride: int, padding: Any) -> tuple[int, int]:
    """The number of elements that a padding adds before and after an axis."""
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
    """The windows along an axis: tap t of window i sees element stride i + dilation t - before.

    Elements outside the axis are zeros. A negative `before` skips the first elements.
    """

    size: int
    taps: int
    stride: int
    dilation: int
    before: int
    count: int

    @classmethod
    def of(cls, size: int, taps: int, stride: int, dilation: int, padding: Any) -> Axis:
        """The windows of a convolution. Raises ValueError if none fits."""
        extent = (taps - 1) * dilation + 1
        count = output_size(size, extent, stride, padding)
        return cls(size, taps, stride, dilation, margin(size, extent, stride, padding)[0], count)

    def seen(self, first: int, last: int) -> tuple[int, int]:
        """The range (from, up to) of elements that windows `first` up to `last` see; it may exceed the axis."""
        end = (last - 1) * self.stride - self.before + (self.taps - 1) * self.dilation + 1
        return first * self.stride - self.before, end

    def seeing(self, tap: int, first: int, last: int) -> tuple[int, int]:
        """The windows among `first` up to `last` whose tap is inside the axis: (from, up to)."""
        start = tap * self.dilation - self.before
        low, high = max(first, -(start // self.stride)), min(last, (self.size - 1 - start) // self.stride + 1)
        return low, max(low, high)

    def residue(self, rest: int) -> tuple[Axis, slice, slice] | None:
        """The windows that see every stride-th element from `rest` on: (an axis over windows, those elements, taps).

        The axis is the one for the elements' gradient: its window m comprises the windows that see element
        rest + stride m, in descending order, and its taps are the slice of taps, reversed. None if no window sees them.
        """
        step = math.gcd(self.stride, self.dilation)
        period, spacing = self.stride // step, self.dilation // step
        seen = rest + self.before
        tap = next((t for t in range(period) if (self.dilation * t - seen) % self.stride == 0), self.taps)
        found, count = len(range(tap, self.taps, period)), len(range(rest, self.size, self.stride))
        if not found or not count:
            return None
        last = (seen - self.dilation * tap) // self.stride
        axis = Axis(self.count, found, 1, spacing, (found - 1) * spacing - last, count)
        return axis, slice(rest, None, self.stride), slice(tap, None, period)
