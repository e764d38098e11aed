"""Autotuning: several strategies to run the same dataflow compete, and the fastest one stays.

candidate   a plan, with its predicted and its measured seconds
autotuner   the candidates for one kind of run. The most promising one is tried first, and dropped as soon as another
            one is predicted to beat its measured times. Each candidate gets a few runs, and a few more later.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.effects import need_one_thread
from weftwork.scheduler.machines import backend, inventory
from weftwork.scheduler.machines.helpers import thread_hop
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.grouping import after_locks
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.lanes import UNBOUNDED, Lanes
from weftwork.scheduler.plan.placement import Estimate, Place, scattered
from weftwork.scheduler.plan.plan import Plan, make_dynamic_plan, make_plan, make_slot_plan
from weftwork.scheduler.plan.policy import (
    AGAIN_AFTER,
    AGAIN_LATER,
    CLUSTERS_A_SLOT,
    DISPATCHES,
    DOUBT,
    GAIN,
    HOPELESS,
    LONG_NODE,
    MOST_OF,
    MOST_SLOTS,
    MOVED_WORK,
    NEAR,
    NEARLY_ALL,
    PROCESS_HOP,
    ROUND_TRIP,
    SECONDS_A_BYTE,
    SHARED_NODE,
    THREAD_ROUND_TRIP,
    TRIES,
    WORTH_TASKS,
    WORTH_THREADS,
)
from weftwork.scheduler.plan.schedule import Contracted, Schedule, clusters, neighbours, ranks, schedule

_SLOW_AT_FIRST = frozenset(["thread", "resident", "task"])
"""Static plans, whose first run is slow: it loads their programs and starts their threads."""


@dataclass(eq=False)
class Candidate:
    """One way to run a dataflow."""

    name: str
    predicted: float
    plan: Plan
    took: list[float] = field(default_factory=list)

    @property
    def typical(self) -> float:
        """The median of its measured runs; infinite before the first one."""
        return statistics.median(self.took) if self.took else float("inf")

    @property
    def estimate(self) -> float:
        """The expected seconds of a run: measured if it has run, else predicted."""
        return self.typical if self.took else self.predicted


class Autotuner:
    """The candidates of one kind of run."""

    def __init__(self, candidates: list[Candidate]):
        self.candidates = sorted(candidates, key=lambda c: c.predicted)
        self.current = self.candidates[0]
        self.work = next((c.predicted for c in candidates if c.name == "caller"), 0.0)
        """Predicted seconds of all nodes, run one after another."""
        self.certain = len(candidates) == 1
        """There is only one candidate, so nothing to try."""
        self._settled = self.certain
        self._dropped: set[str] = set()
        self._runs, self._again_at = 0, AGAIN_AFTER

    @property
    def measured(self) -> Candidate:
        """The candidate for a run that measures its nodes: not a static plan for several slots."""
        if self.current.plan.slots == 1:
            return self.current
        ways = [c for c in self.candidates if c.plan.slots == 1]
        return next((c for c in ways if c.plan.is_dynamic), ways[0] if ways else self.current)

    @property
    def may_grow(self) -> bool:
        """True while runs are shared out dynamically only because costs are unknown: more candidates may follow."""
        return self.certain and self.current.plan.is_dynamic

    def still_holds(self, seconds: list[float | None]) -> bool:
        """True when the nodes' costs, as known now, would lead to much the same candidates."""
        work = sum([s or 0.0 for s in seconds])
        return abs(work - self.work) < MOVED_WORK * self.work

    def renew(self, fresh: list[Candidate]) -> None:
        """Update the plans after costs have changed: each candidate keeps its measured runs, and new candidates join.

        The lower of the two predictions counts, because nodes measured beside others look slower than they are.
        """
        made = {candidate.name: candidate for candidate in fresh if candidate.name not in self._dropped}
        for candidate in self.candidates:
            if candidate.name in made:
                again = made.pop(candidate.name)
                candidate.predicted, candidate.plan = min(candidate.predicted, again.predicted), again.plan
        if made:
            self.candidates += made.values()
            self.certain = self._settled = False
            self._next()

    def drop(self, candidate: Candidate) -> None:
        """Remove a candidate that cannot be run."""
        self._dropped.add(candidate.name)
        self.candidates = [c for c in self.candidates if c is not candidate]
        self.certain = len(self.candidates) == 1
        self._settled = self._settled or self.certain
        if self.current is candidate:
            self._next()

    def instead(self, candidate: Candidate) -> Candidate:
        """Another candidate for this run: the next one to try, or the fastest."""
        others = [c for c in self.candidates if c is not candidate]
        best = min(c.typical for c in others)
        untried = [c for c in others if len(c.took) < TRIES and c.estimate < HOPELESS * best]
        return min(untried or others, key=lambda c: c.estimate)

    def record(self, candidate: Candidate, seconds: float) -> None:
        """Note how long a run of a candidate took, and choose the candidate for the next run."""
        if candidate is not self.current:
            if len(candidate.took) < TRIES:
                candidate.took.append(seconds)
            return
        self._runs += 1
        if self._runs == self._again_at:
            self._again_at *= AGAIN_LATER
            self._again()
        elif not self._settled:
            took = self.current.took
            took.append(seconds)
            others = min([c.estimate for c in self.candidates if c is not self.current])
            broken = min(took) > HOPELESS * others and (len(took) > 1 or self.current.name not in _SLOW_AT_FIRST)
            if broken or len(took) >= TRIES:
                self._next()

    def _again(self) -> None:
        best = min(c.typical for c in self.candidates)
        near = [c for c in self.candidates if c.typical < NEAR * best]
        if len(near) > 1:
            for candidate in near:
                candidate.took.clear()
            self._settled, self.current = False, near[0]

    def _next(self) -> None:
        best = min(c.typical for c in self.candidates)
        hopeful = [c for c in self.candidates if len(c.took) < TRIES and c.estimate < HOPELESS * best]
        if hopeful:
            self.current = min(hopeful, key=lambda c: c.estimate)
            return
        self._settled = True
        self.current = min(self.candidates, key=lambda c: c.typical * (1.0 if c.name == "caller" else DOUBT))


def candidates(
    flow: Dataflow, estimate: Estimate, lanes: Lanes = UNBOUNDED, placed: Plan | None = None
) -> list[Candidate]:
    """The strategies for a dataflow that look worth trying.

    placed: a plan made node by node, if some nodes need certain places; without it, every node may run anywhere.
    """
    seconds = [s or 0.0 for s in estimate.seconds]
    total = sum(seconds)
    if placed is not None:
        found = [Candidate("placed", total, placed)]
    else:
        everywhere = [Place.CALLER] * len(seconds)
        found = [Candidate("caller", total, make_plan(flow, everywhere, estimate))]
    if sum([s for s in seconds if s > LONG_NODE]) < max(WORTH_THREADS, 0.5 * total):
        return found
    sharing = _Sharing.of(flow, estimate, seconds, lanes)
    if max(sharing.rank) > GAIN * total:
        return found
    if placed is not None:
        way = sharing.at_run_time(ROUND_TRIP)
        return [*found, way] if way is not None and way.predicted < GAIN * total else found
    holding, releasing, stable = _known_work(flow, seconds)
    hop = THREAD_ROUND_TRIP if releasing > MOST_OF * total else ROUND_TRIP
    shared, steady = sharing.at_run_time(hop), stable > NEARLY_ALL * total
    ways = [
        shared,
        sharing.in_threads() if steady and holding < MOST_OF * total else None,
        sharing.in_residents() if steady and releasing < MOST_OF * total else None,
        sharing.in_tasks() if steady or shared is None else None,
    ]
    return [*found, *[way for way in ways if way is not None and way.predicted < GAIN * total]]


def _known_work(flow: Dataflow, seconds: Sequence[float]) -> tuple[float, float, float]:
    """Seconds of work in nodes known to hold the GIL, known to release it, and known to be stable."""
    holding = releasing = stable = 0.0
    known: dict[Any, tuple[bool | None, bool]] = {}
    for op, kernel, spent in zip(flow.ops, flow.kernels, seconds, strict=True):
        if kernel is None:
            continue
        if kernel not in known:
            record = COSTS.find(kernel, 0)
            known[kernel] = HISTORY.holds_gil(kernel), record is not None and record.is_even
        holds, even = known[kernel]
        if holds is not None:
            holding, releasing = holding + spent * holds, releasing + spent * (not holds)
        if even or HISTORY.is_stable(op):
            stable += spent
    return holding, releasing, stable


