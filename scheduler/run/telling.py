"""Telling: reports the events of one run to the stream of its session.

It is created when there is something to report: if there is a listener, at the start of the run; otherwise with the
first event that is rare or took long. A run of some microseconds without listeners has none. Inner runs share it.

ticks     seconds by `monotonic` or `perf_counter`; events carry the program's time
ears      listeners to this run alone
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import attrgetter
from threading import get_native_id
from time import monotonic
from typing import Any, NamedTuple

from weftwork.actors.processes.messages import Ran
from weftwork.graph.drawing.words import listed, time_text
from weftwork.graph.errors import text_of
from weftwork.graph.operation import Operation
from weftwork.graph.python.forks import in_child
from weftwork.scheduler.events.clock import OFFSETS, epoch
from weftwork.scheduler.events.event import Event, Lane, told
from weftwork.scheduler.events.stream import Listening, Stream, new_run
from weftwork.scheduler.machines import inventory
from weftwork.scheduler.plan.autotune import Autotuner, Candidate
from weftwork.scheduler.request.fetches import Fetches

WORTH = 1e-3
"""Least seconds of a segment that is reported even if nobody listens."""


_LOADING = "functions and their modules"


class Node(NamedTuple):
    """A node that ran: its start, in ticks of its process, its seconds, and the bytes of its inputs and outputs."""

    op: Operation
    start: float
    seconds: float
    taken: int = 0
    made: int = 0


def took(nodes: Sequence[Node]) -> float:
    """The seconds from the start of the first node to the end of the last one."""
    return nodes[-1].start + nodes[-1].seconds - nodes[0].start


class Sent(NamedTuple):
    """How work was sent to another lane: when it became ready, when it was sent, and the seconds of packing."""

    ready: float = 0.0
    at: float = 0.0
    packing: float = 0.0
    attempt: int = 1


HERE = Sent()
"""The Sent of work that ran where it was."""


class Telling:
    """Reports one run. number: the run's number."""

    __slots__ = ("_asked", "_began", "_ears", "_epoch", "_over", "_started", "_stream", "number")

    def __init__(self, stream: Stream, asked: Fetches, began: float, ears: Sequence[Listening] = ()):
        """asked: the run's fetches.   began: its start, in ticks."""
        self._stream, self._ears, self._asked, self._began = stream, ears, asked, began
        self._epoch, self.number = epoch(), new_run()
        self._started: set[Lane] = set()
        self._over = False

    def begin(self) -> None:
        """Report the start of the run."""
        text = listed(self._asked.elements, attrgetter("name"))
        self.tell("began", self._began, ops=self._asked.ops, text=text)

    @property
    def heard(self) -> bool:
        """True if there is a listener."""
        return self._stream.is_heard or len(self._ears) > 0

    @property
    def wants_nodes(self) -> bool:
        """True if some listener asked for single nodes."""
        return self._stream.wants_nodes or any([one.nodes for one in self._ears])

    def tell(self, kind: str, start: float | None = None, seconds: float = 0.0, **more: Any) -> None:
        """Report an event that happens now, or began at `start`, in ticks, in this thread unless `more` has its lane.

        more: further fields of the event. What an abandoned thread does after the end of the run is not reported.
        """
        if self._over:
            return
        when = self._epoch + (monotonic() if start is None else start)
        if "lane" not in more:
            more["lane"] = lane()
        self._stream.tell(Event(kind, self.number, when, seconds, **more), self._ears)

    # Where nodes ran

    def ran_here(
        self,
        ops: Sequence,
        nodes: Sequence[Node],
        start: float,
        seconds: float,
        where: Lane,
        sent: Sent = HERE,
        taken: int = 0,
        made: int = 0,
        why: str = "",
    ) -> None:
        """Report nodes that ran in a thread of this process, one after another.

        nodes: the measured ones.   taken, made: the bytes of their inputs and outputs.
        why: why the last one did not finish; "" if it did.
        """
        self._ran(where, ops, nodes, start, seconds, 0.0, sent, Ran(taken=taken, made=made), why=why)

    def ran_there(
        self,
        place: str,
        ops: Sequence,
        nodes: Sequence[Node],
        sent: Sent,
        report: Sequence,
        back: float,
        since: float = 0.0,
        why: str = "",
    ) -> None:
        """The same, in another process, from its `report`; the reply arrived at `back`.

        since: when those of which the last one did not finish began, if the report does not say so.
        """
        ran = Ran(*report)
        offset = OFFSETS.learn(ran.machine, sent.at, ran.came, ran.left, back)
        start, seconds = ran.start, ran.seconds
        if why:
            start = since or start or ran.came + ran.packing + ran.loading
            seconds = ran.left - start
        elif not start and nodes:  # nodes were sent to it one by one
            start, seconds = nodes[0].start, took(nodes)
            ran = ran._replace(taken=sum([n.taken for n in nodes]), made=sum([n.made for n in nodes]))
        where = Lane(place, inventory.address_of(ran.machine), ran.pid, ran.thread)
        waited = min(ran.up, start) + offset - sent.at
        if sent.at and waited >= WORTH and where not in self._started:
            self._started.add(where)
            self.tell("started", sent.at, waited, lane=where, ops=tuple(ops), text=f"process {ran.pid}")
        if ran.loading >= WORTH:
            self.tell("started", ran.came + offset, ran.loading, lane=where, ops=tuple(ops), text=_LOADING)
        self._ran(where, ops, nodes, start, seconds, offset, sent, ran, back, why)

    def _ran(
        self,
        where: Lane,
        ops: Sequence,
        nodes: Iterable[Node],
        start: float,
        seconds: float,
        offset: float,
        sent: Sent,
        ran: Ran,
        back: float = 0.0,
        why: str = "",
    ) -> None:
        if not (seconds >= WORTH or self.heard) or not (named := told(ops)):
            return
        ready, left, back, attempt = self._way(sent, back)
        self.tell(
            "failed" if why else "segment",
            start + offset,
            seconds,
            lane=where,
            ops=named,
            ready=ready,
            sent=left,
            back=back,
            attempt=attempt,
            bytes_in=ran.taken,
            bytes_out=ran.made,
            packing=sent.packing + ran.packing,
            text=why,
        )
        if self.wants_nodes and not why and not self._over:
            known, number, began = {*named}, self.number, self._epoch + offset
            events = [
                Event("node", number, began + start, spent, where, (op,), ready, left, back, taken, made, attempt)
                for op, start, spent, taken, made in nodes
                if op in known
            ]
            self._stream.tell_nodes(events, self._ears)

    def _way(self, sent: Sent, back: float) -> tuple[float, float, float, int]:
        """When nodes were ready, sent and back, for events, and the number of the attempt."""
        if sent is HERE:
            return 0.0, 0.0, 0.0, 1
        began = self._epoch
        return sent.ready and began + sent.ready, sent.at and began + sent.at, back and began + back, sent.attempt

    def waited(self, place: str, op: Operation, since: float, thread: int = 0, why: str = "") -> None:
        """Report a node that took no lane: it waited in a queue, or its bodies ran separately."""
        seconds = monotonic() - since
        self.ran_here([op], [Node(op, since, seconds)], since, seconds, Lane(place, "", os.getpid(), thread), why=why)

    # The run

    def planned(self, ops: Sequence, text: str, start: float, seconds: float, plan: Any = None) -> None:
        """Report how the run, or a part of it, is executed."""
        self.tell("planned", start, seconds, ops=told(ops), text=text, plan=plan)

    def compiled(self, since: float, starts: Sequence[tuple[float, float]]) -> None:
        """Report that the graph was compiled from `since` until now. starts: waits for Ray meanwhile."""
        seconds = monotonic() - since
        self.tell("compiled", since, seconds)
        for start, waited in starts:
            self.tell("started", start, waited, text="Ray")

    def ended(self, error: BaseException | None = None) -> None:
        """Note that the run is over."""
        text = "" if error is None else f"{type(error).__name__}: {text_of(error)}"
        self.tell("ended", self._began, monotonic() - self._began, text=text)
        self._over = True


