"""Engine: carries out one `run` of a session. It finds or compiles the dataflow and its plan, executes it, and commits.

attempt   one try of a run. A new one is needed if a value existed only in a process that died
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from copy import copy
from time import monotonic, perf_counter
from typing import Any

from weftwork.actors.data.host import Iterators
from weftwork.actors.programs.sizes import sizes_of
from weftwork.actors.queues.host import QueueHost
from weftwork.graph.errors import UnavailableError, text_of
from weftwork.graph.kernels.team import limit
from weftwork.graph.python.modules import settle_modules
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.effects import settle_effects, take_fed
from weftwork.scheduler.compile.needs import settle_needs
from weftwork.scheduler.core.contexts import HOLDERS, hold, let_go
from weftwork.scheduler.core.element_functions import ElementFunctions
from weftwork.scheduler.core.ending import cancel_at_end
from weftwork.scheduler.core.planner import Planner
from weftwork.scheduler.core.retried import tell_of_retries
from weftwork.scheduler.core.starts import tell_of_starts
from weftwork.scheduler.core.unplanned import Unplanned
from weftwork.scheduler.events.stream import LOG, Stream
from weftwork.scheduler.machines import backend
from weftwork.scheduler.machines.freed_memory import keep_freed_memory
from weftwork.scheduler.plan.autotune import Autotuner, Candidate
from weftwork.scheduler.plan.call_list import CallList
from weftwork.scheduler.plan.explain import Explanation
from weftwork.scheduler.plan.lanes import Lanes
from weftwork.scheduler.plan.placement import Place
from weftwork.scheduler.plan.plan import Plan
from weftwork.scheduler.plan.policy import (
    ATTEMPTS,
    HOT_LIBRARY_RUNS,
    HOT_RUNS,
    MEASURED_RUNS,
    MOST_FED,
    MOST_WORKERS,
    REPLAN_AT,
)
from weftwork.scheduler.plan.signatures import Signature, Signatures
from weftwork.scheduler.plan.specializations import Specialization
from weftwork.scheduler.run import unfinished
from weftwork.scheduler.run.limits import STRIKES, abandon, expiring, is_bound, within
from weftwork.scheduler.run.restart import Moved, Restart, cause_of
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.run.said import speak
from weftwork.scheduler.run.telling import WORTH, Telling, reason, tell_compiled, telling_of
from weftwork.scheduler.run.waiting import Waiting, waiting
from weftwork.scheduler.segments.awaiting import Awaiting
from weftwork.scheduler.segments.calling import run_locally
from weftwork.scheduler.segments.detached import Detached
from weftwork.scheduler.segments.dispatch import Dispatcher
from weftwork.scheduler.segments.nested import Nesting
from weftwork.scheduler.segments.residents import Unfit
from weftwork.scheduler.segments.threads import run_in_threads
from weftwork.scheduler.sharing.allowed import may_do_without
from weftwork.scheduler.sharing.in_tasks import share_in_tasks
from weftwork.scheduler.sharing.local_workers import LocalWorkers, local_workers
from weftwork.scheduler.state.actor_link import Links
from weftwork.scheduler.state.autosave import Autosave
from weftwork.scheduler.state.flusher import Flusher
from weftwork.scheduler.state.mirror import Cells, Draws, Mirror
from weftwork.scheduler.state.recovery import Recovery

CLOSED = "Attempted to use a closed Session."
FORKED = (
    "This session belongs to the process that this one was forked off: its threads, locks and workers are there. Make "
    "a session in this process, or fork before the program makes its first one."
)
_LOOK = 0.1
_RESIDENTS_WITHIN = 90.0
"""Seconds to wait for local workers if there is no other way to run."""


class Engine:
    """The execution engine of one session."""

    check: Callable[[Signature, list], None] | None = None
    """Called with the fetched values of a run before it commits, which does not happen if it raises."""

    def __init__(self, config: Any, entropy: int):
        if config.debug or (config.inter_op_parallelism_threads < 0 and config.placement == "auto"):
            config = copy(config)
            config.placement = Place.CALLER.value
            config.inter_op_parallelism_threads = -1
        if config.intra_op_parallelism_threads > 0:
            limit(config.intra_op_parallelism_threads)
        keep_freed_memory()
        self.config = config
        self.lanes = Lanes.of(config)
        self.mirror = Mirror()
        self.signatures = Signatures(self.mirror, config)
        self.draws = Draws(entropy)
        self.links = Links()
        self._iterators = Iterators(ElementFunctions(self))
        self.queues = QueueHost(iterators=self._iterators)
        self._nesting = Nesting(self)
        self._awaiting = Awaiting(config.limits)
        self.planner = Planner(config, self.lanes, self._nesting)
        self._unplanned = Unplanned(self.planner, self)
        self.flusher = Flusher(self.mirror, self.links)
        self._autosave = Autosave(self.mirror, config.checkpoint_dir, config.checkpoint_every)
        self._recovery = Recovery(self.mirror, self._autosave, config.replicas)
        self._replicas_of = self._recovery.replicas_of if config.replicas > 1 else None
        self.ran: dict[str, list[int]] = {}
        self.runs = 0
        """The number of runs that ended without an error."""
        self.events = Stream()
        self._idle = threading.Condition(self.mirror.mutex)
        self.closed = False
        self._refusal = CLOSED
        cancel_at_end(self)
        tell_of_retries()
        tell_of_starts(Engine.run_flow, Signatures.compile)

    # Execution

    def execute(
        self,
        signature: Signature,
        fed: Sequence[Any],
        timeout: float | None,
        listener: Any = None,
        started: Any = None,
    ) -> list:
        """Run a signature once and return the fetched values. If it raises, nothing has changed.

        fed: values in the order of the signature's feeds.   timeout: seconds, or None.   started: called with the run.
        listener: called with the events of this run; its attribute `nodes` says whether it wants events of kind "node".
        """
        flow, telling, asked = signature.flow, None, signature.asked
        if asked is None and flow is None and signature.call_list is None:
            asked = monotonic()
        if timeout is not None and self.config.debug:
            timeout = None
        if listener is not None or self.events.is_heard:
            telling = telling_of(self.events, signature.fetches, listener, asked)
        if flow is not None and not flow.ops and not flow.pinned:  # everything is fed or constant, so nothing runs
            if telling is not None:
                if asked is not None:
                    telling.compiled(asked, signature.starts)
                telling.ended()
            signature.asked = None
            return _sources(flow, fed)
        moved: dict = {}
        run, attempt = None, 0
        try:
            while True:
                run = self._new_run(signature, fed, timeout, moved, telling)
                if asked is not None:
                    asked = signature.asked = tell_compiled(run, asked, signature.starts)
                try:
                    fetched = self._attempt(run, signature, fed, timeout, started)
                    break
                except (Restart, backend.ValueLost) as lost:
                    if (attempt := attempt + 1) == ATTEMPTS:
                        raise cause_of(lost) from None
                    why = text_of(cause_of(lost))
                telling = run.teller()
                self._recovery.repair(signature.flow or self.signatures.compile(signature))
                telling.tell("repaired", text=f"the run begins again: {why}")
        except BaseException as error:
            telling = telling if run is None else run.teller()
            if run is not None:
                unfinished.left_behind(run)
            if telling is not None:
                telling.ended(error)
            raise
        if run.telling is not None:
            run.telling.ended()
        return fetched

    def _new_run(
        self, signature: Signature, fed: Sequence[Any], timeout: float | None, moved: dict, telling: Telling | None
    ) -> Run:
        """A new run, not yet begun; a cold one if it needs no plan."""
        flow = signature.flow
        if (flow is None or flow.bound) and signature.is_outdated:
            self.signatures.renew(signature)
            flow = signature.flow
        if flow is None:
            call_list = signature.call_list
            fits = sizes_of(fed) <= MOST_FED and not (call_list and call_list.blocks)
            flow = _NO_FLOW if call_list is not None and fits else self.signatures.compile(signature)
        cells = signature.cells or Cells(self.mirror, flow)
        run = Run(flow, cells, self.draws, timeout, (self.events, signature.fetches), moved)
        if telling is not None:
            run.telling = telling
        return run

    def _attempt(self, run: Run, signature: Signature, fed: Sequence[Any], timeout: float | None, started: Any) -> list:
        flow, call_list = run.flow, signature.call_list
        running = self.mirror.running
        with self.mirror.mutex:
            if self.closed:
                raise RuntimeError(self._refusal)
            running.add(run)
        again = False
        try:
            if started is not None:
                started(run)
            if timeout is not None or started is not None:
                fetched = self._limited(run, signature, call_list, fed, timeout)
            elif flow is _NO_FLOW and call_list is not None:
                fetched = self._unplanned.run(run, signature, call_list, fed)
            else:
                run.begin(fed)
                self.run_flow(run, flow, signature.specialization_for(fed))
                run.look_again()
                fetched = run.fetched()
            if self.check is not None:
                self.check(signature, fetched)
            run.commit(self._replicas_of)
        except (Restart, backend.ValueLost):
            again = True  # everything is reported again
            raise
        finally:
            run.end()
            if HOLDERS:
                let_go(run)
            if run in running or self.closed:  # otherwise a commit has removed it
                with self.mirror.mutex:
                    running.discard(run)
                    if self.closed:  # otherwise nobody waits for it
                        self._idle.notify_all()
            if run.said and not again:
                speak(run)
        self.runs += 1
        for where, (segments, nodes) in run.ran.items():
            count = self.ran.get(where) or self.ran.setdefault(where, [0, 0])
            count[0] += segments
            count[1] += nodes
        if flow.writes:
            self.flusher.wake()
            self._autosave.wake()
        return fetched

    def _limited(
        self, run: Run, signature: Signature, call_list: CallList | None, fed: Sequence[Any], timeout: float | None
    ) -> list:
        """Execute a run that may have to be abandoned while its functions go on, and return the fetched values."""
        flow = run.flow

        def work() -> list:
            if call_list is not None and flow is _NO_FLOW:
                return self._unplanned.run(run, signature, call_list, fed)
            run.begin(fed)
            self.run_flow(run, flow, signature.specialization_for(fed))
            run.look_again()
            return run.fetched()

        functions = call_list.functions if flow is _NO_FLOW and call_list is not None else flow.functions
        grace = self.config.cancel_grace_in_ms / 1000
        if is_bound(functions, any([op.traits.here for op in flow.ops]), fed):
            with expiring(run, timeout, grace):
                return work()
        return within(run, timeout, grace, work, lambda: local_workers().leave(run))

    def run_flow(self, run: Run, flow: Dataflow, specialization: Specialization) -> None:
        """Run a dataflow whose sources are available, by the best strategy. Raises the error of the run."""
        autotuner, began, took = specialization.autotuner, 0.0, 0.0
        if autotuner is None or (specialization.runs in REPLAN_AT and self.planner.knows_more(flow, specialization)):
            began = perf_counter()
            autotuner = self.planner.plan(run, flow, specialization)
            took = perf_counter() - began
        candidate = autotuner.current
        if flow.functions and not candidate.plan.local:
            if not hold(run, flow.functions):
                beside = self.planner.in_caller(flow).current.plan
                if beside.local:
                    self._execute(run, beside, measure=False)
                    return
            if not self._carried(run, flow, candidate.plan):
                specialization.autotuner = None
                self.run_flow(run, flow, specialization)
                return
        team, measure = None, False
        if candidate.needs_residents:
            since = monotonic()
            team = self._borrow_residents(run, candidate, autotuner)
            if (waited := monotonic() - since) >= WORTH:
                run.teller().tell("started", since, waited, text="local workers")
            if team is None and autotuner.certain:
                candidate = self.planner.without_workers(run, flow)
            elif team is None:
                candidate = autotuner.without_residents()
            elif specialization.runs + 1 in REPLAN_AT:  # its balance depends on the costs, which are better known now
                measure = True
            if team is None and not candidate.plan.local:
                candidate.plan.carry(flow.state)
        measure = measure or (specialization.runs < MEASURED_RUNS and not candidate.has_slots)
        if run.telling is not None or took >= WORTH or (began and LOG.isEnabledFor(logging.DEBUG)):
            telling, first = run.teller(), specialization.runs < MEASURED_RUNS
            text = reason(autotuner, candidate, first)
            telling.planned(flow.ops, text, began or perf_counter(), took, candidate.plan)
            measure = measure or telling.wants_nodes
        hot = HOT_RUNS if flow.functions else HOT_LIBRARY_RUNS
        if not (candidate.plan.compiled or measure) and specialization.runs >= hot:
            _compile(candidate.plan)
        start = perf_counter()
        try:
            self._execute(run, candidate.plan, measure, team)
        except Moved:
            specialization.autotuner = None
            settle_needs(flow, self.config)
            raise
        except Unfit:
            if autotuner.certain:  # only the caller is left for nodes that cannot be sent
                specialization.autotuner, specialization.known = self.planner.in_caller(flow), self.planner.known()
            else:
                autotuner.drop(candidate)
            raise
        finally:
            if team is not None:
                team.give_back()
        if not autotuner.certain and (candidate.plan.is_dynamic or not measure):  # a dynamic plan always measures
            autotuner.record(candidate, perf_counter() - start)
        specialization.runs += 1

    def _carried(self, run: Run, flow: Dataflow, plan: Plan) -> bool:
        """Put the current captured state of the functions into a plan's programs.

        False if this shows that other nodes than before must run in the caller.
        """
        settle_modules()
        run.look_around()
        take_fed(flow, run.values)
        known: dict = {}
        state = tuple([function.captured.look(known) for function in flow.functions])
        if state != flow.state:
            before, flow.state, flow.key = flow.here, state, None
            settle_effects(flow)
            if flow.here != before:
                return False
        plan.carry(state)
        return True

    def _borrow_residents(self, run: Run, candidate: Candidate, autotuner: Autotuner) -> Any:
        """Borrow the local workers for a run if they are up and free; drop the candidate if they never will be."""
        forced, team = autotuner.certain, local_workers()
        needed = not (candidate.plan.is_dynamic and may_do_without(candidate.plan.flow))
        if not (forced or team.is_up or not needed or team.are_worth_starting(autotuner.work)):
            return None
        within = _RESIDENTS_WITHIN if forced else 0.0
        if candidate.plan.is_dynamic:
            borrowed = team.borrow_some(min(self.lanes.own_cpus(), MOST_WORKERS), run, needed)
            if borrowed is not None or forced:
                return borrowed
        elif team.borrow(candidate.plan.slots, within):
            return team
        if forced:
            raise UnavailableError(None, None, "No local worker has started.")
        if team.failed:
            autotuner.drop(candidate)
        return None

    def _execute(self, run: Run, plan: Plan, measure: bool, team: LocalWorkers | None = None) -> None:
        if plan.local:  # first: such a run may take only microseconds
            (run_in_threads if plan.slots > 1 else run_locally)(run, plan, measure)
        elif plan.is_dynamic or team is not None:
            detached, grace = Detached(run, self.run_flow, self._awaiting), self.config.cancel_grace_in_ms / 1000
            if team is None:
                share_in_tasks(run, plan, self.links, detached, self.lanes, self.config)
            elif plan.is_dynamic:
                team.share(run, detached, self.lanes, grace)
            else:
                team.run(run, plan, measure, detached, grace)
        else:
            links, queues, nesting, awaiting = self.links, self.queues, self._nesting, self._awaiting
            Dispatcher(run, plan, links, queues, nesting, measure, self.config, self.lanes, awaiting).execute()

    # Inspection

    def explain(self, signature: Signature, fed: Sequence[Any]) -> Explanation:
        """Explain the plan that the next run of a signature with feeds of these sizes would use."""
        specialization = signature.specialization_for(fed)
        flow = signature.flow or self.signatures.compile(signature)
        sources = [*flow.constants.values(), *fed]
        autotuner = specialization.autotuner or self.planner.foreseen(flow, sources)
        return Explanation.of(autotuner, specialization.runs, self._nesting.inside)

    def waiting(self, among: Collection[Run] | None = None) -> list[Waiting]:
        """What the active runs wait for; only those in `among`, if given."""
        with self._idle:
            active = [run for run in self.mirror.running if among is None or run in among]
            return [item for run in active for item in waiting(run)]

    # Ending

    def under_way(self) -> list:
        """The active runs, each with a method `cancel`."""
        with self._idle:
            return list(self.mirror.running)

    def cancel_all(self, grace: float, bound: float) -> None:
        """Give active runs `grace` seconds to finish, then cancel the rest and wait up to `bound` seconds for them."""
        with self._idle:
            self.closed = True
        self.queues.close()
        with self._idle:
            self._idle.wait_for(lambda: not self.mirror.running, grace)
        for run in self.under_way():
            run.cancel()
        end = monotonic() + bound
        while (left := self.under_way()) and monotonic() < end:
            for run in left:
                if STRIKES.is_stuck(run, 2 * grace):  # one of our own threads is abandoned by now
                    abandon(run)
                    run.end()
                    with self._idle:
                        self.mirror.running.discard(run)
            with self._idle:
                self._idle.wait_for(lambda: not self.mirror.running, _LOOK)

    def belong_to_parent(self) -> None:
        """After a fork, in the child: mark the session, its runs and its finalizers as belonging to the parent."""
        self.closed, self._refusal = True, FORKED
        self.mirror.running.clear()

    def close(self) -> None:
        """Stop the session's processes and threads."""
        if self._refusal is not FORKED:
            for part in (self._iterators, self._autosave, self.flusher, self.links):
                part.close()


_NO_FLOW = Dataflow()
"""The dataflow of a run without one."""


def _sources(flow: Dataflow, fed: Sequence[Any]) -> list:
    """The fetched values of a dataflow in which everything is fed or constant."""
    values = dict(zip(flow.feeds.values(), fed, strict=True))
    values.update(flow.constants)
    return [None if number is None else values[number] for number in flow.fetched]


def _compile(plan: Plan) -> None:
    """Compile those programs of a plan that run in this process; of a long one, the next part."""
    here = [s.program for s in plan.segments if s.place in (Place.CALLER, Place.THREAD) or s.is_callers_slot]
    plan.compiled = all([program.compile() for program in here])
