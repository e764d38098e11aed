"""Connections to processes that Ray cannot live without, so that their end is noticed."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from time import monotonic
from typing import Any

LOOK = 0.25
"""Seconds between checks whether the program has shut Ray down, or a line can be restored."""
BACK_WITHIN = 5.0
"""Seconds within which a joined cluster must answer again, because its head may be restarting."""


class Line:
    """A connection to a process of Ray's. Its end means the end of the process, unless it can be restored."""

    def __init__(self, where: Any, patience: float):
        self._where, self._patience = where, patience
        self._socket = _connected(where)

    def fileno(self) -> int:
        return self._socket.fileno()

    def holds(self) -> bool:
        """Check a line that is readable. Returns False if its other end is gone and does not come back."""
        with suppress(OSError):
            if self._socket.recv(4096):
                return True
        self._socket.close()
        end = monotonic() + self._patience
        while True:
            try:
                self._socket = _connected(self._where)
                return True
            except OSError:
                if monotonic() >= end:
                    return False
            threading.Event().wait(LOOK)

    def close(self) -> None:
        self._socket.close()


def _connected(where: Any) -> socket.socket:
    if not isinstance(where, str):
        return socket.create_connection(where, BACK_WITHIN)
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(BACK_WITHIN)  # a suspended process does not accept connections
    try:
        made.connect(where)
    except BaseException:
        made.close()
        raise
    return made


def lines_of(life: Any) -> list[Line]:
    """Lines to the processes that Ray cannot live without: this machine's store, and the head."""
    node = life.node
    if node is None or not life.is_driver:  # a client's Ray is elsewhere, and a worker dies with its own
        return []
    host, _, port = node.gcs_address.rpartition(":")
    ends = [(node.raylet_socket_name, 0.0), ((host, int(port)), 0.0 if node.is_head() else BACK_WITHIN)]
    lines = []
    for where, patience in ends:
        with suppress(OSError):
            lines.append(Line(where, patience))
    return lines
