"""Where the sockets of processes on this machine are: a socket's path has 107 bytes, and Ray wants them in ASCII."""

from __future__ import annotations

import os
import tempfile

_ROOM = 107 - len("/ray/session_2026-11-28_07-09-51_916483_4194304/sockets/plasma_store")
"""Bytes that the folder's path may have."""


def socket_folder() -> str:
    """The folder for temporary files, where sockets can be in it, else another one. Raises OSError."""
    for folder in (os.environ.get("RAY_TMPDIR"), _usual(), "/tmp", "/var/tmp", "/dev/shm"):
        if folder and folder.isascii() and len(folder) <= _ROOM and is_writable(folder):
            return folder
    raise OSError(
        f"No folder can hold the sockets of worker processes. Set TMPDIR to a folder that can be written to, and whose "
        f"path has at most {_ROOM} characters, all of them ASCII.",
    )


def is_writable(folder: str) -> bool:
    """True for a folder in which this process can make files."""
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def _usual() -> str | None:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:  # none that can be written to
        return None
