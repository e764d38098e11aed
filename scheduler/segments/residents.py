"""Residents: one run of a static plan by the caller and local workers, each of which runs the program of one slot.

detached   a node that the caller's program only starts: it takes no slot, and its values come to their places later
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any

from weftwork.actors.processes.code import name_of, pack_code
from weftwork.actors.processes.exchange import ProcessExchange, Unsendable
from weftwork.actors.processes.messages import Request, described, pack, pack_parts
from weftwork.actors.processes.transport import Gone, Transport
from weftwork.actors.programs.program import Stopped
from weftwork.graph.errors import InvalidArgumentError, OpError
from weftwork.scheduler.machines import objects
from weftwork.scheduler.plan.plan import Plan, Segment, found_writing
from weftwork.scheduler.run import unfinished
from weftwork.scheduler.run.failures import is_of_the_place, lost, node_error, reported_call
from weftwork.scheduler.run.restart import Restart
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.run.said import heard
from weftwork.scheduler.run.telling import Sent, resident
from weftwork.scheduler.segments.background import Background
from weftwork.scheduler.segments.detached import Detached

_FAILED = "failed"


class Unfit(Restart):
    """Raised if residents cannot run a plan because a value or a function does not pickle."""


class Team(ProcessExchange):
    """The caller's end of the exchange with residents, during one run of one plan."""

    def __init__(
        self,
        run: Run,
        plan: Plan,
        transport: Transport,
        number: int,
        measure: bool,
        up: set[int],
        pids: Mapping[int, int],
        detached: Detached,
    ):
        super().__init__(transport, number, run.stop, run)
        self.detached, self.background = detached, Background(transport.wake)
        self.plan, self.measure, self.up, self.pids = plan, measure, up, pids
        self.left: dict[int, Segment] = {}
        """The segments that residents have not finished, by slot."""
        self.sent: dict[int, Sent] = {}
        self.began = monotonic()
        self.gone: set[int] = set()
        self.error: BaseException | None = None
        """The first error from another process."""
        self.forgotten = False
        """True if a resident has dropped a program that it was thought to have."""

    def begin(self, segment: Segment, known: set[str]) -> None:
        """Send a segment to its resident, which has the programs in `known` already."""
        packs, program = monotonic(), segment.program
        text, blocks = None, []
        try:
            if program.name not in known:
                text, blocks = pack_code(program)
                program.name = name_of(text, [key for key, _ in blocks])
            inputs = pack_parts([self.run.local(value) for value in segment.inputs[1:]])
        except OpError:
            raise
        except Exception as error:  # pickling may raise anything
            raise self._unfit(error) from error
        request = Request(
            program.name,
            text,
            measure=self.measure,
            blocks=tuple([key for key, _ in blocks]),
            beside=tuple([key not in known for key, _ in blocks]),
            around=self.run.around(known),
        )
        self.left[segment.slot] = segment
        now = monotonic()
        self.sent[segment.slot] = Sent(self.began, now, now - packs)
        self.run.here[segment.slot] = (segment, now, 0)
        data = [part for key, part in blocks if key not in known]
        self.transport.send(segment.slot, [pack(["run", self.number, request]), *data, *inputs], self.stop)
        known.update([program.name, *[key for key, _ in blocks]])

    def receive(self, slot: int, message: list | None) -> None:
        """Handle a message of a resident, or its death. Residents without a part in the run may also come up or die."""
        if message is None:
            self.gone.add(slot)
            self.left.pop(slot, None)
            if slot < len(self.plan.segments):
                pid = self.pids.get(slot, 0)
                self.run.lost(self.plan.segments[slot].nodes, resident(pid), "a local worker has died")
                self._fail(self._lost(self.plan.segments[slot], "a resident has died"))
            return
        kind, number, *rest = message
        if kind == "up":
            self.up.add(slot)
            return
        if kind == "said":
            if number == self.number and slot in self.left:
                heard(self.run, "resident", self._ops(self.left[slot]), rest[0], self.left[slot].owners)
            return
        if number is None:  # it cannot read a value that arrived, for which it waits: stop it
            if slot in self.left:
                self._fail(self._unfit(described(*rest)))
            return
        segment = self.left.pop(slot, None) if number == self.number else None
        if segment is None:
            return
        del self.run.here[slot]
        if kind == "done":
            outputs, report, *costs = rest
            for value, made in zip(segment.outputs, outputs, strict=True):
                self.run.values[value] = made
            nodes = self.run.learn(self.plan, segment, costs) if costs else []
            self.run.ran_there("resident", segment.nodes, nodes, self.sent[slot], report, monotonic())
            self.run.count("resident", len(self.run.ops_of(segment)))
        elif kind == "failed":
            error, text, step, report, ran, known = rest
            cause = described(error, text)
            why = unfinished.why_of(cause)
            unfinished.segment_there(self.run, segment, step, self.sent[slot], ran, known, why)
            if is_of_the_place(cause):
                self._fail(self._unfit(cause))
                return
            call = reported_call(self.run, segment, step, report)
            self._fail(node_error(self.plan.flow.ops[segment.owners[step]], cause, text, call))
        elif kind == "wrote":
            found_writing(self.plan.flow, segment.nodes, rest[0])
            self._fail(self._lost(segment, "a function changes captured state"))
        elif kind == "unfit":
            self._fail(self._unfit(described(*rest[:2])))
        elif kind == "missing":
            self.forgotten = True
            self._fail(self._lost(segment, "a resident has forgotten its program"))
        else:  # it has stopped because it was asked to, or because another one died
            step, ran = rest
            unfinished.segment_there(self.run, segment, step, self.sent[slot], ran)
            self._fail(self._lost(segment, "a resident has died"))

    def begin_detached(self, node: int, values: Sequence) -> None:
        """Start a detached node."""
        for number, value in zip(self.plan.flow.inputs[node], values, strict=True):
            self.run.values[number] = value
        self.detached.start(node, self.background, partial(self._detached_done, node))

    def _detached_done(self, node: int, outcome: Any) -> None:
        if isinstance(outcome, BaseException):
            self._fail(outcome)
            return
        for number, value in zip(self.plan.flow.outputs[node], outcome, strict=True):
            self.there[number] = objects.fetch(value) if objects.is_reference(value) else value
        self.there[len(self.plan.flow.producer) + node] = None

    def look(self, seconds: float | None) -> None:
        """Handle the next message, waiting at most `seconds`, and what has ended of the detached nodes."""
        super().look(seconds)
        self.background.take()

    def finish(self) -> None:
        """Wait for all residents to reply and for the detached nodes. Raises Stopped if the run must stop first."""
        while (self.left or self.background.under_way) and not self.stop:
            self.look(None)
        if self.stop:
            raise Stopped

    def stop_all(self) -> None:
        """Tell all residents that still work, and the detached nodes, to stop."""
        self.detached.cancel()
        for slot in list(self.left):
            try:
                self.transport.send(slot, pack_parts(["stop", self.number]), [_FAILED])
            except (Gone, Stopped):
                self.gone.add(slot)
                self.left.pop(slot)

    def rest(self, seconds: float, detached: bool = True) -> None:
        """Wait up to `seconds` until no resident works on the run, and if `detached`, no detached node does."""
        end = monotonic() + seconds
        while (self.left or (detached and self.background.under_way)) and (left := end - monotonic()) > 0:
            self.look(left)

    def verdict(self, error: BaseException) -> BaseException:
        """The error to raise for a run that failed with `error` in this process."""
        cause = error.__cause__ if isinstance(error, OpError) else error
        if isinstance(cause, Unsendable):
            return self._unfit(cause)
        if not isinstance(cause, (Stopped, Gone)):
            return error
        if self.error is None and isinstance(cause, Stopped) and self.stop[0] != _FAILED:
            return self.run.stopped()
        return self.error or self._lost(self.plan.segments[-1], str(cause))

    def _fail(self, error: BaseException) -> None:
        """Note an error from another process. The first one fails the run."""
        if not self.stop:
            self.error = error
            self.stop.append(_FAILED)

    def _lost(self, segment: Segment, reason: str) -> Restart:
        return Restart(lost(self._ops(segment), 1, reason))

    def _unfit(self, cause: BaseException) -> Unfit:
        ops = self._ops(self.plan.segments[-1])
        return Unfit(InvalidArgumentError(None, ops[0] if ops else None, str(cause)))

    def _ops(self, segment: Segment) -> list:
        return [self.plan.flow.ops[node] for node in segment.nodes]
