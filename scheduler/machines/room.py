"""Room in shared memory, where Ray keeps its store.

The system gives the store its memory page by page, as values are written. If other programs have filled shared memory
by then, writing to the next page kills the process that writes (SIGBUS), which may be the program. So when little room
is left, all missing pages are allocated before anything more is written, or else the value is refused.
"""

from __future__ import annotations

import errno
import glob
import os
from collections.abc import Iterator
from contextlib import suppress

FOLDER = "/dev/shm"
_SPARE = 64 << 20
"""Bytes beyond a value that should be free: other processes write, too."""


def left() -> int | None:
    """The free bytes of shared memory; None if there is no such folder."""
    try:
        state = os.statvfs(FOLDER)
    except OSError:
        return None
    return state.f_bavail * state.f_frsize


def has_room(raylet: int, size: int) -> bool:
    """False if a value of `size` bytes might not fit into the store of a raylet, which is given by its process id."""
    free = left()
    if free is None or free > size + _SPARE:
        return True
    return all([_is_whole(path) for path in _stores(raylet)])


def shortage(size: int = 0) -> str:
    """A sentence that says that shared memory is too small for `size` more bytes; empty if there is enough."""
    free = left()
    if free is None or free > size + _SPARE:
        return ""
    return f"Only {free >> 20} MB of {FOLDER} are free, where Ray keeps large values: writing more ends the process."


def _stores(raylet: int) -> Iterator[str]:
    for path in glob.glob(f"/proc/{raylet}/fd/*"):
        with suppress(OSError):
            if os.readlink(path).startswith(f"{FOLDER}/plasma"):
                yield path


def _is_whole(path: str) -> bool:
    """Allocate all pages of a file. False if there are not enough."""
    try:
        file = os.open(path, os.O_RDWR)
    except OSError:
        return True
    try:
        state = os.fstat(file)
        if state.st_blocks * 512 < state.st_size:
            os.posix_fallocate(file, 0, state.st_size)
    except OSError as error:
        return error.errno != errno.ENOSPC
    finally:
        os.close(file)
    return True
