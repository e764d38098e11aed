"""Nested runs: branches and iterations of heavy control flow, planned and run like any other part of a graph.

nested    a control-flow operation whose kernel runs in a thread of the caller and whose bodies are separate runs
call      one such node, in progress in a run of a session
plain     a body that only the caller can run: it is called directly
wasted      the seconds of an operation that gained nothing by nesting, and is an ordinary node from then on
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from contextvars import copy_context
from functools import partial
from threading import get_native_id
from time import monotonic, perf_counter
from typing import Any

from weftwork.actors.programs.bodies import Body, Control, check_required
from weftwork.actors.programs.control import Loop, Sweep
from weftwork.actors.programs.float_errors import quiet
from weftwork.actors.programs.program import Stopped
from weftwork.actors.programs.sizes import size_of
from weftwork.graph.errors import OpError, from_exception
from weftwork.graph.forgetting import FORGOTTEN
from weftwork.graph.operation import Operation
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.folding import Rewrites
from weftwork.scheduler.compile.needs import Need, settle_needs
from weftwork.scheduler.compile.sections import SectionFlow, compiled, is_limited, section_flows
from weftwork.scheduler.compile.unrolling import ahead
from weftwork.scheduler.machines import objects
from weftwork.scheduler.machines.backend import ValueLost
from weftwork.scheduler.machines.helpers import borrow
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.explain import Explanation
from weftwork.scheduler.plan.placement import Estimate
from weftwork.scheduler.plan.plan import Plan, Segment
from weftwork.scheduler.plan.policy import (
    ELEMENTS_TOGETHER,
    NESTED_AGAIN,
    NESTED_AT_ONCE,
    NESTED_GAIN,
    NESTED_LOSSES,
    NESTED_TRIES,
    PARALLEL_GAIN,
    REPLAN_AT,
    WORTH_A_TASK,
)
from weftwork.scheduler.plan.specializations import Specialization, Specializations
from weftwork.scheduler.run import unfinished
from weftwork.scheduler.run.failures import node_error
from weftwork.scheduler.run.restart import Restart
from weftwork.scheduler.run.run import CANCELLED, TIMED_OUT, Run
from weftwork.scheduler.run.telling import Node, Telling
from weftwork.scheduler.segments.overlap import OverlappedLoop, OverlappedSweep
from weftwork.scheduler.state.mirror import Cells


class Call(list):
    """A control-flow node in progress, with the outcome. The list itself is the stop list of its kernel."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__  # type: ignore[assignment]  # a list has none

    def __init__(self, outer: Run, segment: Segment, measure: bool):
        super().__init__()
        self.outer, self.segment, self.measure = outer, segment, measure
        self.since = monotonic()
        self.inner: InnerRun | None = None
        """The run of the current body."""
        self.saved = 0.0
        """Seconds of work in its bodies, beyond the elapsed seconds."""
        self.ran: list[dict[str, list[int]]] = []
        """Numbers of segments and nodes by place, over the runs of its bodies."""
        self.result: Any = None
        self.error: BaseException | None = None
        self.begun = 0
        """How many runs of its bodies have started."""
        self.thread = 0
        """The system's number of its thread."""

    def moved(self) -> dict:
        """The record of the queue nodes in the next run of a body: their outputs, also from an earlier attempt."""
        self.begun += 1
        return self.outer.moved.setdefault((tuple(self.segment.nodes), self.begun), {})

    def cancel(self, reason: str) -> None:
        """Cancel it as soon as possible. May be called from any thread."""
        self.append(reason)
        inner = self.inner
        if inner is not None:
            inner.cancel(reason)


class InnerRun(Run):
    """A run of part of another run. Its sources are given, and it commits nothing."""

    def __init__(self, outer: Run, flow: Dataflow, sources: Mapping[int, Any]):
        super().__init__(flow, Cells(outer.mirror, flow), outer.draws, None)
        self.telling = outer.telling
        self.outer, self.deadline, self.surroundings = outer, outer.deadline, outer.surroundings
        self.said = outer.said
        self.work = 0.0
        """Seconds of its measured nodes."""
        self._unread = {}  # the variables that its nodes read are given to it
        self._sources = tuple(sources)
        for number, value in (*flow.constants.items(), *sources.items()):
            self.values[number] = value
        if flow.draws:
            for number, place in zip(flow.draws, outer.draws.take(flow.draws.values(), outer.moved), strict=True):
                self.values[number] = place

    def bytes_of_sources(self) -> dict[int, int]:
        """The sizes of the given values."""
        return {n: size_of(self.values[n]) for n in self._sources if not objects.is_reference(self.values[n])}

    def teller(self) -> Telling:
        """The Telling of the whole run."""
        if self.telling is None:
            assert self.outer is not None
            self.telling = self.outer.teller()
        return self.telling

    def learn(self, plan: Plan, segment: Segment, costs: Sequence[Sequence]) -> list[Node]:
        """As in any run; also adds up the seconds."""
        nodes = super().learn(plan, segment, costs)
        self.work += segment.measured or 0.0
        return nodes

    def learn_nodes(self, rows: Sequence[tuple[int, Sequence, float]]) -> list[Node]:
        """As in any run; also adds up the seconds."""
        self.work += sum([seconds for _, _, seconds in rows])
        return super().learn_nodes(rows)


class PlannedBody:
    """A section that the engine runs with the best strategy."""

    def __init__(self, engine: Any, section: SectionFlow, body: Body | None = None):
        self._engine, self._section, self._body = engine, section, body
        self._specializations = Specializations()
        settle_needs(section.flow, engine.config)

    @property
    def specialization(self) -> Specialization:
        """The plans for values of the sizes of the last run."""
        return self._specializations.last

    @property
    def plain(self) -> bool:
        """True if the caller alone is the only known way to run it."""
        autotuner = self.specialization.autotuner
        if autotuner is None or self.specialization.runs < NESTED_TRIES:
            return False
        plan = autotuner.current.plan
        return autotuner.certain and plan.local and plan.slots == 1

    @property
    def alone(self) -> Body | None:
        """The body to be called directly, if there is no other way to run it."""
        return self._body if self.plain else None

    def __call__(self, call: Call, values: list) -> list:
        """The section's outputs for the values. Raises the error of the failed node, or Stopped."""
        specialization = self._specializations.find(values)
        if self._body is not None and self.plain and specialization.runs not in REPLAN_AT:
            specialization.runs += 1
            return self._body(call, values)
        check_required(self._section.required, values)
        inner = InnerRun(call.outer, self._section.flow, dict(zip(self._section.inputs, values, strict=True)))
        if self._section.flow.queued:
            inner.moved = call.moved()
        call.inner = inner
        try:
            if call:
                raise Stopped
            start = perf_counter()
            self._engine.run_flow(inner, self._section.flow, specialization)
            outputs = [inner.local(number) for number in self._section.outputs]
            call.saved += (inner.work or specialization.work) - (perf_counter() - start)
        except OpError as error:
            if inner.stop and inner.stop[0] in (TIMED_OUT, CANCELLED):
                call.cancel(inner.stop[0])
                raise Stopped from None
            failure = from_exception(error)(None, None, error.message)
            failure.call = error.call
            raise failure from error
        finally:
            call.inner = None
        call.ran.append(inner.ran)
        return outputs


