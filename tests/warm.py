"""A Ray that costs little: its workers are forked off a process that has imported what each needs.

A test run starts hundreds: one for each actor, and one for each that is killed. Each would import Ray, NumPy and the
package anew.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partialmethod
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from tests import worker_program

if TYPE_CHECKING:  # the small suite of `make pythons` has no psutil
    import psutil


@contextmanager
def forked_workers() -> Iterator[None]:
    """Fork the workers of the Ray that this process starts meanwhile."""
    from ray._private.parameter import RayParams

    program = worker_program.__file__
    with tempfile.TemporaryDirectory() as folder:
        os.environ[worker_program.SERVER] = path = os.path.join(folder, "server")
        command = [sys.executable, "-m", worker_program.__name__, "serve", path]
        with (
            subprocess.Popen(command, cwd=Path(program).parents[1], stdin=subprocess.PIPE, start_new_session=True),
            patch.object(RayParams, "__init__", partialmethod(RayParams.__init__, worker_path=program)),
        ):
            yield


def is_server(process: psutil.Process) -> bool:
    """True for the process that workers are forked off."""
    return worker_program.__name__ in process.cmdline()
