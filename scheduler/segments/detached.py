"""Detached: nodes of a shared-out run with special needs: a device, a queue, a CPU, a branch or a loop.

Each is an inner run of its own beside the rest, executed as its needs require. Calls that wait are detached, too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.machines.helpers import borrow
from weftwork.scheduler.plan.placement import Place
from weftwork.scheduler.plan.plan import detached_nodes
from weftwork.scheduler.plan.specializations import Specialization, Specializations
from weftwork.scheduler.run import unfinished
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.segments.awaiting import Awaiting, raise_outcome
from weftwork.scheduler.segments.background import Background
from weftwork.scheduler.segments.nested import InnerRun


class _Part(NamedTuple):
    """A node as a dataflow of its own. number: its number of each value of the whole one."""

    flow: Dataflow
    number: dict[int, int]
    specializations: Specializations


_parts: WeakKeyDictionary[Dataflow, dict[int, _Part]] = WeakKeyDictionary()
"""The detached nodes that have run, by the whole dataflow. Their plans serve later runs."""


class Detached:
    """The detached nodes of one run."""

    def __init__(self, run: Run, run_flow: Callable[[Run, Dataflow, Specialization], None], awaiting: Awaiting):
        """run_flow: runs a dataflow by itself."""
        self._run, self._run_flow, self._awaiting = run, run_flow, awaiting
        self.nodes = detached_nodes(run.flow)
        self._inner: set[InnerRun] = set()
        run.detached = self._inner
        self._cancels: dict[int, Callable[[], None]] = {}

    def start(self, node: int, background: Background, then: Callable[[Any], None]) -> None:
        """Start a node whose inputs the run has, in the background; `then` is called with its outputs or an error."""
        flow = self._run.flow
        background.under_way.add(node)

        def done(outcome: Any) -> None:
            background.tell(node, partial(then, outcome))

        if node in flow.awaited:
            outcome_of = partial(self._finished, node, monotonic())
            self._cancels[node] = self._awaiting.start(self._run, node, lambda outcome: done(outcome_of(outcome)))
            return
        kept = _parts.setdefault(flow, {})
        part = kept.get(node)
        if part is None:
            part = kept[node] = _Part(*flow.alone(node), Specializations())
        values = [self._run.values[v] for v in flow.inputs[node]]
        inner = InnerRun(self._run, part.flow, {part.number[v]: self._run.values[v] for v in flow.inputs[node]})
        specialization = part.specializations.find(values)
        self._inner.add(inner)
        borrow(1)[0].put(lambda: done(self._work(inner, part.flow, specialization)))

    def _finished(self, node: int, since: float, outcome: Any) -> Any:
        """Pass on the outcome of a waiting call as that of an inner run."""
        op, place = self._run.flow.ops[node], Place.LOOP.value
        if isinstance(outcome, BaseException):
            self._run.waited(place, op, since, why=unfinished.why_of(outcome))
        try:
            raise_outcome(self._run, node, outcome)
        except BaseException as error:
            return error
        self._run.count(place, 1)
        self._run.waited(place, op, since)
        return outcome

    def _work(self, inner: InnerRun, part: Dataflow, specialization: Specialization) -> Any:
        try:
            self._run_flow(inner, part, specialization)
            for where, (segments, nodes) in inner.ran.items():
                self._run.count(where, nodes, segments)
            return [inner.values[value] for value in part.outputs[0]]
        except BaseException as error:
            return error
        finally:
            self._inner.discard(inner)

    def cancel(self) -> None:
        """Cancel the nodes that are running."""
        for inner in list(self._inner):
            inner.cancel()
        for cancel in reversed(list(self._cancels.values())):
            cancel()
