"""Convolutions and pools over any number of axes: [batch, space..., channels], filters [space..., in, out].

A place is one position within the window. Sums over places are computed place by place: each is one matrix product
over all windows, so BLAS does the work.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from weftwork.graph.kernels.indices import refuse
from weftwork.graph.kernels.pooling import lowest
from weftwork.graph.kernels.spaces import padded_windows


def _padded(x: Any, pads: list, value: Any = 0) -> np.ndarray:
    return np.pad(x, [(0, 0), *pads, (0, 0)], constant_values=value) if any(map(any, pads)) else x


def conv(x: Any, weights: Any, strides: tuple, rates: tuple, padding: str) -> np.ndarray:
    """The cross-correlation of x with filters."""
    kernel = weights.shape[:-2]
    if x.shape[-1] != weights.shape[-2]:
        refuse(f"input depth {x.shape[-1]} does not match the filter's input depth {weights.shape[-2]}")
    counts, pads, windows = padded_windows(x.shape[1:-1], kernel, strides, rates, padding)
    x = _padded(x, pads)
    out = np.zeros((x.shape[0], *counts, weights.shape[-1]), np.result_type(x, weights))
    for place, window in windows:
        out += x[(slice(None), *window)] @ weights[place]
    return out


def conv_input(grad: Any, weights: Any, shape: Any, strides: tuple, rates: tuple, padding: str) -> np.ndarray:
    """The gradient of `conv` with respect to an x of this shape."""
    dims = tuple(np.ravel(shape).tolist())
    kernel = weights.shape[:-2]
    counts, pads, windows = padded_windows(dims[1:-1], kernel, strides, rates, padding)
    if tuple(counts) != grad.shape[1:-1] or dims[0] != grad.shape[0] or dims[-1] != weights.shape[-2]:
        refuse(
            f"Conv: a convolution of shape {list(dims)} gives {[dims[0], *counts, weights.shape[-1]]}, "
            f"not {list(grad.shape)}"
        )
    whole = [dim + a + b for dim, (a, b) in zip(dims[1:-1], pads, strict=True)]
    out = np.zeros((dims[0], *whole, dims[-1]), np.result_type(grad, weights))
    for place, window in windows:
        out[(slice(None), *window)] += grad @ weights[place].T
    cut = [slice(a, a + dim) for dim, (a, _) in zip(dims[1:-1], pads, strict=True)]
    return out[(slice(None), *cut)]


def conv_filter(x: Any, grad: Any, shape: Any, strides: tuple, rates: tuple, padding: str) -> np.ndarray:
    """The gradient of `conv` with respect to filters of this shape."""
    dims = tuple(np.ravel(shape).tolist())
    _, pads, windows = padded_windows(x.shape[1:-1], dims[:-2], strides, rates, padding)
    x = _padded(x, pads)
    out = np.zeros(dims, np.result_type(x, grad))
    flat = grad.reshape((-1, grad.shape[-1]))
    for place, window in windows:
        part = x[(slice(None), *window)]
        out[place] = part.reshape((-1, part.shape[-1])).T @ flat
    return out


# Pools


def greatest_at(x: Any, kernel: tuple, strides: tuple, rates: tuple, padding: str) -> np.ndarray:
    """The index of each window's largest element in x as a flat vector, the first among equals; int64."""
    counts, pads, windows = padded_windows(x.shape[1:-1], kernel, strides, rates, padding)
    where = _padded(np.arange(x.size).reshape(x.shape), pads, -1)
    x = _padded(x, pads, lowest(x.dtype))
    best = np.full((x.shape[0], *counts, x.shape[-1]), lowest(x.dtype), x.dtype)
    at = np.full(best.shape, -1, np.int64)
    for _, window in windows:
        part, place = x[(slice(None), *window)], where[(slice(None), *window)]
        better = (place >= 0) & ((part > best) | (at < 0) | (np.isnan(part) & ~np.isnan(best)))
        best, at = np.where(better, part, best), np.where(better, place, at)
    return at


def mean(x: Any, kernel: tuple, strides: tuple, rates: tuple, padding: str) -> np.ndarray:
    """The mean of each window; padding does not count."""
    counts, pads, windows = padded_windows(x.shape[1:-1], kernel, strides, rates, padding)
    x, mask = _padded(x, pads), _padded(np.ones((1, *x.shape[1:-1], 1), x.dtype), pads)
    total = np.zeros((x.shape[0], *counts, x.shape[-1]), x.dtype)
    number = np.zeros((1, *counts, 1), x.dtype)
    for _, window in windows:
        total += x[(slice(None), *window)]
        number += mask[(slice(None), *window)]
    return total / number


