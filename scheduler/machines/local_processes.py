"""Processes of this machine that the program starts without Ray, and that end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress

_MAIN = """\
import sys as _sys
_sys.path[:] = {path!r}
from weftwork.actors.processes.local_worker import main as _main
_main({folder!r}, {slot})
"""
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables that are set to 1 unless the user sets them:

concurrent processes must not all use all cores.
"""


_NO_RAY = {"RAY_ENABLE_AUTO_CONNECT": "0"}
"""Keeps a function in such a process from starting or joining Ray. It is run in the program instead."""


class LocalProcess:
    """A local worker, which serves in `folder` as `slot`.

    It is started by `exec`, so it shares no thread or lock with the program, and the program's main part needs no
    guard. It is in a process session of its own, so Ctrl-C reaches only the program, which then stops it. Its standard
    input is a pipe from the program, so it ends whenever the program does.
    """

    def __init__(self, folder: str, slot: int):
        code = _MAIN.format(path=[os.path.abspath(entry) for entry in sys.path], folder=folder, slot=slot)
        environment = dict.fromkeys(_ONE_THREAD, "1") | os.environ | _NO_RAY
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, env=environment, start_new_session=True
        )
        self.pid = self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    def end(self) -> None:
        """Kill the process, and with it the processes that its functions started: they are one process group."""
        with suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        if self._process.stdin is not None:
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
