"""Threads of the caller's process that run the programs of a plan beside each other.

slot     the caller is slot 0, helper threads are the others; each runs one program, and they exchange values

Worth it for code that releases the GIL: a hop between threads costs some microseconds, one through Ray a millisecond.
Helpers belong to the process and are lent to one run at a time.
"""

from __future__ import annotations

import functools
import statistics
import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import perf_counter, sleep

from weftwork.actors.exchange import Exchange, receive, send
from weftwork.actors.program import Stopped, quiet
from weftwork.scheduler.plan import Plan, Segment
from weftwork.scheduler.run import Run

_USUAL = 10e-6
"""Seconds below which a measured hop is believed at once."""
_TRIES, _PAUSE = 10, 3e-3
"""How often it is measured again, and the seconds between."""

_idle: list[SimpleQueue] = []
_lock = threading.Lock()


def _help(jobs: SimpleQueue) -> None:
    while True:
        job: Callable[[], None] = jobs.get()
        job()
        del job
        with _lock:
            _idle.append(jobs)


def borrow(count: int) -> list[SimpleQueue]:
    """The queues of `count` helper threads that have nothing to do; new ones are started where there are too few."""
    with _lock:
        helpers = [_idle.pop() for _ in range(min(count, len(_idle)))]
    while len(helpers) < count:
        jobs: SimpleQueue = SimpleQueue()
        threading.Thread(target=_help, args=(jobs,), name="weftwork-helper", daemon=True).start()
        helpers.append(jobs)
    return helpers


@functools.cache
def thread_hop() -> float:
    """Seconds from one thread to another: half of a round trip.

    What else the machine does just now, Ray's start for example, makes it look 40 times as long; so what looks long is
    measured again, a little later, and the least counts.
    """
    least = _measured_hop()
    for _ in range(_TRIES):
        if least < _USUAL:
            break
        sleep(_PAUSE)
        least = min(least, _measured_hop())
    return least


def _measured_hop() -> float:
    """The best quarter of some round trips, halved."""
    rounds = 25
    exchange = Exchange(None, 2 * rounds, 2)

    def answer() -> None:
        for number in range(rounds):
            receive(exchange, place=2 * number, slot=1)
            send(exchange, None, place=2 * number + 1, to=(0,))

    borrow(1)[0].put(answer)
    took = []
    for number in range(rounds):
        start = perf_counter()
        send(exchange, None, place=2 * number, to=(1,))
        receive(exchange, place=2 * number + 1, slot=0)
        took.append(perf_counter() - start)
    return statistics.quantiles(took, n=4)[0] / 2


class _Team:
    """One run of one plan by several threads."""

    def __init__(self, run: Run, plan: Plan, measure: bool):
        self.run, self.plan, self.measure = run, plan, measure
        self.exchange = Exchange(run, len(run.values) + len(plan.flow.ops), plan.slots)
        run.values.append(self.exchange)
        self.errors: list[BaseException] = []
        self.finished: SimpleQueue = SimpleQueue()

    def work(self, segment: Segment) -> None:
        """Run a slot's program."""
        try:
            with quiet():
                self.run.run_here(self.plan, segment, self.measure)
        except BaseException as error:
            self.errors.append(error)
            if not self.run.stop:
                self.run.stop.append("failed")
            self.exchange.wake()

    def helper(self, segment: Segment) -> None:
        """What a helper thread does for the run."""
        try:
            self.work(segment)
        finally:
            self.finished.put(segment.slot)


def run_in_threads(run: Run, plan: Plan, measure: bool) -> None:
    """Run a plan that was made for threads. The first error wins; it is raised once all threads have come to rest."""
    team = _Team(run, plan, measure)
    run.wakers.append(team.exchange.wake)
    helpers = borrow(plan.slots - 1)
    for segment, jobs in zip(plan.segments[1:], helpers, strict=True):
        jobs.put(lambda segment=segment: team.helper(segment))
    try:
        team.work(plan.segments[0])
    finally:
        for _ in helpers:
            team.finished.get()
    if team.errors:
        first = next((e for e in team.errors if not isinstance(e, Stopped)), None)
        raise run.stopped() if first is None else first
