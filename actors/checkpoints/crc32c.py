"""CRC-32C (Castagnoli), the checksum of TensorFlow's files, over NumPy: many parts of the data at the same time.

The register of a CRC is linear over its input: that of two parts is the first one's, moved over as many zero bytes as
the second has, plus (xor) the second's. So equal parts are summed up side by side, and then joined two by two.
Reference: https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import numpy as np

_POLYNOMIAL = 0x82F63B78
_FEW = 64
"""Bytes below which one after another is faster."""
_MOST_PARTS = 1 << 15


@cache
def _bytes_table() -> list[int]:
    table = []
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (_POLYNOMIAL if number & 1 else 0)
        table.append(number)
    return table


Columns = tuple[int, ...]
"""A linear map of registers: what becomes of each bit."""


def _moved(register: int, columns: Columns) -> int:
    made, bit = 0, 0
    while register:
        if register & 1:
            made ^= columns[bit]
        register, bit = register >> 1, bit + 1
    return made


@lru_cache(maxsize=1024)
def _over(count: int) -> Columns:
    """The map of a register over `count` zero bytes."""
    if count == 1:
        table = _bytes_table()
        return tuple([table[(1 << bit) & 255] ^ (1 << bit) >> 8 for bit in range(32)])
    half = _over(count // 2)
    twice = tuple([_moved(column, half) for column in half])
    return twice if count % 2 == 0 else tuple([_moved(column, _over(1)) for column in twice])


@cache
def _over_word() -> tuple[np.ndarray, np.ndarray]:
    """The map over four zero bytes, of the low and the high half of registers."""
    halves = []
    for first in (0, 16):
        table = np.zeros(1, np.uint32)
        for bit in range(first, first + 16):
            table = np.concatenate([table, table ^ np.uint32(_over(4)[bit])])
        halves.append(table)
    return halves[0], halves[1]


def _all_moved(registers: np.ndarray, columns: Columns) -> np.ndarray:
    made = np.zeros_like(registers)
    for bit, column in enumerate(columns):
        made ^= (registers >> np.uint32(bit) & np.uint32(1)) * np.uint32(column)
    return made


def _register(data: np.ndarray, register: int) -> int:
    """The register after some bytes."""
    low, high = _over_word()
    while len(data) >= _FEW:
        parts = min(_MOST_PARTS, 1 << (len(data) // 16).bit_length() - 1)
        words = len(data) // (4 * parts)
        taken = words * 4 * parts
        columns = data[:taken].view("<u4").reshape(parts, words)
        found = np.zeros(parts, np.uint32)
        for word in range(words):
            found ^= columns[:, word]
            found = low[found & np.uint32(0xFFFF)] ^ high[found >> np.uint32(16)]
        length = 4 * words
        while len(found) > 1:
            found = _all_moved(found[0::2], _over(length)) ^ found[1::2]
            length *= 2
        register = _moved(register, _over(taken)) ^ int(found[0])
        data = data[taken:]
    table = _bytes_table()
    for byte in data.tolist():
        register = table[(register ^ byte) & 255] ^ register >> 8
    return register


def extend(data: Any, checksum: int = 0) -> int:
    """The checksum of what `checksum` is of, and these bytes after it."""
    view = np.frombuffer(data, np.uint8)
    return _register(view, checksum ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def masked(checksum: int) -> int:
    """A checksum as TensorFlow stores it: that of data with checksums in it should be no special number."""
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF
