"""The task of `metg`: importable, so that workers need not be sent its buffer."""

from __future__ import annotations

import hashlib

MOST = 4_000_000
"""Bytes that a task hashes at most."""
_BUFFER = memoryview(bytes(MOST))


def task(size: int, step: int, place: int, wanted: tuple, *inputs):
    """Check that the inputs are those of `wanted` places in the row before, hash `size` bytes, say who this was."""
    if tuple([i for _, i in inputs]) != wanted or any([s != step - 1 for s, _ in inputs]):
        raise ValueError(f"task {step}, {place} got {inputs}")
    hashlib.sha1(_BUFFER[:size], usedforsecurity=False).digest()
    return step, place
