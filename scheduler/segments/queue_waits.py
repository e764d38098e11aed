"""Waiting in one run: for queue nodes, and for calls that wait outside all lanes.

wait      such a node in progress; whoever completes it puts it into the run's events
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from weftwork.actors.queues.host import QueueHost
from weftwork.graph.errors import OpError, at_node
from weftwork.scheduler.plan.placement import Place
from weftwork.scheduler.plan.plan import Plan, Segment
from weftwork.scheduler.run import unfinished
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.segments.awaiting import Awaiting, raise_outcome


class Wait:
    """A queue node in progress, or a waiting call. outcome: a list of its outputs or an error, once it has ended."""

    def __init__(self, segment: Segment, events: Any):
        self.segment, self.since = segment, monotonic()
        self.outcome: Any = None
        self.cancel: Callable[[], None] | None = None
        self._events = events

    @property
    def error(self) -> BaseException | None:
        """The outcome, if it is an error."""
        return self.outcome if isinstance(self.outcome, BaseException) else None

    def done(self, outcome: Any) -> None:
        """Store the outcome, and notify the run."""
        self.outcome = outcome
        self._events.put(self)


class Waits:
    """The queue nodes of one run. left: how many unfinished segments without locks may wait."""

    def __init__(self, run: Run, plan: Plan, queues: QueueHost, awaiting: Awaiting):
        self._run, self._plan, self._queues, self._awaiting = run, plan, queues, awaiting
        self.left = plan.waiting

    def ended(self, segment: Segment) -> None:
        """Note that a segment is done."""
        self.left -= self._plan.may_wait(segment) and not segment.locked

    def begin(self, segment: Segment) -> None:
        """Start a node, unless it is a queue node that an earlier attempt at the run has completed."""
        run = self._run
        if segment.locked:
            run.lock()
        (node,) = segment.nodes
        op = self._plan.flow.ops[node]
        wait = Wait(segment, run.events)
        run.waits[wait] = segment
        if segment.place is Place.LOOP:
            wait.cancel = self._awaiting.start(run, node, wait.done)
            return
        if op in run.moved:
            wait.done(run.moved[op])
            return
        run.look_again(segment)
        wait.cancel = self._queues.start(op, [run.local(v) for v in self._plan.flow.inputs[node]], wait.done)

    def end(self, wait: Wait) -> Segment | None:
        """Store the outcome of a node and return its segment; None after a cancel. Raises the node's error."""
        run = self._run
        segment = run.waits.pop(wait, None)
        if segment is None:
            return None
        (node,) = segment.nodes
        op = self._plan.flow.ops[node]
        if wait.error is not None:
            run.waited(segment.place.value, op, wait.since, why=unfinished.why_of(wait.error))
        if segment.place is Place.LOOP:
            raise_outcome(run, node, wait.outcome)
        elif isinstance(wait.outcome, OpError):
            raise at_node(type(wait.outcome), op, wait.outcome.message, wait.outcome.call)
        else:
            run.moved[op] = wait.outcome
        for number, value in zip(self._plan.flow.outputs[node], wait.outcome, strict=True):
            run.values[number] = value
        run.count(segment.place.value, 1)
        run.waited(segment.place.value, op, wait.since)
        return segment

    def cancel(self) -> None:
        """Cancel everything in progress. Queue nodes have moved no element then; calls notify once they have ended."""
        for wait, segment in reversed(list(self._run.waits.items())):  # calls waiting for limits first
            if wait.cancel is not None:
                wait.cancel()
            (op,) = self._run.ops_of(segment)
            self._run.waited(segment.place.value, op, wait.since, why=unfinished.STOPPED)
            if segment.place is Place.QUEUE:
                self._run.waits.pop(wait, None)
