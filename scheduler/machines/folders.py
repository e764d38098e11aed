"""Folders for the sockets of processes on this machine. A socket's path has at most 107 bytes, and must be ASCII."""

from __future__ import annotations

import os
import tempfile

_MAX_PATH = 107 - len("/ray/session_2026-11-28_07-09-51_916483_4194304/sockets/plasma_store")
"""Maximum length in bytes of the folder's path."""


def socket_folder() -> str:
    """The folder for temporary files if sockets fit into it, else another one. Raises OSError."""
    for folder in (os.environ.get("RAY_TMPDIR"), _temporary_folder(), "/tmp", "/var/tmp", "/dev/shm"):
        folder = folder and os.path.abspath(folder)
        if folder and folder.isascii() and len(folder) <= _MAX_PATH and is_writable(folder):
            return folder
    raise OSError(
        f"No folder can hold the sockets of worker processes. Set TMPDIR to a writable folder whose path is at most "
        f"{_MAX_PATH} ASCII characters long.",
    )


def is_writable(folder: str) -> bool:
    """Whether this process can create files in a folder."""
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def _temporary_folder() -> str | None:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:  # no temporary folder is writable
        return None