def telling_of(stream: Stream, asked: Fetches, listener: Any, began: float | None) -> Telling:
    """The Telling of a run about to begin, for the listeners of the stream and an optional one of this run.

    began: when it was asked for, if that is not now.
    """
    ears: list[Listening] = []
    if listener is not None:
        Listening(listener, listener.nodes, ears)
    telling = Telling(stream, asked, monotonic() if began is None else began, ears)
    telling.begin()
    return telling


def tell_compiled(run: Any, since: float, starts: list[tuple[float, float]]) -> None:
    """Report the compilation before a run, which began at `since`, if it took long or anyone listens."""
    run.called = since
    if run.telling is not None or monotonic() - since >= WORTH:
        run.teller().compiled(since, starts)
    starts.clear()


def lane(place: str = "caller") -> Lane:
    """The lane of this thread."""
    return _lane(place, get_native_id())


@lru_cache(maxsize=1024)
def _lane(place: str, thread: int) -> Lane:
    return Lane(place, "", os.getpid(), thread)


in_child(_lane.cache_clear)


def resident(pid: int) -> Lane:
    """The lane of a local worker, which works in its main thread, whose number is that of the process."""
    return Lane("resident", "", pid, pid)


def measured(ops: Sequence[Operation], owners: Sequence[int], costs: Sequence[Sequence]) -> list[Node]:
    """The nodes of a measured program. owners: the node of each step, or -1.   costs: as `measure` returns them."""
    steps = zip(owners, *costs, strict=True)
    return [Node(ops[node], *cost) for node, *cost in steps if node >= 0]


def reason(autotuner: Autotuner, candidate: Candidate, first: bool) -> str:
    """Which strategy was chosen, and why. first: this is one of the first runs, which measure nodes."""
    what, ways = candidate.name, len(autotuner.candidates)
    if candidate.plan.is_dynamic:
        what += " (idle lanes take what is ready)"
    elif candidate.name == "placed":
        what += " (each node where it must run, or where it costs least)"
    if ways == 1:
        return f"{what}; nothing else is worth a try"
    if first:
        why = "the first runs measure the nodes"
    elif candidate.took:
        runs = len(candidate.took)
        why = f"median {time_text(candidate.typical)} in {runs} run{'s' * (runs != 1)}"
    else:
        why = f"predicted to take {time_text(candidate.predicted)}"
    return f"{what}, one of {ways} ways: {why}"
