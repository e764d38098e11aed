"""Processes of this machine that the program starts by itself, without Ray, and that end with it."""

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
"""Several processes that each use all cores take turns badly: each gets one thread, unless the user says otherwise."""


_NO_RAY = {"RAY_ENABLE_AUTO_CONNECT": "0"}
"""A function that calls Ray there must not start one, or join whatever there is: it is run in the program instead."""


class LocalProcess:
    """A local worker, which begins to serve in `folder` as `slot`.

    It is started by `exec`, so it shares no thread and no lock with the program, and needs no guard around the
    program's main part. It has a session of its own, so Ctrl-C reaches the program alone, which tells it to stop; its
    standard input is a pipe from the program, so it ends when the program does, however that may be.
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
        """False once it has ended."""
        return self._process.poll() is None

    def end(self) -> None:
        """End it, by force, with what its functions have started: it is the first of a process group."""
        with suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        if self._process.stdin is not None:
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
