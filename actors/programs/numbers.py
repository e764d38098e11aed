"""Numbers of files: those of the library are high in worker processes, the low ones are left to functions.

A function may have the number of a file that the program has opened. In another process that number must mean nothing,
so that the call fails and is repeated in the program; it must never mean one of our sockets.
"""

from __future__ import annotations

import fcntl
import os
import resource
import socket

_HIGH = 400


def raised(number: int) -> int:
    """A high number for an open file; the given one is closed."""
    least = min(_HIGH, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
    high = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, least)
    os.close(number)
    return high


def raised_socket(stream: socket.socket) -> socket.socket:
    """The same socket under a high number."""
    return socket.socket(stream.family, stream.type, stream.proto, raised(stream.detach()))
