"""The windows that slide over the height and width of images: how many there are, and what they see.

Images are [batch, height, width, channels].

window: the part of an axis that one output element sees, `size` taps that lie `dilation` apart.
margin: how many elements a SAME padding adds before and after an axis.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np


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
        end = (last - 1) * self.stride - self.before + (self.taps - 1) * self.dilation + 1
        return first * self.stride - self.before, end

    def seeing(self, tap: int, first: int, last: int) -> tuple[int, int]:
        """Of the windows from `first` up to `last` those whose tap lies inside: from, up to."""
        start = tap * self.dilation - self.before
        low, high = max(first, -(start // self.stride)), min(last, (self.size - 1 - start) // self.stride + 1)
        return low, max(low, high)

    def residue(self, rest: int) -> tuple[Axis, slice, slice] | None:
        """Which windows see every stride-th element from `rest` on: (an axis over the windows, those elements, taps).

        It is the axis of the gradient of the elements: window m of it are the windows that see element
        rest + stride m, in falling order, and its taps are those of the slice of taps, reversed. None: no window does.
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
