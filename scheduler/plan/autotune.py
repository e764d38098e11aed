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
from collections.abc import Callable, Sequence
from functools import cached_property
from math import ceil, inf

from weftwork.scheduler.plan.collector import collecting_later
from weftwork.scheduler.plan.placement import Place
from weftwork.scheduler.plan.plan import Plan
from weftwork.scheduler.plan.policy import (
    AGAIN_AFTER,
    AGAIN_LATER,
    DOUBT,
    HOPELESS,
    LONGER_NODES,
    MOVED_WORK,
    NEAR,
    SLOW_RUNS,
    SLOWED,
    TRIAL_LOSS,
    TRIES,
)

_FIRST_RUNS = 4
"""Runs after which it is a change of the costs themselves if the known costs change."""


class Candidate:
    """One way to run a dataflow."""

    def __init__(self, name: str, predicted: float, make: Callable[[], Plan], price: float = 0.0, tasks: bool = False):
        """make: returns the plan. Its programs are written when the candidate is first run, because most candidates
        never run.   tasks: Ray tasks run it, though others could."""
        self.name, self.predicted, self.make, self.price = name, predicted, make, price
        self.took: list[float] = []
        self.was = inf
        """Its typical seconds before it became slow; infinite if it did not."""
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
                if runs <= _FIRST_RUNS:  # what has changed is what is known of the costs
                    candidate.took = [took for c in before.candidates if c.name == candidate.name for took in c.took]
        self.candidates = sorted(candidates, key=lambda c: c.predicted)
        self.work = next((c.predicted for c in candidates if c.name in ("caller", "placed")), 0.0)
        """Predicted seconds of all nodes, run one after another."""
        self.certain = len(candidates) == 1
        """There is only one candidate, so nothing to try."""
        self._settled = self.certain
        self._dropped: set[str] = set()
        self._runs, self._again_at, self._due_at = runs, runs + AGAIN_AFTER, inf
        self._slow_runs = 0
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

        The first run of a static plan pays its price, so its seconds do not count; those of one that was shared out do
        if they are too many even without the price.
        """
        took, price = candidate.took, candidate.price
        if not candidate.paid() or (candidate.is_dynamic and seconds - price > self._too_long(candidate)):
            if len(took) < TRIES:
                took.append(seconds - price)
        if candidate is not self.current:
            return
        self._runs += 1
        if self._runs >= self._again_at:
            self._again_at = AGAIN_LATER * self._runs
            self._again()
        elif self._settled:
            if self._is_slow(candidate, seconds):
                self._turn_back(candidate, seconds)
            elif self._runs + 1 >= self._due_at:
                self._next()
        else:
            if min(took, default=0.0) > self._too_long(candidate) or len(took) >= TRIES:
                self._next()

    def _too_long(self, candidate: Candidate) -> float:
        """The seconds from which another candidate, which may be tried now, is expected to be faster."""
        others = [c.estimate for c in self.candidates if c is not candidate and not self._due(c)]
        return HOPELESS * min(others, default=inf)

    def _again(self) -> None:
        best = min(c.typical for c in self.candidates)
        near = [c for c in self.candidates if min(c.typical, c.was) < NEAR * best]
        if len(near) > 1:
            for candidate in near:
                candidate.predicted, candidate.took, candidate.was = min(candidate.typical, candidate.was), [], inf
            self._settled, self.current = False, near[0]

    def _is_slow(self, candidate: Candidate, seconds: float) -> bool:
        """Whether a plan for slots is slow now, run after run: something else is using a core that it counts on."""
        slow = candidate.has_slots and seconds > SLOWED * candidate.typical
        self._slow_runs = self._slow_runs + 1 if slow else 0
        return self._slow_runs >= SLOW_RUNS

    def _turn_back(self, candidate: Candidate, seconds: float) -> None:
        """Share nodes out as runs go on, if that is faster than a plan that has become slow. Try that again soon."""
        self._slow_runs = 0
        for shared in [c for c in self.candidates if c.is_dynamic]:
            candidate.was, candidate.took = candidate.typical, [seconds] * TRIES
            shared.predicted, shared.took = shared.estimate, []
            self._again_at = self._runs + AGAIN_LATER
            self._next()

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
