"""Compile branches and loops: each section of the graph becomes a body, and the owner's kernel runs the bodies.

state      the variables that any section of the owner writes; their versions are inputs and outputs
layout     the order of a kernel's values: carried ones (loop variables, state), then those that stay the same

All bodies of an owner take the same values and return the same outputs. A branch that does not write a variable returns
the version that it was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from weftwork.actors.programs.bodies import Body, Control
from weftwork.actors.programs.control import Branches, Join, Loop, LoopGradient, Split, Sweep, SweepGradient
from weftwork.graph.operation import LIBRARY, REFERENCES, Kind, Operation, Tensor, Traits
from weftwork.graph.sections import Section, sections_of
from weftwork.graph.shapes import RawShape
from weftwork.graph.variables.critical import MUTEX
from weftwork.graph.variables.handles import no_value_text
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.effects import functions_of
from weftwork.scheduler.compile.emit import write_program
from weftwork.scheduler.compile.folding import ALL, Rewrites
from weftwork.scheduler.compile.lowering import CONTROL, lower, variable_name

_COUNTS = ("carried", "elements", "grads", "collected")
"""How many inputs of each kind a loop or its derivative has: attributes of the operation, 0 where it has none."""


@dataclass
class Compiled:
    """A control-flow operation as a kernel.

    order: the source of each value of the kernel: ("input", position), ("state", name), ("read", name) or
    ("draw", operation).   state: variables whose new versions follow the outputs.   reads: variables that are only
    read. queued: whether queues are used inside.   limited: whether something inside takes limits of the session.
    """

    kernel: Control
    order: list[tuple[str, Any]]
    state: list[str]
    reads: list[str]
    variables: dict[str, Operation]
    queued: bool
    limited: bool

    @property
    def locks(self) -> bool:
        """Whether a critical section is entered inside."""
        return any([self.variables[name].type == MUTEX for name in self.state])


@dataclass
class SectionFlow:
    """A section as a pure dataflow: all sources are arguments, and all results are fetched.

    owner: the operation that the section belongs to.
    inputs: the number of each value of the owner's kernel.   outputs: its results.
    required: (input position, error text, creation line) of each variable that must have a value.
    """

    owner: Operation
    flow: Dataflow
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    required: list[tuple[int, str, str]]


def compiled(op: Operation, rewrites: Rewrites = ALL) -> Compiled:
    """The kernel of a control-flow operation. Compiled once, so that its cost is remembered."""
    if op.compiled is None:
        op.compiled = {}
    made = op.compiled.get(rewrites)
    if made is None:
        made = op.compiled[rewrites] = _compile(op, rewrites)
    return made


def _compile(op: Operation, rewrites: Rewrites) -> Compiled:
    sections = sections_of(op)
    flows = [_flow(op, section, rewrites) for section in sections]
    state = list(dict.fromkeys([name for flow in flows for name in flow.writes]))
    reads = [name for flow in flows for name in [*flow.pinned, *flow.newest] if name not in state]
    reads = list(dict.fromkeys(reads))
    draws = list(dict.fromkeys([draw for flow in flows for draw in flow.draws.values()]))
    variables = {name: var for flow in flows for name, var in flow.variables.items()}
    order = _layout(op, state, reads, draws)
    bodies = [body_of(_closed(op, section, flow, order, state)) for section, flow in zip(sections, flows, strict=True)]
    kernel = _kernel(op, bodies, len(state), range(len(order) - len(draws), len(order)))
    kernel.functions = functions_of([kernel for flow in flows for kernel in flow.kernels])
    queued, limited = any([flow.queued for flow in flows]), any(map(is_limited, flows))
    if op.type == "If":
        order.insert(0, ("input", 0))  # the predicate goes to the kernel, not to the bodies
    return Compiled(kernel, order, state, reads, variables, queued, limited)


def _layout(op: Operation, state: list[str], reads: list[str], draws: list[Operation]) -> list[tuple[str, Any]]:
    """The sources of the values that the bodies take: see `Compiled.order`."""
    carried = op.attrs.get("_carried", 0)
    order: list[tuple[str, Any]] = [("input", i) for i in range(carried)]
    order += [("state", name) for name in state]
    order += [("input", i) for i in range(1 if op.type == "If" else carried, len(op.inputs))]
    return order + [("read", name) for name in reads] + [("draw", draw) for draw in draws]


def _kernel(op: Operation, bodies: list[Body], state: int, draws: range) -> Control:
    """The kernel that runs the bodies.   state: the number of variables written.   draws: positions in the layout."""
    attrs = op.attrs
    carried, elements, grads, collected = [attrs.get(f"_{word}", 0) for word in _COUNTS]
    before = carried + state + elements + grads + collected
    positions = tuple([at - before for at in draws])
    if op.type == "If":
        true, false = bodies
        return Branches(true, false)
    if op.type == "While":
        test, step = bodies
        return Loop(test, step, carried + state, positions, attrs["_limited"])
    if op.type == "WhileGrad":
        test, step, back = bodies
        return LoopGradient(test, step, back, carried, grads, attrs["_limited"], attrs["_captures"], positions)
    reverse = attrs["_reverse"]
    if op.type == "SweepGrad":
        forth, back = bodies
        wanted, captures = attrs["_wanted"], attrs["_captures"]
        return SweepGradient(forth, back, carried, elements, grads, collected, reverse, wanted, captures, positions)
    return Sweep(bodies[0], carried, state, elements, positions, reverse, attrs["_empty"])


def is_limited(flow: Dataflow) -> bool:
    """Whether a node in a section takes limits. Then the section must be a run of its own, not a program."""
    return bool(flow.waiting) or any([op.traits.limits for op in flow.ops])


def in_parts(op: Operation, made: Compiled) -> list[Operation]:
    """A map over elements as operations that can run at once: a split, several like `op`, a join. Empty if impossible.

    It is possible if no element depends on another: nothing is carried, written or drawn, and nothing must run in the
    caller in turn. The operations belong to no graph.
    """
    count = op.attrs.get("_parallel", 1)
    if count < 2 or op.traits.here or made.queued or made.limited or op.attrs["_carried"] or made.state:
        return []
    if any([source == "draw" for source, _ in made.order]):
        return []
    elements = op.attrs["_elements"]
    specs = [(t.dtype.base_dtype, _part(t)) for t in op.inputs[:elements]]
    split = _beside(op, "split", Kind.PURE, Split(count), op.inputs[:elements], specs * count, LIBRARY)
    outputs = [(t.dtype, _part(t)) for t in op.outputs]
    parts = []
    for k in range(count):
        mine = split.outputs[k * elements : (k + 1) * elements]
        rest = (*mine, *op.inputs[elements:])
        parts.append(_beside(op, f"part{k}", Kind.CONTROL, made.kernel, rest, outputs, op.traits))
    every = tuple([t for part in parts for t in part.outputs])
    specs = [(t.dtype, t.raw_shape) for t in op.outputs]
    return [split, *parts, _beside(op, "join", Kind.PURE, Join(count, len(op.outputs)), every, specs, LIBRARY)]


def _part(tensor: Tensor) -> RawShape:
    return None if tensor.raw_shape is None else (None, *tensor.raw_shape[1:])


def _beside(
    op: Operation, word: str, kind: Kind, kernel: Any, inputs: tuple, outputs: list, traits: Traits
) -> Operation:
    name, asked = f"{op.name}/{word}", (traits, op.source, op.device, op.colocation)
    return Operation(op.graph, op.index, name, op.type, kind, kernel, inputs, {}, outputs, op.controls, *asked)


def section_flows(op: Operation, rewrites: Rewrites = ALL) -> list[SectionFlow]:
    """The sections of a control-flow operation as dataflows, to be planned as runs of their own."""
    made = compiled(op, rewrites)
    order = made.order[1:] if op.type == "If" else made.order
    return [_closed(op, section, _flow(op, section, rewrites), order, made.state) for section in sections_of(op)]


def _flow(op: Operation, section: Section, rewrites: Rewrites) -> Dataflow:
    fed = [*section.parameters, *op.inputs[op.attrs["_given"] :]]
    return lower([*section.outputs, *section.targets], fed, frozenset(section.controls()), rewrites)


def _closed(
    op: Operation, section: Section, flow: Dataflow, order: list[tuple[str, Any]], state: list[str]
) -> SectionFlow:
    """Turn a section's dataflow into a function of the values in the layout's order."""
    if op.type == "While" and section is sections_of(op)[0]:
        state = []  # a condition writes nothing
    same = {flow.pinned[name]: number for name, number in flow.newest.items() if name in flow.pinned}
    if same:
        flow.inputs = [tuple([same.get(v, v) for v in inputs]) for inputs in flow.inputs]
        flow.fetched = [same.get(v, v) if v is not None else None for v in flow.fetched]
    draws = {draw: number for number, draw in flow.draws.items()}
    used = {v for inputs in flow.inputs for v in inputs} | set(flow.fetched)
    inputs: list[int] = []
    required: list[tuple[int, str, str]] = []
    for position, (source, key) in enumerate(order):
        number = None
        if source == "input":
            at: int = key
            tensor = section.parameters[at] if at < len(section.parameters) else op.inputs[at]
            number = flow.feeds.get(tensor)
            if number in used and tensor.op.kind in REFERENCES:
                variable = op.graph.get_operation_by_name(variable_name(tensor))
                required.append((position, no_value_text(variable), variable.defined_at))
        elif source == "draw":
            number = draws.get(key)
        else:
            number = flow.newest.get(key, flow.pinned.get(key))
            if number is not None and key in flow.required:
                required.append((position, no_value_text(flow.variables[key]), flow.variables[key].defined_at))
        inputs.append(flow.new_value() if number is None else number)
    given = {key: inputs[position] for position, (source, key) in enumerate(order) if source == "state"}
    outputs = [v for v in flow.fetched if v is not None] + [flow.writes.get(name, given[name]) for name in state]
    flow.close(outputs)
    return SectionFlow(op, flow, tuple(inputs), tuple(outputs), required)


def body_of(section: SectionFlow, nodes: Sequence[int] | None = None) -> Body:
    """The program of a section, or of some of its nodes."""
    flow = section.flow
    sizes = [64.0] * len(flow.producer)
    mine, outputs = range(len(flow.ops)) if nodes is None else nodes, section.outputs
    if (flow.queued or is_limited(flow)) and nodes is None:  # it waits, so it must be a run of its own
        mine, outputs = (), ()
    program, owners = write_program(flow, mine, section.inputs, outputs, sizes, inner=True)
    where = [(flow.ops[owner] if owner >= 0 else section.owner).defined_at for owner in owners]
    return Body(program, where, section.required)


CONTROL.compiled, CONTROL.in_parts = compiled, in_parts
