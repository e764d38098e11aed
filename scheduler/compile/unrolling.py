"""Unrolling: several iterations of a loop as one dataflow, so that independent nodes of different iterations overlap.

ahead     the loop variables that decide the condition, if only cheap nodes of the library make them, such as a counter.
          They are computed before the rest, to find out how many iterations follow
own       inputs of an iteration that no earlier iteration makes: those ahead, elements, random positions
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from weftwork.actors.programs.bodies import Body
from weftwork.graph.operation import Kind
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.sections import SectionFlow, body_of


def ahead(test: SectionFlow, step: SectionFlow, carried: int) -> tuple[int, ...] | None:
    """Positions of the loop variables that can be computed ahead. None if that gains nothing."""
    found = _reach(test, test.outputs)
    if found is None:
        return None
    wanted = {p for p in found[0] if p < carried}
    known: set[int] = set()
    while wanted - known:
        known |= wanted
        found = _reach(step, [step.outputs[p] for p in known])
        if found is None:
            return None
        wanted |= {p for p in found[0] if p < carried}
    if len(known) == carried:
        return None
    return tuple(sorted(known))


def _reach(section: SectionFlow, values: Sequence[int]) -> tuple[set[int], list[int]] | None:
    """Input positions and nodes behind some values. None if a node is more than a plain function of the library."""
    flow = section.flow
    position = {number: p for p, number in enumerate(section.inputs)}
    positions: set[int] = set()
    nodes: set[int] = set()
    stack = list(values)
    while stack:
        value = stack.pop()
        node = flow.producer[value]
        if node < 0:
            if value in position:
                positions.add(position[value])
        elif node not in nodes:
            op = flow.ops[node]
            if op.kind is not Kind.PURE or op.traits.user or op.device or node in flow.after:
                return None
            nodes.add(node)
            stack += flow.inputs[node]
    return positions, sorted(nodes)


def body_ahead(step: SectionFlow, positions: Sequence[int]) -> Body:
    """The part of a loop's body that computes the next values of the variables ahead."""
    outputs = tuple([step.outputs[p] for p in positions])
    found = _reach(step, outputs)
    assert found is not None
    return body_of(SectionFlow(step.owner, step.flow, step.inputs, outputs, []), found[1])


@dataclass
class Unrolled:
    """Several iterations as one section.

    Inputs: `given`, the positions of the inputs that are the same or carried over, and then the `own` inputs of each
    iteration. Outputs: the final `carried` values, and then the `kept` outputs of each iteration.
    """

    section: SectionFlow
    given: tuple[int, ...]
    carried: tuple[int, ...]


def unrolled(
    step: SectionFlow, times: int, own: Iterable[int], carried: dict[int, int], kept: Sequence[int] = ()
) -> Unrolled:
    """Unroll `times` iterations of a section.

    carried: maps an input position to the output that is its next value.   own: positions of the inputs that differ in
    each iteration.   kept: outputs that are wanted from each iteration.
    """
    own = tuple(own)
    ends = {position: at for position, at in carried.items() if position not in own}
    flow = Dataflow()
    value = {number: flow.new_value() for number in step.flow.constants}
    flow.constants = {value[number]: constant for number, constant in step.flow.constants.items()}
    given = tuple([p for p in range(len(step.inputs)) if p not in own])
    first = {p: flow.new_value() for p in given}
    mine = [{p: flow.new_value() for p in own} for _ in range(times)]
    now, results = dict(first), []
    nodes = _nodes(step, [*ends.values(), *kept])
    for iteration in range(times):
        value.update({number: (now | mine[iteration])[p] for p, number in enumerate(step.inputs)})
        copies: dict[int, int] = {}
        for node in nodes:
            copies[node] = flow.append(step.flow, node, value)
            if node in step.flow.after:
                flow.after[copies[node]] = tuple([copies[other] for other in step.flow.after[node]])
        now.update({position: value[step.outputs[at]] for position, at in ends.items()})
        results += [value[step.outputs[at]] for at in kept]
    outputs = tuple([*[now[position] for position in ends], *results])
    inputs = (*first.values(), *[number for numbers in mine for number in numbers.values()])
    flow.close(outputs)
    required = [(given.index(p), name, where) for p, name, where in step.required if p in first]
    return Unrolled(SectionFlow(step.owner, flow, inputs, outputs, required), given, tuple(ends))


def _nodes(step: SectionFlow, outputs: Sequence[int]) -> list[int]:
    """The nodes of an iteration: those behind the outputs, and those with side effects, with the nodes behind them."""
    flow = step.flow
    stack = [flow.producer[step.outputs[at]] for at in outputs]
    stack += [node for node, op in enumerate(flow.ops) if op.kind is not Kind.PURE]
    found: set[int] = set()
    while stack:
        node = stack.pop()
        if node >= 0 and node not in found:
            found.add(node)
            stack += [flow.producer[v] for v in flow.inputs[node]]
            stack += flow.after.get(node, ())
    return sorted(found)
