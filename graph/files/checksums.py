"""CRC-32C (Castagnoli), as records carry it.

A CRC is linear: that of a block is the exclusive or of what each byte adds by its value and its distance from the end.
So a table of these contributions gives the CRC of a block in one NumPy look-up, some 4 ns a byte.
"""

from __future__ import annotations

from functools import cache

import numpy as np

_POLYNOMIAL = 0x82F63B78
_BLOCK = 1024
_FEW = 48
"""Bytes up to which a loop is faster."""
_MASK_DELTA = 0xA282EAD8


@cache
def _bytewise() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


@cache
def _contributions() -> np.ndarray:
    """What byte b adds that has i bytes behind it, at [_BLOCK - 1 - i, b]: the rows are those of a block's bytes."""
    step = np.array(_bytewise(), np.uint32)
    rows = [step]
    for _ in range(_BLOCK - 1):
        rows.append(rows[-1] >> np.uint32(8) ^ step[rows[-1] & np.uint32(0xFF)])
    return np.stack(rows[::-1])


def crc32c(data: bytes) -> int:
    """The checksum of some bytes, a whole number of 32 bits."""
    state, head = 0xFFFFFFFF, len(data) % _BLOCK
    if len(data) <= _FEW or head < 4:
        head = head if len(data) > _FEW else len(data)
        table = _bytewise()
        for byte in data[:head]:
            state = state >> 8 ^ table[(state ^ byte) & 0xFF]
        if head == len(data):
            return state ^ 0xFFFFFFFF
    else:
        state = _after(state, np.frombuffer(data, np.uint8, head))
    for block in np.frombuffer(data, np.uint8, len(data) - head, head).reshape(-1, _BLOCK):
        state = _after(state, block)
    return state ^ 0xFFFFFFFF


def _after(state: int, block: np.ndarray) -> int:
    """The state after 4 to 1024 more bytes: the state itself counts as if it were laid over the first four."""
    rows = np.arange(_BLOCK - len(block), _BLOCK)
    first = block[:4] ^ np.frombuffer(state.to_bytes(4, "little"), np.uint8)
    table = _contributions()
    rest = np.bitwise_xor.reduce(table[rows[4:], block[4:]]) if len(block) > 4 else 0
    return int(np.bitwise_xor.reduce(table[rows[:4], first]) ^ rest)


def masked_crc32c(data: bytes) -> int:
    """The checksum as it stands in files: turned and moved, so that the CRC of data that holds CRCs stays good."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF
