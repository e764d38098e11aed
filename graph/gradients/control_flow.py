"""Derivatives of branches and loops: operations like them, whose sections go backwards.

replay     the operations of a section, made again in another one: a gradient needs the values on the way, and computes
           them again. So what draws random numbers or changes variables has no gradient here.
back       the section that goes backwards: from gradients of outputs to those of parameters and captures
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weftwork.graph.gradients.registry import rule, unknown
from weftwork.graph.gradients.tools import dense
from weftwork.graph.gradients.walk import gradients, is_trainable
from weftwork.graph.operation import WRITES, Kind, Operation, Tensor
from weftwork.graph.ops.composite import IndexedSlices
from weftwork.graph.ops.control_flow import _owner, cond, section_of
from weftwork.graph.ops.filling import zeros_like
from weftwork.graph.sections import Section, captures, sections_of


def replay(owner: Operation, section: Section, known: dict[Tensor, Tensor]) -> list[Tensor]:
    """The section's outputs, made again where operations are created now; `known` says what its parameters are."""
    graph = owner.graph
    needed: set[Operation] = set()
    stack = [t.op for t in section.outputs]
    while stack:
        op = stack.pop()
        if op.section is section and op not in needed:
            needed.add(op)
            stack += [t.op for t in op.inputs]
    for op in section.ops:
        if op not in needed or op.kind is Kind.PLACEHOLDER:
            continue
        if op.kind in WRITES or op.kind in (Kind.RANDOM, Kind.PEEK):
            raise unknown(owner, f"{op.defined_at} draws random numbers or changes a variable in it")
        attrs = dict(op.attrs)
        if op.kind is Kind.CONTROL:
            attrs["_sections"] = tuple([_copied(op, section, known) for section in sections_of(op)])
        made = graph.add(
            op.kind,
            op.type,
            kernel=op.kernel,
            inputs=tuple([known.get(t, t) for t in op.inputs]),
            attrs=attrs,
            outputs=[(t.dtype, t.raw_shape) for t in op.outputs],
            name=op.type,
            traits=op.traits,
        )
        known.update(zip(op.outputs, made.outputs, strict=True))
    return [known.get(t, t) for t in section.outputs]


def _copied(owner: Operation, section: Section, known: dict[Tensor, Tensor]) -> int:
    """The number of a copy of a section within the one that is replayed."""
    with section_of(owner.graph, section.word) as copy:
        for parameter in section.parameters:
            spec = (parameter.dtype, parameter.raw_shape)
            known[parameter] = owner.graph.add(Kind.PLACEHOLDER, parameter.op.type, outputs=[spec]).outputs[0]
        copy.parameters = [known[t] for t in section.parameters]
        copy.outputs = replay(owner, section, known)
    return copy.index


