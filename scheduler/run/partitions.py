"""Partitions: what a plan is, told to a run's trace: the device of each node, the graph and the costs of each part."""

from __future__ import annotations

from typing import Any

from weftwork.graph.operation import Operation, Tensor
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.machines.devices import device_name
from weftwork.scheduler.plan.placement import Place
from weftwork.scheduler.plan.plan import Plan, Segment
from weftwork.scheduler.request.config import GraphDef, NodeDef
from weftwork.scheduler.request.trace import Trace

_PROCESSES = {Place.TASK: "/ray:task", Place.ACTOR: "/ray:actor", Place.RESIDENT: "/ray:resident"}
"""What follows a device's name for a process other than the caller's."""


def note(trace: Trace, plan: Plan) -> None:
    """Tell a trace that a plan is run now."""
    devices: dict[Any, str] = {}
    for segment in plan.segments:
        where = (segment.home, segment.place, segment.slot > 0)
        if where not in devices:
            devices[where] = _device(segment)
        for node in segment.nodes:
            op = plan.flow.ops[node]
            trace.devices[op.name] = (op.type, devices[where])
    if trace.wanted.graphs and trace.is_new(plan):
        trace.graphs += [_graph(plan.flow, s, devices[s.home, s.place, s.slot > 0]) for s in plan.segments if s.nodes]
    if trace.wanted.costs:
        _note_costs(trace, plan.flow)


def _device(segment: Segment) -> str:
    process = _PROCESSES.get(segment.place, "")
    if segment.place is Place.RESIDENT and not segment.slot:
        process = ""
    return device_name(*segment.home) + process


def _note_costs(trace: Trace, flow: Dataflow) -> None:
    """Put in what is known of the nodes before they run: where they are, and what they wait for."""
    ids = [trace.cost_of(op.name).id for op in flow.ops]
    final = {flow.producer[value] for value in flow.fetched if value is not None}
    for number, op in enumerate(flow.ops):
        node = trace.cost_of(op.name)
        node.device, node.is_final = trace.devices[op.name][1], number in final
        if node.input_info or node.output_info:  # it is in a loop, and has run before
            continue
        for value in flow.inputs[number]:
            maker = flow.producer[value]
            if maker >= 0:
                node.input_info.add(preceding_node=ids[maker], preceding_port=flow.outputs[maker].index(value))
        node.control_input.extend([ids[other] for other in flow.after.get(number, ())])
        for _ in flow.outputs[number]:
            node.output_info.add(size=-1)


# The graph of a part


def _graph(flow: Dataflow, segment: Segment, device: str) -> GraphDef:
    """The nodes that run in a segment, and what they take from outside."""
    sources: dict[Operation, NodeDef] = {}
    nodes = [_node(flow, node, device, sources) for node in segment.nodes]
    return GraphDef(node=[*sources.values(), *nodes])


def _node(flow: Dataflow, node: int, device: str, sources: dict[Operation, NodeDef]) -> NodeDef:
    op, names = flow.ops[node], []
    for position, value in enumerate(flow.inputs[node]):
        tensor = _tensor(flow, node, position, value)
        if tensor is not None:
            names.append(f"{tensor.op.name}:{tensor.index}" if tensor.index else tensor.op.name)
            if flow.producer[value] < 0 and tensor.op not in sources:
                kind = "Const" if value in flow.constants else tensor.op.type
                sources[tensor.op] = NodeDef(name=tensor.op.name, op=kind, device=device)
    names += [f"^{flow.ops[other].name}" for other in flow.after.get(node, ())]
    return NodeDef(name=op.name, op=op.type, input=names, device=device)


def _tensor(flow: Dataflow, node: int, position: int, value: int) -> Tensor | None:
    """The tensor that a node takes; None for a place in a random stream, which is none."""
    if flow.producer[value] >= 0:
        return flow.tensor(value)
    for tensor, number in flow.feeds.items():
        if number == value:
            return tensor
    for name, number in (*flow.pinned.items(), *flow.newest.items()):
        if number == value:
            return flow.variables[name].outputs[0]
    op = flow.ops[node]
    position += len(op.inputs) - len(flow.inputs[node])  # a variable's version, or a place, may come before the inputs
    return op.inputs[position] if value in flow.constants and 0 <= position < len(op.inputs) else None
