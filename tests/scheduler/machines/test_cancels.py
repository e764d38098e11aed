"""Cancelled tasks: Ray aborts the process of one that cancels them from the wrong thread at the wrong moment."""

from __future__ import annotations

from tests.joining_program import RUNS
from tests.scheduler.machines.test_backend import JOINS


def test_runs_that_fail_while_their_tasks_end_do_not_end_the_process():
    seen = JOINS.seen()
    assert (seen["failed"], seen["works"]) == (RUNS, list(range(8)))
