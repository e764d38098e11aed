"""RunMetadata of a run, built from its events.

times       when each node ran: `step_stats`, by device, as in TensorFlow 1
graphs      the graph of each part: nodes that ran together, and their inputs
costs       the time of each node, and the bytes that it made
devices     where each node was placed
It can be pickled, because the run of a shared session is in another process.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import ceil
from typing import Any, NamedTuple

from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.events.event import Event, Lane
from weftwork.scheduler.machines import inventory
from weftwork.scheduler.machines.devices import device_name
from weftwork.scheduler.plan.plan import Plan, Segment
from weftwork.scheduler.request.config import (
    AllocationDescription,
    CostGraphDef,
    DeviceStepStats,
    GraphDef,
    GraphOptions,
    NodeDef,
    NodeExecStats,
    NodeOutput,
    RunMetadata,
    StepStats,
    TensorDescription,
)

_PROCESSES = {"task": "/ray:task", "actor": "/ray:actor", "resident": "/ray:resident"}
"""Suffix of a device's name for processes other than the caller's, by the place of a lane or segment."""
_THREADS = {
    "caller": "caller",
    "thread": "helper thread",
    "resident": "local worker",
    "queue": "waits in a queue",
    "loop": "waits outside",
}
_THREAD = 0xFFFFFFFF
"""TensorFlow's thread numbers have 32 bits."""


class Wanted(NamedTuple):
    """What a run should report."""

    times: bool = False
    graphs: bool = False
    costs: bool = False
    devices: bool = False


def is_costed(options: GraphOptions, run: int) -> bool:
    """Whether costs are gathered in a signature's run number `run`, counted from 0."""
    every, run = options.build_cost_model, run - options.build_cost_model_after
    return every > 0 and run >= 0 and (run + 1) % every == 0


class _Ran(NamedTuple):
    """A node that ran."""

    device: str
    name: str
    label: str
    lane: Lane
    start: float
    seconds: float
    ready: float
    made: int


