"""Engine: what a session does for one `run`: find or compile the dataflow and its plan, execute, commit.

round     a part of a first run: user functions that were never seen are tried first (probes), the rest is planned
          again with what was learned
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from time import perf_counter
from typing import Any

from weftwork.actors.programs.program import Stopped, size_of
from weftwork.actors.queues.host import QueueHost
from weftwork.graph.errors import UnavailableError
from weftwork.graph.operation import Tensor
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.needs import is_free, settle_needs
from weftwork.scheduler.machines import backend, inventory, objects
from weftwork.scheduler.plan.autotune import Candidate, Contest, candidates, rest_in_tasks, scattered_plan, trial_plan
from weftwork.scheduler.plan.call_list import Listing
from weftwork.scheduler.plan.collector import collecting_later
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.lanes import Lanes
from weftwork.scheduler.plan.placement import REMOTE_BYTES, Estimate, Place, place
from weftwork.scheduler.plan.plan import Plan, make_plan
from weftwork.scheduler.plan.signatures import Entries, Entry, settled
from weftwork.scheduler.plan.specializations import REPLAN_AT, Variant
from weftwork.scheduler.run.cold_run import Next, Part, Unplanned
from weftwork.scheduler.run.dispatch import ATTEMPTS, Dispatcher
from weftwork.scheduler.run.explain import Explanation, Waiting, waiting
from weftwork.scheduler.run.local_workers import Residents, Unfit, residents
from weftwork.scheduler.run.nested import InnerRun, Nesting
from weftwork.scheduler.run.partitions import note
from weftwork.scheduler.run.rounds import deferred
from weftwork.scheduler.run.run import TIMED_OUT, Moved, Restart, Run, run_locally
from weftwork.scheduler.run.threads import run_in_threads
from weftwork.scheduler.state.actor_link import Links
from weftwork.scheduler.state.autosave import Autosave
from weftwork.scheduler.state.flusher import Flusher
from weftwork.scheduler.state.mirror import Cells, Draws, Mirror
from weftwork.scheduler.state.recovery import Recovery

CLOSED = "Attempted to use a closed Session."
_MEASURED_RUNS = 2
"""Runs of an entry in which every node is measured."""
_HOT_RUNS = 40
"""Runs of an entry after which all its programs are compiled: 20 us a node, to save a fraction of one in each run."""
_COMPILED_IN_A_RUN = 64
"""Nodes: a program of so many is compiled a run sooner, so that no run takes very much longer for it."""
_MOST_FED = 10_000_000
"""Bytes of feeds of a run without a plan: each of its parts that runs elsewhere sends them there anew."""
_RESIDENTS_WITHIN = 90.0
"""Seconds for which residents are waited for where there is no other way to run."""


class Engine:
    """The machinery of one session."""

    def __init__(self, config: Any, entropy: int):
        if config.inter_op_parallelism_threads < 0 and config.placement == "auto":
            config = copy(config)
            config.placement = Place.CALLER.value
        self.config = config
        self.lanes = Lanes.of(config)
        self.mirror = Mirror()
        self.entries = Entries(self.mirror, config)
        self.draws = Draws(entropy)
        self.links = Links()
        self.queues = QueueHost()
        self._nesting = Nesting(self)
        self.flusher = Flusher(self.mirror, self.links)
        self._autosave = Autosave(self.mirror, config.checkpoint_dir, config.checkpoint_every)
        self._recovery = Recovery(self.mirror, self._autosave, config.replicas)
        self._replicas_of = self._recovery.replicas_of if config.replicas > 1 else None
        self.ran: dict[str, list[int]] = {}
        self._idle = threading.Condition(self.mirror.mutex)
        self.closed = False

    # Execution

    def execute(self, entry: Entry, fed: Sequence[Any], timeout: float | None, trace: Any, started: Any = None) -> list:
        """Run an entry once: the fetched values. Raises what went wrong; then nothing has changed.

        fed: values in the order of the entry's feeds.   timeout: seconds, or None.   started: told of the run.
        """
        flow = entry.flow
        if flow is not None and not flow.ops and not flow.pinned:  # everything was fed or constant: nothing runs
            return _sources(flow, fed)
        moved: dict = {}
        for attempt in range(ATTEMPTS):
            try:
                return self._attempt(entry, fed, timeout, trace, started, moved)
            except Restart as lost:
                if attempt + 1 == ATTEMPTS:
                    raise lost.cause from None
            except backend.ValueLost as lost:
                if attempt + 1 == ATTEMPTS:
                    raise UnavailableError(None, None, str(lost)) from None
            self._recovery.repair(entry.flow or self.entries.compile(entry))
        raise AssertionError("the last attempt returns or raises")

    def _attempt(
        self, entry: Entry, fed: Sequence[Any], timeout: float | None, trace: Any, started: Any, moved: dict
    ) -> list:
        flow, cells, listing = entry.flow, entry.cells, entry.listing
        if flow is None:
            fits = trace is None and sum(map(size_of, fed)) <= _MOST_FED
            flow = _NO_FLOW if listing is not None and fits else self.entries.compile(entry)
            cells = entry.cells or Cells(self.mirror, flow)
        run = Run(flow, cells, self.draws, timeout, trace, moved)
        running = self.mirror.running
        with self.mirror.mutex:
            if self.closed:
                raise RuntimeError(CLOSED)
            running.add(run)
        timer = None
        if timeout is not None:
            timer = threading.Timer(timeout, run.cancel, [TIMED_OUT])
            timer.daemon = True
            timer.start()
        try:
            if started is not None:
                started(run)
            if flow is _NO_FLOW:
                fetched = self._run_unplanned(run, entry, listing, dict(zip(entry.fed, fed, strict=True)))
            else:
                run.begin(fed)
                self.run_flow(run, flow, entry.variant_for(fed))
                run.look_again()
                fetched = run.fetched()
            run.commit(self._replicas_of)
        finally:
            if timer is not None:
                timer.cancel()
            run.end()
            if run in running or self.closed:  # else a commit has taken it out
                with self.mirror.mutex:
                    running.discard(run)
                    if self.closed:  # else nobody waits for it
                        self._idle.notify_all()
        for where, (segments, nodes) in run.ran.items():
            count = self.ran.setdefault(where, [0, 0])
            count[0] += segments
            count[1] += nodes
        if flow.writes:
            self.flusher.wake()
            self._autosave.wake()
        return fetched

    def run_flow(self, run: Run, flow: Dataflow, variant: Variant) -> None:
        """Run a dataflow whose sources are there, in the way that seems best. Raises what went wrong."""
        contest = variant.contest
        if contest is None or (variant.runs in REPLAN_AT and variant.known != self._known()):
            contest = self._plan(run, flow, variant)
            if contest is None:  # it was run in rounds, and is planned as a whole next time
                variant.runs += 1
                return
        measure = variant.runs < _MEASURED_RUNS or (run.trace is not None and run.trace.measures)
        candidate = contest.measured if measure else contest.current
        team = None
        if candidate.plan.needs_residents:
            team = self._borrow_residents(candidate, contest)
            if team is None:
                candidate = contest.instead(candidate)
            elif variant.runs + 1 in REPLAN_AT:  # its balance is only as good as the costs
                measure = True
        if not measure:
            _compile(candidate.plan, variant.runs)
        start = perf_counter()
        try:
            self._execute(run, candidate.plan, measure, team)
        except Moved:
            variant.contest = None
            settle_needs(flow, self.config)
            raise
        except Unfit:
            if not contest.certain:
                contest.drop(candidate)
            raise
        finally:
            if team is not None:
                team.give_back()
        if not (measure or contest.certain):
            contest.record(candidate, perf_counter() - start)
        variant.runs += 1

    def _borrow_residents(self, candidate: Candidate, contest: Contest) -> Residents | None:
        """Take the residents for a run, if they are up and free; if they will never be, the candidate is out."""
        forced, team = contest.certain, residents()
        if not (forced or team.are_worth_starting(contest.work)):
            return None
        if team.borrow(candidate.plan.slots, _RESIDENTS_WITHIN if forced else 0.0):
            return team
        if forced:
            raise UnavailableError(None, None, "The resident processes did not start.")
        if team.failed:
            contest.drop(candidate)
        return None

    def _known(self) -> tuple:
        """What plans are made for: the cluster, the history, and what is known of nested control flow."""
        return inventory.cluster(), COSTS.epoch, self._nesting.epoch

    def _plan(self, run: Run, flow: Dataflow, variant: Variant) -> Contest | None:
        now = self._known()
        known = run.bytes_of_sources()
        estimate = Estimate(flow, known)
        nested: frozenset[int] = frozenset()
        remote = {n for n, value in enumerate(run.values) if objects.is_reference(value)}
        contest = None
        if self.config.placement == "auto":
            nested = self._nesting.choose(flow, estimate)
            if self._in_rounds(run, flow, estimate, known, nested):
                return None
            if not nested and _near(flow, remote) and _unbound(flow, estimate):
                contest = variant.contest
                if contest is None or now[0] != variant.known[0] or not contest.still_holds(estimate.seconds):
                    with collecting_later():
                        contest = Contest(candidates(flow, estimate, self.lanes))
                elif contest.current.plan.needs_residents:
                    contest.renew(candidates(flow, estimate, self.lanes))
        if contest is None:
            with collecting_later():
                contest = self._placed(flow, estimate, remote, nested)
        variant.contest, variant.known = contest, now
        return contest

    def _execute(self, run: Run, plan: Plan, measure: bool, team: Residents | None = None) -> None:
        grace = self.config.cancel_grace_in_ms / 1000
        if run.trace is not None:
            note(run.trace, plan)
        if team is not None:
            team.run(run, plan, measure, grace)
        elif plan.slots > 1:
            run_in_threads(run, plan, measure)
        elif plan.local:
            run_locally(run, plan, measure)
        else:
            budget = self.config.memory_budget
            Dispatcher(run, plan, self.links, self.queues, self._nesting, measure, grace, budget, self.lanes).execute()

    # First runs

    def _run_unplanned(self, run: Run, entry: Entry, listing: Listing, feeds: Mapping[Tensor, Any]) -> list:
        """Run without a plan what can do so, and the rest in parts: the values of the fetches."""
        work = run.unplanned = Unplanned(listing, feeds)
        run.wakers.append(work.stop)
        missed = False
        try:
            while (following := work.go_on(run.stop)) is not Next.NOTHING:
                if following is Next.TRIAL:
                    part = work.trial(self.lanes.slots())
                    if not self._run_in_resident(run, work, part):
                        missed = True
                        self._run_part(run, work, part)
                if following is Next.PLAN or work.is_heavy:
                    self._run_part(run, work, work.rest())
        except Stopped:
            raise run.stopped() from None
        if work.called:
            run.count("caller", work.called)
        if work.heavy or listing.is_worth_a_plan(work.called, work.seconds, self.lanes.slots()):
            entry.listing = None
        if missed:
            residents().start()
        return work.values()

    def _run_in_resident(self, run: Run, work: Unplanned, part: Part) -> bool:
        """Run a part in a resident, which answers ten times as soon as a task; False where one is not up, or failed."""
        team = residents()
        if not part.is_chain or sum(map(size_of, part.fed.values())) > REMOTE_BYTES or not team.borrow(2, start=False):
            return False
        try:
            self._run_part(run, work, part, team)
            return True
        except Restart:  # it died, or cannot send a value
            return False
        finally:
            team.give_back()

    def _run_part(self, run: Run, work: Unplanned, part: Part, team: Residents | None = None) -> None:
        """Plan and run some nodes of a run that has no plan; where there is a team, all in its first resident."""
        flow = settled(part.elements, part.fed, part.ran, self.config)
        work.inner = inner = InnerRun(run, flow, {flow.feeds[tensor]: value for tensor, value in part.fed.items()})
        run.wakers.append(lambda: inner.cancel(run.stop[0]))
        try:
            if run.stop:
                raise Stopped
            if team is None:
                self.run_flow(inner, flow, Variant())
            else:
                self._execute(inner, trial_plan(flow), True, team)
            for where, (segments, nodes) in inner.ran.items():
                run.count(where, nodes, segments)
            work.take(part, inner.fetched())
        finally:
            run.wakers.pop()
            work.inner = None

    def _in_rounds(
        self, run: Run, flow: Dataflow, estimate: Estimate, known: dict[int, int], nested: frozenset[int]
    ) -> bool:
        """Run a dataflow with many calls of an unseen function in rounds; False, and nothing is done, for few."""
        slots = self.lanes.cpus()
        unseen = [
            n
            for n, (op, seconds) in enumerate(zip(flow.ops, estimate.seconds, strict=True))
            if seconds is None and op.traits.user and not op.traits.here
        ]
        calls = Counter([flow.kernels[node] for node in unseen])
        many = {kernel for kernel, count in calls.items() if count > 2 * slots}
        if not many:
            return False
        done: frozenset[int] = frozenset()
        while True:
            later = frozenset() if estimate.complete else deferred(flow, estimate, done, slots, many)
            remote = {n for n, value in enumerate(run.values) if objects.is_reference(value)}
            skip = done | later
            plan = None
            with collecting_later():
                if not (later or nested) and _near(flow, remote) and _unbound(flow, estimate):
                    plan = rest_in_tasks(flow, estimate, done, self.lanes)
                if plan is None:
                    places = place(flow, estimate, "auto", remote, slots, inventory.machine_count(), skip, nested)
                    plan = make_plan(flow, places, estimate, skip, later)
            self._execute(run, plan, measure=bool(later) or not estimate.complete)
            if not later:
                return True
            done = frozenset(range(len(flow.ops))) - later
            estimate = Estimate(flow, known)

    # Looking at it

    def explain(self, entry: Entry, fed: Sequence[Any]) -> Explanation:
        """The plan that the next run of an entry with feeds of these sizes would use."""
        variant = entry.variant_for(fed)
        contest, flow = variant.contest, entry.flow or self.entries.compile(entry)
        if contest is None:
            estimate = Estimate(flow, {})
            automatic = self.config.placement == "auto"
            nested = self._nesting.choose(flow, estimate) if automatic else frozenset()
            if automatic and not nested and _unbound(flow, estimate):
                contest = Contest(candidates(flow, estimate, self.lanes))
            else:
                contest = self._placed(flow, estimate, set(), nested)
        return Explanation.of(contest, variant.runs, self._nesting.inside)

    def _placed(self, flow: Dataflow, estimate: Estimate, remote: set[int], nested: frozenset[int]) -> Contest:
        """The one plan of a dataflow whose nodes are placed one by one."""
        if self.config.placement == Place.RESIDENT.value and is_free(flow):
            plan = scattered_plan(flow, estimate)
            if plan.slots > 1:
                return Contest([Candidate("resident", 0.0, plan)])
        slots = self.lanes.cpus() if backend.is_running() else 1  # Ray is not started for what can do without
        machines = inventory.machine_count()
        places = place(flow, estimate, self.config.placement, remote, slots, machines, nested=nested)
        return Contest([Candidate("placed", 0.0, make_plan(flow, places, estimate))])

    def waiting(self, among: Collection[Run] | None = None) -> list[Waiting]:
        """What the active runs wait for: all, or those among some."""
        with self._idle:
            active = [run for run in self.mirror.running if among is None or run in among]
            return [item for run in active for item in waiting(run)]

    # The end

    def cancel_all(self, grace: float, bound: float) -> None:
        """Let active runs finish within `grace` seconds, cancel the others and wait for them, `bound` at most."""
        with self._idle:
            self.closed = True
        self.queues.close()
        with self._idle:
            if not self._idle.wait_for(lambda: not self.mirror.running, grace):
                for run in list(self.mirror.running):
                    run.cancel()
                self._idle.wait_for(lambda: not self.mirror.running, bound)

    def close(self) -> None:
        """End the session's processes and threads."""
        self._autosave.close()
        self.flusher.close()
        self.links.close()


