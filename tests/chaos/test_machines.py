"""Machines die at any moment: with replicas nothing is lost, with checkpoints a session goes back as a whole."""

from __future__ import annotations

from tests.chaos.killing import seed
from tests.chaos.stages import KILLS
from tests.chaos.test_kills import LONG
from tests.programs import Program

MACHINES = Program("tests.chaos.machines_program", seed(), LONG)


def test_a_training_loop_that_loses_machines_ends_where_it_would_have_without():
    """The program compares the state with that of a run without faults; here is what it counted."""
    seen = MACHINES.seen()
    assert sum(seen["kills"].values()) == LONG
    assert seen["replicas"]["back"] == 0
    print(seen)
    for stage, count in seen["kills"].items():
        KILLS[f"{stage} (machines)"] += count
