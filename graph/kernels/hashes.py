"""Hashes of strings, with TensorFlow's values: 64-bit integers.

murmur        `string_to_hash_bucket`: MurmurHash64A with TensorFlow's seed
fingerprint   `string_to_hash_bucket_fast`: FarmHash's Fingerprint64 (github.com/google/farmhash)
siphash       `string_to_hash_bucket_strong`: SipHash-2-4 (Aumasson and Bernstein 2012), with a key
"""

from __future__ import annotations

import struct

_MASK = (1 << 64) - 1
_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F


def murmur(data: bytes, seed: int = 0xDECAFCAFFE) -> int:
    """MurmurHash64A."""
    mul = 0xC6A4A7935BD1E995
    h = (seed ^ len(data) * mul) & _MASK
    whole = len(data) // 8 * 8
    for (k,) in struct.iter_unpack("<Q", data[:whole]):
        k = k * mul & _MASK
        k = (k ^ k >> 47) * mul & _MASK
        h = (h ^ k) * mul & _MASK
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * mul & _MASK
    h = (h ^ h >> 47) * mul & _MASK
    return h ^ h >> 47


# FarmHash


def fingerprint(data: bytes) -> int:
    """Fingerprint64."""
    n = len(data)
    if n <= 16:
        return _up_to_16(data, n)
    mul = (_K2 + n * 2) & _MASK
    if n <= 32:
        return _mixed(*_halves(data, n, mul, _K1), mul)
    if n <= 64:
        return _up_to_64(data, n, mul)
    return _long(data, n)


def _fetch(data: bytes, at: int, size: int = 8) -> int:
    return int.from_bytes(data[at : at + size], "little")


def _rotated(value: int, by: int) -> int:
    value &= _MASK
    return (value >> by | value << (64 - by)) & _MASK


def _shifted(value: int) -> int:
    value &= _MASK
    return value ^ value >> 47


def _mixed(u: int, v: int, mul: int) -> int:
    a = _shifted(((u ^ v) & _MASK) * mul)
    b = _shifted(((v ^ a) & _MASK) * mul)
    return b * mul & _MASK


def _up_to_16(data: bytes, n: int) -> int:
    mul = (_K2 + n * 2) & _MASK
    if n >= 8:
        a, b = (_fetch(data, 0) + _K2) & _MASK, _fetch(data, n - 8)
        return _mixed((_rotated(b, 37) * mul + a) & _MASK, (_rotated(a, 25) + b) * mul & _MASK, mul)
    if n >= 4:
        return _mixed((n + (_fetch(data, 0, 4) << 3)) & _MASK, _fetch(data, n - 4, 4), mul)
    if n:
        y, z = data[0] + (data[n >> 1] << 8), n + (data[n - 1] << 2)
        return _shifted(y * _K2 ^ z * _K0) * _K2 & _MASK
    return _K2


def _halves(data: bytes, n: int, mul: int, first: int) -> tuple[int, int]:
    a, b = _fetch(data, 0) * first & _MASK, _fetch(data, 8)
    c, d = _fetch(data, n - 8) * mul & _MASK, _fetch(data, n - 16) * _K2 & _MASK
    return (_rotated(a + b, 43) + _rotated(c, 30) + d) & _MASK, (a + _rotated(b + _K2, 18) + c) & _MASK


def _up_to_64(data: bytes, n: int, mul: int) -> int:
    a = _fetch(data, 0) * _K2 & _MASK
    y, right = _halves(data, n, mul, _K2)
    z = _mixed(y, right, mul)
    e, f = _fetch(data, 16) * mul & _MASK, _fetch(data, 24)
    g, h = (y + _fetch(data, n - 32)) * mul & _MASK, (z + _fetch(data, n - 24)) * mul & _MASK
    left = (_rotated(e + f, 43) + _rotated(g, 30) + h) & _MASK
    return _mixed(left, (e + _rotated(f + a, 18) + g) & _MASK, mul)


def _weak(data: bytes, at: int, a: int, b: int) -> tuple[int, int]:
    w, x, y, z = struct.unpack_from("<4Q", data, at)
    a = (a + w) & _MASK
    b = _rotated(b + a + z, 21)
    c, a = a, (a + x + y) & _MASK
    b += _rotated(a, 44)
    return (a + z) & _MASK, (b + c) & _MASK


def _long(data: bytes, n: int) -> int:
    x, y = 81, (81 * _K1 + 113) & _MASK
    z = _shifted(y * _K2 + 113) * _K2 & _MASK
    v = w = (0, 0)
    x = (x * _K2 + _fetch(data, 0)) & _MASK
    for at in range(0, (n - 1) // 64 * 64, 64):
        x, y, z, v, w = _round(data, at, x, y, z, v, w, _K1, 1)
    mul = (_K1 + ((z & 0xFF) << 1)) & _MASK
    w = ((w[0] + ((n - 1) & 63)) & _MASK, w[1])
    v = ((v[0] + w[0]) & _MASK, v[1])
    w = ((w[0] + v[0]) & _MASK, w[1])
    x, y, z, v, w = _round(data, n - 64, x, y, z, v, w, mul, 9)
    left = _mixed(v[0], w[0], mul) + _shifted(y) * _K0 + z
    return _mixed(left & _MASK, (_mixed(v[1], w[1], mul) + x) & _MASK, mul)


def _round(data: bytes, at: int, x: int, y: int, z: int, v: tuple, w: tuple, mul: int, times: int) -> tuple:
    x = _rotated(x + y + v[0] + _fetch(data, at + 8), 37) * mul & _MASK
    y = _rotated(y + v[1] + _fetch(data, at + 48), 42) * mul & _MASK
    x ^= w[1] * times & _MASK
    y = (y + v[0] * times + _fetch(data, at + 40)) & _MASK
    z = _rotated(z + w[0], 33) * mul & _MASK
    v = _weak(data, at, v[1] * mul & _MASK, (x + w[0]) & _MASK)
    w = _weak(data, at + 32, (z + w[1]) & _MASK, (y + _fetch(data, at + 16)) & _MASK)
    return z, y, x, v, w


# SipHash


def siphash(data: bytes, key: tuple[int, int]) -> int:
    """SipHash-2-4."""
    low, high = key
    state = [low ^ 0x736F6D6570736575, high ^ 0x646F72616E646F6D, low ^ 0x6C7967656E657261, high ^ 0x7465646279746573]
    padded = data + b"\0" * (7 - len(data) % 8) + bytes([len(data) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", padded):
        state[3] ^= word
        state = _sip_round(_sip_round(state))
        state[0] ^= word
    state[2] ^= 0xFF
    for _ in range(4):
        state = _sip_round(state)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def _sip_round(state: list[int]) -> list[int]:
    a, b, c, d = state
    a, c = (a + b) & _MASK, (c + d) & _MASK
    b, d = _rotated(b, 51) ^ a, _rotated(d, 48) ^ c
    a = _rotated(a, 32)
    c, a = (c + b) & _MASK, (a + d) & _MASK
    b, d = _rotated(b, 47) ^ c, _rotated(d, 43) ^ a
    return [a, b, _rotated(c, 32), d]
