"""Apart: nodes of a shared-out run with special needs: a device, a queue, a CPU, a branch or a loop.

Each is an inner run of its own beside the rest, executed as its needs require. Calls that wait run apart, too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.machines.helpers import borrow
from weftwork.scheduler.plan.placement import Place
from weftwork.scheduler.plan.plan import apart_nodes
from weftwork.scheduler.plan.specializations import Specialization
from weftwork.scheduler.run.awaiting import Awaiting, raise_outcome
from weftwork.scheduler.run.background import Background
from weftwork.scheduler.run.nested import InnerRun
from weftwork.scheduler.run.run import Run


class Apart:
    """The nodes of one run that run apart."""

    def __init__(self, run: Run, run_flow: Callable[[Run, Dataflow, Specialization], None], awaiting: Awaiting):
        """run_flow: runs a dataflow by itself."""
        self._run, self._run_flow, self._awaiting = run, run_flow, awaiting
        self.nodes = apart_nodes(run.flow)
        self._inner: set[InnerRun] = set()
        run.apart = self._inner
        self._cancels: dict[int, Callable[[], None]] = {}

    def start(self, node: int, background: Background, then: Callable[[Any], None]) -> None:
        """Start a node whose inputs the run has, in the background; `then` is called with its outputs or an error."""
        flow = self._run.flow
        background.under_way.add(node)

        def done(outcome: Any) -> None:
            background.tell(node, partial(then, outcome))

        if node in flow.awaited:
            told = partial(self._told, node, monotonic())
            self._cancels[node] = self._awaiting.start(self._run, node, lambda outcome: done(told(outcome)))
            return
        part, number = flow.alone(node)
        inner = InnerRun(self._run, part, {number[v]: self._run.values[v] for v in flow.inputs[node]})
        self._inner.add(inner)
        borrow(1)[0].put(lambda: done(self._work(inner, part)))

    def _told(self, node: int, since: float, outcome: Any) -> Any:
        """Pass on the outcome of a waiting call as that of an inner run."""
        try:
            raise_outcome(self._run.flow.ops[node], outcome)
        except BaseException as error:
            return error
        self._run.count(Place.LOOP.value, 1)
        self._run.waited(Place.LOOP.value, self._run.flow.ops[node], since)
        return outcome

    def _work(self, inner: InnerRun, part: Dataflow) -> Any:
        try:
            self._run_flow(inner, part, Specialization())
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
