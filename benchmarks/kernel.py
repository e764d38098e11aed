"""The functions that benchmark tasks run. They are importable, so they need not be sent to workers.

task, hashed   release the GIL        counted   pure Python
"""

from __future__ import annotations

import hashlib

MOST = 16_000_000
"""Maximum number of bytes that a task hashes."""
_BUFFER = memoryview(bytes(MOST))


def task(size: int, step: int, place: int, wanted: tuple, *inputs):
    """Check that the inputs come from places `wanted` of the row before, hash `size` bytes, return this task's
    identity.
    """
    if tuple([i for _, i in inputs]) != wanted or any([s != step - 1 for s, _ in inputs]):
        raise ValueError(f"task {step}, {place} got {inputs}")
    hashlib.sha1(_BUFFER[:size], usedforsecurity=False).digest()
    return step, place


def hashed(rounds: int, *inputs: int) -> int:
    """Hash `rounds` times without the GIL, which is released only once. Mixes the inputs in."""
    digest = hashlib.pbkdf2_hmac("sha1", b"weft", b"work", rounds)
    return (sum(inputs) + digest[0]) % 1000


def counted(rounds: int, *inputs: int) -> int:
    """Add in pure Python, holding the GIL. Mixes the inputs in."""
    total = 0
    for k in range(rounds):
        total += k
    return (sum(inputs) + total) % 1000
