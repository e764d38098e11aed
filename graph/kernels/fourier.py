"""Fourier and cosine transforms, and their transposes (a transform is a matrix)."""

from __future__ import annotations

from typing import Any

import numpy as np


def _axes(rank: int) -> tuple[int, ...]:
    return tuple(range(-rank, 0))


def _count(shape: Any, rank: int) -> float:
    return float(np.prod(shape[-rank:]))


def _as(x: Any, wide: bool) -> np.ndarray:
    """x as complex64 or complex128, like the result of a transform."""
    return x.astype(np.complex128 if wide else np.complex64, copy=False)


def fft(x, rank):
    """The discrete Fourier transform over the last axes."""
    return _as(np.fft.fftn(x, axes=_axes(rank)), x.dtype == np.complex128)


def ifft(x, rank):
    """The inverse of `fft`."""
    return _as(np.fft.ifftn(x, axes=_axes(rank)), x.dtype == np.complex128)


def fft_scaled(x, rank, forward):
    """The conjugated transpose of `ifft` (forward) or of `fft`: the other one, divided or multiplied by the count."""
    count = _count(x.shape, rank)
    transformed = np.fft.fftn(x, axes=_axes(rank)) / count if forward else np.fft.ifftn(x, axes=_axes(rank)) * count
    return _as(transformed, x.dtype == np.complex128)


def _fitted(x: np.ndarray, lengths: Any) -> np.ndarray:
    """The last axes truncated or zero-padded to these lengths."""
    rank = len(lengths)
    cut = x[(..., *[slice(0, length) for length in lengths])]
    more = [(0, 0)] * (x.ndim - rank) + [(0, n - have) for n, have in zip(lengths, cut.shape[-rank:], strict=True)]
    return np.pad(cut, more)


def rfft(x, *length, rank):
    """The first half of the transform of real numbers; the last axes are first truncated or padded to `length`."""
    lengths = [int(n) for n in np.ravel(length[0])] if length else list(x.shape[-rank:])
    return _as(np.fft.rfftn(_fitted(x, lengths), axes=_axes(rank)), x.dtype == np.float64)


def irfft(x, *length, rank):
    """The real numbers whose transform has this first half."""
    lengths = _real_lengths(x, length, rank)
    half = [*lengths[:-1], lengths[-1] // 2 + 1]
    signal = np.fft.irfftn(_fitted(x, half), s=lengths, axes=_axes(rank))
    return signal.astype(np.float64 if x.dtype == np.complex128 else np.float32, copy=False)


def _real_lengths(x: Any, length: tuple, rank: int) -> list[int]:
    if length:
        return [int(n) for n in np.ravel(length[0])]
    return [*x.shape[-rank:-1], max(0, 2 * (x.shape[-1] - 1))]


def rfft_back(grad, x, *length, rank):
    """The gradient of `rfft`."""
    lengths = [int(n) for n in np.ravel(length[0])] if length else list(x.shape[-rank:])
    whole = np.zeros((*grad.shape[:-rank], *lengths), np.complex128)
    whole[(..., *[slice(0, n) for n in grad.shape[-rank:]])] = grad
    result = np.real(np.fft.ifftn(whole, axes=_axes(rank))) * _count(lengths, rank)
    return _fitted(result, x.shape[-rank:]).astype(x.dtype)


def irfft_back(grad, x, *length, rank):
    """The gradient of `irfft`."""
    lengths = _real_lengths(x, length, rank)
    result = np.fft.rfftn(grad, axes=_axes(rank)) / _count(lengths, rank)
    weight = np.full(result.shape[-1], 2.0)
    weight[0] = 1
    if lengths[-1] % 2 == 0:
        weight[-1] = 1
    return _fitted(result * weight, x.shape[-rank:]).astype(x.dtype)


def dct(x, kind, norm, axis):
    """The discrete cosine transform of kind 1 to 4."""
    import scipy.fft  # imported here because it is slow, and few programs need it

    return np.asarray(scipy.fft.dct(x, type=kind, norm=norm, axis=axis), x.dtype)


def dct_back(grad, kind, norm, axis):
    """The transpose of `dct`."""
    if norm == "ortho":
        return dct(grad, {2: 3, 3: 2}.get(kind, kind), norm, axis)
    g = np.moveaxis(grad, axis, -1).copy()
    if kind == 1:
        ends = np.full(g.shape[-1], 2.0, g.dtype)
        ends[[0, -1]] = 1
        result = ends * dct(g / ends, 1, None, -1)
    elif kind == 2:
        g[..., 0] *= 2
        result = dct(g, 3, None, -1)
    elif kind == 3:
        result = dct(g, 2, None, -1)
        result[..., 0] /= 2
    else:
        result = dct(g, 4, None, -1)
    return np.moveaxis(result, -1, axis)