@dataclass
class _Sharing:
    """The work of a dataflow as several workers would share it: its chains, and those that need the write locks."""

    flow: Dataflow
    estimate: Estimate
    seconds: list[float]
    lanes: Lanes
    total: float
    chained: Contracted
    rank: list[float]
    bound: list[bool]

    @classmethod
    def of(cls, flow: Dataflow, estimate: Estimate, seconds: list[float], lanes: Lanes) -> _Sharing:
        """Contract the chains."""
        locked = after_locks(flow)
        apart = [node in locked or _stays(flow, node) for node in range(len(seconds))]
        chained = Contracted.of(seconds, *neighbours(flow), apart)
        rank = ranks(chained.seconds, chained.after)
        bound = [apart[nodes[0]] for nodes in chained.chains]
        return cls(flow, estimate, seconds, lanes, sum(seconds), chained, rank, bound)

    def at_run_time(self, hop: float) -> Candidate | None:
        """Lanes that are given nodes as the run goes on. hop: seconds from a node to its successor in another lane."""
        workers = min(self.lanes.own_cpus(), MOST_SLOTS)
        if workers < 2 or inventory.machine_count() > 1:
            return None
        foreseen = self._schedule(workers, hop).makespan + SHARED_NODE * len(self.seconds)
        return Candidate("dynamic", foreseen, make_dynamic_plan(self.flow, self.estimate))

    def in_threads(self) -> Candidate | None:
        """Threads of this process; not for functions that share its random generators or depend on their thread."""
        cpus = self.lanes.local_cpus()
        if cpus < 2 or need_one_thread(self.flow.functions):
            return None
        foreseen = self._schedule(cpus, thread_hop(), self.bound)
        return Candidate("thread", foreseen.makespan, self._slot_plan(foreseen, Place.THREAD))

    def in_residents(self) -> Candidate | None:
        """The caller and local workers, by a static plan."""
        cpus = min(self.lanes.own_cpus(), MOST_SLOTS)
        if cpus < 2:
            return None
        foreseen = self._schedule(cpus, PROCESS_HOP, self.bound)
        plan = self._slot_plan(foreseen, Place.RESIDENT)
        took = foreseen.makespan + PROCESS_HOP + SECONDS_A_BYTE * self._crossing(plan)
        # Another process never holds our GIL: where both look alike, prefer it to threads.
        return Candidate("resident", 0.9 * took, plan)

    def in_tasks(self) -> Candidate | None:
        """Ray tasks, on any machine."""
        slots = self.lanes.cpus()
        if slots < 2 or self.total < WORTH_TASKS or not backend.is_running():
            return None
        hop = backend.task_hop()
        chained, bound = self.chained, self.bound
        foreseen = self._schedule(slots, hop)
        limit = max(DISPATCHES * hop, self.total / (CLUSTERS_A_SLOT * slots))
        groups = clusters(foreseen, chained.seconds, chained.before, bound, limit, hop)
        if self.total / len(groups) < 0.5 * DISPATCHES * hop:
            return None
        places = [Place.CALLER] * len(self.seconds)
        expanded = []
        for slot, members in groups:
            work = sum([chained.seconds[chain] for chain in members])
            nodes = [node for chain in members for node in chained.chains[chain]]
            expanded.append((slot, nodes))
            if not bound[members[0]] and work >= hop:
                for node in nodes:
                    places[node] = Place.TASK
        plan = make_plan(self.flow, places, self.estimate, expanded)
        return Candidate("task", foreseen.makespan + hop, plan)

    def _schedule(self, slots: int, hop: float, bound: list[bool] | None = None) -> Schedule:
        return schedule(self.chained.seconds, self.chained.before, self.rank, slots, hop, bound)

    def _slot_plan(self, foreseen: Schedule, place: Place) -> Plan:
        return make_slot_plan(self.flow, self.chained.expanded(foreseen, self.seconds), self.estimate, place)

    def _crossing(self, plan: Plan) -> float:
        """Predicted bytes of the values that move between the slots of a plan."""
        slot = {node: segment.slot for segment in plan.segments for node in segment.nodes}
        crossing = {
            (value, slot[node])
            for node, inputs in enumerate(self.flow.inputs)
            for value in inputs
            if slot.get(self.flow.producer[value], 0) != slot[node] and value not in self.flow.constants
        }
        crossing.update([(value, 0) for segment in plan.segments if segment.slot for value in segment.outputs])
        return sum([self.estimate.bytes[value] for value, _ in crossing])


def _stays(flow: Dataflow, node: int) -> bool:
    """True for a node that must run in the caller's process, whatever it costs."""
    return flow.is_here(node) or HISTORY.stays(flow.kernels[node])


def scattered_plan(flow: Dataflow, estimate: Estimate, place: Place) -> Plan:
    """A plan for three threads, or the caller and two residents, that assigns nodes by a hash (for tests)."""
    locked = after_locks(flow)
    count = len(flow.ops)
    slot = [0 if node in locked else scattered(flow.ops[node].index, 3) for node in range(count)]
    nodes = list(range(count))
    return make_slot_plan(flow, Schedule(0.0, slot, [float(n) for n in nodes], nodes), estimate, place)
