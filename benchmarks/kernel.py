"""What the tasks of the benchmarks do: importable, so that workers need not be sent it.

task, hashed   release the GIL        counted   pure Python
"""

from __future__ import annotations

import hashlib

MOST = 16_000_000
"""Bytes that a task hashes at most."""
_BUFFER = memoryview(bytes(MOST))


def task(size: int, step: int, place: int, wanted: tuple, *inputs):
    """Check that the inputs are those of `wanted` places in the row before, hash `size` bytes, say who this was."""
    if tuple([i for _, i in inputs]) != wanted or any([s != step - 1 for s, _ in inputs]):
        raise ValueError(f"task {step}, {place} got {inputs}")
    hashlib.sha1(_BUFFER[:size], usedforsecurity=False).digest()
    return step, place


def hashed(rounds: int, *inputs: int) -> int:
    """Hash again and again without the GIL, which is let go once however many rounds there are; mix the inputs."""
    digest = hashlib.pbkdf2_hmac("sha1", b"weft", b"work", rounds)
    return (sum(inputs) + digest[0]) % 1000


def counted(rounds: int, *inputs: int) -> int:
    """Add in pure Python, under the GIL; mix the inputs."""
    total = 0
    for k in range(rounds):
        total += k
    return (sum(inputs) + total) % 1000
