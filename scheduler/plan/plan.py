"""Plan: how a dataflow is run, as segments, each of which is one unit of work in one place.

segment   nodes that run together, as one program, in one place
Invariants (`check_plan`): every node is in exactly one segment; segments are convex, so their graph has no cycle; a
segment reads only values that exist before it starts; nodes that need the write locks are in locked segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from weftwork.actors.programs.program import Program
from weftwork.graph.user_function import UserFunction
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.effects import functions_of
from weftwork.scheduler.compile.emit import Crossings, carried_by, write_program
from weftwork.scheduler.compile.needs import ANYWHERE, Home, Need
from weftwork.scheduler.plan.cost import shape_bytes
from weftwork.scheduler.plan.grouping import after_locks, depth_first, groups
from weftwork.scheduler.plan.placement import Estimate, Place
from weftwork.scheduler.plan.policy import MOST_UNWATCHED, REMOTE_BYTES, UNWATCHED_SECONDS
from weftwork.scheduler.plan.schedule import Schedule


@dataclass(eq=False)
class Segment:
    """Nodes that run together.

    nodes: in topological order.   inputs, outputs: the values exchanged with other segments.
    waits: the number of segments that must finish before it.   next: the segments that wait for it.
    slot: the thread or process that runs it, in a plan for slots.
    locked: it needs the newest versions of variables, so it starts only once the run holds its write locks.
    separate: positions in `outputs` of values that are probably large; each is a separate return value of the Ray call.
    large: the predicted bytes of these.   frees: predicted bytes of its inputs minus those of its outputs.
    seconds, measured: predicted seconds of all its nodes, and those of the last measurement.
    owners: the node that each step of its program belongs to, or -1.
    need: the resources and limits that its nodes ask for, or None.
    stays: positions in `outputs` of values that are read only at its home, and so never leave it.
    """

    number: int
    place: Place
    nodes: list[int]
    locked: bool
    slot: int = 0
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    separate: tuple[int, ...] = ()
    large: float = 0.0
    frees: float = 0.0
    waits: int = 0
    next: list[Segment] = field(default_factory=list)
    priority: float = 0.0
    seconds: float = 0.0
    measured: float | None = None
    need: Need | None = None
    stays: tuple[int, ...] = ()
    program: Program = None  # type: ignore[assignment]
    owners: list[int] = field(default_factory=list)
    ops: tuple | None = None
    """The operations that it runs, without those that it only starts; once they have been asked for."""
    told: tuple | None = None
    """Those of them of which events tell; once it was reported."""

    @property
    def is_callers_slot(self) -> bool:
        """True for the caller's part of a plan for residents."""
        return self.place is Place.RESIDENT and self.slot == 0

    @property
    def home(self) -> Home:
        """The home of the actor that runs it."""
        return ANYWHERE if self.need is None else self.need.home

    def __lt__(self, other: Segment) -> bool:
        return (self.priority, self.frees) > (other.priority, other.frees)


@dataclass
class Plan:
    """The segments of a dataflow, in an order in which they could run one after another."""

    flow: Dataflow
    segments: list[Segment]
    readers: dict[int, int]
    """The number of segments that read each value passed between segments, which is dropped after the last one."""
    local: bool
    """True if everything runs in the caller's process."""
    slots: int
    """The number of threads, or of processes with the caller, that the plan is made for."""
    wanted: set[int]
    """The values that are needed after the plan has run: fetches and writes."""
    state: tuple = ()
    """The version of the captured state that its programs carry."""
    compiled: bool = False
    """True once all programs that run in this process are compiled."""

    def lane_of(self, segment: Segment) -> str:
        """The kind of lane in which a thread of this process runs a segment."""
        return "thread" if self.beside and segment.slot else "caller"

    def carry(self, state: tuple) -> None:
        """Put the state that its functions capture, whose version is `state`, into its programs."""
        if self.state == state:
            return
        for segment in self.segments:
            functions = functions_of([self.flow.kernels[node] for node in segment.nodes])
            if functions and segment.program is not None:
                program = segment.program
                program.state = carried_by(functions, segment.need is not None)
                program.name, program.shipped = "", None
        self.state = state

    def may_wait(self, segment: Segment) -> bool:
        """True for a segment that may wait in a queue, or a branch or loop with such nodes inside."""
        return segment.place in (Place.QUEUE, Place.LOOP) or not self.flow.waiting.isdisjoint(segment.nodes)

    @cached_property
    def waiting(self) -> int:
        """The number of segments that may wait and need no locks."""
        return sum([self.may_wait(segment) and not segment.locked for segment in self.segments])

    @property
    def is_dynamic(self) -> bool:
        """True for a plan that leaves all decisions to the run."""
        return self.segments[:1] != [] and self.segments[0].place is Place.DYNAMIC

    @property
    def beside(self) -> bool:
        """True if its segments run concurrently, in threads of this process."""
        return self.local and self.slots > 1


