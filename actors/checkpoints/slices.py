"""Slices of tensors, as TensorFlow's checkpoints name them: a range along each axis, or all of it.

spec  a slice as TensorFlow's savers write it: the shape of the whole, then `START,LENGTH` for each axis, or `-` for all
      of it: `7 2 0,3:-`
key   of a slice's value in a table: the tensor's name and the slice, encoded so that bytes sort as these do
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

Slice = tuple[tuple[int, int] | None, ...]
"""(start, length) along each axis; None for the whole axis."""

SLICE_MESSAGES = {
    "Extent": {"start": "1 int64", "length": "2 int64"},
    "Slice": {"extent": "1 repeated Extent"},
    "Dim": {"size": "1 int64", "name": "2 string"},
    "Shape": {"dim": "2 repeated Dim", "unknown_rank": "3 bool"},
}
"""Slices and shapes as protocol buffers. An extent of length 0 is the whole axis."""


class Cut(NamedTuple):
    """A slice of a larger value, to be written: the array, the shape of the whole, and the range along each axis."""

    value: Any
    shape: tuple[int, ...]
    cut: Slice


def parsed(spec: str) -> tuple[tuple[int, ...], Slice]:
    """The shape of the whole and the slice, from a spec. Raises ValueError for a malformed one."""
    *sizes, ranges = spec.split(" ")
    shape = tuple(map(int, sizes))
    cut: list[tuple[int, int] | None] = []
    for text in ranges.split(":") if shape else ():
        start, _, length = text.partition(",")
        cut.append(None if text == "-" else (int(start), int(length)))
    place_of(tuple(cut), shape)
    return shape, tuple(cut)


def assembled(
    place: tuple[slice, ...], dtype: Any, parts: Iterable[tuple[tuple[slice, ...], Callable[[], Any]]]
) -> np.ndarray:
    """The values at `place`, from the parts that overlap it: (position of a part, function that reads it).

    Raises ValueError if the parts do not cover it.
    """
    made = np.empty([at.stop - at.start for at in place], dtype)
    covered = 0
    for where, read in parts:
        both = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(place, where, strict=True)]
        if all([at.start < at.stop for at in both]):
            inside = tuple([slice(at.start - b.start, at.stop - b.start) for at, b in zip(both, where, strict=True)])
            target = tuple([slice(at.start - a.start, at.stop - a.start) for at, a in zip(both, place, strict=True)])
            made[target] = np.asarray(read())[inside]
            covered += math.prod([at.stop - at.start for at in both])
    if covered != made.size:
        raise ValueError("its slices do not make up the whole value")
    return made


def slice_of(message: Any) -> Slice:
    """The slice that a message describes."""
    return tuple([(int(e.start), int(e.length)) if e.length else None for e in message.extent])


def place_of(cut: Slice, shape: Sequence[int]) -> tuple[slice, ...]:
    """The index of a slice in an array of this shape. Raises ValueError if it exceeds the array."""
    if len(cut) != len(shape):
        raise ValueError(f"a slice of {len(cut)} axes of a value of shape {list(shape)}")
    found = []
    for extent, size in zip(cut, shape, strict=True):
        start, length = (0, size) if extent is None else extent
        if start < 0 or length < 0 or start + length > size:
            raise ValueError(f"a slice from {start}, of {length}, along an axis of {size}")
        found.append(slice(start, start + length))
    return tuple(found)


def slice_key(name: str, cut: Slice) -> bytes:
    """The key of a slice's value: 0, the name and the ranges, in ordered code."""
    made = bytearray(b"\0" + _ordered_text(name.encode("utf-8", "surrogateescape")) + _ordered(len(cut)))
    for extent in cut:
        start, length = (0, -1) if extent is None else extent
        made += _signed(start) + _signed(length)
    return bytes(made)


def _ordered_text(data: bytes) -> bytes:
    made = bytearray()
    for byte in data:
        made += b"\0\xff" if byte == 0 else b"\xff\0" if byte == 255 else bytes([byte])
    return bytes(made) + b"\0\x01"


def _ordered(number: int) -> bytes:
    """A whole number: its number of bytes, and the bytes."""
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes([len(data)]) + data


def _signed(number: int) -> bytes:
    """A signed number: the first bits give the number of bytes; they are inverted if the number is negative."""
    size = 1
    while (~number if number < 0 else number) >= 1 << (7 * size - 1):
        size += 1
    data = bytearray(number.to_bytes(max(size, 2), "big", signed=True)[-size:])
    head = ((0xFFFF << (16 - size)) & 0xFFFF).to_bytes(2, "big")
    for at in range(min(size, 2)):
        data[at] ^= head[at]
    return bytes(data)
