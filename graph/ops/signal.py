"""tf.signal: Fourier and cosine transforms, frames and windows, spectrograms.

Transforms are over the last axes. Complex numbers keep their dtype; the transform of float32 is complex64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.arguments import of_dtype
from weftwork.graph.build import apply, convert_to_tensor, static_value
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.kernels import fourier as kernels
from weftwork.graph.known import whole_numbers
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.scopes import name_scope

_COMPLEX = ("complex64", "complex128")
_REAL = ("float32", "float64")


def _at_least(x: Tensor, rank: int) -> None:
    if x.raw_shape is not None and len(x.raw_shape) < rank:
        raise ValueError(f"Shape must be at least rank {rank} but is rank {len(x.raw_shape)}: {x}")


# Fourier


def _transform(public: str, kernel: Callable, kind: str, rank: int, doc: str) -> Callable[..., Tensor]:
    def transform(input, name=None):
        x = of_dtype(input, "input", _COMPLEX, "complex64")
        _at_least(x, rank)
        word = kind if rank == 1 else f"{kind}{rank}D"
        return apply(kernel, [x], {"rank": rank}, type=kind, name=name or word, dtype=x.dtype, shape=x.raw_shape)

    transform.__name__ = transform.__qualname__ = public
    transform.__doc__ = (
        f"{doc} over the last {rank} axes of complex numbers." if rank > 1 else f"{doc} of complex numbers."
    )
    return transform


fft = _transform("fft", kernels.fft, "FFT", 1, "The discrete Fourier transform")
ifft = _transform("ifft", kernels.ifft, "IFFT", 1, "The inverse discrete Fourier transform")
fft2d = _transform("fft2d", kernels.fft, "FFT", 2, "The discrete Fourier transform")
ifft2d = _transform("ifft2d", kernels.ifft, "IFFT", 2, "The inverse discrete Fourier transform")
fft3d = _transform("fft3d", kernels.fft, "FFT", 3, "The discrete Fourier transform")
ifft3d = _transform("ifft3d", kernels.ifft, "IFFT", 3, "The inverse discrete Fourier transform")


def _real_transform(public: str, rank: int, inverse: bool) -> Callable[..., Tensor]:
    kernel, kind = (kernels.irfft, "IRFFT") if inverse else (kernels.rfft, "RFFT")

    def transform(input_tensor, fft_length=None, name=None):
        x = of_dtype(input_tensor, "input", *((_COMPLEX, "complex64") if inverse else (_REAL, "float32")))
        _at_least(x, rank)
        inputs, length = [x], None
        if fft_length is not None:
            inputs.append(convert_to_tensor(fft_length, dtypes.int32))
            length = static_value(inputs[1])
        dtype = x.dtype.real_dtype if inverse else _complex_of(x.dtype)
        shape = _transformed(x.raw_shape, rank, fft_length is not None, length, inverse)
        return apply(kernel, inputs, {"rank": rank}, type=kind, name=name or public, dtype=dtype, shape=shape)

    transform.__name__ = transform.__qualname__ = public
    summary = (
        "The real numbers whose Fourier transform has the input as its first half."
        if inverse
        else "The first half of the Fourier transform of real numbers; the rest follows from it."
    )
    sizes = f"fft_length: [{rank}] lengths of the real side's last {rank} axes, truncated or zero-padded."
    transform.__doc__ = f"{summary}\n\n{sizes}"
    return transform


def _complex_of(dtype: Any) -> Any:
    return dtypes.complex128 if dtype.base_dtype is dtypes.float64 else dtypes.complex64


def _transformed(shape: Any, rank: int, given: bool, length: Any, inverse: bool) -> Any:
    if shape is None:
        return None
    if given:
        dims: list[Any] = [None] * rank if length is None else np.ravel(length).tolist()
    else:
        last = shape[-1]
        dims = [*shape[-rank:-1], (None if last is None else max(0, 2 * (last - 1))) if inverse else last]
    if not inverse:
        dims[-1] = None if dims[-1] is None else dims[-1] // 2 + 1
    return (*shape[:-rank], *dims)


rfft = _real_transform("rfft", 1, False)
irfft = _real_transform("irfft", 1, True)
rfft2d = _real_transform("rfft2d", 2, False)
irfft2d = _real_transform("irfft2d", 2, True)
rfft3d = _real_transform("rfft3d", 3, False)
irfft3d = _real_transform("irfft3d", 3, True)


def _shift(x: Any, axes: Any, sign: int, name: str) -> Tensor:
    x = convert_to_tensor(x)
    if axes is None:
        axes = list(range(len(x.shape.as_list())))
    axes = [axes] if isinstance(axes, int) else list(whole_numbers(axes))  # type: ignore[arg-type]
    if x.raw_shape is not None and None not in [x.raw_shape[axis] for axis in axes]:
        by: Any = [x.raw_shape[axis] // 2 if sign > 0 else -(x.raw_shape[axis] // 2) for axis in axes]  # type: ignore[operator]
    else:
        by = array_ops.stack([array_ops.shape(x)[axis] for axis in axes]) // 2 * sign
    return array_ops.roll(x, by, axes, name=name)


def fftshift(x: Any, axes: Any = None, name: str | None = None) -> Tensor:
    """Shift each axis by half its length, which puts frequency 0 in the middle."""
    return _shift(x, axes, 1, name or "fftshift")


def ifftshift(x: Any, axes: Any = None, name: str | None = None) -> Tensor:
    """The inverse of `fftshift`."""
    return _shift(x, axes, -1, name or "ifftshift")


# Cosines


def dct(
    input: Any, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None, name: str | None = None
) -> Tensor:
    """The discrete cosine transform of real numbers along the last axis.

    type: 1, 2, 3 or 4.   n: truncate or zero-pad the axis to this length.   norm: None or "ortho".
    """
    _check_dct(type, axis, norm)
    with name_scope(name, "dct", [input]) as scope:
        x = of_dtype(input, "input", _REAL)
        if n is not None:
            x = _cut_or_padded(x, int(n))
        attrs = {"kind": int(type), "norm": norm, "axis": -1}
        return apply(kernels.dct, [x], attrs, type="DCT", name=scope, dtype=x.dtype, shape=x.raw_shape)


def idct(
    input: Any, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None, name: str | None = None
) -> Tensor:
    """The inverse of `dct`, up to a factor unless norm is "ortho". Types 2 and 3 are each other's inverses.

    type: 1 to 4.
    """
    _check_dct(type, axis, norm)
    return dct(input, {2: 3, 3: 2}.get(type, type), n, axis, norm, name or "idct")


def _check_dct(kind: int, axis: int, norm: Any) -> None:
    if axis != -1:
        raise NotImplementedError(f"axis must be -1. Got: {axis}")
    if kind not in (1, 2, 3, 4):
        raise ValueError(f"Types I, II, III and IV (I)DCT are supported. Got: {kind}")
    if norm not in (None, "ortho"):
        raise ValueError(f"Unknown normalization. Expected None or 'ortho', got: {norm}")
    if kind == 1 and norm == "ortho":
        raise ValueError("Normalization is not supported for the Type-I DCT.")


def _cut_or_padded(x: Tensor, n: int) -> Tensor:
    cut = x[..., :n]
    have = cut.raw_shape[-1] if cut.raw_shape is not None else None
    if have == n:
        return cut
    rank = len(x.shape.as_list())
    missing = n - array_ops.shape(cut)[-1] if have is None else n - have
    padded = array_ops.pad(cut, [*[[0, 0]] * (rank - 1), [0, missing]])
    padded.set_shape([*x.shape.as_list()[:-1], n])
    return padded


# Windows


def _window(length: Any, periodic: bool, dtype: Any, a: float, b: float, name: str) -> Tensor:
    kind = as_dtype(dtype)
    number = whole_numbers(length)
    attrs = {"periodic": bool(periodic), "a": a, "b": b, "dtype": kind.numpy}
    shape = (number,) if isinstance(number, int) else (None,)
    return apply(
        cosine_window, [convert_to_tensor(length)], attrs, type="CosineWindow", name=name, dtype=kind, shape=shape
    )


def cosine_window(length, periodic, a, b, dtype):
    """The kernel of a raised cosine window: a - b cos(2 pi k / n)."""
    length = int(length)
    if length == 1:
        return np.ones(1, dtype)
    even = 1 - length % 2
    n = length + int(periodic) * even - 1
    return (a - b * np.cos(2 * np.pi * np.arange(length) / n)).astype(dtype)


def hann_window(
    window_length: Any, periodic: bool = True, dtype: Any = dtypes.float32, name: str | None = None
) -> Tensor:
    """A Hann window of the given length: 0.5 - 0.5 cos."""
    return _window(window_length, periodic, dtype, 0.5, 0.5, name or "hann_window")


def hamming_window(
    window_length: Any, periodic: bool = True, dtype: Any = dtypes.float32, name: str | None = None
) -> Tensor:
    """A Hamming window of the given length: 0.54 - 0.46 cos."""
    return _window(window_length, periodic, dtype, 0.54, 0.46, name or "hamming_window")


# Frames


def frame(
    signal: Any,
    frame_length: int,
    frame_step: int,
    pad_end: bool = False,
    pad_value: Any = 0,
    axis: int = -1,
    name: str | None = None,
) -> Tensor:
    """Split a signal into overlapping frames along an axis, which becomes two: number of frames, and frame_length.

    pad_end: include frames that extend beyond the end, padded with pad_value.
    """
    with name_scope(name, "frame", [signal]):
        x = convert_to_tensor(signal)
        rank: Any = array_ops.rank(x) if x.raw_shape is None else len(x.raw_shape)
        place = axis % rank
        length, step = int(frame_length), int(frame_step)
        size = None if x.raw_shape is None else x.raw_shape[place]
        if size is None:
            size = array_ops.shape(x)[place]
        if pad_end:
            count = -(-size // step)
            padding = (
                math_ops.maximum(0, length + step * (count - 1) - size)
                if isinstance(size, Tensor)
                else max(0, length + step * (count - 1) - size)
            )
            if isinstance(rank, Tensor):
                after = array_ops.one_hot(place, rank, padding, 0)
                pads: Any = array_ops.stack([array_ops.zeros_like(after), after], 1)
            else:
                pads = [[0, padding] if i == place else [0, 0] for i in range(rank)]
            x = array_ops.pad(x, pads, constant_values=pad_value)
        elif isinstance(size, Tensor):
            count = math_ops.maximum(0, 1 + (size - length) // step)
        else:
            count = max(0, 1 + (size - length) // step)
        starts = math_ops.range(count) * step
        index = array_ops.expand_dims(starts, 1) + np.arange(length, dtype=np.int32)
        return array_ops.gather(x, index, axis=place)


def overlap_and_add(signal: Any, frame_step: int, name: str | None = None) -> Tensor:
    """Reconstruct a signal from frames [..., frames, frame_length] that advance by `frame_step`; overlaps add up."""
    with name_scope(name, "overlap_and_add", [signal]):
        x = convert_to_tensor(signal)
        _at_least(x, 2)
        step = int(frame_step)
        last = (None, None) if x.raw_shape is None else x.raw_shape[-2:]
        frames, length = [array_ops.shape(x)[i] if d is None else d for i, d in zip((-2, -1), last, strict=True)]
        total = length + step * (frames - 1)
        places = array_ops.expand_dims(math_ops.range(frames) * step, 1) + array_ops.expand_dims(
            math_ops.range(length), 0
        )
        if x.raw_shape is None:
            axes = math_ops.range(array_ops.rank(x))
            inward: Any = array_ops.roll(axes, 2, 0)
            outward: Any = array_ops.roll(axes[:-1], -1, 0)
        else:
            rank = len(x.raw_shape)
            inward, outward = [rank - 2, rank - 1, *range(rank - 2)], [*range(1, rank - 1), 0]
        summed = math_ops.unsorted_segment_sum(array_ops.transpose(x, inward), places, total)
        return array_ops.transpose(summed, outward)


def _length_of_fft(frame_length: int) -> int:
    return 1 << max(0, int(frame_length) - 1).bit_length()


def stft(
    signals: Any,
    frame_length: int,
    frame_step: int,
    fft_length: int | None = None,
    window_fn: Callable[..., Any] | None = hann_window,
    pad_end: bool = False,
    name: str | None = None,
) -> Tensor:
    """The short-time Fourier transform of real signals [..., samples]: complex [..., frames, fft_length / 2 + 1].

    fft_length: by default the smallest power of two that holds a frame.   window_fn(frame_length, dtype=) or None.
    pad_end: add zeros at the end, so that every sample is in a frame.
    """
    with name_scope(name, "stft", [signals]):
        x = convert_to_tensor(signals)
        length = _length_of_fft(frame_length) if fft_length is None else int(fft_length)
        frames = frame(x, frame_length, frame_step, pad_end)
        if window_fn is not None:
            frames = frames * window_fn(frame_length, dtype=x.dtype)
        return rfft(frames, [length])


def inverse_stft(
    stfts: Any,
    frame_length: int,
    frame_step: int,
    fft_length: int | None = None,
    window_fn: Callable[..., Any] | None = hann_window,
    name: str | None = None,
) -> Tensor:
    """The signals for short-time Fourier transforms; exact with the window of `inverse_stft_window_fn`.

    stfts: complex [..., frames, fft_length / 2 + 1].
    """
    with name_scope(name, "inverse_stft", [stfts]):
        x = of_dtype(stfts, "stfts", _COMPLEX)
        length = _length_of_fft(frame_length) if fft_length is None else int(fft_length)
        frames = irfft(x, [length])[..., : int(frame_length)]
        if length < frame_length:
            frames = _cut_or_padded(frames, int(frame_length))
        if window_fn is not None:
            frames = frames * window_fn(frame_length, dtype=x.dtype.real_dtype)
        return overlap_and_add(frames, frame_step)


def inverse_stft_window_fn(
    frame_step: int, forward_window_fn: Callable[..., Any] = hann_window, name: str | None = None
) -> Callable[..., Tensor]:
    """The window for `inverse_stft` that inverts `stft` with forward_window_fn."""

    def window(frame_length: int, dtype: Any = dtypes.float32) -> Tensor:
        forward = forward_window_fn(frame_length, dtype=dtype)
        overlaps = -(-int(frame_length) // int(frame_step))
        extra = overlaps * int(frame_step) - int(frame_length)
        squares = array_ops.reshape(array_ops.pad(math_ops.square(forward), [[0, extra]]), [overlaps, int(frame_step)])
        total = math_ops.reduce_sum(squares, 0, keepdims=True)
        whole = array_ops.reshape(array_ops.tile(total, [overlaps, 1]), [-1])[: int(frame_length)]
        return forward / whole

    return window


# Speech


def linear_to_mel_weight_matrix(
    num_mel_bins: int = 20,
    num_spectrogram_bins: int = 129,
    sample_rate: float = 8000,
    lower_edge_hertz: float = 125.0,
    upper_edge_hertz: float = 3800.0,
    dtype: Any = dtypes.float32,
    name: str | None = None,
) -> Tensor:
    """The matrix [spectrogram bins, mel bins] that converts magnitudes at linear frequencies to mel bands.

    Each band is a triangle on the mel scale, 1127 ln(1 + hertz / 700), between the centers of its neighbors.
    num_mel_bins, num_spectrogram_bins: integers.   sample_rate, lower_edge_hertz, upper_edge_hertz: in hertz.
    Raises ValueError for no bins, or edges out of order or above sample_rate / 2.
    """
    if num_mel_bins <= 0:
        raise ValueError(f"num_mel_bins must be positive. Got: {num_mel_bins}")
    if not 0 <= lower_edge_hertz < upper_edge_hertz <= sample_rate / 2:
        raise ValueError(
            f"The edges must be 0 <= lower < upper <= sample_rate / 2. Got: {lower_edge_hertz}, {upper_edge_hertz}"
        )
    linear = np.linspace(0.0, sample_rate / 2, num_spectrogram_bins)[1:]
    mel = 1127 * np.log1p(linear / 700)
    edges = np.linspace(
        1127 * np.log1p(lower_edge_hertz / 700), 1127 * np.log1p(upper_edge_hertz / 700), num_mel_bins + 2
    )
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (mel[:, None] - low) / (centre - low)
    falling = (high - mel[:, None]) / (high - centre)
    weights = np.maximum(0, np.minimum(rising, falling))
    matrix = np.pad(weights, [[1, 0], [0, 0]]).astype(as_dtype(dtype).numpy)
    return convert_to_tensor(matrix, name=name or "linear_to_mel_weight_matrix")


def mfccs_from_log_mel_spectrograms(log_mel_spectrograms: Any, name: str | None = None) -> Tensor:
    """Cepstral coefficients from log mel spectrograms [..., bins]: `dct` of type 2, divided by sqrt(2 bins).

    log_mel_spectrograms: float tensor [..., bins].
    """
    with name_scope(name, "mfccs_from_log_mel_spectrograms", [log_mel_spectrograms]):
        x = convert_to_tensor(log_mel_spectrograms)
        bins = None if x.raw_shape is None else x.raw_shape[-1]
        size = math_ops.cast(array_ops.shape(x)[-1], x.dtype) if bins is None else float(bins)
        return dct(x, 2) * math_ops.rsqrt(convert_to_tensor(size, x.dtype) * 2.0)