def found_writing(flow: Dataflow, nodes: Sequence[int], numbers: Sequence[int]) -> set[UserFunction]:
    """Note that calls of some nodes have changed captured state, and return the functions of these nodes."""
    functions = functions_of([flow.kernels[node] for node in nodes])
    found = {functions[number] for number in numbers}
    for function in found:
        function.captured.record_write()
    flow.state = ()
    return found


def make_plan(
    flow: Dataflow,
    places: Sequence[Place],
    estimate: Estimate,
    clusters: Sequence[tuple[int, list[int]]] | None = None,
) -> Plan:
    """Group the nodes into segments and write their programs.

    clusters: (slot, nodes) of each segment, if already decided; without them, nodes are grouped by place and level.
    """
    locked = after_locks(flow)
    if clusters is None:
        clusters = [(0, nodes) for nodes in groups(flow, places, estimate, locked)]
    segments = [
        _segment(flow, places, number, slot, depth_first(flow, nodes, estimate), locked)
        for number, (slot, nodes) in enumerate(clusters)
    ]
    _connect(flow, segments, estimate)
    segments = _in_order(segments)
    readers: dict[int, int] = {}
    for segment in segments:
        for value in segment.inputs:
            readers[value] = readers.get(value, 0) + 1
        if segment.place in (Place.QUEUE, Place.LOOP, Place.NESTED):
            continue
        leaving = segment.place is Place.TASK
        segment.program, segment.owners = write_program(
            flow, segment.nodes, segment.inputs, segment.outputs, estimate.bytes, leaving=leaving
        )
        segment.program.unwatched = _unwatched(estimate, segment)
    local = all(s.place is Place.CALLER for s in segments)
    return Plan(flow, segments, readers, local, 1, wanted_values(flow))


def make_slot_plan(flow: Dataflow, foreseen: Schedule, estimate: Estimate, place: Place) -> Plan:
    """A plan with one segment for each slot of a schedule: programs that run concurrently and exchange values.

    place: THREAD or RESIDENT. For residents, all nodes under the write locks are in slot 0, the caller, which may
    otherwise have nothing to do. It also starts the detached nodes, and has those that read their values.
    """
    position = {node: i for i, node in enumerate(foreseen.order)}
    order = sorted(range(len(flow.ops)), key=lambda node: (foreseen.start[node], position[node]))
    number = {slot: i for i, slot in enumerate(sorted({0, *foreseen.slot}))}
    slots = [number[slot] for slot in foreseen.slot]
    wanted = wanted_values(flow)
    newest = frozenset(flow.newest.values())
    sent: dict[int, set[int]] = {}
    crossings = [Crossings(slot, len(flow.producer), newest=newest) for slot in range(len(number))]
    crossings[0].detached = detached = detached_nodes(flow)
    nodes: list[list[int]] = [[] for _ in number]
    taken: list[dict[int, None]] = [{len(flow.producer): None} for _ in number]
    signals: dict[int, set[int]] = {}
    for node in order:
        slot = slots[node]
        nodes[slot].append(node)
        for value in flow.inputs[node]:
            producer = flow.producer[value]
            if producer >= 0 and slots[producer] != slot:
                sent.setdefault(value, set()).add(slot)
            elif producer < 0 and value not in flow.constants and value not in newest:
                taken[slot][value] = None
        for other in flow.after.get(node, ()):
            if slots[other] != slot or other in detached:
                if slots[other] != slot:
                    signals.setdefault(other, set()).add(slot)
                crossings[slot].expected.setdefault(node, []).append(len(flow.producer) + other)
    for value, to in sent.items():
        crossings[slots[flow.producer[value]]].sent[value] = tuple(to)
    for node, to in signals.items():
        crossings[slots[node]].signals[node] = (len(flow.producer) + node, tuple(to))
    segments = []
    for slot, mine in enumerate(nodes):
        made = tuple([v for node in mine for v in flow.outputs[node] if v in wanted])
        segment = Segment(slot, place, mine, False, slot, tuple(taken[slot]), made)
        segment.seconds = segment.priority = sum([estimate.seconds[n] or 0.0 for n in mine])
        segment.program, segment.owners = write_program(
            flow, mine, segment.inputs, made, estimate.bytes, crossings=crossings[slot]
        )
        segment.program.unwatched = _unwatched(estimate, segment)
        segment.ops = tuple([flow.ops[node] for node in mine if node not in detached])
        segments.append(segment)
    return Plan(flow, segments, {}, place is Place.THREAD, len(segments), wanted)