class Metadata:
    """Collects the metadata of one run. It is called with each event of the run.

    devices: for each planned node, its type and the device where it was last placed.
    nodes: whether every node must be measured.
    """

    def __init__(self, wanted: Wanted):
        self.wanted, self.nodes = wanted, wanted.times or wanted.costs
        self.devices: dict[str, tuple[str, str]] = {}
        self._graphs: list[GraphDef] = []
        self._ran: list[_Ran] = []
        self._costs: dict[str, Any] = {}
        self._known: dict[int, _Names] = {}
        """The plans seen so far, by identity, because the body of a loop runs repeatedly."""
        self._names: dict[Operation, tuple[_Names, int]] = {}
        self._gpus: dict[Operation, str] = {}
        self._places: dict[tuple[str, str], str] = {}

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_known": {}, "_names": {}, "_gpus": {}}

    def __call__(self, event: Event) -> None:
        """Process an event."""
        if event.kind == "planned" and event.plan is not None:
            self._take_plan(event.plan)
        elif event.kind == "planned":
            self._take_calls(event.ops)
        elif event.kind == "node":
            self._take_node(event.ops[0], event)

    def _take_plan(self, plan: Plan) -> None:
        names, new = self._known.get(id(plan)), False
        if names is None:
            names, new = self._known.setdefault(id(plan), _Names(plan)), True
        devices: dict[Any, str] = {}
        for segment in plan.segments:
            where = (segment.home, segment.place, segment.slot > 0)
            if where not in devices:
                devices[where] = _device(segment)
            for node in segment.nodes:
                op = plan.flow.ops[node]
                self.devices[op.name] = (op.type, devices[where])
                self._names[op] = names, node
                if segment.home.gpu is not None:
                    self._gpus[op] = devices[where]
            if self.wanted.graphs and new and segment.nodes:
                self._graphs.append(_graph(names, segment.nodes, devices[where]))
        if self.wanted.costs:
            self._note_costs(plan.flow)

    def _take_calls(self, ops: Sequence[Operation]) -> None:
        """Process a run without a plan, whose nodes are called in the caller one after another."""
        device = device_name()
        for op in ops:
            self.devices[op.name] = (op.type, device)
        if self.wanted.graphs and ops:
            made = set(ops)
            taken = {t.op: NodeDef(name=t.op.name, op=t.op.type, device=device) for op in ops for t in op.inputs}
            sources = [node for op, node in taken.items() if op not in made]
            nodes = [NodeDef(name=op.name, op=op.type, input=_inputs(op), device=device) for op in ops]
            self._graphs.append(GraphDef(node=[*sources, *nodes]))
        if self.wanted.costs:
            self._note_calls(ops, device)

    def _note_calls(self, ops: Sequence[Operation], device: str) -> None:
        """Note the known costs of a run without a plan. Outputs that nobody takes are final."""
        ids = {op: self._cost_of(op.name).id for op in ops}
        taken = {tensor.op for op in ops for tensor in op.inputs}
        for op in ops:
            node = self._cost_of(op.name)
            node.device, node.is_final = device, op not in taken
            for tensor in op.inputs:
                if tensor.op in ids:
                    node.input_info.add(preceding_node=ids[tensor.op], preceding_port=tensor.index)
            node.control_input.extend([ids[other] for other in op.controls if other in ids])
            for _ in op.outputs:
                node.output_info.add(size=-1)

    def _take_node(self, op: Operation, event: Event) -> None:
        known = self._names.get(op)
        names = _inputs(op) if known is None else known[0].inputs_of(known[1])
        label = f"{op.name} = {op.type}({', '.join(names)})"
        device = self._gpus.get(op) or self._device_of(event.lane)
        times = event.start, event.seconds, event.ready
        self._ran.append(_Ran(device, op.name, label, event.lane, *times, event.bytes_out))
        if self.wanted.costs:
            cost = self._cost_of(op.name)
            cost.compute_cost += ceil(1e6 * event.seconds)
            if len(cost.output_info) == 1:
                cost.output_info[0].size = event.bytes_out

    def _device_of(self, lane: Lane) -> str:
        """The device that a lane belongs to."""
        key = (lane.place, lane.machine)
        if key not in self._places:
            self._places[key] = device_name(inventory.machine_at(lane.machine)) + _PROCESSES.get(lane.place, "")
        return self._places[key]

    def _cost_of(self, name: str) -> Any:
        """The cost entry of a node."""
        node = self._costs.get(name)
        if node is None:
            node = self._costs[name] = CostGraphDef.Node(name=name, id=len(self._costs))
        return node

    def _note_costs(self, flow: Dataflow) -> None:
        """Note the placement and inputs of nodes before they run."""
        ids = [self._cost_of(op.name).id for op in flow.ops]
        final = {flow.producer[value] for value in flow.fetched if value is not None}
        for number, op in enumerate(flow.ops):
            node = self._cost_of(op.name)
            node.device, node.is_final = self.devices[op.name][1], number in final
            if node.input_info or node.output_info:  # it is in a loop and has run before
                continue
            for value in flow.inputs[number]:
                maker = flow.producer[value]
                if maker >= 0:
                    node.input_info.add(preceding_node=ids[maker], preceding_port=flow.outputs[maker].index(value))
            node.control_input.extend([ids[other] for other in flow.after.get(number, ())])
            for _ in flow.outputs[number]:
                node.output_info.add(size=-1)

    # The result

    def take(self, other: Metadata) -> None:
        """Become equal to an instance that was filled in another process."""
        self.__dict__.update(other.__dict__)

    def fill(self, metadata: RunMetadata, fetched: Sequence[Tensor | Operation]) -> None:
        """Write the wanted parts to a RunMetadata.

        fetched: what the run computed. What it knew without computing, constants for example, ran in no time.
        """
        if self.wanted.times:
            stats = self._stats()
            self._add_sources(stats, fetched)
            metadata.step_stats.CopyFrom(stats)
        if self.wanted.graphs:
            metadata.partition_graphs.extend(self._graphs or [_known_graph(fetched)])
        if self.wanted.costs:
            metadata.cost_graph.CopyFrom(CostGraphDef(node=list(self._costs.values())))

    def _add_sources(self, stats: StepStats, fetched: Sequence[Tensor | Operation]) -> None:
        ops = [element.op if isinstance(element, Tensor) else element for element in fetched]
        ran = {node.name for node in self._ran}
        sources = [op for op in dict.fromkeys(ops) if op.name not in ran]
        if not sources:
            return
        device = next((known for known in stats.dev_stats if known.device == device_name()), None)
        if device is None:
            device = stats.dev_stats.add(device=device_name())
        now = min([node.all_start_micros for node in device.node_stats], default=int(time.time() * 1e6))
        for op in sources:
            label = f"{op.name} = {op.type}()"
            device.node_stats.add(node_name=op.name, all_start_micros=now, timeline_label=label)

    def _stats(self) -> StepStats:
        """When each node ran, by device."""
        by_device: dict[str, Any] = {}
        for ran in sorted(self._ran, key=lambda ran: ran.start):
            if ran.device not in by_device:
                by_device[ran.device] = DeviceStepStats(device=ran.device)
            stats, thread = by_device[ran.device], ran.lane.thread & _THREAD
            stats.thread_names[thread] = _thread_name(ran.lane)
            start, took = int(ran.start * 1e6), int(ran.seconds * 1e6)
            stats.node_stats.append(
                NodeExecStats(
                    output=[_output(ran)] if ran.made else [],
                    node_name=ran.name,
                    all_start_micros=start,
                    op_start_rel_micros=0,
                    op_end_rel_micros=took,
                    all_end_rel_micros=took,
                    scheduled_micros=int(ran.ready * 1e6) if ran.ready else start,
                    timeline_label=ran.label,
                    thread_id=thread,
                )
            )
        return StepStats(dev_stats=list(by_device.values()))


