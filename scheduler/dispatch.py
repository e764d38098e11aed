"""The event loop that runs a plan whose segments lie in several places.

ready      segments whose predecessors are done: a heap, the longest path to the end first
window     how many segments are shown to Ray at a time: a few more than there are slots, for Ray has no priorities
attempt    one try of a segment in another process; a lost process costs an attempt, not the run

The loop runs in the thread that called `run`. Ray's threads only put the finished attempts into `run.events`. The first
error wins: what is on its way is cancelled and waited for, by force after a grace time, and nothing is committed.
"""

from __future__ import annotations

import heapq
import pickle
from dataclasses import dataclass, field
from queue import Empty
from time import monotonic
from typing import Any

from weftwork.actors.messages import Request, pack_values, unpack
from weftwork.actors.program import Stopped, quiet, size_of
from weftwork.graph.errors import DeadlineExceededError, InvalidArgumentError, OpError
from weftwork.scheduler import backend
from weftwork.scheduler.actor_link import ActorLink
from weftwork.scheduler.backend import Handle, Interrupted, WorkerLost
from weftwork.scheduler.failures import at_node, lost, node_error, unloadable
from weftwork.scheduler.placement import REMOTE_BYTES, Place
from weftwork.scheduler.plan import Plan, Segment
from weftwork.scheduler.run import TIMED_OUT, Run

ATTEMPTS = 3
"""Tries of a segment whose process dies under it."""
_KILLS = 10
"""How often, a second apart, what does not stop is killed by force: Ray misses a cancel now and then."""


@dataclass(eq=False)
class Attempt:
    """A segment on its way in another process."""

    segment: Segment
    handle: Handle
    expires: float | None
    """When the node's own time limit is over."""
    since: float = field(default_factory=monotonic)