class Nested:
    """A control-flow operation of a session, whose bodies are planned separately."""

    def __init__(self, nesting: Nesting, op: Operation):
        engine = nesting.engine
        rewrites = Rewrites.of(engine.config)
        kernel, flows = compiled(op, rewrites).kernel, section_flows(op, rewrites)
        bodies = kernel.bodies()
        made = compiled(op, rewrites)
        self.waits = made.queued or made.limited
        self.bodies = [
            PlannedBody(engine, flow, None if flow.flow.queued or is_limited(flow.flow) else body)
            for flow, body in zip(flows, bodies, strict=True)
        ]
        self.kernel: Control = kernel.over(dict(zip(bodies, self.bodies, strict=True)))
        promising = any([_promises(nesting, flow.flow) for flow in flows])
        many, carried = _together(op.attrs.get("_parallel", 1), engine.lanes.slots()), op.attrs.get("_carried", 0)
        many = 1 if self.waits else many  # queue elements move in the order of the iterations
        if many > 1 and isinstance(kernel, Loop):
            positions = ahead(flows[0], flows[1], kernel.carried)
            if positions is not None:
                assert isinstance(self.kernel, Loop)
                overlapped = OverlappedLoop(self.kernel, flows[1], positions, many, self._planned(engine))
                if _promises(nesting, overlapped.unrolled(2).section.flow):
                    self.kernel, promising = overlapped, True
        elif many > 1 and carried and isinstance(kernel, Sweep):
            assert isinstance(self.kernel, Sweep)
            overlapped = OverlappedSweep(self.kernel, flows[0], many, self._planned(engine))
            if _promises(nesting, overlapped.unrolled(2).section.flow):
                self.kernel, promising = overlapped, True
        self.wasted = 0.0 if promising else float("inf")
        self._losses = 0

    def _planned(self, engine: Any) -> Any:
        """A function that makes bodies of this operation from sections, such as those of several iterations."""

        def planned(section: SectionFlow) -> PlannedBody:
            body = PlannedBody(engine, section)
            self.bodies.append(body)
            return body

        return planned

    def may_pay(self, seconds: float | None, user: bool) -> bool:
        """Whether to run it nested, given its predicted seconds; None if it was never seen."""
        if seconds is None:
            return user and not self.wasted
        return seconds >= WORTH_A_TASK and seconds > NESTED_AGAIN * self.wasted

    def took(self, seconds: float, work: float) -> bool:
        """Note the seconds of a call and those of its work. True if nesting turns out not to pay."""
        if self.waits:
            return False
        self._losses = self._losses + 1 if seconds > NESTED_GAIN * work else 0
        tried = [body for body in self.bodies if body.specialization.runs]
        if self._losses < NESTED_LOSSES and not (tried and all([body.plain for body in tried])):
            return False
        self._losses = 0
        self.wasted = max(self.wasted, work)
        return True


class Nesting:
    """The nested operations of one session.

    epoch: counts up when nesting turns out not to pay for one, which outdates the plans that contain it.
    """

    def __init__(self, engine: Any):
        self.engine = weakref.proxy(engine)  # weak, so a forgotten session is freed at once
        self.epoch = 0
        self._nested: dict[Operation, Nested] = {}

    def let_go(self) -> None:
        """Drop the data about operations that their graph has forgotten."""
        for op in [op for op in list(self._nested) if op.listed is FORGOTTEN]:
            self._nested.pop(op, None)

    def of(self, op: Operation) -> Nested:
        """The Nested of a control-flow operation."""
        made = self._nested.get(op)
        if made is None:
            op.graph.keepers.add(self)
            made = self._nested[op] = Nested(self, op)
        return made

    def choose(self, flow: Dataflow, estimate: Estimate) -> frozenset[int]:
        """The nodes of a dataflow that should run nested."""
        if not flow.controls or self.engine.lanes.slots() < 2:
            return frozenset()
        return frozenset([node for node in flow.controls if self._chosen(flow, node, estimate.seconds[node])])

    def _chosen(self, flow: Dataflow, node: int, seconds: float | None) -> bool:
        op, need = flow.ops[node], flow.needs.get(node)
        asks = need is not None and need._replace(timeout=None) != Need()  # time limits hold inside, too
        if asks or flow.is_here(node):
            return False
        if (seconds is None and not op.traits.user) or (seconds is not None and seconds < WORTH_A_TASK):
            return False
        return self.of(op).may_pay(seconds, op.traits.user)

    def inside(self, op: Operation) -> tuple[Explanation, ...]:
        """The plans of those branches or iterations that have run, except those run by the caller alone."""
        specializations = [body.specialization for body in self.of(op).bodies if not body.plain]
        return tuple(
            [Explanation.of(v.autotuner, v.runs, self.inside) for v in specializations if v.autotuner is not None]
        )

    def start(self, run: Run, segment: Segment, measure: bool) -> Call:
        """Start a nested node in a thread of its own. The finished call is put into the run's events."""
        (node,) = segment.nodes
        values = [run.local(number) for number in run.flow.inputs[node]]
        call = Call(run, segment, measure)
        borrow(1)[0].put(partial(copy_context().run, self._work, call, node, values))
        return call

    def _work(self, call: Call, node: int, values: list) -> None:
        flow = call.outer.flow
        call.thread = get_native_id()
        start = perf_counter()
        try:
            nested = self.of(flow.ops[node])
            with quiet():
                kernel: Any = nested.kernel
                result = call.outer.call_here(call, kernel, call, *values)
            call.result = (result,) if len(flow.outputs[node]) == 1 else result
            seconds = perf_counter() - start
            work = max(0.0, seconds + call.saved)
            if call.measure:
                made = sum([size_of(value) for value in call.result])
                COSTS.learn(flow.kernels[node], sum(map(size_of, values)), work, made)
            if nested.took(seconds, work):
                self.epoch += 1
        except BaseException as error:
            call.error = error
            call.outer.waited("nested", flow.ops[node], start, why=unfinished.why_of(error))
        finally:
            call.outer.events.put(call)


