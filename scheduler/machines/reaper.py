"""A process that waits until this one has ended, however it did, and then ends what would outlive it."""

from __future__ import annotations

import glob
import subprocess
from contextlib import suppress
from pathlib import Path

_SCRIPT = "read _; for p; do grep -qs ^ray:: /proc/$p/cmdline && kill -9 $p; done"
"""It reads a pipe that closes with this process. A number may be another process's by then: Ray's are called so."""


class Reaper:
    """Ends the agents of a raylet when this process has ended: they try to tell Ray's head for 40 s, which is dead."""

    def __init__(self, raylet: int):
        self._process = None
        agents = [pid for pid in _children(raylet) if b"agent" in _command(pid).lower()]
        with suppress(OSError):  # no shell here
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT, "sh", *agents], stdin=subprocess.PIPE, start_new_session=True
            )

    def close(self) -> None:
        """Do it now."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()


def _children(pid: int) -> list[str]:
    found = []
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        with suppress(OSError):
            found += Path(path).read_text().split()
    return found


def _command(pid: str) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
