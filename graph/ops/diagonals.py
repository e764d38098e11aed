"""Bands of diagonals of matrices: taken out, and put in.

band    the diagonals from `k[0]` to `k[1]`: 0 is the main one, positive ones lie above it. As a tensor they are
        [..., n] for a single one; else [..., count, longest], the highest first
align   where shorter ones of a band stand in their rows: "LEFT_LEFT" as in TensorFlow 1, "RIGHT_LEFT" (those above the
        main one right, those below left), "LEFT_RIGHT" or "RIGHT_RIGHT"
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from weftwork.graph import shapes
from weftwork.graph.build import apply, convert_together
from weftwork.graph.known import whole_numbers
from weftwork.graph.operation import Tensor

_ALIGNED = ("LEFT_LEFT", "RIGHT_LEFT", "LEFT_RIGHT", "RIGHT_RIGHT")


def band_of(k: Any, align: str) -> tuple[int, int]:
    """(lowest, highest). Raises ValueError for a `k` that is unknown, or in the wrong order, and an unknown `align`."""
    found = whole_numbers(k)
    listed = (found, found) if isinstance(found, int) else found
    if listed is None or len(listed) not in (1, 2):
        raise ValueError(f"k must be one or two integers that are known when the node is made, not {k!r}")
    if listed[0] > listed[-1]:
        raise ValueError(f"lower_diag_index must not be larger than upper_diag_index: {listed[0]} > {listed[-1]}")
    if align not in _ALIGNED:
        raise ValueError(f"align must be one of {', '.join(_ALIGNED)}, not {align!r}")
    return int(listed[0]), int(listed[-1])


def _longest(rows: Any, columns: Any, band: tuple[int, int]) -> Any:
    if rows is None or columns is None:
        return None
    low, high = band
    if not -rows < low <= high < columns and rows and columns:
        raise ValueError(f"The diagonals {low} to {high} are not all in matrices of shape [{rows}, {columns}].")
    return min(rows + min(high, 0), columns - max(low, 0))


def _band_shape(matrix: shapes.RawShape, band: tuple[int, int]) -> shapes.RawShape:
    if matrix is None:
        return None
    size = _longest(matrix[-2], matrix[-1], band)
    return (*matrix[:-2], size) if band[0] == band[1] else (*matrix[:-2], band[1] - band[0] + 1, size)


def taken(x: Tensor, band: tuple[int, int], padding: Any, align: str, name: str | None) -> Tensor:
    """The band of matrices; what is beyond the ends of shorter diagonals is `padding`."""
    x, beyond = convert_together([x, padding])
    attrs = {"band": band, "align": align}
    shape = _band_shape(x.raw_shape, band)
    return apply(take_band, [x, beyond], attrs, type="TakeBand", name=name, dtype=x.dtype, shape=shape)


def put(x: Tensor, diagonals: Tensor, band: tuple[int, int], align: str, name: str | None) -> Tensor:
    """Matrices with this band instead of theirs."""
    x, diagonals = convert_together([x, diagonals])
    wanted = _band_shape(x.raw_shape, band)
    if not shapes.compatible(wanted, diagonals.raw_shape):
        raise ValueError(f"The diagonals must have shape {shapes.text(wanted)}, not {shapes.text(diagonals.raw_shape)}")
    attrs = {"band": band, "align": align}
    return apply(put_band, [x, diagonals], attrs, type="PutBand", name=name, dtype=x.dtype, shape=x.raw_shape)


def placed(
    diagonals: Tensor, band: tuple[int, int], rows: Any, columns: Any, padding: Any, align: str, name: str | None
) -> Tensor:
    """Matrices of `padding` with this band; -1 for the least numbers of rows and columns, square if both are -1."""
    raw, single = diagonals.raw_shape, band[0] == band[1]
    sizes: Any = tuple([whole_numbers(given) for given in (rows, columns)])
    if None in sizes:
        raise ValueError("The numbers of rows and columns must be known.")
    if raw is not None and raw[-1] is not None:
        sizes = _sizes_for(raw[-1], band, sizes)
    x, beyond = convert_together([diagonals, padding])
    attrs = {"band": band, "align": align, "sizes": sizes}
    known = [None if size == -1 else size for size in sizes]
    shape = None if raw is None else (*raw[: -1 if single else -2], *known)
    return apply(place_band, [x, beyond], attrs, type="PlaceBand", name=name, dtype=x.dtype, shape=shape)


def _sizes_for(longest: int, band: tuple[int, int], given: tuple[int, int]) -> tuple[int, int]:
    """The numbers of rows and columns of matrices with a band of this length, where -1 is given for the least."""
    least = [longest - min(band[1], 0), longest + max(band[0], 0)]
    if given == (-1, -1):
        least = [max(least)] * 2
    rows, columns = [low if size == -1 else size for low, size in zip(least, given, strict=True)]
    if rows < least[0] or columns < least[1]:
        raise ValueError(f"The number of rows or columns, {given}, is too small: it must be at least {least}.")
    return rows, columns


# Kernels


def _places(shape: Any, band: tuple[int, int], align: str) -> Iterator[tuple[int, Any, Any, slice]]:
    """For each diagonal: its number in the band, its rows and columns in the matrix, its place in its row."""
    rows, columns = shape[-2:]
    low, high = band
    longest = min(rows + min(high, 0), columns - max(low, 0))
    above, below = align.split("_")
    for number, k in enumerate(range(high, low - 1, -1)):
        size = min(rows + min(k, 0), columns - max(k, 0))
        steps = np.arange(size)
        start = longest - size if (above if k >= 0 else below) == "RIGHT" else 0
        yield number, steps - min(k, 0), steps + max(k, 0), slice(start, start + size)


def take_band(x, padding, band, align):
    """The kernel of `taken`."""
    low, high = band
    longest = min(x.shape[-2] + min(high, 0), x.shape[-1] - max(low, 0))
    out = np.full((*x.shape[:-2], high - low + 1, longest), padding, x.dtype)
    for number, rows, columns, place in _places(x.shape, band, align):
        out[..., number, place] = x[..., rows, columns]
    return out[..., 0, :] if low == high else out


def put_band(x, diagonals, band, align):
    """The kernel of `put`."""
    out = x.copy()
    given = diagonals[..., None, :] if band[0] == band[1] else diagonals
    for number, rows, columns, place in _places(x.shape, band, align):
        out[..., rows, columns] = given[..., number, place]
    return out


def place_band(diagonals, padding, band, align, sizes):
    """The kernel of `placed`."""
    sizes = _sizes_for(diagonals.shape[-1], band, tuple(sizes))
    batch = diagonals.shape[: -1 if band[0] == band[1] else -2]
    return put_band(np.full((*batch, *sizes), padding, diagonals.dtype), diagonals, band, align)
