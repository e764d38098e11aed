"""Post: sends segments to tasks and actors, and receives their replies."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from time import monotonic

from weftwork.graph.drawing.words import listed
from weftwork.graph.errors import OpError, at_node
from weftwork.graph.operation import Operation
from weftwork.scheduler.compile.needs import Need
from weftwork.scheduler.machines import backend, inventory, objects
from weftwork.scheduler.machines.backend import Handle, StoreFull
from weftwork.scheduler.plan.placement import Place
from weftwork.scheduler.plan.plan import Plan, Segment
from weftwork.scheduler.run.attempts import Attempt
from weftwork.scheduler.run.failures import does_not_fit
from weftwork.scheduler.run.requests import RequestBuilder
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.state.actor_link import ActorLink, Links


class Post:
    """Sends the segments of one run of one plan.   named: Ray shows them, by the names of their nodes."""

    def __init__(self, run: Run, plan: Plan, links: Links, requests: RequestBuilder, named: bool):
        self._run, self._plan, self._links, self._requests, self._named = run, plan, links, requests, named

    def send(self, segment: Segment, token: str) -> tuple[Handle, ActorLink | None, float]:
        """Send a segment. Returns the pending call, the link to its actor, and when it was sent.

        Raises OpErrors that name its first node, WorkerLost, and whatever pickling its inputs raises.
        """
        op = self._plan.flow.ops[segment.nodes[0]]
        try:
            if segment.place is Place.ACTOR:
                link = self._links.at(segment.home)
                return self._to_actor(segment, link, token)
            self._let_gpus_go(segment.need)
            message, arrived = self._requests.request(segment, None, token)
            left = monotonic()
            name = self._name(segment)
            return backend.submit(message, arrived, len(segment.separate), segment.need, name), None, left
        except OpError as error:
            raise error if error.op is not None else at_node(type(error), op, error.message) from None
        except StoreFull as error:
            raise does_not_fit(op, "An input", str(error)) from error

    def _to_actor(self, segment: Segment, link: ActorLink, token: str) -> tuple[Handle, ActorLink, float]:
        with link.lock:
            link.ensure()
            message, arrived = self._requests.request(segment, link, token)
            code = objects.code_of(segment.program)
            link.programs.update([code.name, *[block.key for block in code.blocks]])
            link.busy += 1
            left = monotonic()
            return link.submit(message, arrived, len(segment.separate), self._name(segment)), link, left

    def _name(self, segment: Segment) -> str:
        """What Ray calls a segment: the names of its nodes. "" if Ray is not to show it."""
        return listed(self._run.ops_of(segment), attrgetter("name")) if self._named else ""

    def _let_gpus_go(self, need: Need | None) -> None:
        """Let idle actors of the session give up their GPUs if a task asks for one."""
        asked = dict(need.resources).get("GPU", 0.0) if need is not None else 0.0
        if asked and inventory.free("GPU", need.home.machine) < asked:  # type: ignore[union-attr]
            self._links.free_gpus()

    def take(
        self, attempt: Attempt, small: list, large_bytes: Sequence[int], came: Sequence[int | None]
    ) -> list[tuple[int, int]]:
        """Store the values of a reply in the run. Returns the numbers and bytes of the large ones.

        came: for each large output that is just an input, the position of that input, else None. Raises
        ResourceExhaustedError if the store had no room for one.
        """
        segment, values, requests = attempt.segment, self._run.values, self._requests
        for number, value in zip(segment.outputs, small, strict=True):
            values[number] = value
        large = []
        for position, made, size, place in zip(
            segment.separate, attempt.handle.separate, large_bytes, came, strict=True
        ):
            number = segment.outputs[position]
            reference = made if place is None else requests.reference(segment.inputs[place])
            try:
                objects.check_made(reference, size)
            except StoreFull as error:
                raise does_not_fit(self._maker(number), "The output", str(error)) from error
            values[number] = reference
            large.append((number, size))
        if attempt.link is not None:
            with attempt.link.lock:
                requests.left(segment, attempt.link, dict(zip(segment.separate, large_bytes, strict=True)))
                for _, name, _ in requests.versions_of(segment):
                    self._links.home_of[name] = segment.home
        return large

    def _maker(self, number: int) -> Operation:
        return self._plan.flow.ops[self._plan.flow.producer[number]]
