"""Unplanned: first runs of large graphs, without a plan. Nodes that a `ColdRun` does not call itself are planned, in
parts."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from time import monotonic
from typing import Any

from weftwork.actors.programs.program import Stopped
from weftwork.scheduler.compile.needs import is_sharable
from weftwork.scheduler.core.cold_run import ColdRun, Next, Part
from weftwork.scheduler.core.planner import Planner
from weftwork.scheduler.plan.autotune import Autotuner
from weftwork.scheduler.plan.call_list import CallList
from weftwork.scheduler.plan.candidates import dynamic
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.signatures import Signature, settled
from weftwork.scheduler.plan.specializations import Specialization
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.run.telling import WORTH, lane, took
from weftwork.scheduler.segments.nested import InnerRun
from weftwork.scheduler.sharing.local_workers import local_workers

_COLD = "cold: called one after another, without a plan; one is made once it pays"


class Unplanned:
    """The runs without a plan of one session."""

    def __init__(self, planner: Planner, engine: Any):
        """engine: runs dataflows whose sources are available."""
        self._planner, self._engine = planner, weakref.proxy(engine)  # weak, so a forgotten session is freed at once

    def run(self, run: Run, signature: Signature, call_list: CallList, fed: Sequence[Any]) -> list:
        """Call nodes here as far as possible, run the rest in parts, and return the values of the fetches."""
        telling = run.telling
        watched = telling is not None and telling.wants_nodes
        feeds = dict(zip(signature.fed, fed, strict=True))
        work = run.cold = ColdRun(call_list, feeds, lambda: call_list.threadsafe or local_workers().is_up, watched)
        run.wakers.append(work.stop)
        if telling is not None:
            telling.planned(call_list.told, _COLD, monotonic(), 0.0)
        slots = self._planner.lanes.slots()
        try:
            while True:
                began = monotonic()
                try:
                    following = run.call_here(work, work.go_on, run.stop)
                except BaseException as error:
                    _tell_unfinished(run, work, began, error)
                    raise
                _tell_stretch(run, work)
                if following is Next.NOTHING:
                    break
                at_once = following is Next.TRIAL and self._planner.tries_all(len(call_list.ops))
                if following is Next.TRIAL and not at_once:
                    self._run_part(run, work, work.trial(slots))
                if following is Next.PLAN or at_once or work.is_heavy:
                    self._run_part(run, work, work.rest(), heavy=True)
        except Stopped:
            raise run.stopped() from None
        work.learn()
        if work.called:
            run.count("caller", work.called)
            if not work.heavy:  # trials ran elsewhere: as if all had been called here
                every = sum(call_list.counts.values())
                COSTS.learn_together(call_list.counts, work.seconds * every / work.called)
        if work.heavy or call_list.is_worth_a_plan(work.called, work.seconds, work.scalars, slots):
            signature.call_list = None
        return work.values()

    def _run_part(self, run: Run, work: ColdRun, part: Part, heavy: bool = False) -> None:
        """Run some nodes, shared out if that pays."""
        flow = settled(part.elements, part.fed, part.ran, self._planner.config)
        work.inner = inner = InnerRun(run, flow, {flow.feeds[tensor]: value for tensor, value in part.fed.items()})
        run.wakers.append(lambda: inner.cancel(run.stop[0]))
        try:
            if run.stop:
                raise Stopped
            specialization = Specialization()
            if heavy and is_sharable(flow) and self._planner.can_share(flow, inner.bytes_of_sources()):
                specialization.autotuner = Autotuner([dynamic(flow)])
            self._engine.run_flow(inner, flow, specialization)
            for where, (segments, nodes) in inner.ran.items():
                run.count(where, nodes, segments)
            work.take(part, inner.fetched())
        finally:
            run.wakers.pop()
            work.inner = None


def _tell_unfinished(run: Run, work: ColdRun, began: float, error: BaseException) -> None:
    """Report the nodes that a cold run called here until one failed or the run was stopped, if anyone listens."""
    done, called = work.stretch.nodes, work.stretch.called
    if done:
        work.stretch.seconds = took(done)
        run.ran_here(done, "caller")
        began = done[-1].start + done[-1].seconds
    run.failed(called[len(done) :], "caller", began, error)


def _tell_stretch(run: Run, work: ColdRun) -> None:
    """Report the nodes that a cold run has called here, if anyone listens."""
    stretch = work.stretch
    if run.telling is not None or stretch.seconds >= WORTH:
        run.teller().ran_here(work.told, stretch.nodes, stretch.start, stretch.seconds, lane())
