"""Autotuning: several strategies to run the same dataflow compete, and the fastest one stays.

candidate   a plan, with its predicted and its measured seconds
price       the extra seconds that the first runs of a static plan take: its programs are sent, loaded and balanced
due         a candidate whose price is less than what it would have saved in the runs so far. Only these are tried
autotuner   the candidates for one kind of run. The most promising one is tried first, and dropped as soon as another
            one is predicted to beat its measured times. Each candidate gets a few runs, and a few more later.

A price is paid once as much has been lost by not paying it, as in ski rental: the total is at most twice that of the
best choice.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import ceil, inf
from typing import Any

from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.effects import functions_of, need_one_thread
from weftwork.scheduler.machines import backend, inventory
from weftwork.scheduler.machines.hops import task_hop, thread_hop
from weftwork.scheduler.plan.collector import collecting_later
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
    AGAIN_AFTER,
    AGAIN_LATER,
    CLUSTERS_A_SLOT,
    DISPATCHES,
    DOUBT,
    GAIN,
    HOPELESS,
    LONG_NODE,
    LONGER_NODES,
    MOST_OF,
    MOST_SLOTS,
    MOVED_WORK,
    NEAR,
    PROCESS_HOP,
    ROUND_TRIP,
    SECONDS_A_BYTE,
    SHARED_NODE,
    THREAD_ROUND_TRIP,
    TRIAL_LOSS,
    TRIES,
    TRYING_A_NODE,
    WORTH_TASKS,
    WORTH_TASKS_HERE,
    WORTH_THREADS,
)
from weftwork.scheduler.plan.schedule import Bound, Contracted, Schedule, clusters, ranks, schedule


class Candidate:
    """One way to run a dataflow."""

    def __init__(self, name: str, predicted: float, make: Callable[[], Plan], price: float = 0.0, tasks: bool = False):
        """make: returns the plan. Its programs are written when the candidate is first run, because most candidates
        never run.   tasks: Ray tasks run it, though others could."""
        self.name, self.predicted, self.make, self.price = name, predicted, make, price
        self.took: list[float] = []
        self.is_dynamic = name == Place.DYNAMIC.value
        """True if its nodes are shared out as the run goes on."""
        self.needs_residents = name in (Place.DYNAMIC.value, Place.RESIDENT.value) and not tasks
        """True if local workers run it together with the caller."""
        self.has_slots = name in (Place.THREAD.value, Place.RESIDENT.value)
        """True if its nodes are assigned to slots that run concurrently, so they cannot be measured one by one."""

    @cached_property
    def plan(self) -> Plan:
        """The plan."""
        with collecting_later():
            return self.make()

    @property
    def typical(self) -> float:
        """The median of its measured runs; infinite before the first one."""
        return statistics.median(self.took) if self.took else inf

    @property
    def estimate(self) -> float:
        """The expected seconds of a run: measured if it has run, else predicted."""
        return self.typical if self.took else self.predicted

    def take(self, again: Candidate, seconds: Sequence[float | None]) -> None:
        """Adopt a newer prediction of the same candidate, and its plan if the old one no longer fits.

        seconds: those of each node, as known now.
        """
        if "plan" not in self.__dict__ or not self._fits(again.predicted, seconds):
            self.make, self.price = again.make, again.price
            self.__dict__.pop("plan", None)
        self.predicted = min(self.predicted, again.predicted)

    def take_plan(self, earlier: Sequence[Candidate]) -> None:
        """Take over the plan for the caller from earlier candidates of the same dataflow, if it fits."""
        for candidate in earlier:
            if candidate.name == self.name == Place.CALLER.value and "plan" in candidate.__dict__:
                if candidate._fits(self.predicted, ()):
                    self.plan = candidate.plan

    def _fits(self, predicted: float, seconds: Sequence[float | None]) -> bool:
        """True if the plan is as good as a new one, whose programs would have to be written, sent and compiled."""
        if self.has_slots:
            longest = max([sum([seconds[node] or 0.0 for node in segment.nodes]) for segment in self.plan.segments])
            return longest < HOPELESS * predicted
        return self.name == Place.CALLER.value and predicted < LONGER_NODES * self.predicted

    def paid(self) -> bool:
        """Pay its price. False if there was none to pay."""
        price, self.price = self.price, 0.0
        return price > 0


class Autotuner:
    """The candidates of one kind of run."""

    def __init__(self, candidates: list[Candidate], runs: int = 0, before: Autotuner | None = None):
        """runs: the number of runs before these candidates were known.   before: the earlier candidates, if any."""
        if before is not None:
            for candidate in candidates:
                candidate.take_plan(before.candidates)
        self.candidates = sorted(candidates, key=lambda c: c.predicted)
        self.work = next((c.predicted for c in candidates if c.name in ("caller", "placed")), 0.0)
        """Predicted seconds of all nodes, run one after another."""
        self.certain = len(candidates) == 1
        """There is only one candidate, so nothing to try."""
        self._settled = self.certain
        self._dropped: set[str] = set()
        self._runs, self._again_at, self._due_at = runs, runs + AGAIN_AFTER, inf
        self.current = self.candidates[0]
        if not self.certain:
            self._next()

    @classmethod
    def only(cls, name: str, make: Callable[[], Plan]) -> Autotuner:
        """One with a single candidate, whose cost does not matter."""
        return cls([Candidate(name, 0.0, make)])

    @property
    def may_grow(self) -> bool:
        """True while runs are shared out dynamically only because costs are unknown: more candidates may follow."""
        return self.certain and self.current.is_dynamic

    def still_holds(self, seconds: list[float | None]) -> bool:
        """True when the nodes' costs, as known now, would lead to much the same candidates."""
        work = sum([s or 0.0 for s in seconds])
        return abs(work - self.work) < MOVED_WORK * self.work

    def renew(self, fresh: list[Candidate], runs: int, seconds: Sequence[float | None]) -> None:
        """Update the plans after costs have changed: each candidate keeps its measured runs, and new candidates join.

        The lower of the two predictions counts, because nodes look slower than they are when measured beside others.
        runs: the number of runs so far.   seconds: those of each node, as known now.
        """
        self._runs = max(self._runs, runs)
        made = {candidate.name: candidate for candidate in fresh if candidate.name not in self._dropped}
        for candidate in self.candidates:
            if candidate.name in made:
                candidate.take(made.pop(candidate.name), seconds)
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

    def without_residents(self) -> Candidate:
        """The candidate for a run that cannot have the local workers: the next one to try, or the fastest."""
        others = [c for c in self.candidates if not c.needs_residents]
        untried = [c for c in _hopeful(others) if not self._due(c)]
        return min(untried or others, key=lambda c: c.estimate)

    def record(self, candidate: Candidate, seconds: float) -> None:
        """Note how long a run of a candidate took, and choose the candidate for the next run.

        The first run of a static plan pays its price, so its seconds do not count.
        """
        took = candidate.took
        if not candidate.paid() and len(took) < TRIES:
            took.append(seconds)
        if candidate is not self.current:
            return
        self._runs += 1
        if self._runs >= self._again_at:
            self._again_at = AGAIN_LATER * self._runs
            self._again()
        elif self._settled:
            if self._runs + 1 >= self._due_at:
                self._next()
        else:
            others = [c.estimate for c in self.candidates if c is not candidate and not self._due(c)]
            broken = min(took, default=0.0) > HOPELESS * min(others, default=inf)
            if broken or len(took) >= TRIES:
                self._next()

    def _again(self) -> None:
        best = min(c.typical for c in self.candidates)
        near = [c for c in self.candidates if c.typical < NEAR * best]
        if len(near) > 1:
            for candidate in near:
                candidate.predicted, candidate.took = candidate.typical, []
            self._settled, self.current = False, near[0]

    def _next(self) -> None:
        """Choose the candidate to try next; once all that are due were tried, settle on the best."""
        hopeful = [(c, self._due(c)) for c in _hopeful(self.candidates)]
        self._due_at = min([due for _, due in hopeful if due], default=inf)
        now = [c for c, due in hopeful if not due]
        self._settled = not now
        if now:
            self.current = min(now, key=lambda c: c.estimate)
        else:
            self.current = min(self.candidates, key=lambda c: c.typical * (1.0 if c.name == "caller" else DOUBT))

    def _due(self, candidate: Candidate) -> float:
        """The number of the run, from 1, in which a candidate will be due; 0 if it is."""
        if candidate.took or not candidate.price:
            return 0
        best = min([c.estimate for c in self.candidates if c.took or not c.price])
        gain = best - candidate.predicted
        at = ceil((candidate.price + TRIAL_LOSS * best) / gain) if gain > 0 else inf
        return 0 if at <= self._runs + 1 else at


def _hopeful(among: Sequence[Candidate]) -> list[Candidate]:
    """The candidates with tries left that may be about as fast as the best of those measured."""
    best = min(c.typical for c in among)
    return [c for c in among if len(c.took) < TRIES and c.estimate < HOPELESS * best]


def dynamic(flow: Dataflow, predicted: float = 0.0) -> Candidate:
    """Lanes that are given nodes as the run goes on: local workers on one machine, else Ray tasks."""
    tasks = inventory.machine_count() > 1
    return Candidate(Place.DYNAMIC.value, predicted, partial(make_dynamic_plan, flow), tasks=tasks)


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
        foreseen = self._schedule(workers, hop).makespan + SHARED_NODE * len(self.seconds)
        return dynamic(self.flow, foreseen)

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
