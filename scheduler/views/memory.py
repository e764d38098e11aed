"""The memory of a program's processes on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def resident_bytes(pids: Iterable[int]) -> dict[int, int]:
    """The resident memory of processes in bytes, from Linux. Processes that are gone or elsewhere are left out."""
    found = {}
    for pid in pids:
        with suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/statm") as file:
            found[pid] = int(file.read().split()[1]) * _PAGE_BYTES
    return found
