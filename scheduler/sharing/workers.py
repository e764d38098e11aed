"""Workers: the local workers' part in a shared-out run. Batches of nodes go to their lanes, and results come back.

row       a worker's description of a node; it keeps rows, so later runs send only numbers
held      the values that a worker has made or was sent, and need not be sent again
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from time import monotonic
from typing import Any

from weftwork.actors.processes.batches import Report
from weftwork.actors.processes.messages import describe, pack_parts, unpack_parts
from weftwork.actors.processes.transport import Gone, Transport
from weftwork.actors.programs.program import Stopped
from weftwork.actors.programs.sizes import size_of
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.placement import Place
from weftwork.scheduler.plan.plan import Segment
from weftwork.scheduler.plan.policy import (
    ATTEMPTS,
    CALLS_BEFORE_COPYING,
    COPYING_SHARE,
    DROPPED_FROM_BYTES,
    SECONDS_A_BYTE,
)
from weftwork.scheduler.run.failures import block, call_in_run, lost
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.run.telling import Sent, resident
from weftwork.scheduler.run.waiting import awaiting_a_worker
from weftwork.scheduler.sharing.allowed import Allowed, may_do_without
from weftwork.scheduler.sharing.frontier import Frontier
from weftwork.scheduler.sharing.lane import Batch, Lane, idlest, until_room, with_room
from weftwork.scheduler.sharing.refusals import Refusals
from weftwork.scheduler.sharing.results import Results
from weftwork.scheduler.sharing.shipping import Parcel, uses_elsewhere

_UP_WITHIN = 60.0
"""Seconds for which a run that has lost all workers waits for one."""
_DEAD_WITHIN = 10.0
"""The same, if workers keep dying while they start."""
_LOOK = 0.2
"""Seconds between two checks whether it is still starting."""


class Workers:
    """The workers of one run, each with a lane, by slot."""

    def __init__(
        self,
        run: Run,
        frontier: Frontier,
        refusals: Refusals,
        allowed: Allowed,
        transport: Transport,
        number: int,
        lanes: dict[int, Lane],
        restart: Callable[[int], None],
        revive: Callable[[Iterable[int]], bool],
    ):
        """number: the run's, in messages.   restart: starts a slot's worker anew.   revive: does so for those that died
        while starting, given the slots that are up; true if those were many.
        """
        self.run, self.frontier, self.refusals, self.allowed, self.lanes = run, frontier, refusals, allowed, lanes
        self.results = Results(run, frontier, refusals, Place.RESIDENT.value)
        self.gone: set[int] = set()
        """The slots whose workers have died."""
        self.loading: set[int] = set()
        """The slots whose workers are up, but busy loading code, such as large modules."""
        self._transport, self._number, self._restart, self._revive = transport, number, restart, revive
        self._tries: dict[int, int] = {}
        self._packed: dict[int, tuple] = {}
        """By token, the kernels that were sent."""
        self._batches, self._uses = 0, run.flow.uses()
        self._alone_since = 0.0

    @property
    def up(self) -> int:
        """The number of lanes."""
        return len(self.lanes)

    @property
    def busy(self) -> int:
        """The number of lanes at work."""
        return len([lane for lane in self.lanes.values() if lane.batches])

    @property
    def some_idle(self) -> bool:
        """True if a lane has no work."""
        return not all([lane.batches for lane in self.lanes.values()])

    def free(self, cores: int) -> list[int]:
        """The lanes that may get a batch.   cores: the number of cores that are free for idle lanes."""
        return with_room(self.lanes, cores, self.frontier.is_plenty(len(self.lanes)))

    def idlest(self, free: Sequence[int], inputs: Sequence[int]) -> int:
        """The best of the free lanes for nodes with these inputs."""
        return idlest(self.lanes, free, inputs)

    def are_copies_dear(self, node: int) -> bool:
        """Whether copying a node's values to a worker and back takes so long that the caller had better call it.

        Where threads may suit it instead, shorter copies are too dear.
        """
        known, copied = self.frontier.known(node), self.frontier.made(node)
        if known.seconds is None or known.calls < CALLS_BEFORE_COPYING or self.allowed.keeps_off(node):
            return False
        for number in self.run.flow.inputs[node]:
            size = size_of(self.run.values[number])
            if size >= DROPPED_FROM_BYTES and not self._is_there(number):
                copied += size
        share = COPYING_SHARE if HISTORY.holds_gil(self.run.flow.kernels[node]) else COPYING_SHARE / 2
        return SECONDS_A_BYTE * copied > share * known.seconds

    def _is_there(self, number: int) -> bool:
        """Whether a value need not be sent: a worker has it, or so many nodes read a constant that it hardly counts."""
        flow = self.run.flow
        if number in flow.constants and self._uses[number] > 2 * len(self.lanes):
            return True
        return any([lane.has(number, flow.key) for lane in self.lanes.values()])

    def until_room(self) -> float | None:
        """Seconds until a lane is predicted to have room; None if only a message can tell."""
        return until_room(self.lanes.values())

    def until_one_is_up(self, alone: bool) -> float:
        """Seconds to wait for a worker that is being started anew. Raises if none comes up.

        Only nodes wait in which a worker may have died. Others run in the caller meanwhile.
        alone: nothing else of the run is under way.
        """
        flow = self.run.flow
        safe = [each for each in self.frontier.ready if not self.allowed.keeps_off(each[1])]
        if safe:
            self.run.awaited = None
            self.frontier.move_here(min(safe))
            return 0.0
        if self.run.awaited is None:
            self.run.awaited = awaiting_a_worker(self.run, lambda: [node for _, node in list(self.frontier.ready)])
        within = _DEAD_WITHIN if self._revive(self.lanes) else _UP_WITHIN
        if not alone or not self._alone_since:
            self._alone_since = monotonic()
        elif monotonic() > self._alone_since + within:
            raise lost([flow.ops[node] for _, node in self.frontier.ready[:1]], 1, "no local worker has started")
        return _LOOK

    def send(self, slot: int, batch: Batch, outside: AbstractContextManager) -> list[int]:
        """Send a batch to a lane. Returns the nodes that could not be sent, and are ready again.

        outside: releases the monitor of the run's threads.
        """
        run, lane, nodes, began = self.run, self.lanes[slot], batch.nodes, monotonic()
        probe = self.frontier.gil_unknown_in(nodes)
        self._batches += 1
        parcel = Parcel(run, lane, nodes, self._packed)
        try:
            with outside:  # large values take long, and threads of this process may go on meanwhile
                content = parcel.packed()
        except Exception as error:
            self.refusals.does_not_pack(nodes, error)
            return self.frontier.again(nodes)
        patient = not (parcel.brings_code and may_do_without(run.flow))
        inner = frozenset([value for value, uses in uses_elsewhere(run.flow, nodes, self._uses).items() if not uses])
        header = [self._number, self._batches, lane.dropped, lane.clear, probe, patient, inner, run.around(lane.known)]
        now = monotonic()
        try:
            self._transport.send(slot, [*pack_parts(["share", *header]), *content], run.stop)
        except Gone:
            return self.lost(slot, nodes)
        parcel.has_left()
        batch.sent = Sent(self.frontier.since[nodes[0]], now, now - began, 1 + self._tries.get(nodes[0], 0))
        lane.give(self._batches, batch)
        run.here[self._batches, slot] = (Segment(self._batches, Place.RESIDENT, nodes, False, slot), now, 0)
        return []

    def take(self, slot: int, parts: list | None) -> tuple[list[int], list[int]]:
        """Take a message; None from a worker that is gone. Returns the nodes that are done, and those ready again.

        Raises the error of a failed node, or Stopped.
        """
        if parts is None:
            return [], self.lost(slot)
        back = monotonic()
        kind, number, *rest = self._message(slot, parts)
        if kind == "up":
            self._is_up(slot, number)
            self._alone_since = 0.0
        elif kind == "loading":
            return [], self.frontier.again(self._loads(slot))
        elif kind == "shared" and number == self._number:
            batch, report = self._ended(slot, *rest)
            return self.results.take(self.lanes[slot], batch.nodes, batch.sent, report, back)
        return [], []

    def _is_up(self, slot: int, pid: int) -> None:
        """Note that a worker is ready for batches."""
        self.loading.discard(slot)
        self.lanes.setdefault(slot, Lane(pid))
        self.run.awaited = None

    def _loads(self, slot: int) -> list[int]:
        """Take back the work of a worker that takes long to load it, and return it. It says when it is up again."""
        lane = self.lanes.pop(slot)
        self.loading.add(slot)
        with suppress(Gone, Stopped):
            self._transport.send(slot, pack_parts(["resume"]), self.run.stop)
        for number in lane.batches:
            del self.run.here[number, slot]
        return [node for batch in lane.batches.values() for node in batch.nodes]

    def _message(self, slot: int, parts: list) -> list:
        """A worker's message. A result that cannot be loaded here ends its batch, like one that does not pickle."""
        try:
            return unpack_parts(parts)
        except Exception as error:
            return ["shared", self._number, min(self.lanes[slot].batches), ("unloadable", *describe(error))]

    def _ended(self, slot: int, number: int, *report: Any) -> tuple[Batch, Report]:
        """Note that a batch has ended. Returns it with the report."""
        lane, made = self.lanes[slot], Report(*report)
        del self.run.here[number, slot]
        lane.large = lane.large or any([cost[3] >= DROPPED_FROM_BYTES for cost in made.costs])
        return lane.done(number), made

    def lost(self, slot: int, nodes: Sequence[int] = ()) -> list[int]:
        """Take back the work of a dead worker, and `nodes`. Returns those that are ready.

        Raises if nodes were lost too often.
        """
        lane = self.lanes.pop(slot, None)
        nodes = [*nodes, *[node for batch in (lane.batches.values() if lane else ()) for node in batch.nodes]]
        flow = self.run.flow
        self.run.lost(nodes, resident(lane.pid if lane is not None else 0), "a local worker has died")
        self.allowed.lethal.update([id(flow.kernels[node]) for node in nodes])
        self._restart(slot)
        for node in nodes[:1]:
            self._tries[node] = self._tries.get(node, 0) + 1
            if self._tries[node] >= ATTEMPTS:
                block([flow.kernels[node]])
                raise lost([flow.ops[node]], ATTEMPTS, "a local worker has died", call_in_run(self.run, node))
        return self.frontier.again(nodes)

    def drop(self, number: int, value: Any) -> None:
        """Make workers drop a value that nobody needs any more, if it is large."""
        if self.lanes and size_of(value) >= DROPPED_FROM_BYTES:
            for lane in self.lanes.values():
                lane.drop(number)

    # Ending

    def let_go(self) -> None:
        """Make workers drop the large values of the run."""
        for slot, lane in self.lanes.items():
            if lane.large:
                with suppress(Gone, Stopped):  # then nothing is kept
                    self._transport.send(slot, pack_parts(["forget"]), self.run.stop)

    def stop(self) -> set[int]:
        """Tell workers to stop. Returns the slots of those that are at work."""
        busy = set()
        for slot, lane in self.lanes.items():
            if lane.batches:
                try:
                    self._transport.send(slot, pack_parts(["stop", self._number]), ["stopped"])
                    busy.add(slot)
                except (Gone, Stopped):
                    self.gone.add(slot)
        return busy

    def rested(self, slot: int, parts: list | None) -> bool:
        """Whether a message that came after `stop` says that a worker is no longer at work."""
        if parts is None:
            self.gone.add(slot)
            return True
        kind, number, *rest = self._message(slot, parts)
        if kind == "up":
            self._is_up(slot, number)
        elif kind == "loading":
            self._loads(slot)
            return True
        elif kind == "shared" and number == self._number and slot in self.lanes:
            if rest[0] in self.lanes[slot].batches:
                batch, report = self._ended(slot, *rest)
                self.results.keep(batch.nodes, batch.sent, report, monotonic())
            return not self.lanes[slot].batches
        return False
