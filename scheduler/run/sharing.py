"""Sharing: shares the nodes of a run out among the program's local workers, as the run goes on.

lane      a core beside the caller's: nodes run in its local worker, or in a thread of ours if they release the GIL.
          A lane whose worker has not started has only the thread
batch     ready nodes that go to a lane at once
row       a worker's description of a node; it keeps rows, so later runs send only numbers
held      the values that a worker has made or was sent, and need not be sent again

Costs need not be known: idle lanes take more nodes. Known costs improve the order. A node runs in the caller if it
must, if it is shorter than a message, or if a worker turns out to be unable to run it: because its code, an input or an
output does not pickle, or it needs something only the caller has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from time import monotonic
from typing import Any

from weftwork.actors.processes.messages import describe, pack_parts, unpack_parts
from weftwork.actors.processes.transport import Gone, Transport
from weftwork.actors.programs.float_errors import quiet
from weftwork.actors.programs.program import Stopped, is_from_outside
from weftwork.actors.programs.sizes import size_of
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.grouping import after_locks
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.placement import Place, stateful
from weftwork.scheduler.plan.plan import Segment
from weftwork.scheduler.plan.policy import ATTEMPTS, DROPPED_FROM_BYTES, ROUND_TRIP, THREAD_ROUND_TRIP
from weftwork.scheduler.run.apart import Apart
from weftwork.scheduler.run.background import Background
from weftwork.scheduler.run.calling import call_node, fits_a_thread
from weftwork.scheduler.run.failures import block, call_in_run, is_of_the_place, lost, node_error
from weftwork.scheduler.run.frontier import Frontier
from weftwork.scheduler.run.lane import Batch, Lane, idlest, until_room, with_room
from weftwork.scheduler.run.refusals import Refusals, is_repeated
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.run.shipping import Parcel
from weftwork.scheduler.run.telling import HERE, Node, Sent, resident
from weftwork.scheduler.run.thread_lanes import ThreadBatch, ThreadLanes

_UP_WITHIN = 60.0
"""Seconds for which a run that has lost all workers waits for one."""
_DEAD_WITHIN = 10.0
"""The same if one after another dies while starting."""
_LOOK = 0.2
"""Seconds between two looks whether it is still starting."""


class Sharing:
    """One run of one dataflow."""

    def __init__(
        self,
        run: Run,
        flow: Dataflow,
        transport: Transport,
        number: int,
        lanes: dict[int, Lane],
        seconds: Sequence,
        restart: Callable[[int], None],
        revive: Callable[[Iterable[int]], bool],
        missed: Callable[[float], None],
        apart: Apart,
        most: int | None,
    ):
        """seconds: the predicted seconds of each node; None if never seen.   restart: starts a slot's worker anew.
        revive: does so for those that died while starting, given the slots that are up; true if those were many.
        missed: takes note of seconds of work for which there was no worker, and starts them once they would pay.
        """
        self.run, self.flow, self.transport, self.number, self.lanes = run, flow, transport, number, lanes
        self.frontier, self._restart, self._revive, self._missed = Frontier(flow, seconds), restart, revive, missed
        self.gone: set[int] = set()
        """The slots whose workers have died."""
        self.locked = after_locks(flow)
        self.refusals = Refusals(run, flow, self.frontier)
        self.uses = flow.uses()
        self.apart, self.most = apart, most
        self.background = Background(transport.wake)
        """The nodes running apart, and the numbers of the batches that threads are running."""
        self.threads, self.halt = ThreadLanes(), list[bool]()
        """`halt` is filled to make threads end their batches."""
        self.tries: dict[int, int] = {}
        self.lethal: set[int] = set()
        """Ids of the kernels in which workers have died."""
        self.since = [0.0] * len(flow.ops)
        """When each node became ready."""
        self.batches = 0
        self.alone_since = 0.0

    def execute(self) -> None:
        """Run all nodes. Raises the first error; call `rest` then."""
        self._ready(self.frontier.first())
        with quiet():
            while self.frontier.left:
                if self.run.stop:
                    raise Stopped
                self._feed()
                if self.frontier.here and (self.most is None or self._busy() < self.most):
                    self._run_here(self.frontier.pop_here())
                    self._take(0)
                elif self.frontier.left:
                    self._take(self._until_room() if self.lanes else self._until_one_is_up())

    def _until_one_is_up(self) -> float:
        """Seconds to wait for a worker that is being started anew. Raises if none comes up.

        Only nodes wait in which a worker may have died. Others run in the caller meanwhile.
        """
        kernels = self.flow.kernels
        safe = [each for each in self.frontier.ready if id(kernels[each[1]]) not in self.lethal]
        if safe:
            self.frontier.move_here(min(safe))
            return 0.0
        within = _DEAD_WITHIN if self._revive(self.lanes) else _UP_WITHIN
        if self.background.under_way or not self.alone_since:
            self.alone_since = monotonic()
        elif monotonic() > self.alone_since + within:
            raise lost([self.flow.ops[node] for _, node in self.frontier.ready[:1]], 1, "no local worker has started")
        return _LOOK

    def _until_room(self) -> float | None:
        """Seconds to wait for a message before a lane has room for more; None for no limit."""
        ready = self.frontier.ready
        return until_room(self.lanes.values(), fits_a_thread(self.run, ready[0][1])) if ready else None

    def _busy(self) -> int:
        return len([lane for lane in self.lanes.values() if lane.batches])

    # Choosing

    def _ready(self, nodes: Iterable[int]) -> None:
        """Queue nodes that have become ready. Those without a kernel are done at once."""
        ready, now = list(nodes), monotonic()
        for node in ready:
            self.since[node] = now
            if self.flow.kernels[node] is None:
                ready.extend(self._done(node))
            elif node in self.apart.nodes:
                self._begin_apart(node)
            else:
                self.frontier.push(self.frontier.here if self._must_stay(node) else self.frontier.ready, node)

    def _begin_apart(self, node: int) -> None:
        self.apart.start(node, self.background, partial(self._apart_done, node))

    def _apart_done(self, node: int, result: Any) -> None:
        if isinstance(result, BaseException):
            raise result
        for number, value in zip(self.flow.outputs[node], result, strict=True):
            self.run.values[number] = value
        self._ready(self._done(node))

    def _may_leave(self, node: int) -> bool:
        return self.flow.kernels[node] is not None and node not in self.apart.nodes and not self._must_stay(node)

    def _must_stay(self, node: int) -> bool:
        op = self.flow.ops[node]
        if node in self.refusals.kept or stateful(op.kind) or self.flow.is_here(node):
            return True
        return HISTORY.stays(self.flow.kernels[node])

    def _feed(self) -> None:
        """Give ready nodes to lanes with room. Nodes that are not worth a message run in the caller."""
        frontier = self.frontier
        while frontier.ready:
            first = frontier.ready[0][1]
            in_thread = fits_a_thread(self.run, first)
            free = with_room(self.lanes, in_thread)
            if not free and not in_thread and not self._has_workers:
                self._without_workers(first)
            if not free:
                return
            how = (THREAD_ROUND_TRIP, self._fits_a_thread) if in_thread else (ROUND_TRIP, self._may_leave)
            batch = frontier.next_batch(len(self.lanes), len(free), *how)
            if frontier.is_better_here(batch, self.lanes.values()):
                frontier.keep_here(batch)
                return
            slot = idlest(self.lanes, free, self.flow.inputs[first])
            (self._begin_thread if in_thread else self._send)(slot, batch)

    def _without_workers(self, node: int) -> None:
        """Keep the first ready node in the caller, since no worker has started; start them if it may not run here."""
        if COSTS.blocks(self.flow.kernels[node]):
            self._missed(inf)
        else:
            self.frontier.move_here(self.frontier.ready[0])

    @property
    def _has_workers(self) -> bool:
        return any([lane.has_worker for lane in self.lanes.values()])

    def _fits_a_thread(self, node: int) -> bool:
        return self._may_leave(node) and fits_a_thread(self.run, node)

    # In workers

    def _send(self, slot: int, batch: Batch) -> None:
        lane, nodes, began = self.lanes[slot], batch.nodes, monotonic()
        probe = any([self.frontier.gil_unknown(node) for node in nodes])
        self._lock_for(nodes)
        self.batches += 1
        parcel = Parcel(self.run, lane, nodes)
        try:
            content = parcel.packed()
        except Exception as error:
            self.refusals.does_not_pack(nodes, error)
            self._again(nodes)
            return
        told = [self.number, self.batches, lane.dropped, lane.clear, probe, self.run.around(lane.known)]
        now = monotonic()
        try:
            self.transport.send(slot, [*pack_parts(["share", *told]), *content], self.run.stop)
        except Gone:
            self._lost(slot, nodes)
            return
        parcel.has_left()
        self._give(slot, batch, now, now - began)

    def _give(self, slot: int, batch: Batch, now: float, packing: float = 0.0) -> None:
        """Send a batch to a lane."""
        first = batch.nodes[0]
        batch.sent = Sent(self.since[first], now, packing, 1 + self.tries.get(first, 0))
        self.lanes[slot].give(self.batches, batch)
        place = Place.THREAD if batch.in_thread else Place.RESIDENT
        self.run.here[self.batches, slot] = (Segment(self.batches, place, batch.nodes, False, slot), now, 0)

    def _take(self, seconds: float | None) -> None:
        """Process messages of workers, waiting up to `seconds`, or without limit, for the first one."""
        came = self.transport.next(seconds)
        while came is not None:
            slot, parts = came
            if parts is None:
                self._lost(slot, [])
            else:
                back = monotonic()
                self._told(slot, self._message(slot, parts), back)
            came = self.transport.next(0)
        self.background.take()

    def _message(self, slot: int, parts: list) -> list:
        """A worker's message. A result that cannot be loaded here ends its batch, like one that does not pickle."""
        try:
            return unpack_parts(parts)
        except Exception as error:
            number = min([n for n, batch in self.lanes[slot].batches.items() if not batch.in_thread])
            return ["shared", self.number, number, ("unloaded", *describe(error)), [], [], [], []]

    def _told(self, slot: int, message: list, back: float) -> None:
        kind, number, *rest = message
        if kind == "up":
            self._is_up(slot, number)
            self.alone_since = 0.0
        elif kind == "shared" and number == self.number:
            batch, end, made, costs, said, told = rest
            again = ()
            if end is not None and is_repeated(*end):  # these run once more, and report it then
                again = self.lanes[slot].batches[batch].nodes[len(made) :]
            for node, events in said:
                if node not in again:
                    self.run.heard([self.flow.ops[node]], events)
            self._finished(slot, batch, end, made, costs, told, back)

    def _is_up(self, slot: int, pid: int) -> None:
        lane = self.lanes.setdefault(slot, Lane(pid))
        lane.pid, lane.has_worker = pid, True

    def _finished(self, slot: int, number: int, end: Any, made: list, costs: list, told: Sequence, back: float) -> None:
        lane = self.lanes[slot]
        batch = lane.done(number)
        del self.run.here[number, slot]
        nodes, rest = batch.nodes[: len(made)], batch.nodes[len(made) :]
        self.run.count("resident", len(nodes))
        ran = []
        for node, result, (*cost, gil) in zip(nodes, made, costs, strict=True):
            outputs = self.flow.outputs[node]
            for value, one in zip(outputs, (result,) if len(outputs) == 1 else result, strict=True):
                self.run.values[value] = one
            ran.append(self._learn(node, cost))
            lane.large = lane.large or cost[3] >= DROPPED_FROM_BYTES
            if gil is not None and self.flow.ops[node].traits.user:
                HISTORY.tell_gil(self.flow.kernels[node], *gil)
        if ran:
            self.run.ran_there("resident", nodes, ran, batch.sent, told, back)
        if end is not None:
            lane.held.difference_update([value for node in rest for value in self.flow.outputs[node]])
            self.refusals.ended_early(lane, rest, *end)
            self._again(rest)
        for node in nodes:
            self._ready(self._done(node))

    def _again(self, nodes: Sequence[int]) -> None:
        """Make the nodes of an unfinished batch ready again, except those that depend on others of them."""
        self._ready(self.frontier.again(nodes))

    def _lost(self, slot: int, nodes: list[int]) -> None:
        """Give the work of a dead worker to another one. Raises if nodes were lost too often."""
        lane = self.lanes.pop(slot, None)
        nodes = [
            *nodes,
            *[node for batch in (lane.batches.values() if lane else ()) for node in batch.nodes if not batch.in_thread],
        ]
        pid = lane.pid if lane is not None else 0
        self.run.lost(nodes, resident(pid), "a local worker has died")
        self.lethal.update([id(self.flow.kernels[node]) for node in nodes])
        self._restart(slot)
        for node in nodes[:1]:
            self.tries[node] = self.tries.get(node, 0) + 1
            if self.tries[node] >= ATTEMPTS:
                block([self.flow.kernels[node]])
                call = call_in_run(self.run, node)
                raise lost([self.flow.ops[node]], ATTEMPTS, "a local worker has died", call)
        self._again(nodes)

    # In this process

    def _begin_thread(self, slot: int, batch: Batch) -> None:
        """Let the lane's thread run nodes while its worker is idle."""
        self._lock_for(batch.nodes)
        self.batches += 1
        batch.in_thread = True
        number, work = self.batches, ThreadBatch(self.run, batch.nodes, self.halt)
        self._give(slot, batch, monotonic())
        self.background.under_way.add(("thread", number))
        done = partial(self._thread_done, slot, number, work)
        self.threads.start(slot, work, lambda: self.background.tell(("thread", number), done))

    def _thread_done(self, slot: int, number: int, batch: ThreadBatch) -> None:
        sent, lane = HERE, self.lanes.get(slot)
        if lane is not None and number in lane.batches:  # otherwise its worker has died meanwhile
            sent = lane.done(number).sent
        del self.run.here[number, slot]
        nodes, rest = batch.nodes[: len(batch.costs)], batch.nodes[len(batch.costs) :]
        self.run.count("thread", len(nodes))
        ran = []
        for node, cost, seconds in zip(nodes, batch.costs, batch.seconds, strict=True):
            ran.append(self._learn(node, cost, seconds))
            self._ready(self._done(node))
        self.run.ran_here(ran, batch.lane, sent)
        if batch.error is not None and is_of_the_place(batch.error):
            self.refusals.keep_here(rest[:1], batch.error)
            self._again(rest)
        elif batch.error is not None and is_from_outside(batch.error):
            raise batch.error
        elif batch.error is not None:
            call = call_in_run(self.run, rest[0])
            raise node_error(self.flow.ops[rest[0]], batch.error, call=call) from batch.error
        elif rest and not self.halt:
            raise Stopped

    def _run_here(self, node: int) -> None:
        self._lock_for([node])
        try:
            cost = call_node(self.run, node)
        except BaseException as error:
            if is_from_outside(error):
                raise
            raise node_error(self.flow.ops[node], error, call=call_in_run(self.run, node)) from error
        ran = self._learn(node, cost)
        if not self._has_workers and HISTORY.holds_gil(self.flow.kernels[node]) and not self._must_stay(node):
            self._missed(cost[1])
        self.run.ran_here([ran], None, Sent(self.since[node]))
        self.run.count("caller", 1)
        self._ready(self._done(node))

    def _learn(self, node: int, cost: Sequence, seconds: float | None = None) -> Node:
        """Note that a node is done. seconds: its duration for the history, if not the elapsed one."""
        seconds = cost[1] if seconds is None else seconds
        self.frontier.took(node, seconds)
        return self.run.learn_node(node, cost, seconds)

    def _lock_for(self, nodes: list[int]) -> None:
        if not self.locked.isdisjoint(nodes):
            self.run.lock()

    def _done(self, node: int) -> list[int]:
        """Note that a node is done, and drop values that nobody needs any more. Returns the nodes that become ready."""
        flow, uses = self.flow, self.uses
        for number in flow.inputs[node]:
            uses[number] -= 1
            if not uses[number] and flow.producer[number] >= 0:
                value, self.run.values[number] = self.run.values[number], None
                if size_of(value) >= DROPPED_FROM_BYTES:
                    for lane in self.lanes.values():
                        lane.drop(number)
        return self.frontier.done(node)

    # Ending

    def let_go(self) -> None:
        """Give threads back, and make workers drop the large values of the run."""
        self.threads.end()
        for slot, lane in self.lanes.items():
            if lane.large:
                with suppress(Gone, Stopped):  # then nothing is kept
                    self.transport.send(slot, pack_parts(["forget"]), self.run.stop)

    def rest(self, grace: float) -> list[int]:
        """Tell workers to stop, and wait. Returns the slots of those that have not stopped within `grace` seconds."""
        self.apart.cancel()
        self.halt.append(True)
        busy = {slot for slot, lane in self.lanes.items() if any(not b.in_thread for b in lane.batches.values())}
        for slot in list(busy):
            try:
                self.transport.send(slot, pack_parts(["stop", self.number]), ["stopped"])
            except (Gone, Stopped):
                self.gone.add(slot)
                busy.discard(slot)
        end = monotonic() + grace
        self.background.settle()
        while (busy or self.background.under_way) and (left := end - monotonic()) > 0:
            came = self.transport.next(left)
            if came is None:
                self.background.settle()
                continue
            slot, parts = came
            if parts is None:
                self.gone.add(slot)
                busy.discard(slot)
                continue
            kind, number, *rest = self._message(slot, parts)
            if kind == "up":
                self._is_up(slot, number)
            elif kind == "shared" and number == self.number and slot in self.lanes:
                self.lanes[slot].batches.pop(rest[0], None)
                if not self.lanes[slot].batches:
                    busy.discard(slot)
        return sorted(busy)
