"""Kernels that move blocks between axes, and that extract windows; they come in pairs, each the other's derivative."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from weftwork.graph.kernels.indices import refuse
from weftwork.graph.shapes import bracket_text


def _checked(block: Any, pairs: Any) -> tuple[list[int], np.ndarray]:
    sizes, pairs = np.ravel(block).tolist(), np.asarray(pairs).reshape((-1, 2))
    if len(sizes) != len(pairs):
        refuse(f"block_shape has {len(sizes)} elements, but there are {len(pairs)} pairs of paddings or crops")
    if any(size < 1 for size in sizes):
        refuse(f"block_shape must be positive, got {sizes}")
    if (pairs < 0).any():
        refuse("paddings and crops must be non-negative")
    return sizes, pairs


def space_to_batch(x: Any, block: Any, paddings: Any) -> np.ndarray:
    """Pad the axes after the first and move their blocks into the first."""
    sizes, pairs = _checked(block, paddings)
    m = len(sizes)
    if x.ndim < m + 1:
        refuse(f"rank of input must be >= {m + 1}, got {x.ndim}")
    x = np.pad(x, [(0, 0), *map(tuple, pairs.tolist()), *[(0, 0)] * (x.ndim - m - 1)])
    for axis, size in enumerate(sizes):
        if x.shape[axis + 1] % size:
            refuse(f"padded_shape[{axis}]={x.shape[axis + 1]} is not divisible by block_shape[{axis}]={size}")
    split = [x.shape[0]]
    for axis, size in enumerate(sizes):
        split += [x.shape[axis + 1] // size, size]
    rest = x.shape[m + 1 :]
    blocks, inner = [2 * i + 2 for i in range(m)], [2 * i + 1 for i in range(m)]
    order = [*blocks, 0, *inner, *range(2 * m + 1, 2 * m + 1 + len(rest))]
    moved = x.reshape((*split, *rest)).transpose(order)
    return moved.reshape((x.shape[0] * int(np.prod(sizes)), *[split[2 * i + 1] for i in range(m)], *rest))


def batch_to_space(x: Any, block: Any, crops: Any) -> np.ndarray:
    """Move blocks of the first axis into the axes after it, and crop these."""
    sizes, pairs = _checked(block, crops)
    m, count = len(sizes), int(np.prod(sizes))
    if x.ndim < m + 1:
        refuse(f"rank of input must be >= {m + 1}, got {x.ndim}")
    if x.shape[0] % count:
        refuse(f"Input batch dimension ({x.shape[0]}) is not divisible by product of block sizes ({count})")
    rest = x.shape[m + 1 :]
    split = (*sizes, x.shape[0] // count, *x.shape[1 : m + 1], *rest)
    order = [m]
    for axis in range(m):
        order += [m + 1 + axis, axis]
    order += range(2 * m + 1, 2 * m + 1 + len(rest))
    grown = [x.shape[axis + 1] * size for axis, size in enumerate(sizes)]
    whole = x.reshape(split).transpose(order).reshape((x.shape[0] // count, *grown, *rest))
    cut = [slice(None)]
    for axis, (start, end) in enumerate(pairs.tolist()):
        if start + end > grown[axis]:
            refuse(f"cropped_shape[{axis}]={grown[axis] - start - end} must be non-negative")
        cut.append(slice(start, grown[axis] - end))
    return whole[tuple(cut)]


def space_to_depth(x: Any, size: int) -> np.ndarray:
    """Move blocks of height and width into the depth. x: [batch, height, width, depth]."""
    n, h, w, c = x.shape
    if h % size or w % size:
        refuse(f"Image width {w} and height {h} should be divisible by block_size: {size}")
    parts = x.reshape((n, h // size, size, w // size, size, c)).transpose((0, 1, 3, 2, 4, 5))
    return parts.reshape((n, h // size, w // size, size * size * c))


def depth_to_space(x: Any, size: int) -> np.ndarray:
    """Move blocks of the depth into height and width. x: [batch, height, width, depth]."""
    n, h, w, c = x.shape
    if c % (size * size):
        refuse(f"Input depth dimension {c} should be divisible by: {size * size}")
    parts = x.reshape((n, h, w, size, size, c // (size * size))).transpose((0, 1, 3, 2, 4, 5))
    return parts.reshape((n, h * size, w * size, c // (size * size)))


# Windows


def _pads(dims: tuple, kernel: tuple, strides: tuple, rates: tuple, padding: str) -> tuple[list, list]:
    """(number of windows along each axis, padding before and after)."""
    counts, pads = [], []
    for dim, size, stride, rate in zip(dims, kernel, strides, rates, strict=True):
        reach = (size - 1) * rate + 1
        if padding == "VALID":
            counts.append(max(0, (dim - reach) // stride + 1))
            pads.append((0, 0))
        else:
            count = -(-dim // stride)
            total_padding = max(0, (count - 1) * stride + reach - dim)
            counts.append(count)
            pads.append((total_padding // 2, total_padding - total_padding // 2))
    return counts, pads


def _windows(counts: list, kernel: tuple, strides: tuple, rates: tuple) -> Iterator[tuple]:
    """For each position in the kernel, in row-major order, the slices of the padded image that it meets."""
    for place in itertools.product(*map(range, kernel)):
        yield tuple(
            [
                slice(at * rate, at * rate + (count - 1) * stride + 1, stride) if count else slice(0, 0)
                for at, count, stride, rate in zip(place, counts, strides, rates, strict=True)
            ]
        )


def padded_windows(
    dims: tuple, kernel: tuple, strides: tuple, rates: tuple, padding: str
) -> tuple[list, list, Iterator[tuple]]:
    """(number of windows along each axis, padding before and after, slices for each position in the kernel)."""
    counts, pads = _pads(dims, kernel, strides, rates, padding)
    places = itertools.product(*map(range, kernel))
    return counts, pads, zip(places, _windows(counts, kernel, strides, rates), strict=True)


def patches(x: Any, kernel: tuple, strides: tuple, rates: tuple, padding: str) -> np.ndarray:
    """The windows of [batch, space..., depth], each as a vector: [batch, windows..., positions * depth]."""
    counts, pads = _pads(x.shape[1:-1], kernel, strides, rates, padding)
    x = np.pad(x, [(0, 0), *pads, (0, 0)])
    parts = [x[(slice(None), *window)] for window in _windows(counts, kernel, strides, rates)]
    return np.concatenate(parts, -1)


def patches_back(grad: Any, x: Any, kernel: tuple, strides: tuple, rates: tuple, padding: str) -> np.ndarray:
    """The gradient of `patches`: add each vector at its window's position."""
    counts, pads = _pads(x.shape[1:-1], kernel, strides, rates, padding)
    dims = [dim + a + b for dim, (a, b) in zip(x.shape[1:-1], pads, strict=True)]
    out = np.zeros((x.shape[0], *dims, x.shape[-1]), grad.dtype)
    depth = x.shape[-1]
    for number, window in enumerate(_windows(counts, kernel, strides, rates)):
        out[(slice(None), *window)] += grad[..., number * depth : (number + 1) * depth]
    cut = [slice(a, a + dim) for dim, (a, _) in zip(x.shape[1:-1], pads, strict=True)]
    return out[(slice(None), *cut)]


