"""The event loop that runs a plan whose segments lie in several places.

ready      segments whose predecessors are done; a heap by longest path to the end, then by memory freed
window     how many segments Ray is given at a time: a few more than there are slots, because Ray has no priorities
budget     bytes of large values that may exist at a time; work that would exceed it waits for memory to be freed
attempt    one try of a segment in another process; a dead process costs an attempt, not the run
wait       a queue node in progress. Segments that need the write locks start once no other segment may wait in a queue

The loop runs in the thread that called `run`; Ray's threads only put finished attempts into `run.events`. The first
error wins: running work is cancelled, killed if it does not end within a grace time, and nothing is committed.
"""

from __future__ import annotations

import heapq
import sys
from collections import deque
from queue import Empty
from time import monotonic
from typing import Any

from weftwork.actors.processes.messages import described
from weftwork.actors.programs.program import Stopped
from weftwork.actors.queues.host import QueueHost
from weftwork.graph.errors import DeadlineExceededError, InvalidArgumentError, OpError, at_node, text_of
from weftwork.scheduler.compile.effects import functions_of
from weftwork.scheduler.events.event import Lane
from weftwork.scheduler.machines import backend, inventory
from weftwork.scheduler.machines.backend import Handle, WorkerLost
from weftwork.scheduler.plan.lanes import Lanes
from weftwork.scheduler.plan.placement import Place
from weftwork.scheduler.plan.plan import Plan, Segment, found_writing
from weftwork.scheduler.plan.policy import ATTEMPTS
from weftwork.scheduler.request.config import ConfigProto
from weftwork.scheduler.run import failures
from weftwork.scheduler.run.failures import block, is_of_the_place, lost, only_call
from weftwork.scheduler.run.restart import Restart
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.run.said import heard
from weftwork.scheduler.run.telling import Sent
from weftwork.scheduler.run.unsendable import unsendable
from weftwork.scheduler.segments.attempts import Attempt
from weftwork.scheduler.segments.awaiting import Awaiting
from weftwork.scheduler.segments.budget import Budget
from weftwork.scheduler.segments.nested import Call, Calls, Nesting
from weftwork.scheduler.segments.post import Post
from weftwork.scheduler.segments.queue_waits import Wait, Waits
from weftwork.scheduler.segments.scarcity import Scarcity
from weftwork.scheduler.state.actor_link import Links


