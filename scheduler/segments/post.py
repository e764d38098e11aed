"""Post: sends segments to tasks and actors, and receives their replies.

attempt   one try of a segment in another process

Ray's threads put finished attempts into `run.events`; all else happens in the thread that drives the run.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from operator import attrgetter
from queue import Empty, SimpleQueue
from time import monotonic

from weftwork.actors.processes.messages import describe, described, unpack
from weftwork.actors.programs.program import Stopped
from weftwork.graph.drawing.words import listed
from weftwork.graph.errors import OpError, at_node
from weftwork.scheduler.compile.needs import Need
from weftwork.scheduler.machines import backend, inventory, objects
from weftwork.scheduler.machines.backend import Handle, Interrupted, Reference, StoreFull, Unplaceable, ValueLost
from weftwork.scheduler.plan.placement import Place
from weftwork.scheduler.plan.plan import Plan, Segment
from weftwork.scheduler.run import unfinished
from weftwork.scheduler.run.failures import does_not_fit, lost, node_error, reported_call
from weftwork.scheduler.run.restart import Moved, Restart
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.run.telling import Sent
from weftwork.scheduler.segments.attempts import Attempt
from weftwork.scheduler.segments.requests import RequestBuilder
from weftwork.scheduler.state.actor_link import ActorLink, Links

_KILLS = 10
"""How often work that does not stop is killed, a second apart: Ray misses a cancel now and then."""
_WAITS = 0.2
"""Seconds between two checks for other events, while a run inside a task waits with its CPU released."""


class Post:
    """The segments of one run of one plan that other processes run."""

    def __init__(self, run: Run, plan: Plan, links: Links, measure: bool, named: bool):
        """named: Ray shows segments, by the names of their nodes."""
        self._run, self._plan, self._links, self._named = run, plan, links, named
        self.requests = RequestBuilder(run, plan, measure)
        self.under_way: dict[Handle, Attempt] = {}
        run.under_way, run.waits, run.calls, run.events = self.under_way, {}, {}, SimpleQueue()
        run.wakers.append(self.wake)
        self._name, self._sent = "", 0

    def wake(self) -> None:
        """Wake the thread that waits for events. May be called from any."""
        self._run.events.put(None)

    def start(self, segment: Segment, since: float, tries: int, pack: Callable[[str], tuple] | None = None) -> Attempt:
        """Send a segment, which became ready at `since`.

        tries: the number of this attempt.   pack: makes another message than the segment's request, and the references
        beside it, given the attempt's token.   Raises OpErrors that name its first node, WorkerLost, and whatever
        pickling its inputs raises.
        """
        self._sent += 1
        self._name = self._name or f"weftwork {uuid.uuid4().hex} "
        token, packs, events = f"{self._name}{self._sent}", monotonic(), self._run.events
        handle, link, left = self._send(segment, token, pack)
        attempt = Attempt(segment, handle, token, link, Sent(since, left, left - packs, tries))
        self.under_way[handle] = attempt
        backend.on_done(handle, lambda: events.put(handle))
        return attempt

    def _send(
        self, segment: Segment, token: str, pack: Callable[[str], tuple] | None
    ) -> tuple[Handle, ActorLink | None, float]:
        """Send a segment. Returns the pending call, the link to its actor, and when it was sent."""
        op = self._plan.flow.ops[segment.nodes[0]]
        try:
            if segment.place is Place.ACTOR:
                link = self._links.at(segment.home)
                return self._to_actor(segment, link, token)
            self._let_gpus_go(segment.need)
            message, arrived = self.requests.request(segment, None, token) if pack is None else pack(token)
            left = monotonic()
            name = self._shown(segment)
            return backend.submit(message, arrived, len(segment.separate), segment.need, name), None, left
        except OpError as error:
            raise error if error.op is not None else at_node(type(error), op, error.message) from None
        except StoreFull as error:
            raise does_not_fit(op, "An input", str(error)) from error

    def _to_actor(self, segment: Segment, link: ActorLink, token: str) -> tuple[Handle, ActorLink, float]:
        with link.lock:
            link.ensure()
            message, arrived = self.requests.request(segment, link, token)
            code = objects.code_of(segment.program)
            link.programs.update([code.name, *[block.key for block in code.blocks]])
            link.busy += 1
            left = monotonic()
            return link.submit(message, arrived, len(segment.separate), self._shown(segment)), link, left

    def _shown(self, segment: Segment) -> str:
        """What Ray calls a segment: the names of its nodes. "" if Ray is not to show it."""
        return listed(self._run.ops_of(segment), attrgetter("name")) if self._named else ""

    def _let_gpus_go(self, need: Need | None) -> None:
        """Let idle actors of the session give up their GPUs if a task asks for one."""
        asked = dict(need.resources).get("GPU", 0.0) if need is not None else 0.0
        if asked and inventory.free("GPU", need.home.machine) < asked:  # type: ignore[union-attr]
            self._links.free_gpus()

    def ended(self, handle: Handle) -> Attempt | None:
        """Note that an attempt has ended, and return it; None if it is no longer of interest."""
        attempt = self.under_way.pop(handle, None)
        if attempt is not None:
            self._forget(attempt)
        return attempt

    def _forget(self, attempt: Attempt) -> None:
        if attempt.link is not None:
            attempt.link.busy -= 1
        if attempt.may_have_said:
            backend.forget_word(attempt.handle.life, attempt.token)

    def reply(self, attempt: Attempt) -> list:
        """The reply of an attempt that has ended.

        Raises WorkerLost; Restart or Moved, if the run must begin again; Stopped, if it was cancelled; and
        ResourceExhaustedError, if its outputs found no room.
        """
        ops = self._run.ops_of(attempt.segment)
        try:
            packed = backend.result(attempt.handle)
        except ValueLost as error:
            raise Restart(lost(list(ops), 1, str(error))) from None
        except Unplaceable as error:
            raise Moved(lost(list(ops), 1, str(error))) from None
        except Interrupted:
            raise Stopped from None
        except StoreFull as error:
            raise does_not_fit(ops[0], "An output", str(error)) from error
        try:
            return unpack(packed)
        except Exception as error:  # it cannot be loaded here
            return ["unloadable", *describe(error)]

    def take(
        self, attempt: Attempt, small: list, large_bytes: Sequence[int], came: Sequence[int | None]
    ) -> list[tuple[int, int]]:
        """Store the values of a reply in the run. Returns the numbers and bytes of the large ones.

        came: for each large output that is just an input, the position of that input, else None. Raises
        ResourceExhaustedError if the store had no room for one.
        """
        segment, values, requests = attempt.segment, self._run.values, self.requests
        for number, value in zip(segment.outputs, small, strict=True):
            values[number] = value
        large = []
        for position, made, size, place in zip(
            segment.separate, attempt.handle.separate, large_bytes, came, strict=True
        ):
            number = segment.outputs[position]
            values[number] = self.stored(made, number, size, None if place is None else segment.inputs[place])
            large.append((number, size))
        if attempt.link is not None:
            with attempt.link.lock:
                requests.left(segment, attempt.link, dict(zip(segment.separate, large_bytes, strict=True)))
                for _, name, _ in requests.versions_of(segment):
                    self._links.home_of[name] = segment.home
        return large

    def stored(self, made: Reference, number: int, size: int, same: int | None) -> Reference:
        """The reference to a large output.   made: that of its return value.   same: the input that it is, or None.

        Raises ResourceExhaustedError if the store had no room for it.
        """
        reference = made if same is None else self.requests.reference(same)
        try:
            objects.check_made(reference, size)
        except StoreFull as error:
            op = self._plan.flow.ops[self._plan.flow.producer[number]]
            raise does_not_fit(op, "The output", str(error)) from error
        return reference

    def failure(self, attempt: Attempt, report: Sequence) -> OpError:
        """The error of a segment in which a node has failed.   report: the reply without its kind."""
        run, segment = self._run, attempt.segment
        step, error, text, taken, ran, measured = report
        if not self.requests.stayed.keys().isdisjoint(segment.inputs):
            taken = "some of them lie in the memory of a GPU"
        call, cause = reported_call(run, segment, step, taken), described(error, text)
        unfinished.segment_there(run, segment, step, attempt.sent, ran, measured, unfinished.why_of(cause))
        return node_error(run.flow.ops[segment.owners[step]], cause, text, call)

    def stopped(self, attempt: Attempt, report: Sequence) -> Stopped:
        """What to raise for a segment that has stopped because the run's time is over.   report: see `failure`."""
        step, ran = report
        unfinished.segment_there(self._run, attempt.segment, step, attempt.sent, ran)
        self._run.expire()
        return Stopped()

    def give_cpu_back(self, limit: Callable[[], float | None]) -> None:
        """Inside a Ray task, release its CPU while the run waits for its own tasks, which may need it.

        limit: the seconds to wait at most, or None.
        """
        while self.under_way and self._run.events.empty() and backend.is_task():
            most = limit()
            backend.wait(list(self.under_way), _WAITS if most is None else min(_WAITS, most))
            if most is not None and most <= _WAITS:
                return

    def drain(self, grace: float) -> None:
        """Cancel all attempts, nested runs and waits of the run; kill what does not end within `grace` seconds."""
        pending = dict(self.under_way)
        drained = list(pending.values())
        self.under_way.clear()
        for attempt in drained:
            self._forget(attempt)
        self._run.stop.append("drained")
        for force, seconds in ((False, grace), *[(True, 1.0)] * _KILLS):
            if pending:  # else Ray may not be running
                backend.cancel(pending, force)
            for handle in pending:
                if force and handle.actor is not None:
                    self._links.dead(handle.actor)
            if self._gathered(pending, monotonic() + seconds):
                break
        unfinished.attempts(self._run, drained)

    def _gathered(self, pending: dict[Handle, Attempt], end: float) -> bool:
        """Wait for running work until `end`. True if all of it has ended."""
        calls, waits = self._run.calls, self._run.waits
        while (pending or calls or waits) and (left := end - monotonic()) > 0:
            try:
                event = self._run.events.get(timeout=left)
            except Empty:
                break
            for under_way in (pending, calls, waits):
                under_way.pop(event, None)
        return not (pending or calls)  # a coroutine that does not end is abandoned