def detached_nodes(flow: Dataflow) -> frozenset[int]:
    """The detached nodes, which run beside whatever else a run does: those that need something, and calls that wait."""
    return frozenset(flow.needs) | flow.awaited


def fits_slots(flow: Dataflow) -> bool:
    """Whether local workers may run a dataflow by a static plan.

    Not if a node must run in the caller: should a worker die or a function not fit there, the run begins again, and
    would repeat what the node has done. Nor if a detached node reads from another one: the caller's program
    could not start it on time.
    """
    if any([flow.is_here(node) for node in range(len(flow.ops))]):
        return False
    detached = detached_nodes(flow)
    return not any([flow.producer[value] in detached for node in detached for value in flow.inputs[node]])


def make_dynamic_plan(flow: Dataflow) -> Plan:
    """A plan without decisions: the nodes are shared out as the run goes on."""
    segment = Segment(0, Place.DYNAMIC, list(range(len(flow.ops))), False)
    return Plan(flow, [segment], {}, False, 1, wanted_values(flow))


def _unwatched(estimate: Estimate, segment: Segment) -> int:
    """How many steps of a segment may run between two checks whether the run should stop."""
    seconds = [estimate.seconds[node] for node in segment.nodes]
    if None in seconds:
        return 1
    return max(1, min(MOST_UNWATCHED, int(UNWATCHED_SECONDS / (max(seconds, default=0.0) + 1e-9))))  # type: ignore[type-var]


def _segment(
    flow: Dataflow, places: Sequence[Place], number: int, slot: int, nodes: list[int], locked: set[int]
) -> Segment:
    need = next((flow.needs[n] for n in nodes if n in flow.needs), None)
    return Segment(number, places[nodes[0]], nodes, nodes[0] in locked, slot, need=need)


def _connect(flow: Dataflow, segments: list[Segment], estimate: Estimate) -> None:
    """Find the inputs and outputs of each segment, and which segments wait for it."""
    home: dict[int, Segment] = {node: segment for segment in segments for node in segment.nodes}
    wanted = wanted_values(flow)
    given: dict[int, dict[int, None]] = {segment.number: {} for segment in segments}
    edges: set[tuple[int, int]] = set()
    for segment in segments:
        taken: dict[int, None] = {}
        for node in segment.nodes:
            for value in flow.inputs[node]:
                source = home.get(flow.producer[value])
                if source is segment or value in flow.constants:
                    continue
                taken[value] = None
                if source is not None:
                    given[source.number][value] = None
                    edges.add((source.number, segment.number))
            for other in flow.after.get(node, ()):
                source = home.get(other)
                if source is not None and source is not segment:
                    edges.add((source.number, segment.number))
            for value in flow.outputs[node]:
                if value in wanted:
                    given[segment.number][value] = None
        segment.inputs = tuple(taken)
        segment.seconds = sum([estimate.seconds[n] or 0.0 for n in segment.nodes])
    for one, two in edges:
        segments[one].next.append(segments[two])
        segments[two].waits += 1
    for segment in segments:
        segment.outputs = tuple(given[segment.number])
        stays = {i for i, v in enumerate(segment.outputs) if _stays(segment, v, wanted)}
        segment.stays = tuple(stays)
        segment.separate = tuple(
            [i for i, v in enumerate(segment.outputs) if i not in stays and _separate(flow, estimate, v)]
        )
        segment.large = sum([estimate.bytes[segment.outputs[i]] for i in segment.separate])
        made = sum([estimate.bytes[v] for v in segment.outputs])
        segment.frees = sum([estimate.bytes[v] for v in segment.inputs]) - made


