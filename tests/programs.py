"""Programs that tests look at: each has a process, and a Ray, of its own; one after another, beside the other tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
_RUNS = ThreadPoolExecutor(1, "program")


def ended(process: subprocess.Popen, seconds: float = 100) -> tuple[str, str]:
    """Wait for the end of a process and return its output. A process that takes too long is killed."""
    try:
        return process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()


class Program:
    """A test module that is run as a program and prints its results as a line of JSON.

    path: folders of modules that it finds before those of the environment.
    """

    def __init__(self, module: str, *args: object, path: Iterable[Path] = ()):
        self._command = [sys.executable, "-m", module, *map(str, args)]
        self._path = [str(ROOT), *map(str, path)]
        self._run: Future[tuple[int, str, str]] | None = None
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        """Run it when those that were started before have ended."""
        if self._run is None:
            self._run = _RUNS.submit(self._work)

    def _work(self) -> tuple[int, str, str]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(self._path)}
        pipe = subprocess.PIPE
        with subprocess.Popen(
            self._command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True
        ) as self._process:
            output, errors = ended(self._process, 600)
        return self._process.returncode, output, errors

    def seen(self) -> Any:
        """Wait for the end of the program and return its output."""
        self.start()
        assert self._run is not None
        code, output, errors = self._run.result()
        found = [line for line in output.splitlines() if line.startswith("{")]  # Ray may have the last word
        assert (code, len(found)) == (0, 1), f"{self._command} ended with {code}\n{output}\n{errors}"
        return json.loads(found[0])

    def stop(self) -> None:
        """Stop the program, because its output is no longer needed."""
        if self._run is not None and not self._run.cancel() and self._process is not None:
            self._process.terminate()