_NO_FLOW = Dataflow((), ())
"""Of a run that has none."""


def _sources(flow: Dataflow, fed: Sequence[Any]) -> list:
    """The fetched values of a dataflow in which all are fed or constant."""
    values = dict(zip(flow.feeds.values(), fed, strict=True))
    values.update(flow.constants)
    return [None if number is None else values[number] for number in flow.fetched]


def _compile(plan: Plan, runs: int) -> None:
    """Compile a plan's programs that run in this process: the longer, the more often they must have run."""
    if plan.compiled:
        return
    hot = plan.compiled = runs >= _HOT_RUNS
    for segment in plan.segments:
        if segment.place in (Place.CALLER, Place.THREAD) or (segment.place is Place.RESIDENT and segment.slot == 0):
            if (hot or len(segment.nodes) <= _COMPILED_IN_A_RUN * runs) and not segment.program.compile():
                plan.compiled = False


def _near(flow: Dataflow, remote: set[int]) -> bool:
    """True when it does not matter which values lie in Ray's store: on one machine the caller sees them."""
    return not remote or (not flow.writes and inventory.machine_count() == 1)


def _unbound(flow: Dataflow, estimate: Estimate) -> bool:
    """True when every node may run anywhere, and every user's function among them has been seen."""
    unseen = [s is None and op.traits.user for op, s in zip(flow.ops, estimate.seconds, strict=True)]
    return is_free(flow) and not any(unseen)
