"""Apart: nodes of a run that is shared out which ask for something: a device, a queue, a CPU, a branch or a loop.

Each is a run of its own inside, in the way that its needs say, beside the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.machines.helpers import borrow
from weftwork.scheduler.plan.specializations import Specialization
from weftwork.scheduler.run.nested import InnerRun
from weftwork.scheduler.run.run import Run


class Apart:
    """Those of one run. nodes: which they are."""

    def __init__(self, run: Run, run_flow: Callable[[Run, Dataflow, Specialization], None]):
        """run_flow: runs a dataflow as if it were alone."""
        self._run, self._run_flow = run, run_flow
        self.nodes = frozenset(run.flow.needs)
        self._inner: set[InnerRun] = set()

    def start(self, node: int, values: list, done: Callable[[Any], None]) -> None:
        """Begin a node with its inputs; `done` is called in another thread, with its outputs or with an error."""
        flow = self._run.flow
        part, number = flow.part([node])
        inner = InnerRun(
            self._run, part, {number[v]: value for v, value in zip(flow.inputs[node], values, strict=True)}
        )
        self._inner.add(inner)
        borrow(1)[0].put(lambda: done(self._work(inner, part)))

    def _work(self, inner: InnerRun, part: Dataflow) -> Any:
        try:
            self._run_flow(inner, part, Specialization())
            for where, (segments, nodes) in inner.ran.items():
                self._run.count(where, nodes, segments)
            return [inner.values[value] for value in part.outputs[0]]
        except BaseException as error:
            return error

    def cancel(self) -> None:
        """End those that are under way."""
        for inner in list(self._inner):
            inner.cancel()
