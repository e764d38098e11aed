"""The modified discrete cosine transform of half-overlapping frames, and windows for it."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import apply, convert_to_tensor
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.known import whole_numbers
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops
from weftwork.graph.ops.signal import dct, frame, overlap_and_add
from weftwork.graph.scopes import name_scope


def kaiser_window(window_length: Any, beta: Any = 12.0, dtype: Any = dtypes.float32, name: str | None = None) -> Tensor:
    """A Kaiser window of the given length.

    window_length: an integer.   beta: larger values lower the side lobes of the window's spectrum.
    """
    return _made_window(_kaiser, window_length, dtype, name or "kaiser_window", beta)


def kaiser_bessel_derived_window(
    window_length: Any, beta: Any = 12.0, dtype: Any = dtypes.float32, name: str | None = None
) -> Tensor:
    """A Kaiser-Bessel derived window of an even length, for `mdct`.

    window_length: an integer.   beta: as in `kaiser_window`.
    """
    return _made_window(_derived, window_length, dtype, name or "kaiser_bessel_derived_window", beta)


def vorbis_window(window_length: Any, dtype: Any = dtypes.float32, name: str | None = None) -> Tensor:
    """Vorbis's window of the given length, for `mdct`.

    window_length: a whole number.
    """
    return _made_window(_vorbis, window_length, dtype, name or "vorbis_window")


def _made_window(kernel: Any, length: Any, dtype: Any, name: str, *numbers: Any) -> Tensor:
    kind, known = as_dtype(dtype), whole_numbers(length)
    inputs = [convert_to_tensor(length), *[convert_to_tensor(number, dtypes.float64) for number in numbers]]
    shape = (known,) if isinstance(known, int) else (None,)
    return apply(kernel, inputs, {"dtype": kind.numpy}, type="Window", name=name, dtype=kind, shape=shape)


def _kaiser(length, beta, dtype):
    return np.kaiser(int(length), beta).astype(dtype)


def _derived(length, beta, dtype):
    half = np.cumsum(np.kaiser(int(length) // 2 + 1, beta))
    rising = np.sqrt(half[:-1] / half[-1])
    return np.concatenate([rising, rising[::-1]]).astype(dtype)


def _vorbis(length, dtype):
    length = int(length)
    return np.sin(np.pi / 2 * np.sin(np.pi / length * (np.arange(length) + 0.5)) ** 2).astype(dtype)


def mdct(
    signals: Any, frame_length: Any, window_fn: Any = vorbis_window, pad_end: bool = False, norm: str | None = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """The modified discrete cosine transform of half-overlapping frames: [..., n] -> [..., frames, length / 2].

    signals: floats [..., n].   frame_length: a multiple of 4.   window_fn: makes the window; None for none.
    pad_end: pad the end with zeros to complete the last frame.   norm: None, or "ortho" for an orthonormal transform.
    Raises ValueError for a length that is not a multiple of 4.
    """
    with name_scope(name, "mdct", [signals]):
        count = _quarters(frame_length)
        framed = frame(signals, count, count // 2, pad_end)
        kind = framed.dtype.base_dtype
        if window_fn is not None:
            framed = framed * window_fn(count, dtype=kind)
        else:
            framed = framed * np.array(0.5**0.5, kind.numpy)
        a, b, c, d = [framed[..., i * count // 4 : (i + 1) * count // 4] for i in range(4)]
        first = -array_ops.reverse(c, [-1]) - d
        return dct(array_ops.concat([first, a - array_ops.reverse(b, [-1])], -1), type=4, norm=norm)


def inverse_mdct(
    mdcts: Any, window_fn: Any = vorbis_window, norm: str | None = None, name: str | None = None
) -> Tensor:
    """Reconstruct a signal from its `mdct`, [..., frames, n], except for half a frame at its beginning and its end.

    mdcts: the result of `mdct`.   window_fn, norm: as passed to `mdct`.
    """
    with name_scope(name, "inverse_mdct", [mdcts]):
        values = convert_to_tensor(mdcts)
        half = values.shape.as_list()[-1]
        if half is None:
            raise ValueError("The last axis of mdcts must be known.")
        split = dct(values, type=4, norm=norm)
        scale = 0.5 / half if norm is None else 1.0
        left, right = split[..., : half // 2], split[..., half // 2 :]
        backwards = array_ops.reverse(left, [-1])
        whole = array_ops.concat([right, -array_ops.reverse(right, [-1]), -backwards, -left], -1)
        kind = values.dtype.base_dtype
        whole = whole * np.array(scale, kind.numpy)
        if window_fn is not None:
            whole = whole * window_fn(2 * half, dtype=kind)
        else:
            whole = whole * np.array(0.5**0.5, kind.numpy)
        return overlap_and_add(whole, half)


def _quarters(frame_length: Any) -> int:
    count = whole_numbers(frame_length)
    if not isinstance(count, int) or count % 4:
        raise ValueError(f"frame_length must be a multiple of 4 that is known, not {frame_length}.")
    return count
