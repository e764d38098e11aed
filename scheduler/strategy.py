"""Strategies: several ways to run the same dataflow, which compete.

candidate   a plan, with the seconds that it was predicted to take and those that it took
contest     the candidates of one kind of run. Each that has a chance gets a few runs, and a few again later; the one
            that was fastest stays. So nothing needs to be known of what cannot be predicted, such as whether a function
            releases the GIL: threads are tried, and kept if they were faster.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from weftwork.scheduler import backend, inventory
from weftwork.scheduler.cluster import Contracted, clusters, neighbours, ranks, schedule
from weftwork.scheduler.dataflow import Dataflow
from weftwork.scheduler.grouping import after_locks
from weftwork.scheduler.placement import Estimate, Place
from weftwork.scheduler.plan import Plan, make_plan, make_thread_plan
from weftwork.scheduler.threads import thread_hop

_TRIES = 3
"""Runs that a candidate gets, of which the median counts."""
_AGAIN = 40
"""Runs after which those that had a chance are tried again: a program's first runs are slow, and three can be lucky."""
_HOPELESS = 1.5
"""A candidate that is predicted to take so many times what another took is not tried."""
_DOUBT = 1.05
"""Several workers must be faster than the caller alone by so much: three runs can be lucky."""
_MOVED = 0.3
"""Of the predicted work: a change by less makes no new plan."""
_GAIN = 0.85
"""A way with more than one worker must be predicted to take at most so much of the seconds of the caller alone."""
_WORTH_THREADS = 150e-6
"""Seconds of work, in nodes that are long, from which more than one worker is thought about."""
_LONG = 3e-6
"""Seconds of a node that can do something beside the interpreter's work of calling it."""
_WORTH_TASKS = 8e-3
"""Seconds of work from which tasks are thought about."""
_DISPATCHES = 4
"""A cluster for a task is worth at least so many dispatches, on average."""
_CLUSTERS = 8
"""Clusters for each slot, at least, where they are worth it: costs are not foreseen so well that slots never wait."""


@dataclass
class Candidate:
    """One way to run a dataflow."""

    name: str
    predicted: float
    plan: Plan
    took: list[float] = field(default_factory=list)

    @property
    def typical(self) -> float:
        """The median of its runs; infinite while it had none."""
        return statistics.median(self.took) if self.took else float("inf")


class Contest:
    """The candidates of one kind of run."""

    def __init__(self, candidates: list[Candidate]):
        self.candidates = sorted(candidates, key=lambda c: c.predicted)
        self.current = self.candidates[0]
        self.work = next((c.predicted for c in candidates if c.name == "caller"), 0.0)
        """Predicted seconds of all nodes, one after another."""
        self.certain = len(candidates) == 1
        """There is nothing to try."""
        self._settled = self.certain
        self._runs = 0

    @property
    def measured(self) -> Candidate:
        """The candidate for a run in which nodes are measured: beside other threads they take longer than they cost."""
        if self.current.plan.threads == 1:
            return self.current
        return next(c for c in self.candidates if c.plan.threads == 1)

    def still_holds(self, seconds: list[float | None]) -> bool:
        """True when what is known now of the nodes' seconds would lead to the same candidates, or nearly so."""
        work = sum([s or 0.0 for s in seconds])
        return abs(work - self.work) < _MOVED * self.work

    def record(self, seconds: float) -> None:
        """The current candidate's plan took so long; the next run may use another one."""
        self._runs += 1
        if self._runs == _AGAIN:
            self._again()
        elif not self._settled:
            took = self.current.took
            took.append(seconds)
            if len(took) >= _TRIES:
                self._next()

    def _again(self) -> None:
        best = min(c.typical for c in self.candidates)
        near = [c for c in self.candidates if c.typical < _HOPELESS * best]
        if len(near) > 1:
            for candidate in near:
                candidate.took.clear()
            self._settled, self.current = False, near[0]

    def _next(self) -> None:
        best = min(c.typical for c in self.candidates)
        for candidate in self.candidates:
            if len(candidate.took) < _TRIES and candidate.predicted < _HOPELESS * best:
                self.current = candidate
                return
        self._settled = True
        self.current = min(self.candidates, key=lambda c: c.typical * (1.0 if c.name == "caller" else _DOUBT))


def candidates(flow: Dataflow, estimate: Estimate) -> list[Candidate]:
    """The ways to run a dataflow of which every node may run anywhere, that are predicted to be worth a try."""
    seconds = [s or 0.0 for s in estimate.seconds]
    total = sum(seconds)
    everywhere = [Place.CALLER] * len(seconds)
    found = [Candidate("caller", total, make_plan(flow, everywhere, estimate))]
    if sum([s for s in seconds if s > _LONG]) < max(_WORTH_THREADS, 0.5 * total):
        return found
    locked = after_locks(flow)
    apart = [node in locked for node in range(len(seconds))]
    chained = Contracted.of(seconds, *neighbours(flow), apart)
    rank = ranks(chained.seconds, chained.after)
    if max(rank) > _GAIN * total:
        return found
    cpus = inventory.local_cpus()
    if cpus > 1:
        foreseen = schedule(chained.seconds, chained.before, rank, cpus, thread_hop())
        if foreseen.makespan < _GAIN * total:
            plan = make_thread_plan(flow, chained.expanded(foreseen, seconds), estimate)
            found.append(Candidate("thread", foreseen.makespan, plan))
    slots = inventory.cpus()
    if slots > 1 and total > _WORTH_TASKS and backend.is_running():
        hop = backend.task_hop()
        foreseen = schedule(chained.seconds, chained.before, rank, slots, hop)
        limit = max(_DISPATCHES * hop, total / (_CLUSTERS * slots))
        apart = [apart[nodes[0]] for nodes in chained.chains]
        groups = clusters(foreseen, chained.seconds, chained.before, apart, limit, hop)
        predicted = foreseen.makespan + hop
        if predicted < _GAIN * total and total / len(groups) > _DISPATCHES * hop:
            places = list(everywhere)
            expanded = []
            for slot, members in groups:
                work = sum([chained.seconds[chain] for chain in members])
                at = Place.CALLER if apart[members[0]] or work < hop else Place.TASK
                nodes = [node for chain in members for node in chained.chains[chain]]
                expanded.append((slot, nodes))
                for node in nodes:
                    places[node] = at
            # Another process never holds our GIL: where both look alike, prefer it to threads.
            plan = make_plan(flow, places, estimate, clusters=expanded)
            found.append(Candidate("task", 0.9 * predicted, plan))
    return found