def mean_back(grad: Any, x: Any, kernel: tuple, strides: tuple, rates: tuple, padding: str) -> np.ndarray:
    """The gradient of `mean` with respect to x."""
    counts, pads, windows = padded_windows(x.shape[1:-1], kernel, strides, rates, padding)
    mask = _padded(np.ones((1, *x.shape[1:-1], 1), grad.dtype), pads)
    windows = list(windows)
    number = np.zeros((1, *counts, 1), grad.dtype)
    for _, window in windows:
        number += mask[(slice(None), *window)]
    whole = [dim + a + b for dim, (a, b) in zip(x.shape[1:-1], pads, strict=True)]
    out = np.zeros((x.shape[0], *whole, x.shape[-1]), grad.dtype)
    part = grad / number
    for _, window in windows:
        out[(slice(None), *window)] += part
    cut = [slice(a, a + dim) for dim, (a, _) in zip(x.shape[1:-1], pads, strict=True)]
    return out[(slice(None), *cut)]


# Morphology


def dilated_at(x: Any, weights: Any, strides: tuple, rates: tuple, padding: str) -> tuple:
    """(flat index in x, flat index in the weights) where the sum of an element and its weight is largest."""
    counts, pads, windows = padded_windows(x.shape[1:-1], weights.shape[:-1], strides, rates, padding)
    if x.shape[-1] != weights.shape[-1]:
        refuse(f"input and filter must have the same depth: {x.shape[-1]} vs {weights.shape[-1]}")
    where = _padded(np.arange(x.size).reshape(x.shape), pads, -1)
    numbers = np.arange(weights.size).reshape(weights.shape)
    x = _padded(x, pads, lowest(x.dtype))
    best = np.full((x.shape[0], *counts, x.shape[-1]), lowest(x.dtype), x.dtype)
    at = np.zeros(best.shape, np.int64)
    of_weight = np.zeros(best.shape, np.int64)
    for place, window in windows:
        total = x[(slice(None), *window)] + weights[place]
        better = (total > best) & (where[(slice(None), *window)] >= 0)
        best = np.where(better, total, best)
        at = np.where(better, where[(slice(None), *window)], at)
        of_weight = np.where(better, numbers[place], of_weight)
    return at, of_weight


# Fractional pools


def fractions(rng: Any, shape: Any, ratios: tuple, pseudo: bool) -> tuple:
    """Start indices of the rows and columns of fractional pools, and the end: Graham, arXiv:1412.6071."""
    return tuple([_sequence(rng, int(size), ratio, pseudo) for size, ratio in zip(shape, ratios, strict=True)])


def _sequence(rng: Any, size: int, ratio: float, pseudo: bool) -> np.ndarray:
    count = int(size / ratio)
    if pseudo:
        # Borders at ceil(alpha (i + u)), with u so small that window widths differ by at most one.
        alpha, short = size / count, size // count
        most = min((short + 2) / alpha - 1, (size + 1 - short) / alpha - (count - 1))
        between = np.ceil(alpha * (np.arange(1, count) + rng.random() * most)).astype(np.int64) - 1
        return np.concatenate([[0], between, [size]]).astype(np.int64)
    short = size // count
    steps = np.full(count, short)
    steps[: size - short * count] += 1
    rng.shuffle(steps)
    return np.concatenate([[0], np.cumsum(steps)]).astype(np.int64)


def _spans(ends: Any, overlapping: bool, size: int) -> list[slice]:
    ends = np.asarray(ends).tolist()
    return [slice(a, min(b + 1, size) if overlapping else b) for a, b in itertools.pairwise(ends)]


def fraction_at(x: Any, rows: Any, columns: Any, overlapping: bool) -> np.ndarray:
    """The index of each fractional window's largest element in x as a flat vector."""
    where = np.arange(x.size).reshape(x.shape)
    tall, wide = _spans(rows, overlapping, x.shape[1]), _spans(columns, overlapping, x.shape[2])
    out = np.empty((x.shape[0], len(tall), len(wide), x.shape[3]), np.int64)
    for i, row in enumerate(tall):
        for j, column in enumerate(wide):
            part = x[:, row, column].reshape((x.shape[0], -1, x.shape[3]))
            places = where[:, row, column].reshape(part.shape)
            out[:, i, j] = np.take_along_axis(places, part.argmax(1)[:, None], 1)[:, 0]
    return out


def fraction_mean(x: Any, rows: Any, columns: Any, overlapping: bool) -> np.ndarray:
    """The mean of each fractional window."""
    tall, wide = _spans(rows, overlapping, x.shape[1]), _spans(columns, overlapping, x.shape[2])
    return np.stack([np.stack([x[:, r, c].mean((1, 2)) for c in wide], 1) for r in tall], 1).astype(x.dtype)


def fraction_mean_back(grad: Any, x: Any, rows: Any, columns: Any, overlapping: bool) -> np.ndarray:
    """The gradient of `fraction_mean` with respect to x."""
    tall, wide = _spans(rows, overlapping, x.shape[1]), _spans(columns, overlapping, x.shape[2])
    out = np.zeros(x.shape, grad.dtype)
    for i, row in enumerate(tall):
        for j, column in enumerate(wide):
            part = out[:, row, column]
            part += grad[:, i, j][:, None, None] / (part.shape[1] * part.shape[2])
    return out
