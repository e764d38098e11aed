"""A process that waits for the end of this one, and then kills processes that would outlive it."""

from __future__ import annotations

import glob
import subprocess
from contextlib import suppress
from pathlib import Path

_SCRIPT = "read _; for p; do grep -qs ^ray:: /proc/$p/cmdline && kill -9 $p; done"
"""Waits on a pipe that closes with this process. Process numbers may have been reused, so names are checked."""


class Reaper:
    """Kills the agents of a raylet once this process has ended. They would try to reach Ray's dead head for 40 s."""

    def __init__(self, raylet: int):
        self._process = None
        agents = [pid for pid in children_of(raylet) if b"agent" in _command(pid).lower()]
        with suppress(OSError):  # there is no shell
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT, "sh", *agents], stdin=subprocess.PIPE, start_new_session=True
            )

    def close(self) -> None:
        """Kill the agents now."""

        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()


def children_of(pid: int) -> list[str]:
    """The ids of a process's children, also of those that have ended and nobody has noticed."""
    found = []
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        with suppress(OSError):
            found += Path(path).read_text().split()
    return found


def _command(pid: str) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