class Dispatcher:
    """One run of one plan."""

    def __init__(
        self,
        run: Run,
        plan: Plan,
        links: Links,
        queues: QueueHost,
        nesting: Nesting,
        measure: bool,
        config: ConfigProto,
        lanes: Lanes,
        awaiting: Awaiting,
    ):
        self.run, self.plan, self.links, self.measure = run, plan, links, measure
        self.grace = config.cancel_grace_in_ms / 1000
        self.post = Post(run, plan, links, measure, config.names_in_ray)
        self.requests = self.post.requests
        self.budget = Budget(sum([segment.large for segment in plan.segments]), config.memory_budget)
        self.waits = {segment.number: segment.waits for segment in plan.segments}
        self.left = len(plan.segments)
        self.readers = dict(plan.readers)
        self.here: list[Segment] = []
        self.there: list[Segment] = []
        self.under_way = self.post.under_way
        self.tries: dict[int, int] = {}
        self.most = lanes.most
        self.slots = lanes.cpus()
        self.window = min(2 * self.slots + 2, lanes.most or sys.maxsize)
        self.held: list[Segment] = []
        self.inner: deque[Segment] = deque()
        self.queued = Waits(run, plan, queues, awaiting)
        self.scarcity = Scarcity()
        self.nested = Calls(run, plan, nesting, measure)
        self.since: dict[int, float] = {}
        """When each segment became ready."""
        self.spilled = 0
        """Bytes of large values that were spilled to disk."""

    def execute(self) -> None:
        """Run all segments. Raises the first error, once all work has ended."""
        for segment in self.plan.segments:
            if segment.waits == 0:
                self._ready(segment)
        try:
            while self.left:
                self._send()
                if self.here and self._has_lane():
                    self._run_here(heapq.heappop(self.here))
                    self._take_events(block=False)
                else:
                    self._take_events(block=True)
        except BaseException as error:
            self._drain()
            if isinstance(error, Stopped):
                raise self.run.stopped() from None
            raise
        finally:
            self.requests.clean()
        self.spilled += self.budget.spilled([self.run.values[n] for n in self.budget.live])
        if self.spilled:
            self.run.teller().tell("spilled", bytes_out=self.spilled, text=f"{self.spilled} bytes")

    # Starting

    def _ready(self, segment: Segment) -> None:
        self.since.setdefault(segment.number, monotonic())
        if segment.place in (Place.QUEUE, Place.LOOP):
            self.queued.begin(segment)
        elif segment.place is Place.NESTED and self.plan.may_wait(segment):
            self.nested.begin(segment)
        elif segment.locked and self.queued.left:
            self.held.append(segment)
        elif segment.place is Place.NESTED:
            self.inner.append(segment)
        else:
            heapq.heappush(self.here if segment.place is Place.CALLER else self.there, segment)

    def _returned(self, item: Wait | Call) -> None:
        """Take the result of a queue node, a nested branch or a loop. Raises its error."""
        segment = self.queued.end(item) if isinstance(item, Wait) else self.nested.end(item)
        if segment is None:
            return
        self.queued.ended(segment)
        if not self.queued.left:
            held, self.held = self.held, []
            for other in held:
                self._ready(other)
        self._done(segment)

    def _has_lane(self) -> bool:
        """True if not all of the session's lanes are in use. The bodies of a nested node may use all of them."""
        return self.most is None or (not self.run.calls and len(self.under_way) < self.most)

    def _send(self) -> None:
        while self.inner and (self.most is None or not (self.run.calls or self.under_way)):
            self.nested.begin(self.inner.popleft())
        while self.there and self._has_lane() and len(self.under_way) < self.window:
            self.run.need_ray()
            idle = not self.under_way and not self.here
            segment = self.budget.choose(self.there, self.readers, idle)
            if segment is None:
                return
            self._start(segment)

    def _run_here(self, segment: Segment) -> None:
        self._expire()
        self.run.look_again(segment)
        self.run.run_here(self.plan, segment, self.measure, sent=Sent(self.since[segment.number]))
        self._done(segment)

    def _start(self, segment: Segment) -> Attempt | None:
        if segment.locked:
            self.run.lock()
        self.run.look_again(segment)
        try:
            attempt = self.post.start(segment, self.since[segment.number], 1 + self.tries.get(segment.number, 0))
        except (OpError, WorkerLost):
            raise
        except Exception as error:  # an input that does not pickle, or a value too large for Ray
            if self._stays(segment, error):
                return None
            raise unsendable(self.run, segment.nodes, error) from error
        self.budget.started(segment)
        return attempt

    # Waiting

    def _take_events(self, block: bool) -> None:
        self._expire()
        if block:
            self.post.give_cpu_back(self._next_limit)
            try:
                self._finished(self.run.events.get(timeout=self._next_limit()))
            except Empty:
                self._expire()
                self._double_stragglers()
                self.scarcity.look(self.under_way.values(), self.plan)
        while True:
            try:
                self._finished(self.run.events.get_nowait())
            except Empty:
                return

    def _next_limit(self) -> float | None:
        """Seconds to wait for an event before something must be checked anyway; None for no limit."""
        limits = [t for a in self.under_way.values() for t in (a.expires, a.looks_at) if t is not None]
        if not self.there and len(self.under_way) < self.slots:
            limits += [due for a in self.under_way.values() if (due := a.late_at(self.plan)) is not None]
        tells = self.scarcity.looks_at(bool(self.under_way))
        limits += [tells] if tells is not None else []
        return max(0.0, min(limits) - monotonic()) if limits else None

    def _double_stragglers(self) -> None:
        """Start a copy of each attempt that is far behind, while slots are idle."""
        now = monotonic()
        for attempt in list(self.under_way.values()):
            if self.there or not self._has_lane() or len(self.under_way) >= self.slots:
                return
            due = attempt.late_at(self.plan)
            if due is not None and now >= due:
                self.run.teller().tell("copied", ops=tuple(self.run.ops_of(attempt.segment)))
                attempt.copy = self._start(attempt.segment)
                if attempt.copy is not None:
                    attempt.copy.copy = attempt

    def _expire(self) -> None:
        """Raise if the run was stopped, or a node has exceeded its time limit."""
        if self.run.stop:
            raise Stopped
        for attempt in self.under_way.values():
            if attempt.looks_at is not None and attempt.look(monotonic()):
                op = next(o for o in map(self._op, attempt.segment.nodes) if o.traits.timeout is not None)
                limit = attempt.word.limit
                call = only_call(self.run, attempt.segment)
                text = f"{op.name} took longer than its time limit of {limit:g} s"
                raise at_node(DeadlineExceededError, op, text, call)

    def _op(self, node: int) -> Any:
        return self.plan.flow.ops[node]

    def _finished(self, handle: Handle | Wait | Call | None) -> None:
        if isinstance(handle, (Wait, Call)):
            self._returned(handle)
            return
        attempt = None if handle is None else self.post.ended(handle)
        if attempt is None:
            return
        self.budget.ended(attempt.segment)
        self.scarcity.goes_on()
        back = monotonic()
        try:
            reply = self.post.reply(attempt)
        except WorkerLost as error:
            self._again(attempt, str(error))
        else:
            self._give_up(attempt.copy)
            self._take_reply(attempt, reply, back)

    def _give_up(self, copy: Attempt | None) -> None:
        """Cancel an attempt whose copy was faster."""
        if copy is not None and self.post.ended(copy.handle) is not None:
            self.budget.ended(copy.segment)
            backend.cancel([copy.handle], force=True)

    def _again(self, attempt: Attempt, reason: str) -> None:
        """Try a segment again after its process died, or give up."""
        segment = attempt.segment
        machine = inventory.address_of(segment.home.machine)
        self.run.lost(segment.nodes, Lane(segment.place.value, machine), reason)
        if attempt.copy is not None and attempt.copy.handle in self.under_way:
            attempt.copy.copy = None
            return
        if attempt.handle.actor is not None:
            needed = self.requests.depends_on(attempt.handle.actor)
            self.links.dead(attempt.handle.actor)
            if needed:
                raise Restart(lost([self._op(node) for node in segment.nodes], 1, reason))
        tries = self.tries[segment.number] = self.tries.get(segment.number, 0) + 1
        if tries >= ATTEMPTS:
            block([self.plan.flow.kernels[node] for node in segment.nodes if self._op(node).traits.user])
            raise lost([self._op(node) for node in segment.nodes], tries, reason, only_call(self.run, segment))
        self._ready(segment)

    def _take_reply(self, attempt: Attempt, reply: list, back: float) -> None:
        segment, said = attempt.segment, []
        if reply[0] == "said":
            _, said, *reply = reply
        kind, *rest = reply
        if self._moves_here(segment, kind, rest):
            return
        ops = [self._op(node) for node in segment.nodes]
        heard(self.run, segment.place.value, ops, said, segment.owners)
        if kind == "done":
            for number, size in self.post.take(attempt, *reply[1:4]):
                self.budget.made(number, size)
            place = segment.place.value
            nodes = self.run.learn(self.plan, segment, reply[5:]) if len(reply) > 5 else []
            self.run.ran_there(place, segment.nodes, nodes, attempt.sent, reply[4], back)
            self.run.count(place, len(segment.nodes))
            self._done(segment)
        elif kind == "failed":
            raise self.post.failure(attempt, rest)
        elif kind == "unpicklable":
            op = self._op(self.plan.flow.producer[segment.outputs[reply[1]]])
            raise at_node(InvalidArgumentError, op, text_of(described(*rest[1:3])))
        elif kind == "wrote":
            self._keep_here(segment, found_writing(self.plan.flow, segment.nodes, reply[1]))
        elif kind == "unloadable":
            raise failures.unloadable([self._op(node) for node in segment.nodes], described(*rest[:2]), reply[2])
        elif kind == "stopped":
            raise self.post.stopped(attempt, rest)
        else:  # "missing" or "lacking": the process does not have what we thought it had
            if attempt.link is not None:
                if self.requests.depends_on(attempt.handle.actor):
                    raise Restart(lost([self._op(node) for node in segment.nodes], 1, "it has lost a value"))
                with attempt.link.lock:
                    attempt.link.programs.clear()
                    attempt.link.held.clear()
            self._ready(segment)

    def _moves_here(self, segment: Segment, kind: str, rest: list) -> bool:
        """Repeat a segment here that failed there because of the place. Its output is dropped: it comes again."""
        if kind in ("failed", "unpicklable"):
            error = described(*rest[1:3])
            return (kind != "failed" or is_of_the_place(error)) and self._stays(segment, error)
        return kind == "unloadable" and self._stays(segment, described(*rest[:2]))

    def _stays(self, segment: Segment, why: BaseException) -> bool:
        """Run a segment that cannot be sent here, at once and in later runs. False if its nodes forbid that."""
        if segment.place is not Place.TASK or segment.need is not None:
            return False
        for node in segment.nodes:
            self.run.stays(node, why)
        segment.place = Place.CALLER
        self._ready(segment)
        return True

    def _keep_here(self, segment: Segment, functions: set) -> None:
        """Make functions that were seen to change captured state run in the caller from now on."""
        self.run.wrote(segment.nodes)
        started = {attempt.segment for attempt in self.under_way.values()}
        for other in self.plan.segments:
            if other is segment or (other not in started and other.need is None and other.place is not Place.QUEUE):
                if not functions.isdisjoint(functions_of([self.plan.flow.kernels[node] for node in other.nodes])):
                    other.place = Place.CALLER
        moved = [other for other in self.there if other.place is Place.CALLER]
        self.there = [other for other in self.there if other.place is not Place.CALLER]
        heapq.heapify(self.there)
        for other in [segment, *moved]:
            self._ready(other)

    def _done(self, segment: Segment) -> None:
        self.left -= 1
        for other in segment.next:
            self.waits[other.number] -= 1
            if self.waits[other.number] == 0:
                self._ready(other)
        for number in segment.inputs:
            self.readers[number] -= 1
            if self.readers[number] == 0 and number not in self.plan.wanted:
                self.requests.references.pop(number, None)
                self.budget.dropped(number)
                if self.plan.flow.producer[number] >= 0:
                    self.spilled += self.budget.spilled([self.run.values[n] for n in [number]])
                    self.run.values[number] = None

    # Coming to rest

    def _drain(self) -> None:
        """Cancel running work and wait for it; kill it once the grace time is over."""
        self.queued.cancel()
        self.nested.cancel()
        for attempt in self.under_way.values():
            self.budget.ended(attempt.segment)
        self.post.drain(self.grace)
