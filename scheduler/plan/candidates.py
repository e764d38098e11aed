"""Candidates: the strategies for a dataflow that look worth trying, each with its predicted seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.effects import functions_of, need_one_thread
from weftwork.scheduler.machines import backend, inventory
from weftwork.scheduler.machines.hops import task_hop, thread_hop
from weftwork.scheduler.plan.autotune import Candidate
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.grouping import after_locks
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.lanes import UNBOUNDED, Lanes
from weftwork.scheduler.plan.placement import Estimate, Place, scattered
from weftwork.scheduler.plan.plan import (
    Plan,
    detached_nodes,
    fits_slots,
    make_dynamic_plan,
    make_plan,
    make_slot_plan,
    wanted_values,
)
from weftwork.scheduler.plan.policy import (
    CLUSTERS_A_SLOT,
    DISPATCHES,
    GAIN,
    LONG_NODE,
    MOST_OF,
    MOST_SLOTS,
    PROCESS_HOP,
    ROUND_TRIP,
    SECONDS_A_BYTE,
    SHARED_NODE,
    SHARED_RUN,
    THREAD_ROUND_TRIP,
    TRYING_A_NODE,
    WORTH_TASKS,
    WORTH_TASKS_HERE,
    WORTH_THREADS,
)
from weftwork.scheduler.plan.schedule import Bound, Contracted, Schedule, clusters, ranks, schedule


def dynamic(flow: Dataflow, predicted: float = 0.0, price: float = 0.0) -> Candidate:
    """Lanes that are given nodes as the run goes on: local workers on one machine, else Ray tasks."""
    tasks = inventory.machine_count() > 1
    return Candidate(Place.DYNAMIC.value, predicted, partial(make_dynamic_plan, flow), price, tasks=tasks)


def candidates(
    flow: Dataflow, estimate: Estimate, lanes: Lanes = UNBOUNDED, placed: Plan | None = None
) -> list[Candidate]:
    """The strategies for a dataflow that look worth trying.

    placed: a plan made node by node, if some nodes need certain places; without it, every node may run anywhere.
    """
    seconds = [s or 0.0 for s in estimate.seconds]
    total = sum(seconds)
    if placed is not None:
        found = [Candidate("placed", total, lambda: placed)]
    else:
        everywhere = [Place.CALLER] * len(seconds)
        found = [Candidate("caller", total, partial(make_plan, flow, everywhere, estimate))]
    if sum([s for s in seconds if s > LONG_NODE]) < max(WORTH_THREADS, 0.5 * total):
        return found
    sharing = _Sharing.of(flow, estimate, seconds, lanes)
    if max(sharing.rank) > GAIN * total:
        return found
    if placed is not None:
        steady = _known_work(flow, seconds)[2] > MOST_OF * total
        ways = [sharing.at_run_time(ROUND_TRIP), sharing.in_residents() if steady else None]
        return [*found, *[way for way in ways if way is not None and way.predicted < GAIN * total]]
    holding, releasing, stable = _known_work(flow, seconds)
    hop = THREAD_ROUND_TRIP if releasing > MOST_OF * total else ROUND_TRIP
    shared, steady = sharing.at_run_time(hop), stable > MOST_OF * total
    ways = [
        shared,
        sharing.in_threads() if steady and holding < MOST_OF * total else None,
        sharing.in_residents() if steady and releasing < MOST_OF * total else None,
        sharing.in_tasks() if shared is None or (steady and releasing < MOST_OF * total) else None,
    ]
    return [*found, *[way for way in ways if way is not None and way.predicted < GAIN * total]]


def _known_work(flow: Dataflow, seconds: Sequence[float]) -> tuple[float, float, float]:
    """Seconds of work in nodes known to hold the GIL, known to release it, and known to be stable."""
    holding = releasing = stable = 0.0
    known: dict[Any, tuple[bool | None, bool]] = {}
    counts = Counter(flow.kernels)
    for op, kernel, spent in zip(flow.ops, flow.kernels, seconds, strict=True):
        if kernel is None:
            continue
        if kernel not in known:
            record = COSTS.find(kernel, 0)
            known[kernel] = HISTORY.holds_gil(kernel), record is not None and record.is_even(counts[kernel])
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
    bound: list[Bound]

    @classmethod
    def of(cls, flow: Dataflow, estimate: Estimate, seconds: list[float], lanes: Lanes) -> _Sharing:
        """Contract the chains."""
        before, after = flow.neighbours()
        kinds = _kinds(flow, before)
        if Bound.APART in kinds:
            seconds = [s + task_hop() if node in flow.needs else s for node, s in enumerate(seconds)]
        chained = Contracted.of(seconds, before, after, kinds)
        rank = ranks(chained.seconds, chained.after)
        bound = [kinds[nodes[0]] for nodes in chained.chains]
        return cls(flow, estimate, seconds, lanes, sum(seconds), chained, rank, bound)

    def at_run_time(self, hop: float) -> Candidate | None:
        """Lanes that are given nodes as the run goes on. hop: seconds from a node to its successor in another lane."""
        workers = min(self.lanes.own_cpus(), MOST_SLOTS)
        if inventory.machine_count() > 1:
            workers, hop = self.lanes.cpus(), task_hop()
        if workers < 2:
            return None
        foreseen = self._schedule(workers, hop).makespan + SHARED_NODE * len(self.seconds) + SHARED_RUN
        made = 0.0
        if inventory.machine_count() == 1:  # values are copied between processes, and threads make them in new memory
            made = sum([size for size, at in zip(self.estimate.bytes, self.flow.producer, strict=True) if at >= 0])
        return dynamic(self.flow, foreseen, SECONDS_A_BYTE * made)

    def in_threads(self) -> Candidate | None:
        """Threads of this process; not for functions that share its random generators or depend on their thread."""
        cpus = self.lanes.own_cpus()
        if cpus < 2 or need_one_thread(self.flow.functions):
            return None
        foreseen = self._nodes(self._schedule(cpus, thread_hop(), self.bound))
        # Another process never holds our GIL: where both look alike, prefer it to threads.
        return Candidate("thread", 1.1 * foreseen.makespan, self._in_slots(foreseen, Place.THREAD), self._price)

    def in_residents(self) -> Candidate | None:
        """The caller and local workers, by a static plan."""
        cpus = min(self.lanes.own_cpus(), MOST_SLOTS)
        if cpus < 2 or not fits_slots(self.flow):
            return None
        foreseen = self._nodes(self._schedule(cpus, PROCESS_HOP, self.bound))
        if not any(foreseen.slot):
            return None
        took = foreseen.makespan + PROCESS_HOP + SECONDS_A_BYTE * self._crossing(foreseen.slot)
        return Candidate("resident", took, self._in_slots(foreseen, Place.RESIDENT), self._price)

    def in_tasks(self) -> Candidate | None:
        """Ray tasks, on any machine."""
        slots, alone = self.lanes.cpus(), inventory.machine_count() == 1
        if slots < 2 or self.total < (WORTH_TASKS_HERE if alone else WORTH_TASKS) or not backend.is_running():
            return None
        hop = task_hop()
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
        plan = partial(make_plan, self.flow, places, self.estimate, expanded)
        return Candidate("task", foreseen.makespan + hop, plan, self._price)

    @property
    def _price(self) -> float:
        return TRYING_A_NODE * len(self.seconds)

    def _schedule(self, slots: int, hop: float, bound: list[Bound] | None = None) -> Schedule:
        return schedule(self.chained.seconds, self.chained.before, self.rank, slots, hop, bound)

    def _nodes(self, foreseen: Schedule) -> Schedule:
        """A schedule of chains as a schedule of nodes."""
        return self.chained.expanded(foreseen, self.seconds)

    def _in_slots(self, foreseen: Schedule, place: Place) -> Callable[[], Plan]:
        return partial(make_slot_plan, self.flow, foreseen, self.estimate, place)

    def _crossing(self, slot: Sequence[int]) -> float:
        """Predicted bytes of the values that move between the slots of a schedule."""
        flow = self.flow
        crossing = {
            (value, slot[node])
            for node, inputs in enumerate(flow.inputs)
            for value in inputs
            if value not in flow.constants and (slot[at] if (at := flow.producer[value]) >= 0 else 0) != slot[node]
        }
        crossing.update([(v, 0) for v in wanted_values(flow) if (at := flow.producer[v]) >= 0 and slot[at]])
        return sum([self.estimate.bytes[value] for value, _ in crossing])


def _kinds(flow: Dataflow, before: Sequence[Sequence[int]]) -> list[Bound]:
    """Where each node may run, whatever it costs."""
    locked, detached = after_locks(flow), detached_nodes(flow)
    kinds = []
    for node, kernel in enumerate(flow.kernels):
        if node in detached:
            kinds.append(Bound.APART)
        elif node in locked or flow.is_here(node) or HISTORY.stays(kernel) or not detached.isdisjoint(before[node]):
            kinds.append(Bound.CALLER)
        else:
            kinds.append(Bound.FREE)
    return kinds


def scattered_plan(flow: Dataflow, estimate: Estimate, place: Place) -> Plan:
    """A plan for three threads, or the caller and two residents, that assigns nodes by a hash (for tests).

    Residents call all of the user's functions: if one does not fit there, the run begins again, and must not repeat
    what another has done in the caller.
    """
    kinds = _kinds(flow, flow.neighbours()[0])
    nodes = list(range(len(flow.ops)))
    slot = []
    for node in nodes:
        away = place is Place.RESIDENT and functions_of([flow.kernels[node]]) != ()
        chosen = 1 + scattered(flow.ops[node].index, 2) if away else scattered(flow.ops[node].index, 3)
        slot.append(chosen if kinds[node] is Bound.FREE else 0)
    return make_slot_plan(flow, Schedule(0.0, slot, [float(n) for n in nodes], nodes), estimate, place)
