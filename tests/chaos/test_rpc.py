"""The network loses what Ray sends: each committed run is applied exactly once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.chaos.test_kills import LONG

ROOT = Path(__file__).parent.parent.parent


def test_lost_requests_and_lost_replies_apply_nothing_twice():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.rpc_program", str(5 * LONG), str(8 * LONG)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (seen,) = [line for line in done.stdout.splitlines() if line.startswith("{")]  # Ray may have the last word
    print(seen)
    assert json.loads(seen)["lost"] > 0
