"""Make the C library keep memory that arrays have freed, for the arrays of the next step.

A training step makes the same arrays as the one before. glibc returns free memory at the end of its heap to the system
once it exceeds twice the largest array. Getting it back costs a page fault per 4 KiB: a quarter of the time of a step
of a small convolutional net.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from functools import lru_cache

KEPT = 256 << 20
"""Free bytes to keep at the end of the heap."""
_MAPPED = 32 << 20
"""Size in bytes from which a block is returned to the system at once. glibc allows no more."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_USERS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Keep up to `KEPT` bytes, unless the user has configured this. Does nothing for other C libraries."""
    if any([name in os.environ for name in _USERS]):
        return
    with suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version()
        library.mallopt(_MMAP_THRESHOLD, _MAPPED)
        library.mallopt(_TRIM_THRESHOLD, KEPT)