def _stays(segment: Segment, value: int, wanted: set[int]) -> bool:
    """True for a value on a GPU that only segments on that GPU need."""
    if segment.place is not Place.ACTOR or segment.home.gpu is None or value in wanted:
        return False
    return all([s.place is Place.ACTOR and s.home == segment.home for s in segment.next if value in s.inputs])


def wanted_values(flow: Dataflow) -> set[int]:
    """The values that are needed after the plan has run: fetches and writes."""
    wanted = {v for v in [*flow.fetched, *flow.writes.values()] if v is not None}
    return wanted


def _separate(flow: Dataflow, estimate: Estimate, value: int) -> bool:
    """True for a value that is large, or whose size is unknown."""
    node = flow.producer[value]
    if shape_bytes(flow.tensor(value)) is None and estimate.seconds[node] is None:
        return True
    return estimate.bytes[value] > REMOTE_BYTES


def _in_order(segments: list[Segment]) -> list[Segment]:
    """The segments in topological order, each with its seconds from its start to the end of the run computed."""
    waits = {segment.number: segment.waits for segment in segments}
    order = [segment for segment in segments if segment.waits == 0]
    for segment in order:
        for other in segment.next:
            waits[other.number] -= 1
            if waits[other.number] == 0:
                order.append(other)
    assert len(order) == len(segments), "segments wait for each other in a circle"
    for segment in reversed(order):
        segment.priority = segment.seconds + max([other.priority for other in segment.next], default=0.0) + 1e-6
    return order


def check_plan(plan: Plan) -> None:
    """Assert the invariants of a plan; for tests."""
    flow = plan.flow
    if any([s.place in (Place.THREAD, Place.RESIDENT) for s in plan.segments]):
        _check_slots(plan)
        return
    placed = [node for segment in plan.segments for node in segment.nodes]
    assert sorted(placed) == list(range(len(flow.ops))), "every node is in one segment"
    there = {v for v, node in enumerate(flow.producer) if node < 0}
    finished: set[int] = set()
    for segment in plan.segments:
        assert all(v in there for v in segment.inputs), f"segment {segment.number} reads what is not there yet"
        inside = set(segment.nodes)
        assert all(flow.needs.get(node) == segment.need for node in segment.nodes), (
            "a segment is where its nodes ask to be"
        )
        for node in segment.nodes:
            assert all(o in finished or o in inside for o in flow.after.get(node, ()))
            there.update(flow.outputs[node])
        finished |= inside
    locks = after_locks(flow)
    for segment in plan.segments:
        assert segment.locked or not locks.intersection(segment.nodes), "a free segment has a node that needs locks"


def _check_slots(plan: Plan) -> None:
    """Simulate the slots, running each node once its inputs exist, and assert that no slot waits forever."""
    flow = plan.flow
    there = {v for v, node in enumerate(flow.producer) if node < 0}
    lists = [list(segment.nodes) for segment in plan.segments]
    done: set[int] = set()
    while any(lists):
        before = len(done)
        for nodes in lists:
            while nodes and there.issuperset(flow.inputs[nodes[0]]) and done.issuperset(flow.after.get(nodes[0], ())):
                done.add(nodes[0])
                there.update(flow.outputs[nodes.pop(0)])
        assert len(done) > before, "the slots wait for each other"
    assert sorted(done) == list(range(len(flow.ops))), "every node is in one slot"