# Others


def band(x: Any, lower: Any, upper: Any) -> np.ndarray:
    """Matrices with zeros outside the `lower` subdiagonals and `upper` superdiagonals; -1 means all of them."""
    lower, upper = int(lower), int(upper)
    limits = (("num_lower", lower, "rows", x.shape[-2]), ("num_upper", upper, "columns", x.shape[-1]))
    for word, number, what, most in limits:
        if number > most:
            refuse(f"{word} must be negative or less or equal to number of {what} ({most}) got: {number}")
    row, column = np.ogrid[: x.shape[-2], : x.shape[-1]]
    inside = ((lower < 0) | (row - column <= lower)) & ((upper < 0) | (column - row <= upper))
    return np.where(inside, x, x.dtype.type(0))


def set_diagonal(x: Any, diagonal: Any) -> np.ndarray:
    """Replace the main diagonals of matrices."""
    least = min(x.shape[-2:])
    if diagonal.shape != (*x.shape[:-2], least):
        refuse(f"must have diagonal.shape == input.shape[:-2] + min(input.shape[-2:]), but received input shape: "
               f"{bracket_text(x.shape)} and diagonal shape: {bracket_text(diagonal.shape)}")  # fmt: skip
    out = x.copy()
    index = np.arange(least)
    out[..., index, index] = diagonal
    return out


def search(sequence: Any, values: Any, side: Literal["left", "right"], dtype: np.dtype) -> np.ndarray:
    """Insertion positions of values in ascending sequences, row by row."""
    if sequence.shape[:-1] != values.shape[:-1]:
        refuse(f"Leading dim_size of both tensors must match: {bracket_text(sequence.shape)} and "
               f"{bracket_text(values.shape)}")  # fmt: skip
    if sequence.ndim == 1:
        return np.searchsorted(sequence, values, side).astype(dtype)
    rows, wanted = sequence.reshape((-1, sequence.shape[-1])), values.reshape((-1, values.shape[-1]))
    found = [np.searchsorted(row, one, side) for row, one in zip(rows, wanted, strict=True)]
    return np.array(found, dtype).reshape(values.shape)


def distance(h: Any, h_values: Any, h_shape: Any, t: Any, t_values: Any, t_shape: Any, normalize: bool) -> np.ndarray:
    """Levenshtein distance between the sequences along the last axis of two sparse tensors."""
    shape = np.maximum(np.asarray(h_shape)[:-1], np.asarray(t_shape)[:-1]).tolist()
    out = np.zeros(shape, np.float32)
    hypotheses, truths = _sequences(h, h_values), _sequences(t, t_values)
    for place in np.ndindex(*shape):
        a, b = hypotheses.get(place, []), truths.get(place, [])
        number = _levenshtein(a, b)
        out[place] = number if not normalize else number / len(b) if b else (np.inf if a else 0.0)
    return out


def _sequences(indices: Any, values: Any) -> dict[tuple, list]:
    found: dict[tuple, list] = {}
    for index, value in zip(np.asarray(indices).tolist(), np.asarray(values).tolist(), strict=True):
        found.setdefault(tuple(index[:-1]), []).append(value)
    return found


def _levenshtein(a: list, b: list) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def tensor_scatter(x: Any, index: tuple, updates: Any, ufunc: np.ufunc | None) -> np.ndarray:
    """x with updates combined by `ufunc` at some positions; None: the last update replaces the element."""
    out = np.array(x)
    if ufunc is None:
        out[index] = updates
    else:
        ufunc.at(out, index, updates)
    return out