def _differentiable(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [t for t in tensors if is_trainable(t)]


def _backwards(ys: Sequence[Tensor], xs: Sequence[Tensor], grads: Sequence[Tensor]) -> list[Tensor]:
    """Gradients inside a section: a tensor for each x."""
    graph = xs[0].graph
    section = graph.section
    assert section is not None
    section.naming = section.naming or graph.get_name_scope()
    pairs = [(y, g) for y, g in zip(ys, grads, strict=True) if is_trainable(y)]
    wanted, given = [y for y, _ in pairs], [g for _, g in pairs]
    found = gradients(wanted, list(xs), given, name=f"{section.naming}/", stop_gradients=list(xs))
    found = [dense(g, x) if isinstance(g, IndexedSlices) else g for g, x in zip(found, xs, strict=True)]
    return [zeros_like(x) if g is None else g for g, x in zip(found, xs, strict=True)]


def _matched(tensors: Sequence[Tensor], wanted: Sequence[Tensor], found: Sequence[Tensor]) -> list:
    made = dict(zip(wanted, found, strict=True))
    return [made.get(t) for t in tensors]


@rule("If")
def _cond_gradient(op: Operation, *grads: Tensor) -> list:
    sections = sections_of(op)
    wanted = _differentiable(op.inputs[1:])
    if not wanted:
        return [None] * len(op.inputs)

    def back(section: Section) -> Any:
        return lambda: _backwards(replay(op, section, {}), wanted, grads)

    found = cond(op.inputs[0], back(sections[0]), back(sections[1]), strict=True)
    return [None, *_matched(op.inputs[1:], wanted, found)]


def _placeholders(section: Section, op: Operation, like: Sequence[Tensor]) -> list[Tensor]:
    """Parameters of a section that stand for values like these."""
    made = [
        op.graph.add(Kind.PLACEHOLDER, "LoopVariable", outputs=[(t.dtype.base_dtype, t.raw_shape)]).outputs[0]
        for t in like
    ]
    section.parameters += made
    return made


@rule("While")
def _loop_gradient(op: Operation, *grads: Tensor) -> list:
    graph = op.graph
    test, step = sections_of(op)
    carried, limited = op.attrs["_carried"], op.attrs["_limited"]
    given = op.attrs["_given"]
    flowing = [i for i, t in enumerate(op.outputs) if t in _differentiable(op.outputs)]
    captured = _differentiable(op.inputs[given:])
    with section_of(graph, "while loop") as back:
        state = _placeholders(back, op, step.parameters)
        after = _placeholders(back, op, [op.outputs[i] for i in flowing])
        ends = replay(op, step, dict(zip(step.parameters, state, strict=True)))
        xs = [*[state[i] for i in flowing], *captured]
        back.outputs = _backwards([ends[i] for i in flowing], xs, after)
    inputs = [*op.inputs[:carried], *[grads[i] for i in flowing], *op.inputs[carried:given]]
    start = [op.inputs[i] for i in flowing]
    attrs = {"_carried": carried, "_grads": len(flowing), "_limited": limited}
    made = _gradient_of(op, "WhileGrad", [test, step, back], inputs, [*start, *captured], captured, attrs)
    found = dict(zip(flowing, made, strict=False))
    return [
        *[found.get(i) for i in range(carried)],
        *[None] * (given - carried),
        *_matched(op.inputs[given:], captured, made[len(flowing) :]),
    ]


@rule("Sweep")
def _sweep_gradient(op: Operation, *grads: Tensor) -> list:
    graph = op.graph
    (forth,) = sections_of(op)
    carried, elements, given = op.attrs["_carried"], op.attrs["_elements"], op.attrs["_given"]
    trainable = set(_differentiable([*op.outputs, *op.inputs]))
    flowing = [i for i in range(carried) if op.outputs[i] in trainable]
    collected = [i for i in range(carried, len(op.outputs)) if op.outputs[i] in trainable]
    wanted = [i for i in range(elements) if op.inputs[carried + i] in trainable]
    captured = _differentiable(op.inputs[given:])
    with section_of(graph, "a function over elements") as back:
        before = _placeholders(back, op, forth.parameters)
        after = _placeholders(back, op, [forth.outputs[i] for i in [*flowing, *collected]])
        ends = replay(op, forth, dict(zip(forth.parameters, before, strict=True)))
        xs = [*[before[i] for i in flowing], *[before[carried + i] for i in wanted], *captured]
        back.outputs = _backwards([ends[i] for i in [*flowing, *collected]], xs, after)
    inputs = [*op.inputs[:given], *[grads[i] for i in flowing], *[grads[i] for i in collected]]
    arrays = [op.inputs[carried + i] for i in wanted]
    attrs = {
        "_carried": carried,
        "_elements": elements,
        "_grads": len(flowing),
        "_collected": len(collected),
        "_reverse": op.attrs["_reverse"],
        "_wanted": tuple(wanted),
    }
    start = [op.inputs[i] for i in flowing]
    made = _gradient_of(op, "SweepGrad", [forth, back], inputs, [*start, *arrays, *captured], captured, attrs)
    found = dict(zip([*flowing, *[carried + i for i in wanted]], made, strict=False))
    return [
        *[found.get(i) for i in range(given)],
        *_matched(op.inputs[given:], captured, made[len(flowing) + len(wanted) :]),
    ]


def _gradient_of(
    op: Operation, type: str, sections: list, inputs: list, like: list, captured: list, attrs: dict
) -> Sequence[Tensor]:
    """The operation that runs a loop forth and back; its outputs are gradients of tensors `like` these."""
    every = captures(sections)
    places = tuple([len(inputs) + every.index(t) if t in every else -1 for t in captured])
    outputs = [(t.dtype.base_dtype, t.raw_shape) for t in like]
    return _owner(op.graph, type, sections, inputs, outputs, type, {**attrs, "_captures": places}).outputs
