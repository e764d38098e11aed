"""How one run uses queues.

wait      a queue node on its way; whoever lets it go on puts it among the run's events
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from weftwork.actors.queues.host import QueueHost
from weftwork.graph.errors import OpError, at_node
from weftwork.scheduler.plan.placement import Place
from weftwork.scheduler.plan.plan import Plan, Segment
from weftwork.scheduler.run.run import Run


class Wait:
    """A queue node on its way. outcome: the list of its outputs or an error, once it is there."""

    def __init__(self, segment: Segment, events: Any):
        self.segment, self.since = segment, monotonic()
        self.outcome: Any = None
        self.cancel: Callable[[], None] | None = None
        self._events = events

    def told(self, outcome: Any) -> None:
        """Note the outcome, and let the run know."""
        self.outcome = outcome
        self._events.put(self)


class Waits:
    """The queue nodes of one run. left: how much that may wait is to be done that needs no write lock."""

    def __init__(self, run: Run, plan: Plan, queues: QueueHost):
        self._run, self._plan, self._queues = run, plan, queues
        self.left = sum([self.may_wait(s) and not s.locked for s in plan.segments])

    def may_wait(self, segment: Segment) -> bool:
        """True for a queue node, and for a branch or a loop that has some."""
        return segment.place is Place.QUEUE or not self._plan.flow.waiting.isdisjoint(segment.nodes)

    def ended(self, segment: Segment) -> None:
        """A segment is done."""
        self.left -= self.may_wait(segment) and not segment.locked

    def begin(self, segment: Segment) -> None:
        """Begin what a queue node does, unless an earlier attempt at the run has done it."""
        run = self._run
        if segment.locked:
            run.lock()
        (node,) = segment.nodes
        op = self._plan.flow.ops[node]
        wait = Wait(segment, run.events)
        run.waits[wait] = segment
        if op in run.moved:
            wait.told(run.moved[op])
            return
        run.look_again(segment)
        wait.cancel = self._queues.start(op, [run.local(v) for v in self._plan.flow.inputs[node]], wait.told)

    def end(self, wait: Wait) -> Segment | None:
        """Take the outcome of a queue node, whose segment this returns; None after a cancel. Raises its error."""
        run = self._run
        segment = run.waits.pop(wait, None)
        if segment is None:
            return None
        (node,) = segment.nodes
        op = self._plan.flow.ops[node]
        if isinstance(wait.outcome, OpError):
            raise at_node(type(wait.outcome), op, wait.outcome.message, wait.outcome.call)
        run.moved[op] = wait.outcome
        for number, value in zip(self._plan.flow.outputs[node], wait.outcome, strict=True):
            run.values[number] = value
        run.count(segment.place.value, 1)
        run.waited("queue", op, wait.since)
        return segment

    def cancel(self) -> None:
        """Give up all that are on their way: they have taken nothing."""
        for wait in list(self._run.waits):
            if wait.cancel is not None:
                wait.cancel()
        self._run.waits.clear()
