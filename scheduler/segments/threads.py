"""Threads: runs the programs of a plan concurrently, in threads of the caller's process.

slot     the caller is slot 0, helper threads are the others; each runs one program, and they exchange values

They suit code that releases the GIL: a hop between threads costs some microseconds, one through Ray a millisecond.
Helper threads belong to the process and are lent to one run at a time.
"""

from __future__ import annotations

from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from time import monotonic

from weftwork.actors.programs.exchange import Exchange
from weftwork.actors.programs.program import Stopped
from weftwork.graph.kernels.team import single_blas
from weftwork.scheduler.machines.helpers import borrow
from weftwork.scheduler.plan.plan import Plan, Segment
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.run.telling import Sent


class _Team:
    """One run of one plan by several threads."""

    def __init__(self, run: Run, plan: Plan, measure: bool):
        self.run, self.plan, self.measure = run, plan, measure
        self.exchange = Exchange(run, len(run.values) + len(plan.flow.ops), plan.slots)
        run.values.append(self.exchange)
        self.errors: list[BaseException] = []
        self.finished: SimpleQueue = SimpleQueue()
        now = monotonic()
        self.sent = Sent(now, now)

    def work(self, segment: Segment) -> None:
        """Run a slot's program."""
        try:
            self.run.run_here(self.plan, segment, self.measure, sent=self.sent)
        except BaseException as error:
            self.errors.append(error)
            if not self.run.stop:
                self.run.stop.append("failed")
            self.exchange.wake()

    def helper(self, segment: Segment) -> None:
        """The work of a helper thread for the run."""
        try:
            self.work(segment)
        finally:
            self.finished.put(segment.slot)


def run_in_threads(run: Run, plan: Plan, measure: bool) -> None:
    """Run a plan made for threads. The first error wins, and is raised once all threads have ended their work."""
    team = _Team(run, plan, measure)
    run.wakers.append(team.exchange.wake)
    helpers = borrow(plan.slots - 1)
    for segment, jobs in zip(plan.segments[1:], helpers, strict=True):
        jobs.put(partial(copy_context().run, team.helper, segment))
    with single_blas():
        try:
            team.work(plan.segments[0])
        finally:
            for _ in helpers:
                team.finished.get()
    if team.errors:
        first = next((e for e in team.errors if not isinstance(e, Stopped)), None)
        raise run.stopped() if first is None else first
