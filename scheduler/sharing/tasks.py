"""Tasks: the part of Ray tasks in a shared-out run. Batches of nodes become tasks, on whichever machine Ray chooses.

There is a lane for each CPU of the cluster, but no task belongs to one: Ray gives the next task to the first idle
process. It gets as many more than there are lanes as end while the caller learns of an end and sends another one. Ray
has no priorities, so more would delay urgent ones. A process keeps the functions that it was sent, but no values:
these are small and travel with the task, or lie in Ray's store.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from queue import Empty
from time import monotonic
from typing import Any

from weftwork.actors.processes.batches import Report
from weftwork.graph.errors import OpError
from weftwork.scheduler.events.event import Lane as Where
from weftwork.scheduler.machines import backend, objects
from weftwork.scheduler.machines.backend import Handle, WorkerLost
from weftwork.scheduler.plan.cost import COSTS, shape_bytes
from weftwork.scheduler.plan.placement import Estimate, Place
from weftwork.scheduler.plan.plan import Plan, Segment
from weftwork.scheduler.plan.policy import ATTEMPTS, NEW_CALL_WEIGHT, REMOTE_BYTES, TASK_ROUND_TRIP, WORTH_A_JOURNEY
from weftwork.scheduler.request.config import ConfigProto
from weftwork.scheduler.run.failures import block, call_in_run, lost
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.segments.attempts import Attempt
from weftwork.scheduler.segments.budget import Budget
from weftwork.scheduler.segments.post import Post
from weftwork.scheduler.segments.scarcity import Scarcity
from weftwork.scheduler.sharing.allowed import Allowed
from weftwork.scheduler.sharing.frontier import Frontier
from weftwork.scheduler.sharing.lane import Batch, Lane
from weftwork.scheduler.sharing.refusals import Refusals
from weftwork.scheduler.sharing.results import Results
from weftwork.scheduler.sharing.shipping import TaskParcel, uses_elsewhere

_PLACE = Place.TASK.value
_NOBODY = Lane()
"""What the process of the next task has, as far as is known: nothing."""


class Tasks:
    """The tasks of one run. It is the run's transport as well, which brings their ends."""

    def __init__(self, run: Run, plan: Plan, post: Post, estimate: Estimate, lanes: int, config: ConfigProto):
        """lanes: how many tasks may run at once.   estimate: what is known of the nodes and values."""
        self.run, self.plan, self.post, self.up = run, plan, post, lanes
        self._typical = 0.0
        """The typical seconds of a task."""
        self._bytes = estimate.bytes
        self._uses = run.flow.uses()
        large = sum([size for size in estimate.bytes if size > REMOTE_BYTES])
        self._budget, self._scarcity = Budget(large, config.memory_budget), Scarcity()
        self.gone: set[int] = set()
        """Lanes that are gone: none, because Ray replaces its processes."""
        self.loading: set[int] = set()
        """Lanes that are busy loading code: none, because a process does so within a task."""
        self._tries: dict[int, int] = {}
        self._sent, self._spilled = 0, 0

    def hire(self, frontier: Frontier, refusals: Refusals, allowed: Allowed) -> Tasks:
        """Let them serve the run, of which these are parts."""
        self.frontier, self.refusals, self.allowed = frontier, refusals, allowed
        self.results = Results(self.run, frontier, refusals, _PLACE)
        return self

    # Lanes

    @property
    def busy(self) -> int:
        """The number of tasks under way."""
        return len(self.post.under_way)

    @property
    def some_idle(self) -> bool:
        """True if a lane has no work."""
        return self.busy < self.up

    def free(self, cores: int) -> Sequence[int]:
        """Who may get a batch.   cores: how many more nodes may run at once."""
        if self.busy and not self._budget.has_room:
            return ()
        ahead = self.up * TASK_ROUND_TRIP / self._typical if self._typical else 0.0
        return range(min(cores, self.up + 1 + ceil(min(self.up, ahead)) - self.busy))

    def idlest(self, free: Sequence[int], inputs: Sequence[int]) -> int:
        """The best of those that are free for nodes with these inputs: Ray chooses."""
        return free[0]

    def are_copies_dear(self, node: int) -> bool:
        """Never: values stay on the machine where they are made."""
        return False

    def until_room(self) -> None:
        """Seconds until a lane is predicted to have room: only the end of a task tells."""

    def until_one_is_up(self, alone: bool) -> float:
        """Seconds to wait for a lane. There are always some."""
        return 0.0

    # The ends of tasks

    def next(self, seconds: float | None) -> tuple[Handle, None] | None:
        """The next task that has ended; None after `seconds`, or once `wake` was called."""
        events = self.run.events
        due = self._scarcity.looks_at(self.busy > 0)
        if due is not None:
            left = max(0.0, due - monotonic())
            seconds = left if seconds is None else min(seconds, left)
        if seconds != 0:
            self.post.give_cpu_back(lambda: seconds)
        try:
            event = events.get(timeout=seconds) if seconds != 0 else events.get_nowait()
        except Empty:
            self._scarcity.look(self.post.under_way.values(), self.plan)
            return None
        return None if event is None else (event, None)

    def wake(self) -> None:
        """Make `next` return. May be called from any thread."""
        self.post.wake()

    # Batches

    def send(self, slot: int, batch: Batch, outside: Any) -> list[int]:
        """Send a batch. Returns the nodes that could not be sent, and are ready again."""
        nodes = batch.nodes
        self.run.need_ray()
        segment, inner = self._segment(nodes)

        def packed(token: str) -> tuple[bytes, list]:
            return TaskParcel(self.run, nodes, self.post.requests).message(token, segment.outputs, inner)

        try:
            self.post.start(segment, self.frontier.since[nodes[0]], 1 + self._tries.get(nodes[0], 0), packed)
        except (OpError, WorkerLost):
            raise
        except Exception as error:  # an input that does not pickle, or a value too large for Ray
            self.refusals.does_not_pack(nodes, error)
            return self.frontier.again(nodes)
        self._budget.started(segment)
        return []

    def _segment(self, nodes: list[int]) -> tuple[Segment, frozenset[int]]:
        """Nodes as a segment, whose outputs are what is probably large; and the values that only they read."""
        flow = self.run.flow
        others = uses_elsewhere(flow, nodes, self._uses)
        large = tuple([value for value, uses in others.items() if uses and self._size(value) > REMOTE_BYTES])
        self._sent += 1
        segment = Segment(self._sent, Place.TASK, nodes, False, outputs=large, separate=tuple(range(len(large))))
        segment.large = sum(map(self._size, large))
        return segment, frozenset([value for value, uses in others.items() if not uses])

    def _size(self, value: int) -> float:
        """The bytes of a value, as far as they are known by now."""
        size = shape_bytes(self.run.flow.tensor(value))
        if size is None:
            record = COSTS.find(self.run.flow.kernels[self.run.flow.producer[value]], 0)
            size = self._bytes[value] if record is None else record.bytes
        return size

    def take(self, handle: Handle, _: None = None) -> tuple[list[int], list[int]]:
        """Take the end of a task. Returns the nodes that are done, and those ready again.

        Raises the error of a failed node, Stopped, or Restart.
        """
        attempt = self.post.ended(handle)
        if attempt is None:
            return [], []
        back, segment = monotonic(), attempt.segment
        self._budget.ended(segment)
        self._scarcity.goes_on()
        try:
            reply = self.post.reply(attempt)
        except WorkerLost as error:
            self._lost(segment.nodes, str(error))
            return [], self.frontier.again(segment.nodes)
        if reply[0] == "unloadable":  # here
            reply = [{}, tuple(reply)]
        sizes, report = reply[0], Report(*reply[1:])
        if report.end == ("stopped",):
            self.run.expire()
        elif report.made:
            spent = sum([cost[1] for cost in report.costs])
            self._typical += (spent - self._typical) * (NEW_CALL_WEIGHT if self._typical else 1.0)
        large = [*self._large(attempt, sizes, segment.nodes[: len(report.made)])]
        return self.results.take(_NOBODY, segment.nodes, attempt.sent, report, back, large)

    def _large(self, attempt: Attempt, sizes: dict, done: list[int]) -> Iterator[tuple[int, Any]]:
        """The large values that the nodes `done` have made, as (number, reference).   sizes: see `Batch.stored`."""
        for number, made in zip(attempt.segment.outputs, attempt.handle.separate, strict=True):
            if self.run.flow.producer[number] in done:
                size, same = sizes[number]
                self._budget.made(number, size)
                if size > WORTH_A_JOURNEY:
                    self.allowed.away.update(self._readers(number))
                yield number, self.post.stored(made, number, size, same)

    def _readers(self, value: int) -> list[int]:
        flow = self.run.flow
        return [node for node in flow.neighbours()[1][flow.producer[value]] if value in flow.inputs[node]]

    def _lost(self, nodes: Sequence[int], reason: str) -> None:
        """Note that a process died with these nodes. Raises if it was the last attempt."""
        run, flow = self.run, self.run.flow
        run.lost(nodes, Where(_PLACE), reason)
        self.allowed.lethal.update([id(flow.kernels[node]) for node in nodes])
        if len(nodes) > 1:  # which of them it was will be seen
            self.frontier.singly.update(nodes)
            return
        tries = self._tries[nodes[0]] = self._tries.get(nodes[0], 0) + 1
        if tries >= ATTEMPTS:
            block([flow.kernels[node] for node in nodes if flow.ops[node].traits.user])
            raise lost([flow.ops[node] for node in nodes], tries, reason, call_in_run(run, nodes[0]))

    def drop(self, number: int, value: Any) -> None:
        """Let go of a value that nobody needs any more."""
        self.post.requests.references.pop(number, None)
        if objects.is_reference(value):
            self._budget.dropped(number)
            self._spilled += self._budget.spilled([value])

    # Ending

    def let_go(self) -> None:
        """Report what was spilled, once the run is over."""
        self._spilled += self._budget.spilled([self.run.values[number] for number in self._budget.live])
        if self._spilled:
            self.run.teller().tell("spilled", bytes_out=self._spilled, text=f"{self._spilled} bytes")

    def stop(self) -> set:
        """Cancel what is under way; `Post.drain` waits for it."""
        if self.post.under_way:
            backend.cancel(self.post.under_way, False)
        return set()

    def rested(self, handle: Handle, _: None = None) -> bool:
        """Note that a task has ended after `stop`."""
        self.post.ended(handle)
        return True


def most_of(lanes: int) -> int:
    """How many tasks Ray is given at most if so many may run at once."""
    return 2 * lanes + 1