class Dispatcher:
    """One run of one plan."""

    def __init__(self, run: Run, plan: Plan, link: ActorLink, measure: bool, grace: float):
        self.run, self.plan, self.link, self.measure, self.grace = run, plan, link, measure, grace
        self.waits = {segment.number: segment.waits for segment in plan.segments}
        self.left = len(plan.segments)
        self.readers = dict(plan.readers)
        self.here: list[Segment] = []
        self.there: list[Segment] = []
        self.under_way: dict[Handle, Attempt] = run.under_way
        self.tries: dict[int, int] = {}
        self.references: dict[int, Any] = {}
        self.window = 2 * backend.cpus() + 2

    def execute(self) -> None:
        """Run all segments. Raises the first error, after everything has come to rest."""
        for segment in self.plan.segments:
            if segment.waits == 0:
                self._ready(segment)
        try:
            while self.left:
                self._send()
                if self.here:
                    self._run_here(heapq.heappop(self.here))
                    self._take_events(block=False)
                else:
                    self._take_events(block=True)
        except BaseException as error:
            self._drain()
            if isinstance(error, Stopped):
                raise self.run.stopped() from None
            raise

    # Starting

    def _ready(self, segment: Segment) -> None:
        heapq.heappush(self.here if segment.place is Place.CALLER else self.there, segment)

    def _send(self) -> None:
        while self.there and len(self.under_way) < self.window:
            self._start(heapq.heappop(self.there))

    def _run_here(self, segment: Segment) -> None:
        self._expire()
        with quiet():
            self.run.run_here(self.plan, segment, self.measure)
        self._done(segment)

    def _start(self, segment: Segment) -> None:
        if segment.locked:
            self.run.lock()
        try:
            if segment.place is Place.ACTOR:
                handle = self._start_in_actor(segment)
            else:
                message, arrived = self._message(segment, set())
                asked = segment.traits.resources if segment.traits else ()
                handle = backend.submit(message, arrived, len(segment.apart), asked)
        except (OpError, WorkerLost):
            raise
        except Exception as error:  # an input that does not pickle, or a value too large for Ray
            op = self.plan.flow.ops[segment.nodes[0]]
            raise node_error(op, TypeError(f"an input of {op.name} could not be sent to a worker: {error}")) from error
        limit = segment.traits.timeout if segment.traits else None
        attempt = Attempt(segment, handle, None if limit is None else monotonic() + limit)
        self.under_way[handle] = attempt
        events = self.run.events
        backend.on_done(handle, lambda: events.put(handle))

    def _start_in_actor(self, segment: Segment) -> Handle:
        link = self.link
        with link.lock:
            link.ensure()
            message, arrived = self._message(segment, link.programs)
            program, _, _ = backend.code_of(segment.program)
            link.programs.add(program)
            return link.submit(message, arrived, len(segment.apart))

    def _message(self, segment: Segment, known: set[str]) -> tuple[bytes, list]:
        """A segment's request, and the references that go beside it."""
        program, code, code_reference = backend.code_of(segment.program)
        actor = segment.place is Place.ACTOR
        small: list = []
        beside: list[int] = []
        arrived: list = []
        held: list[tuple[int, str, int]] = []
        for position, number in enumerate(segment.inputs):
            name, version = self.run.versions.get(number, ("", 0))
            if actor and version and self.link.held.get(name) == version:
                held.append((position, name, version))
                small.append(None)
                continue
            reference = self._reference(number)
            if reference is None:
                small.append(self.run.values[number])
            else:
                small.append(None)
                beside.append(position)
                arrived.append(reference)
        keeps = self._keeps(segment) if actor else ()
        beside_code = code_reference is not None and program not in known
        if beside_code:
            arrived.append(code_reference)
        request = Request(
            program,
            None if program in known else code,
            pack_values(small),
            tuple(beside),
            tuple(held),
            keeps,
            self._forgettable() if actor else (),
            segment.apart,
            self._seconds_left(),
            self.measure,
            beside_code,
        )
        return pickle.dumps(request, protocol=5), arrived

    def _keeps(self, segment: Segment) -> tuple[tuple[int, str, int], ...]:
        """The outputs that the actor shall keep as new versions: large ones, which would have to be sent again."""
        ends = {number: name for name, number in self.plan.flow.writes.items()}
        return tuple(
            [
                (position, ends[number], self.run.version_of(ends[number]))
                for position, number in enumerate(segment.outputs)
                if number in ends
            ]
        )

    def _forgettable(self) -> tuple[tuple[str, int], ...]:
        return tuple([(name, self.run.mirror.cell(name).version) for name in self.link.held])

    def _reference(self, number: int) -> Any:
        """A reference to a value that is large or not here; None for one that goes by value."""
        value = self.run.values[number]
        if backend.is_reference(value):
            return value
        reference = self.references.get(number)
        if reference is None and size_of(value) > REMOTE_BYTES:
            name, version = self.run.versions.get(number, ("", 0))
            cell = self.run.mirror.cell(name) if version else None
            if cell is not None and cell.version == version and cell.reference is not None:
                reference = cell.reference
            else:
                reference = backend.put(value)
                if cell is not None and cell.version == version:
                    cell.reference = reference
            self.references[number] = reference
        return reference

    def _seconds_left(self) -> float | None:
        return None if self.run.deadline is None else max(0.0, self.run.deadline - monotonic())

    # Waiting

    def _take_events(self, block: bool) -> None:
        self._expire()
        if block:
            try:
                self._finished(self.run.events.get(timeout=self._next_limit()))
            except Empty:
                self._expire()
        while True:
            try:
                self._finished(self.run.events.get_nowait())
            except Empty:
                return

    def _next_limit(self) -> float | None:
        limits = [a.expires for a in self.under_way.values() if a.expires is not None]
        return max(0.0, min(limits) - monotonic()) if limits else None

    def _expire(self) -> None:
        """Raise when the run, or the time limit of a node, is over."""
        if self.run.stop:
            raise Stopped
        for attempt in self.under_way.values():
            if attempt.expires is not None and monotonic() >= attempt.expires:
                traits = attempt.segment.traits
                op = next(o for o in map(self._op, attempt.segment.nodes) if o.traits is traits)
                raise at_node(
                    DeadlineExceededError,
                    op,
                    f"{op.name} took longer than its time limit of {traits.timeout:g} s",  # type: ignore[union-attr]
                )

    def _op(self, node: int) -> Any:
        return self.plan.flow.ops[node]

    def _finished(self, handle: Handle | None) -> None:
        attempt = self.under_way.pop(handle, None) if handle is not None else None
        if attempt is None:
            return
        try:
            reply = unpack(backend.result(attempt.handle))
        except WorkerLost as error:
            self._again(attempt, str(error))
        except Interrupted:
            raise Stopped from None
        else:
            self._take_reply(attempt, reply)

    def _again(self, attempt: Attempt, reason: str) -> None:
        """The process died under a segment: try once more, or give up."""
        segment = attempt.segment
        if attempt.handle.actor is not None:
            self.link.dead(attempt.handle.actor)
        tries = self.tries[segment.number] = self.tries.get(segment.number, 0) + 1
        if tries >= ATTEMPTS:
            raise lost([self._op(node) for node in segment.nodes], tries, reason)
        self._ready(segment)

    def _take_reply(self, attempt: Attempt, reply: list) -> None:
        segment, kind = attempt.segment, reply[0]
        if kind == "done":
            self._take_outputs(attempt, reply[1])
            place = segment.place.value
            if len(reply) > 2:
                self.run.learn(self.plan, segment, *reply[2:], place=place)
            self.run.count(place, len(segment.nodes))
            self._done(segment)
        elif kind == "failed":
            error = unpack(reply[2])
            raise node_error(self._op(segment.owners[reply[1]]), error, reply[3])
        elif kind == "unpicklable":
            number = segment.outputs[reply[1]]
            raise at_node(InvalidArgumentError, self._op(self.plan.flow.producer[number]), str(unpack(reply[2])))
        elif kind == "unloadable":
            raise unloadable([self._op(node) for node in segment.nodes], unpack(reply[1]), reply[2])
        elif kind == "stopped":
            self.run.cancel(TIMED_OUT)
            raise Stopped
        else:  # "missing" or "lacking": the process has not got what we believed it had
            with self.link.lock:
                self.link.programs.clear()
                self.link.held.clear()
            self._ready(segment)

    def _take_outputs(self, attempt: Attempt, small: list) -> None:
        segment, values = attempt.segment, self.run.values
        for number, value in zip(segment.outputs, small, strict=True):
            values[number] = value
        for position, reference in zip(segment.apart, attempt.handle.apart, strict=True):
            values[segment.outputs[position]] = reference
        if segment.place is Place.ACTOR:
            with self.link.lock:
                for position, name, version in self._keeps(segment):
                    self.link.held[name] = version
                    self.run.versions[segment.outputs[position]] = (name, version)

    def _done(self, segment: Segment) -> None:
        self.left -= 1
        for other in segment.next:
            self.waits[other.number] -= 1
            if self.waits[other.number] == 0:
                self._ready(other)
        for number in segment.inputs:
            self.readers[number] -= 1
            if self.readers[number] == 0 and number not in self.plan.wanted:
                self.references.pop(number, None)
                if self.plan.flow.producer[number] >= 0:
                    self.run.values[number] = None

    # Coming to rest

    def _drain(self) -> None:
        """Cancel what is on its way and wait for it, by force once the grace time is over."""
        pending = dict(self.under_way)
        self.under_way.clear()
        self.run.stop.append("drained")
        for force, seconds in ((False, self.grace), *[(True, 1.0)] * _KILLS):
            for handle in pending:
                backend.cancel(handle, force)
                if force and handle.actor is not None:
                    self.link.dead(handle.actor)
            end = monotonic() + seconds
            while pending and monotonic() < end:
                try:
                    handle = self.run.events.get(timeout=max(0.0, end - monotonic()))
                except Empty:
                    break
                pending.pop(handle, None)
            if not pending:
                return
