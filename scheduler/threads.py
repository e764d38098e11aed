"""Threads of the caller's process that run a plan's segments beside each other.

slot     the caller is slot 0, helper threads are the others; each runs its segments in the plan's order
note     the number of a segment, put into a slot's queue when one that it waits for is done in another slot

Worth it for code that releases the GIL: a hop between threads costs some tens of microseconds, one through Ray a
millisecond. Helpers belong to the process and are lent to one run at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from weftwork.actors.program import Stopped, quiet
from weftwork.scheduler.plan import Plan, Segment
from weftwork.scheduler.run import Run

_idle: list[SimpleQueue] = []
_lock = threading.Lock()


def _help(jobs: SimpleQueue) -> None:
    while True:
        job: Callable[[], None] = jobs.get()
        job()
        del job
        with _lock:
            _idle.append(jobs)


def _borrow(count: int) -> list[SimpleQueue]:
    """The queues of `count` helper threads that have nothing to do; new ones are started where there are too few."""
    with _lock:
        helpers = [_idle.pop() for _ in range(min(count, len(_idle)))]
    while len(helpers) < count:
        jobs: SimpleQueue = SimpleQueue()
        threading.Thread(target=_help, args=(jobs,), name="weftwork-helper", daemon=True).start()
        helpers.append(jobs)
    return helpers


class _Team:
    """One run of one plan by several threads."""

    def __init__(self, run: Run, plan: Plan, measure: bool):
        self.run, self.plan, self.measure = run, plan, measure
        self.notes: list[SimpleQueue] = [SimpleQueue() for _ in range(plan.threads)]
        self.waits = [segment.waits for segment in sorted(plan.segments, key=lambda s: s.number)]
        self.errors: list[BaseException] = []
        self.finished: SimpleQueue = SimpleQueue()

    def work(self, slot: int, segments: list[Segment]) -> None:
        """Run a slot's segments, each once those that it waits for are done."""
        waits, notes = self.waits, self.notes[slot]
        try:
            with quiet():
                for segment in segments:
                    number = segment.number
                    while waits[number]:
                        note = notes.get()
                        if note is None:
                            raise Stopped
                        waits[note] -= 1
                    self.run.run_here(self.plan, segment, self.measure)
                    for other in segment.next:
                        if other.slot == slot:
                            waits[other.number] -= 1
                        else:
                            self.notes[other.slot].put(other.number)
        except BaseException as error:
            self.errors.append(error)
            self.wake()

    def helper(self, slot: int, segments: list[Segment]) -> None:
        """What a helper thread does for the run."""
        try:
            self.work(slot, segments)
        finally:
            self.finished.put(slot)

    def wake(self) -> None:
        """Make every slot stop at its next wait or step."""
        if not self.run.stop:
            self.run.stop.append("failed")
        for notes in self.notes:
            notes.put(None)


def run_in_threads(run: Run, plan: Plan, measure: bool) -> None:
    """Run a plan that was made for threads. The first error wins; it is raised once all threads have come to rest."""
    lists: list[list[Segment]] = [[] for _ in range(plan.threads)]
    for segment in sorted(plan.segments, key=lambda s: s.number):
        lists[segment.slot].append(segment)
    team = _Team(run, plan, measure)
    run.wakers.append(team.wake)
    helpers = _borrow(plan.threads - 1)
    for slot, jobs in enumerate(helpers, start=1):
        jobs.put(lambda slot=slot: team.helper(slot, lists[slot]))
    try:
        team.work(0, lists[0])
    finally:
        for _ in helpers:
            team.finished.get()
    if team.errors:
        first = next((e for e in team.errors if not isinstance(e, Stopped)), None)
        raise run.stopped() if first is None else first
