"""What the C library does with memory that arrays have left: it keeps it for those of the next step.

A training step makes the same arrays as the step before. glibc gives what is free at the end of its heap back to the
system as soon as that is twice the largest array, and to get it again costs a page fault for each 4 KiB: a quarter of
the time of a step of a small convolutional net.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from functools import lru_cache

KEPT = 256 << 20
"""Bytes at the end of the heap that stay."""
_MAPPED = 32 << 20
"""Bytes of a block that goes back to the system at once; glibc allows no more."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_USERS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Keep up to `KEPT` bytes, unless the user has said how memory is to be kept. No other C library is touched."""
    if any([name in os.environ for name in _USERS]):
        return
    with suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version()
        library.mallopt(_MMAP_THRESHOLD, _MAPPED)
        library.mallopt(_TRIM_THRESHOLD, KEPT)
