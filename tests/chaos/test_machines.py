"""Machines die at any moment: with replicas nothing is lost, with checkpoints a session goes back as a whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.chaos.killing import seed
from tests.chaos.stages import KILLS
from tests.chaos.test_kills import LONG

ROOT = Path(__file__).parent.parent.parent


def test_a_training_loop_that_loses_machines_ends_where_it_would_have_without():
    """The program compares the state with that of a run without faults; here is what it counted."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.machines_program", str(seed()), str(LONG)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert sum(seen["kills"].values()) == LONG
    assert seen["replicas"]["back"] == 0
    print(seen)
    for stage, count in seen["kills"].items():
        KILLS[f"{stage} (machines)"] += count
