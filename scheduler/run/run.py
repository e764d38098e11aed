"""Run: one run of a dataflow in a session, from its sources to its commit.

A run pins the variables that it reads, executes its plan, and publishes what it wrote at the end. From its first write
to its commit it holds the locks of its write set. If anything goes wrong it publishes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from operator import itemgetter
from queue import SimpleQueue
from threading import get_ident
from time import monotonic
from types import MappingProxyType
from typing import Any

from weftwork.actors.processes.messages import Ran
from weftwork.actors.programs.ambient import LOOK, Around
from weftwork.actors.programs.output import replay
from weftwork.actors.programs.program import StepFailed, Stopped
from weftwork.actors.programs.sizes import size_of
from weftwork.graph.errors import CancelledError, DeadlineExceededError, text_of
from weftwork.graph.operation import UNINITIALIZED, Operation
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.events.event import Lane
from weftwork.scheduler.events.stream import Stream
from weftwork.scheduler.machines import backend, objects
from weftwork.scheduler.machines.backend import Reference
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.plan import Plan, Segment
from weftwork.scheduler.run.failures import call_of_step, let_stay, node_error, uninitialized
from weftwork.scheduler.run.limits import STRIKES
from weftwork.scheduler.run.telling import HERE, WORTH, Node, Sent, Telling, lane, measured, took
from weftwork.scheduler.state.mirror import Cell, Cells, new_version

CANCELLED = "Run call was cancelled"
_AS_IT_IS = nullcontext()
TIMED_OUT = "Timed out waiting for notification"
_COMMITS = "commits"
_NOTHING: Any = MappingProxyType({})
"""What there is none of."""


class Restart(Exception):
    """A run has lost what only a dead process held. It may begin again; if not, `cause` is raised."""

    def __init__(self, cause: Exception):
        super().__init__(str(cause))
        self.cause = cause


class Moved(Restart):
    """As Restart: the cluster is not what the plan was made for."""


class Run:
    """The state of one run.

    values: of each value number, once it is there: a value, or a reference that Ray keeps.
    stop: a list that fills up when the run is to end.   events: what the dispatcher waits for, which sets it.
    under_way, waits, calls: its attempts in other processes, the queue nodes that wait, the nested branches and loops
    that go on, each with its segment. What a run in the caller never needs is not made for it.
    outer: the run that it is a part of.   telling: what tells of it, once there was something to tell.
    """

    outer: Run | None = None
    telling: Telling | None = None
    surroundings: Around | None = None
    """What was around the program when the run first left the caller."""
    cold: Any = None
    """What it does instead, where it has no plan."""
    events: SimpleQueue
    under_way: Mapping[Any, Any] = _NOTHING
    waits: dict[Any, Segment] = _NOTHING
    calls: dict[Any, Segment] = _NOTHING
    new_versions: dict[str, int] = _NOTHING
    _unread: dict[str, int] = _NOTHING
    _places: list | None = None
    _held = False
    """It has begun to take the cells that it writes."""
    _locked = False
    """It has them, and their newest versions."""

    def __init__(
        self,
        flow: Dataflow,
        cells: Cells,
        draws: Any,
        timeout: float | None,
        asked: tuple[Stream, Sequence] | None = None,
        moved: dict | None = None,
    ):
        """asked: the stream of events that is told of the run, and the run's fetches; None where nobody is told."""
        self.flow = flow
        self.cells = cells
        self.mirror = cells.mirror
        self.draws = draws
        self._asked = asked
        self.deadline = None if timeout is None else monotonic() + timeout
        self.stop: list[str] = []
        self._end: dict[str, str] = {}
        """How it ends, once that is settled: it commits, or the reason why it was cancelled."""
        self.values: list = [None] * len(flow.producer)
        self.versions: dict[int, tuple[str, int]] = {}
        """Of values that are versions, but for the newest ones: the variable and the version."""
        self.began = monotonic()
        self.here: dict[Any, tuple[Segment | None, float, int]] = {}
        """The segment that each of the caller's threads runs, since when, and the thread (0: it is a process)."""
        self.ran: dict[str, list[int]] = {}
        """Segments and nodes by place."""
        self.said: list[tuple[int, list]] = []
        """What functions have said in other processes, with the first node of their segment."""
        self.moved: dict[Any, Any] = {} if moved is None else moved
        """Of queue nodes that were done, also in attempts before this one, their outputs: elements move once. And the
        key of what its functions draw.
        """
        if flow.queued:
            self._unread = dict(flow.pinned)
        self.wakers: list = []
        """Functions that wake threads which wait for something of this run."""

    def teller(self) -> Telling:
        """What tells of the run: made now, where nothing was told of it yet."""
        if self.telling is None:
            made = Telling(*(self._asked or (Stream(), ())), self.began)
            if self.__dict__.setdefault("telling", made) is made:  # one step: threads may come at a time
                made.begin()
        assert self.telling is not None
        return self.telling

    # Sources

    def begin(self, fed: Sequence[Any]) -> None:
        """Take the sources in: feeds, in the order of `flow.feeds`, pinned variables, places in random streams."""
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
        """Take committed values of one moment; returns the variables that are needed and have none."""
        missing = []
        for (name, number), (value, version) in zip(numbers.items(), self.mirror.pin(cells), strict=True):
            if value is UNINITIALIZED and name in self.flow.required:
                missing.append(name)
            self.values[number] = value
            self.versions[number] = (name, version)
        return missing

    def look_again(self, segment: Segment | None = None) -> None:
        """Pin anew what a segment, or else the fetches, are first to read: a run that waits in queues may be old."""
        if not self.flow.queued:
            return
        names = {n: v for n, v in self._unread.items() if segment is None or v in segment.inputs}
        for name in names:
            del self._unread[name]
        if names:
            self._take_versions(names, [self.mirror.cell(name) for name in names])

    def lock(self) -> None:
        """Own the cells that the run writes, and take their newest versions; once."""
        if self._locked:
            return
        self._held = True
        mirror, values = self.mirror, self.values
        for cell, number in self.cells.taken:
            if mirror.owners.setdefault(cell, self) is not self:
                since = monotonic()
                try:
                    mirror.wait_for(cell, self, self.stop)
                except Stopped:
                    raise self.stopped() from None
                if (waited := monotonic() - since) >= WORTH or self.telling is not None:
                    self.teller().tell("locked", since, waited, lane=lane(), text=cell.name)
            if number is not None:  # nobody else can commit another one now
                values[number] = cell.value
        self._locked = True

    def version_of(self, number: int) -> tuple[str, int]:
        """The variable and the version that a value is; ("", 0) for one that is none."""
        known = self.versions.get(number)
        if known is None and self._locked and number in self.cells.newest:
            cell, name = self.cells.newest[number]
            return name, cell.version
        return known or ("", 0)

    # Around its functions

    def look_around(self) -> None:
        """Note what is around the functions of this run, once: the thread that began it is the program's."""
        if self.surroundings is None:
            self.surroundings = LOOK.now()

    def around(self, known: set[str] | None) -> tuple[str, bytes | None]:
        """The name of the surroundings, and what they are unless they are `known`, to which they are added."""
        found = self.surroundings
        if found is None:
            return "", None
        if known is None:
            return found
        if found.name in known:
            return found.name, None
        known.add(found.name)
        return found

    def heard(self, ops: Sequence[Operation], events: list, owners: Sequence[int] = ()) -> None:
        """Nodes have said something in another process: it is said here before the run returns.

        owners: the node of each step of the program that they ran in, if that is not one node.
        """
        for kind, content in events:
            if kind == "retried":
                step, attempt, text = content
                op = ops[0] if step is None or not owners else self.flow.ops[owners[step]]
                self.teller().tell("retried", ops=(op,), attempt=attempt, text=text)
        self.said.append((min([op.index for op in ops], default=0), events))

    def speak(self) -> None:
        """Say what was said elsewhere, in creation order of the nodes."""
        for _, events in sorted(self.said, key=itemgetter(0)):
            replay(events)
        self.said.clear()

    # In the caller

    def run_here(self, plan: Plan, segment: Segment, measure: bool, quieted: bool = False, sent: Sent = HERE) -> None:
        """Run a segment in this thread. Raises the node's error, or Stopped.

        quieted: the context is one of `quiet` already.   sent: how it came into this thread.
        """
        if segment.locked:
            self.lock()
        values = self.values
        inputs = [self.local(v) for v in segment.inputs]
        costs: Sequence[Sequence] = ()
        began = monotonic()
        self.here[segment.slot] = (segment, began, get_ident())
        try:
            with _AS_IT_IS if quieted and not segment.program.loud else segment.program.errors():
                if measure:
                    outputs, *costs = segment.program.measure(inputs, self.stop)
                else:
                    outputs = segment.program(inputs, self.stop)
        except StepFailed as failed:
            if self.is_cancelled:  # the function has made another error of what it was struck by
                raise Stopped from failed
            node, cause = segment.owners[failed.step], failed.__cause__
            assert cause is not None
            raise node_error(self.flow.ops[node], cause, call=call_of_step(self.flow, node, failed.taken)) from cause
        finally:
            self.here.pop(segment.slot)  # a call: what strikes this thread does so now at the latest
        seconds = monotonic() - began
        for number, value in zip(segment.outputs, outputs, strict=True):
            values[number] = value
        self.count("caller", len(segment.nodes))
        nodes = self.learn(plan, segment, costs) if measure else ()
        if seconds >= WORTH or self.telling is not None:
            where = lane("thread" if plan.beside and segment.slot else "caller")
            sizes = sum(map(size_of, inputs)), sum(map(size_of, outputs))
            self.teller().ran_here(self.ops_of(segment), nodes, began, seconds, where, sent, *sizes)

    def call_here(self, key: Any, function: Callable, *args: Any) -> Any:
        """Call something in this thread, which may be struck meanwhile."""
        self.here[key] = (None, monotonic(), get_ident())
        try:
            return function(*args)
        finally:
            self.here.pop(key)

    def learn(self, plan: Plan, segment: Segment, costs: Sequence[Sequence]) -> list[Node]:
        """Put what `Program.measure` tells of a segment into the history: its nodes.

        Nodes that ran beside others in threads teach nothing: they seem to cost what they wait for the GIL.
        """
        if not plan.beside:
            _, seconds, taken, made = costs
            segment.measured = sum([spent for node, spent in zip(segment.owners, seconds, strict=True) if node >= 0])
            for node, spent, bytes_in, bytes_out in zip(segment.owners, seconds, taken, made, strict=True):
                if node >= 0:
                    COSTS.learn(self.flow.kernels[node], bytes_in, spent, bytes_out)
        return measured(self.flow.ops, segment.owners, costs) if self.telling is not None else []

    def learn_node(self, node: int, cost: Sequence, seconds: float) -> Node:
        """Put one node's measurement into the history, by which it takes `seconds`.

        cost: its start, the seconds that it took this time, bytes taken and made.
        """
        _, _, taken, made = cost
        op = self.flow.ops[node]
        COSTS.learn(self.flow.kernels[node], taken, seconds, made)
        HISTORY.learn(op, seconds)
        return Node(op, *cost)

    def ran_here(self, nodes: Sequence[Node], where: Lane | None, sent: Sent) -> None:
        """Tell of nodes that ran one after another in a thread of this process, if need be. where: None is this one."""
        if nodes and (self.telling is not None or took(nodes) >= WORTH):
            sizes = sum([node.taken for node in nodes]), sum([node.made for node in nodes])
            ops = [node.op for node in nodes]
            self.teller().ran_here(ops, nodes, nodes[0].start, took(nodes), where or lane(), sent, *sizes)

    def ran_there(
        self, place: str, numbers: Sequence[int], nodes: Sequence[Node], sent: Sent, told: Sequence, back: float
    ) -> None:
        """Tell of nodes that ran in another process, if need be.

        nodes: those of them that were measured.   sent: how they came there.   told: what that process tells, `Ran`.
        """
        if self.telling is not None or (took(nodes) if nodes else Ran(*told).seconds) >= WORTH:
            ops = [self.flow.ops[node] for node in numbers]
            self.teller().ran_there(place, ops, nodes, sent, told, back)

    def stays(self, node: int, why: BaseException) -> None:
        """A function turns out to run in the program's own process only."""
        op = self.flow.ops[node]
        if let_stay(op, self.flow.kernels[node], why):
            self.teller().tell("stayed", ops=(op,), text=f"{type(why).__name__}: {text_of(why)}")

    def wrote(self, nodes: Iterable[int]) -> None:
        """Functions turn out to change what they refer to: their nodes run here from now on."""
        ops = tuple([self.flow.ops[node] for node in nodes])
        self.teller().tell("stayed", ops=ops, text="it changes what it refers to, which other processes do not see")

    def lost(self, nodes: Iterable[int], where: Lane, why: str) -> None:
        """A process died under some nodes, which run again."""
        self.teller().tell("lost", lane=where, ops=tuple([self.flow.ops[node] for node in nodes]), text=why)

    def waited(self, place: str, op: Operation, since: float, thread: int = 0) -> None:
        """Tell of a node that is done, and was not run in a lane: it waited since then, or its bodies ran."""
        if self.telling is not None or monotonic() - since >= WORTH:
            self.teller().waited(place, op, since, thread)

    def ops_of(self, segment: Segment) -> tuple[Operation, ...]:
        """The operations of a segment."""
        if not segment.ops:
            ops = self.flow.ops
            segment.ops = tuple([ops[node] for node in segment.nodes])
        return segment.ops

    def local(self, number: int) -> Any:
        """A value, brought here if Ray keeps it."""
        value = self.values[number]
        if type(value) is Reference:
            value = objects.fetch(value)
            self.values[number] = value
        return value

    def need_ray(self) -> None:
        """Let Ray run, which may have to be started. Raises what ends the run if that comes first."""
        if not backend.come_up(self.stop):
            raise self.stopped()

    def count(self, place: str, nodes: int, segments: int = 1) -> None:
        """Note that a segment, or some, have run at `place`."""
        counted = self.ran.get(place)
        if counted is None:
            self.ran[place] = [segments, nodes]
        else:
            counted[0] += segments
            counted[1] += nodes

    # The end

    def cancel(self, reason: str = CANCELLED) -> bool:
        """End the run as soon as possible; from any thread. False, and nothing is done, where it commits already."""
        if self._end.setdefault("how", reason) is _COMMITS:  # one step: either it commits or it is cancelled
            return False
        if not self.stop:
            self.stop.append(reason)
            for wake in list(self.wakers):
                wake()
            STRIKES.begin(self)
        return True

    def expire(self) -> None:
        """The time limit is over."""
        self.cancel(TIMED_OUT)

    @property
    def is_cancelled(self) -> bool:
        """It was told to stop from outside."""
        return self._end.get("how", _COMMITS) is not _COMMITS

    def stopped(self) -> Exception:
        """The error of a run that was told to stop."""
        if TIMED_OUT in (*self.stop[:1], self._end.get("how")):
            return DeadlineExceededError(None, None, TIMED_OUT)
        return CancelledError(None, None, CANCELLED)

    def commit(self, replicas_of: Callable | None = None) -> None:
        """Publish the run's writes, all at once, and let its locks go. Raises what `stopped` says if it was cancelled.

        replicas_of: makes the copies that a value must have before it is committed.
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
        """The token of the version that this run makes of a variable."""
        if self.new_versions is _NOTHING:
            self.new_versions = {}
        version = self.new_versions.get(name)
        if version is None:
            version = self.new_versions[name] = new_version()
        return version

    def end(self) -> None:
        """Let go of locks and, after a failure, of places in random streams."""
        if self._held:
            self.mirror.release([cell for cell, _ in self.cells.taken], self)
            self._held = self._locked = False
        if self._places is not None:
            self.draws.give_back(self.flow.draws.values(), self._places)
            self._places = None

    def fetched(self) -> list:
        """The values of the fetches, here; None for operations."""
        return [None if number is None else self.local(number) for number in self.flow.fetched]

    def bytes_of_sources(self) -> dict[int, int]:
        """The sizes of the values that were there at the start."""
        numbers = [*self.flow.feeds.values(), *self.flow.pinned.values(), *self.flow.newest.values()]
        return {n: size_of(self.values[n]) for n in numbers if not objects.is_reference(self.values[n])}
