"""Run: one run of a dataflow in a session, from its sources to its commit.

A run pins the variables that it reads, executes its plan, and publishes what it wrote at the end. From its first write
to its commit it holds the locks of its write set. If anything goes wrong it publishes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from queue import SimpleQueue
from threading import get_ident
from time import monotonic
from types import MappingProxyType
from typing import Any

from weftwork.actors.processes.messages import Ran
from weftwork.actors.programs.ambient import LOOK, Around
from weftwork.actors.programs.output import Event
from weftwork.actors.programs.program import StepFailed, Stopped
from weftwork.actors.programs.sizes import size_of, sizes_of
from weftwork.graph.errors import CancelledError, DeadlineExceededError, text_of
from weftwork.graph.operation import UNINITIALIZED, Operation
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.events.event import Lane, told
from weftwork.scheduler.events.stream import Stream
from weftwork.scheduler.machines import backend, objects
from weftwork.scheduler.machines.backend import Reference
from weftwork.scheduler.plan.history import learn
from weftwork.scheduler.plan.plan import Plan, Segment
from weftwork.scheduler.request.fetches import NO_FETCHES, Fetches
from weftwork.scheduler.run import unfinished
from weftwork.scheduler.run.failures import call_of_step, fetch_output, let_stay, node_error, uninitialized
from weftwork.scheduler.run.inputs import inputs_here
from weftwork.scheduler.run.limits import STRIKES
from weftwork.scheduler.run.locks import wait_for_lock
from weftwork.scheduler.run.telling import HERE, WORTH, Node, Sent, Telling, lane, measured, took
from weftwork.scheduler.run.waiting import Awaited, limit_passed
from weftwork.scheduler.state.mirror import Cell, Cells, new_version

CANCELLED = "Run call was cancelled"
_AS_IT_IS = nullcontext()
TIMED_OUT = "Timed out waiting for notification"
_COMMITS = "commits"
_NOTHING: Any = MappingProxyType({})
"""A shared, immutable empty mapping: the default of attributes that most runs never fill."""


class Run:
    """The state of one run.

    values: by value number: the value, or a reference to it in Ray's store.
    stop: a list that is empty until the run must end.   events: the queue on which the dispatcher waits; it sets this.
    under_way, waits, calls: attempts in other processes, waiting queue nodes, and nested branches and loops, each with
    its segment.   detached: inner runs of nodes that are not shared out. A run in the caller never creates these.
    outer: the run that it is part of.   telling: reports its events.   asked_in: the thread that waits for its driver.
    """

    called: float | None = None
    """When `session.run` was called, if something was compiled before the run was made."""
    outer: Run | None = None
    telling: Telling | None = None
    surroundings: Around | None = None  # those of the program when the run first left the caller
    asked_in = 0
    awaited: Awaited | None = None  # a lock, or a worker that starts
    late = TIMED_OUT
    """The text of the error if its time limit passes."""
    cold: Any = None
    """The ColdRun of a run without a plan."""
    events: SimpleQueue
    under_way: Mapping[Any, Any] = _NOTHING
    waits: dict[Any, Segment] = _NOTHING
    calls: dict[Any, Segment] = _NOTHING
    detached: Collection[Any] = ()
    new_versions: dict[str, int] = _NOTHING
    _unread: dict[str, int] = _NOTHING
    _places: list | None = None
    _held = False
    """Whether it has begun to lock the cells that it writes."""
    _locked = False
    """Whether it holds these locks and has read the newest versions."""

    def __init__(
        self,
        flow: Dataflow,
        cells: Cells,
        draws: Any,
        timeout: float | None,
        asked: tuple[Stream, Fetches] | None = None,
        moved: dict | None = None,
    ):
        """asked: the stream that receives the run's events, and the fetches; None for no events."""
        self.flow = flow
        self.cells = cells
        self.mirror = cells.mirror
        self.draws = draws
        self._asked = asked
        self.deadline = None if timeout is None else monotonic() + timeout
        self.stop: list[str] = []
        self._end: dict[str, str] = {}
        """Under "how", once decided: that it commits, or the reason for its cancellation."""
        self.values: list = [None] * len(flow.producer)
        self.versions: dict[int, tuple[str, int]] = {}
        """The variable and the version of values that are versions, except for the newest ones."""
        self.began = monotonic()
        self.here: dict[Any, tuple[Segment | None, float, int]] = {}
        """By slot or key: the segment that a thread of the caller runs, since when, and the thread (0: a process)."""
        self.ran: dict[str, list[int]] = {}
        """Numbers of segments and nodes by place."""
        self.said: list[tuple[int, Event]] = []
        """Output, logs and warnings of functions in other processes, each with the index of its node."""
        self.moved: dict[Any, Any] = {} if moved is None else moved
        """The outputs of finished queue nodes, also from earlier attempts, so that elements move only once; and the key
        of the functions' random draws.
        """
        if flow.queued:
            self._unread = dict(flow.pinned)
        self.wakers: list = []
        """Functions that wake threads waiting for something of this run."""

    def teller(self) -> Telling:
        """The Telling of the run, created if needed."""
        if self.telling is None:
            made = Telling(*(self._asked or (Stream(), NO_FETCHES)), self.called or self.began)
            if self.__dict__.setdefault("telling", made) is made:  # atomic, for concurrent threads
                made.begin()
        return self.telling  # type: ignore[return-value]

    # Sources

    def begin(self, fed: Sequence[Any]) -> None:
        """Set the sources: feeds, in the order of `flow.feeds`, pinned variables, and places in random streams."""
        flow, values = self.flow, self.values
        for number, value in zip(flow.feeds.values(), fed, strict=True):
            values[number] = value
        for number, value in flow.constants.items():
            values[number] = value
        missing = []
        if flow.pinned:
            missing = self._take_versions(flow.pinned, self.cells.pinned)
        if flow.newest:
            missing += [n for c, n in self.cells.newest.values() if c.value is UNINITIALIZED and n in flow.required]
        if missing:
            raise uninitialized([flow.variables[name] for name in dict.fromkeys(missing)])
        if flow.draws:
            places = self._places = self.draws.take(flow.draws.values(), self.moved)
            for number, place in zip(flow.draws, places, strict=True):
                values[number] = place

    def _take_versions(self, numbers: dict[str, int], cells: list[Cell]) -> list[str]:
        """Pin a consistent snapshot of committed values. Returns the needed variables without a value."""
        missing = []
        for (name, number), (value, version) in zip(numbers.items(), self.mirror.pin(cells), strict=True):
            if value is UNINITIALIZED and name in self.flow.required:
                missing.append(name)
            self.values[number] = value
            self.versions[number] = (name, version)
        return missing

    def look_again(self, segment: Segment | None = None) -> None:
        """Pin anew what a segment, or else the fetches, are the first to read: the run may have waited for long."""
        if not self.flow.queued:
            return
        names = {n: v for n, v in self._unread.items() if segment is None or v in segment.inputs}
        for name in names:
            del self._unread[name]
        if names:
            self._take_versions(names, [self.mirror.cell(name) for name in names])

    def lock(self) -> None:
        """Lock the cells that the run writes, and read their newest versions; once."""
        if self._locked:
            return
        self._held = True
        mirror, values = self.mirror, self.values
        for cell, number in self.cells.taken:
            if mirror.owners.setdefault(cell, self) is not self:
                since = monotonic()
                wait_for_lock(self, cell)
                if (waited := monotonic() - since) >= WORTH or self.telling is not None:
                    self.teller().tell("locked", since, waited, text=cell.name)
            if number is not None:  # nobody else can commit a newer one now
                values[number] = cell.value
        if self.cells.seen[0]:
            self._take_versions(*self.cells.seen)
        self._locked = True

    @property
    def is_locked(self) -> bool:
        """True if it holds the locks of all cells that it writes."""
        return self._locked

    def version_of(self, number: int) -> tuple[str, int]:
        """The variable and the version of a value; ("", 0) if it is not a version."""
        known = self.versions.get(number)
        if known is None and self._locked and number in self.cells.newest:
            cell, name = self.cells.newest[number]
            return name, cell.version
        return known or ("", 0)

    # Around its functions

    def look_around(self) -> None:
        """Capture the surroundings of this run's functions, once, in the program's thread."""
        if self.surroundings is None:
            self.surroundings = LOOK.now()

    def around(self, known: set[str] | None) -> tuple[str, bytes | None]:
        """The name of the surroundings, and their content unless in `known`, to which the name is added."""
        found = self.surroundings
        if found is None:
            return "", None
        if known is None:
            return found
        if found.name in known:
            return found.name, None
        known.add(found.name)
        return found

    # In the caller

    def run_here(self, plan: Plan, segment: Segment, measure: bool, quieted: bool = False, sent: Sent = HERE) -> None:
        """Run a segment in this thread. Raises the node's error, or Stopped.

        quieted: already inside a `quiet` context.   sent: how it was sent to this thread.
        """
        if segment.locked:
            self.lock()
        values = self.values
        inputs = [values[v] for v in segment.inputs]
        mapped: list = []
        if Reference in map(type, inputs):
            inputs = inputs_here(self, segment.inputs, segment.program.loud, mapped)
        costs: Sequence[Sequence] = ()
        began = monotonic()
        self.here[segment.slot] = (segment, began, get_ident())
        try:
            with _AS_IT_IS if quieted and not segment.program.loud else segment.program.errors():
                if measure:
                    outputs, *costs = segment.program.measure(inputs, self.stop)
                else:
                    outputs = segment.program(inputs, self.stop)
        except BaseException as failed:
            unfinished.segment_here(self, segment, plan.lane_of(segment), began, failed)
            if not isinstance(failed, StepFailed):
                raise
            if self.is_cancelled:  # the function has turned the Interrupted raised in it into another error
                raise Stopped from failed
            node, cause = segment.owners[failed.step], failed.__cause__
            assert cause is not None
            raise node_error(self.flow.ops[node], cause, call=call_of_step(self.flow, node, failed.taken)) from cause
        finally:
            self.here.pop(segment.slot)  # a method call, so a pending strike arrives now at the latest
        seconds = monotonic() - began
        for number, value in zip(segment.outputs, outputs, strict=True):
            values[number] = value
        self.count("caller", len(segment.ops or self.ops_of(segment)))
        nodes = self.learn(plan, segment, costs) if measure else ()
        if seconds >= WORTH or self.telling is not None:
            sizes = sizes_of(inputs), sizes_of(outputs)
            where = lane(plan.lane_of(segment))
            if segment.told is None:
                segment.told = told(self.ops_of(segment))
            self.teller().ran_here(segment.told, nodes, began, seconds, where, sent, *sizes)

    def call_here(self, key: Any, function: Callable, *args: Any) -> Any:
        """Call a function in this thread, which may be struck meanwhile."""
        self.here[key] = (None, monotonic(), get_ident())
        try:
            return function(*args)
        finally:
            self.here.pop(key)

    def learn(self, plan: Plan, segment: Segment, costs: Sequence[Sequence]) -> list[Node]:
        """Add the costs that `Program.measure` returned for a segment to the history. Returns its nodes.

        Nodes that ran next to others in threads are skipped: waiting for the GIL distorts their costs.
        """
        if not plan.beside:
            rows = [row for row in zip(segment.owners, *costs[1:], strict=True) if row[0] >= 0]
            segment.measured = sum([spent for _, spent, _, _ in rows])
            learn(self.flow, [(node, taken, spent, made) for node, spent, taken, made in rows])
        return measured(self.flow.ops, segment.owners, costs) if self.telling is not None else []

    def learn_nodes(self, rows: Sequence[tuple[int, Sequence, float]]) -> list[Node]:
        """Add measurements of single nodes to the history. Returns these nodes if they are to be reported.

        rows: a node; its start, the elapsed seconds, bytes of inputs and of outputs; and the seconds that it counts as.
        """
        learn(self.flow, [(node, taken, seconds, made) for node, (_, _, taken, made), seconds in rows])
        (_, first, _), (_, last, _) = rows[0], rows[-1]
        if self.telling is None and last[0] + last[1] - first[0] < WORTH:
            return []
        return [Node(self.flow.ops[node], *cost) for node, cost, _ in rows]

    def ran_here(self, nodes: Sequence[Node], place: str, sent: Sent = HERE) -> None:
        """Report nodes that ran one after another in this thread, if anyone listens or they took long."""
        if nodes and (self.telling is not None or took(nodes) >= WORTH):
            sizes = sum([node.taken for node in nodes]), sum([node.made for node in nodes])
            self.teller().ran_here([n.op for n in nodes], nodes, nodes[0].start, took(nodes), lane(place), sent, *sizes)

    def ran_there(
        self, place: str, numbers: Sequence[int], nodes: Sequence[Node], sent: Sent, report: Sequence, back: float
    ) -> None:
        """Report nodes that ran in another process, if anyone listens.

        nodes: the measured ones.   sent: how they were sent.   report: that process's report, a `Ran`.
        """
        if self.telling is not None or (took(nodes) if nodes else Ran(*report).seconds) >= WORTH:
            ops = [self.flow.ops[node] for node in numbers]
            self.teller().ran_there(place, ops, nodes, sent, report, back)

    def failed(self, ops: Sequence[Operation], place: str, began: float, error: BaseException) -> None:
        """Report nodes that this thread called, one after another from `began`, until the last one raised `error`."""
        self.teller().ran_here(ops, (), began, monotonic() - began, lane(place), why=unfinished.why_of(error))

    def stays(self, node: int, why: BaseException) -> None:
        """Note that a function can only run in the program's own process."""
        op = self.flow.ops[node]
        if let_stay(op, self.flow.kernels[node], why):
            self.teller().tell("stayed", ops=(op,), text=f"{type(why).__name__}: {text_of(why)}")

    def wrote(self, nodes: Iterable[int]) -> None:
        """Note that functions change captured state: their nodes run here from now on."""
        ops = tuple([self.flow.ops[node] for node in nodes])
        self.teller().tell("stayed", ops=ops, text="it changes what it refers to, which other processes do not see")

    def lost(self, nodes: Iterable[int], where: Lane, why: str) -> None:
        """Report that a process died while running some nodes, which run again."""
        self.teller().tell("lost", lane=where, ops=tuple([self.flow.ops[node] for node in nodes]), text=why)

    def waited(self, place: str, op: Operation, since: float, thread: int = 0, why: str = "") -> None:
        """Report a node that took no lane: it has waited since `since`, or its bodies ran separately.

        why: why it did not finish; "" if it did.
        """
        if self.telling is not None or monotonic() - since >= WORTH:
            self.teller().waited(place, op, since, thread, why)

    def ops_of(self, segment: Segment) -> tuple[Operation, ...]:
        """The operations that a segment runs."""
        if segment.ops is None:
            ops = self.flow.ops
            segment.ops = tuple([ops[node] for node in segment.nodes])
        return segment.ops

    def local(self, number: int) -> Any:
        """A value, fetched if it is in Ray's store."""
        value = self.values[number]
        if type(value) is Reference:
            value = fetch_output(self, number, value)
            self.values[number] = value
        return value

    def need_ray(self) -> None:
        """Start Ray if needed. Raises if the run must end first."""
        if not backend.come_up(self.stop):
            raise self.stopped()

    def count(self, place: str, nodes: int, segments: int = 1) -> None:
        """Count segments and nodes that have run at `place`."""
        counted = self.ran.get(place)
        if counted is None:
            self.ran[place] = [segments, nodes]
        else:
            counted[0] += segments
            counted[1] += nodes

    # Ending

    def cancel(self, reason: str = CANCELLED) -> bool:
        """End the run as soon as possible; from any thread. False, without effect, if it is already committing."""
        if self._end.setdefault("how", reason) is _COMMITS:  # atomic: either it commits or it is cancelled
            return False
        if not self.stop:
            self.stop.append(reason)
            for wake in list(self.wakers):
                wake()
            STRIKES.begin(self)
        return True

    def expire(self) -> None:
        """End the run because its time limit has passed. The error says what it was waiting for."""
        try:
            self.late = f"{TIMED_OUT}: {limit_passed(self)}"
        finally:
            self.cancel(TIMED_OUT)

    @property
    def is_cancelled(self) -> bool:
        """True if it was cancelled, or has timed out."""
        return self._end.get("how", _COMMITS) is not _COMMITS

    def stopped(self) -> Exception:
        """The error of a run that was cancelled, or has timed out."""
        if TIMED_OUT in (*self.stop[:1], self._end.get("how")):
            return DeadlineExceededError(None, None, self.late)
        return CancelledError(None, None, CANCELLED)

    def commit(self, replicas_of: Callable | None = None) -> None:
        """Publish the run's writes, all at once, and release its locks. Raises `stopped()` if it was cancelled.

        replicas_of: makes the replicas that a value needs before it is committed.
        """
        writes, copies = self.cells.writes, None
        if writes:
            if not self._locked:
                self.lock()
            if replicas_of is not None:
                copies = replicas_of([(cell, self.values[number]) for cell, _, number in writes])
        if self._end.setdefault("how", _COMMITS) is not _COMMITS:
            raise self.stopped()
        if writes:
            self.mirror.commit(writes, self.values, self, self.new_versions, copies)
            self._held = False
            if self.telling is not None:
                self.telling.tell("committed", text=", ".join([name for _, name, _ in writes]))
        self._places = None

    def new_version_of(self, name: str) -> int:
        """The number of the version that this run makes of a variable."""
        if self.new_versions is _NOTHING:
            self.new_versions = {}
        version = self.new_versions.get(name)
        if version is None:
            version = self.new_versions[name] = new_version()
        return version

    def end(self) -> None:
        """Release locks and, after a failure, places in random streams."""
        if self._held:
            self.mirror.release([cell for cell, _ in self.cells.taken], self)
            self._held = self._locked = False
        if self._places is not None:
            self.draws.give_back(self.flow.draws.values(), self._places)
            self._places = None

    def fetched(self) -> list:
        """The values of the fetches, brought to this process; None for operations."""
        values = self.values
        return [
            None if n is None else self.local(n) if type(values[n]) is Reference else values[n]
            for n in self.flow.fetched
        ]

    def bytes_of_sources(self) -> dict[int, int]:
        """The sizes of the sources' values."""
        numbers = [*self.flow.feeds.values(), *self.flow.pinned.values(), *self.flow.newest.values()]
        return {n: size_of(self.values[n]) for n in numbers if not objects.is_reference(self.values[n])}
