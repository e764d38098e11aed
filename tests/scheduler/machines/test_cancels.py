"""Cancelled tasks: Ray aborts the process of one that cancels them from the wrong thread at the wrong moment."""

from __future__ import annotations

from tests import cancel_program
from tests.programs import Program

FAILING = Program("tests.cancel_program")


def test_runs_that_fail_while_their_tasks_end_do_not_end_the_process():
    assert FAILING.seen() == {"failed": cancel_program.RUNS, "works": list(range(8))}