def _output(ran: _Ran) -> NodeOutput:
    allocator = "gpu" if "GPU" in ran.device else "cpu"
    described = AllocationDescription(requested_bytes=ran.made, allocated_bytes=ran.made, allocator_name=allocator)
    return NodeOutput(tensor_description=TensorDescription(allocation_description=described))


def _thread_name(lane: Lane) -> str:
    name = _THREADS.get(lane.place, lane.place)
    return f"{name} (process {lane.pid})" if lane.place in _PROCESSES else name


def _device(segment: Segment) -> str:
    """The device of a segment."""
    place = segment.place.value if segment.slot or segment.place.value != "resident" else "caller"
    return device_name(*segment.home) + _PROCESSES.get(place, "")


# The graph of a part


class _Names:
    """Names of the inputs of a plan's nodes. plan: referenced, so that its identity is not reused."""

    def __init__(self, plan: Plan):
        self.plan, self.flow = plan, plan.flow
        flow = plan.flow
        self._sources = {number: flow.variables[name].outputs[0] for name, number in flow.newest.items()}
        self._sources.update([(number, flow.variables[name].outputs[0]) for name, number in flow.pinned.items()])
        self._sources.update([(number, tensor) for tensor, number in flow.feeds.items()])

    def taken(self, node: int) -> list[tuple[int, Tensor]]:
        """The values that a node takes, and their tensors."""
        flow, found = self.flow, []
        for position, value in enumerate(flow.inputs[node]):
            tensor = flow.tensor(value) if flow.producer[value] >= 0 else self._source(node, position, value)
            if tensor is not None:
                found.append((value, tensor))
        return found

    def _source(self, node: int, position: int, value: int) -> Tensor | None:
        """The tensor of a value from outside. None for a random stream position, which has none."""
        if value in self._sources:
            return self._sources[value]
        op = self.flow.ops[node]
        position += len(op.inputs) - len(self.flow.inputs[node])  # a variable's version or a position may come first
        return op.inputs[position] if value in self.flow.constants and 0 <= position < len(op.inputs) else None

    def inputs_of(self, node: int) -> list[str]:
        """The inputs of a node, control inputs included, as in a NodeDef."""
        flow = self.flow
        waits = [f"^{flow.ops[other].name}" for other in flow.after.get(node, ())]
        return [*[_named(tensor) for _, tensor in self.taken(node)], *waits]


def _named(tensor: Tensor) -> str:
    return f"{tensor.op.name}:{tensor.index}" if tensor.index else tensor.op.name


def _inputs(op: Operation) -> list[str]:
    """The inputs of a node, control inputs included, as it was written."""
    return [*[_named(tensor) for tensor in op.inputs], *[f"^{other.name}" for other in op.controls]]


def _known_graph(fetched: Sequence[Tensor | Operation]) -> GraphDef:
    """The graph of a run in which nothing had to be computed: what is fetched, known as it is."""
    ops = dict.fromkeys([element.op if isinstance(element, Tensor) else element for element in fetched])
    kinds = {op: "Const" if op.kind is Kind.PURE else op.type for op in ops}
    return GraphDef(node=[NodeDef(name=op.name, op=kind, device=device_name()) for op, kind in kinds.items()])


def _graph(names: _Names, nodes: Sequence[int], device: str) -> GraphDef:
    """The nodes of a segment, and their inputs from outside, as a GraphDef."""
    flow = names.flow
    sources: dict[Operation, NodeDef] = {}
    for node in nodes:
        for value, tensor in names.taken(node):
            if flow.producer[value] < 0 and tensor.op not in sources:
                kind = "Const" if value in flow.constants else tensor.op.type
                sources[tensor.op] = NodeDef(name=tensor.op.name, op=kind, device=device)
    made_of = [
        NodeDef(name=flow.ops[node].name, op=flow.ops[node].type, input=names.inputs_of(node), device=device)
        for node in nodes
    ]
    return GraphDef(node=[*sources.values(), *made_of])
