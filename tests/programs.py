"""Programs that tests look at: each has a process of its own, and often a Ray. One after another runs beside the tests.

When only the tests that look are left, two run at a time: a test runs its program itself if its turn has not come.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.waiting import LONG

ROOT = Path(__file__).parent.parent
_RUNS = ThreadPoolExecutor(1, "program")
_RAY_GAVE_UP = "The current node timed out during startup"
"""What Ray says when a part of it is not up in time, on a busy machine."""


def ended(process: subprocess.Popen, seconds: float = LONG, given: str | None = None) -> tuple[str, str]:
    """What a process has printed, when it has ended; it is killed where that takes too long. given: what it reads."""
    try:
        return process.communicate(given, timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()


class Program:
    """A process that Python is started in, and what it prints.

    command: what follows `python`: the name of a module of the tests, or an option, and arguments.
    script: the text of a program, which is put into a file and run from there, with the arguments.
    given: what it reads from its standard input.   path: folders of modules that it finds before the environment's.
    """

    def __init__(self, *command: object, script: str = "", given: str = "", path: Iterable[Path] = ()):
        self._command = list(map(str, command))
        if command and not self._command[0].startswith("-"):
            self._command.insert(0, "-m")
        self._script, self._given = textwrap.dedent(script), given
        self._path = [str(ROOT), *map(str, path), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._run: Future[subprocess.CompletedProcess[str]] | None = None
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        """Run it when those that were started before have ended."""
        if self._run is None:
            self._run = _RUNS.submit(self._work)

    def _work(self, attempts: int = 3) -> subprocess.CompletedProcess[str]:
        """Run it now, again if a Ray that it started has given up."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(self._path)}
        pipe = subprocess.PIPE
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, *self._command]
            if self._script:
                script = Path(folder, "program.py")
                script.write_text(self._script)
                command.insert(1, str(script))
            with subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True
            ) as self._process:
                output, errors = ended(self._process, given=self._given)
        if attempts > 1 and self._process.returncode and _RAY_GAVE_UP in errors:
            return self._work(attempts - 1)
        return subprocess.CompletedProcess(command, self._process.returncode, output, errors)

    def done(self) -> subprocess.CompletedProcess[str]:
        """Its status and what it has printed, when it has ended. It runs now if it still waits for its turn."""
        self.start()
        assert self._run is not None
        if self._run.cancel():
            done = self._work()
            self._run = Future()
            self._run.set_result(done)
        return self._run.result()

    def seen(self) -> Any:
        """What it saw, when it has ended: it prints that as a line of JSON."""
        run = self.done()
        found = [line for line in run.stdout.splitlines() if line.startswith("{")]  # Ray may have the last word
        assert (run.returncode, len(found)) == (0, 1), f"{run}\n{run.stderr}"
        return json.loads(found[0])

    def stop(self) -> None:
        """Stop the program, because its output is no longer needed."""
        if self._run is not None:
            self._run.cancel()
        if self._process is not None:
            self._process.terminate()