class Calls:
    """The nested nodes of one run of a plan."""

    def __init__(self, run: Run, plan: Plan, nesting: Nesting, measure: bool):
        self._run, self._plan, self._nesting, self._measure = run, plan, nesting, measure
        self._later: deque[Segment] = deque()

    def begin(self, segment: Segment) -> None:
        """Start a nested node, or postpone it if many are in progress."""
        run = self._run
        if len(run.calls) >= NESTED_AT_ONCE:
            self._later.append(segment)
            return
        if segment.locked:
            run.lock()
        run.look_again(segment)
        run.calls[self._nesting.start(run, segment, self._measure)] = segment

    def end(self, call: Call) -> Segment | None:
        """Store the outcome of a call and return its segment; None after a cancel. Raises the call's error."""
        run, flow = self._run, self._plan.flow
        segment = run.calls.pop(call, None)
        if segment is None:
            return None
        if self._later and call.error is None:
            self.begin(self._later.popleft())
        (node,) = segment.nodes
        for where, (segments, nodes) in [item for ran in call.ran for item in ran.items()]:
            run.count(where, nodes, segments)
        error = call.error
        if isinstance(error, Stopped):
            run.cancel(call[0])
        if isinstance(error, (Restart, ValueLost)) or not isinstance(error, (Exception, type(None))):
            raise error
        if error is not None:
            raise node_error(flow.ops[node], error)
        for number, value in zip(flow.outputs[node], call.result, strict=True):
            run.values[number] = value
        run.count(segment.place.value, 1)
        run.waited("nested", flow.ops[node], call.since, call.thread)
        return segment

    def cancel(self) -> None:
        """Cancel all calls in progress. Each is put into the run's events once it has ended."""
        for call in self._run.calls:
            call.cancel(self._run.stop[0] if self._run.stop else CANCELLED)


def _together(asked: int, cores: int) -> int:
    """How many iterations to unroll if `asked` may overlap: a number that leaves no core idle at the end."""
    many = min(asked, ELEMENTS_TOGETHER)
    return many - many % cores if many > cores else many


def _promises(nesting: Nesting, flow: Dataflow) -> bool:
    """True if some node of a dataflow could run beside another one that matters.

    If there are user functions, only they matter. Also true if nested control flow inside qualifies.
    """
    if any([nesting.of(op).wasted == 0 for op in [flow.ops[node] for node in flow.controls]]):
        return True
    users = any([op.traits.user for op in flow.ops])
    longest = total = 0
    ends = [0] * len(flow.producer)
    done: list[int] = []
    for node, (op, inputs) in enumerate(zip(flow.ops, flow.inputs, strict=True)):
        length = int(op.traits.user if users else flow.kernels[node] is not None)
        total += length
        before = [ends[v] for v in inputs] + [done[other] for other in flow.after.get(node, ())]
        done.append(max(before, default=0) + length)
        longest = max(longest, done[-1])
        for value in flow.outputs[node]:
            ends[value] = done[-1]
    return total > PARALLEL_GAIN * longest
