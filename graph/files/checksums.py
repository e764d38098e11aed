"""CRC-32C (Castagnoli), the checksum of records and of TensorFlow's checkpoint files, over NumPy.

The register of a CRC is linear in its input: the contribution of a byte depends only on its value and its distance from
the end, and the register of two concatenated parts is the first part's, advanced by as many zero bytes as the second
part has, xor the second part's. So we look up the bytes of a block in one table of contributions, about 4 ns a byte;
for large data we process equal parts side by side and then join them pairwise, 1 ns a byte.
Reference: https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import numpy as np

_POLYNOMIAL = 0x82F63B78
_BLOCK = 1024
_LOOP_BYTES, _PARALLEL_BYTES = 48, 1 << 18
"""Up to this number of bytes a loop is faster; from this number on, parts side by side are."""
_MOST_PARTS = 1 << 15
_ALL = 0xFFFFFFFF
_MASK_DELTA = 0xA282EAD8


def crc32c(data: Any, before: int = 0) -> int:
    """The 32-bit checksum of a buffer appended to data whose checksum is `before`."""
    remaining, register = np.frombuffer(data, np.uint8), before ^ _ALL
    while len(remaining) >= _PARALLEL_BYTES:
        register, remaining = _after_parts(register, remaining)
    if len(remaining) <= _LOOP_BYTES:
        return _after_bytes(register, remaining) ^ _ALL
    head = len(remaining) % _BLOCK
    register = (_after_bytes if head < 4 else _after_block)(register, remaining[:head])
    for block in remaining[head:].reshape(-1, _BLOCK):
        register = _after_block(register, block)
    return register ^ _ALL


def masked(checksum: int) -> int:
    """The form of a checksum used in files: rotated and offset, so that a CRC of data that contains CRCs stays good."""
    return ((checksum >> 15 | checksum << 17) + _MASK_DELTA) & _ALL


@cache
def _bytewise() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


def _after_bytes(register: int, data: np.ndarray) -> int:
    table = _bytewise()
    for byte in data.tolist():
        register = register >> 8 ^ table[(register ^ byte) & 0xFF]
    return register


# Blocks


@cache
def _contributions() -> np.ndarray:
    """The contribution of byte b followed by i bytes, at [_BLOCK - 1 - i, b]: one row for each byte of a block."""
    step = np.array(_bytewise(), np.uint32)
    rows = [step]
    for _ in range(_BLOCK - 1):
        rows.append(rows[-1] >> np.uint32(8) ^ step[rows[-1] & np.uint32(0xFF)])
    return np.stack(rows[::-1])


def _after_block(register: int, block: np.ndarray) -> int:
    """The register after 4 to 1024 more bytes, as if it were xored into the first four."""
    rows = np.arange(_BLOCK - len(block), _BLOCK)
    first = block[:4] ^ np.frombuffer(register.to_bytes(4, "little"), np.uint8)
    table = _contributions()
    rest = np.bitwise_xor.reduce(table[rows[4:], block[4:]]) if len(block) > 4 else 0
    return int(np.bitwise_xor.reduce(table[rows[:4], first]) ^ rest)


# Parts

Columns = tuple[int, ...]
"""A linear map of registers: the image of each bit."""


def _apply_map(register: int, columns: Columns) -> int:
    image, bit = 0, 0
    while register:
        if register & 1:
            image ^= columns[bit]
        register, bit = register >> 1, bit + 1
    return image


@lru_cache(maxsize=1024)
def _map_over_zeros(count: int) -> Columns:
    """The map that advances a register by `count` zero bytes."""
    if count == 1:
        table = _bytewise()
        return tuple([table[(1 << bit) & 0xFF] ^ (1 << bit) >> 8 for bit in range(32)])
    half = _map_over_zeros(count // 2)
    twice = tuple([_apply_map(column, half) for column in half])
    return twice if count % 2 == 0 else tuple([_apply_map(column, _map_over_zeros(1)) for column in twice])


@cache
def _map_over_word() -> tuple[np.ndarray, np.ndarray]:
    """The map for four zero bytes, for the low and the high half of registers."""
    halves = []
    for first in (0, 16):
        table = np.zeros(1, np.uint32)
        for bit in range(first, first + 16):
            table = np.concatenate([table, table ^ np.uint32(_map_over_zeros(4)[bit])])
        halves.append(table)
    return halves[0], halves[1]


def _apply_map_to_all(registers: np.ndarray, columns: Columns) -> np.ndarray:
    images = np.zeros_like(registers)
    for bit, column in enumerate(columns):
        images ^= (registers >> np.uint32(bit) & np.uint32(1)) * np.uint32(column)
    return images


def _after_parts(register: int, data: np.ndarray) -> tuple[int, np.ndarray]:
    """The register after most of the data, and the remaining data."""
    low, high = _map_over_word()
    parts = min(_MOST_PARTS, 1 << (len(data) // 16).bit_length() - 1)
    words = len(data) // (4 * parts)
    consumed = words * 4 * parts
    columns = data[:consumed].view("<u4").reshape(parts, words)
    found = np.zeros(parts, np.uint32)
    for word in range(words):
        found ^= columns[:, word]
        found = low[found & np.uint32(0xFFFF)] ^ high[found >> np.uint32(16)]
    length = 4 * words
    while len(found) > 1:
        found = _apply_map_to_all(found[0::2], _map_over_zeros(length)) ^ found[1::2]
        length *= 2
    return _apply_map(register, _map_over_zeros(consumed)) ^ int(found[0]), data[consumed:]
