"""Derivatives of branches and loops: operations of the same kind, whose sections run backwards.

replay     create the operations of a section again in another section. A gradient needs intermediate values, and
  recomputes them. So a section that changes variables has no gradient; random numbers are drawn from the same places
backward   the section that runs backwards: from gradients of outputs to those of parameters and captures
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import apply, constant, pass_through
from weftwork.graph.dtypes import DType
from weftwork.graph.gradients.registry import Rule, inherit, no_derivative, rule
from weftwork.graph.gradients.tools import dense
from weftwork.graph.gradients.walk import gradients, is_trainable, value_of
from weftwork.graph.operation import WRITES, Kind, Operation, Tensor
from weftwork.graph.ops.array_ops import shape
from weftwork.graph.ops.composite import IndexedSlices
from weftwork.graph.ops.control_flow import leaves, repacked
from weftwork.graph.ops.conversion import cast
from weftwork.graph.ops.filling import zeros_like
from weftwork.graph.ops.flow import identity
from weftwork.graph.ops.functional import sweep
from weftwork.graph.ops.loops import while_loop
from weftwork.graph.ops.math_ops import range as numbers
from weftwork.graph.ops.owners import add_owner, section_of
from weftwork.graph.scopes import name_scope
from weftwork.graph.sections import Section, captures, sections_of
from weftwork.graph.variables.handles import spec_of


def replay(owner: Operation, section: Section, known: dict[Tensor, Tensor], draws: bool = True) -> list[Tensor]:
    """Create the section's operations again in the current section, and return the outputs; `known` maps its
    parameters.

    draws: it may draw random numbers: the same ones that the section itself draws in the same run.
    """
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
        if op.kind in WRITES or op.kind in (Kind.PEEK, Kind.QUEUE):
            raise no_derivative(
                owner, f"{op.defined_at} changes a variable or a queue in it, or asks whether it has a value"
            )
        attrs = dict(op.attrs)
        if op.kind is Kind.RANDOM:
            if not draws:
                raise no_derivative(owner, f"{op.defined_at} draws random numbers in it: it has first derivatives only")
            attrs.setdefault("_stream", op.name)
        if op.kind is Kind.CONTROL:
            attrs["_sections"] = tuple([_copied_section(op, section, known, draws) for section in sections_of(op)])
        copy = graph.add(
            op.kind,
            op.type,
            kernel=op.kernel,
            inputs=tuple([known.get(t, t) for t in op.inputs]),
            attrs=attrs,
            outputs=[(t.dtype, t.raw_shape) for t in op.outputs],
            name=op.type,
            traits=op.traits,
        )
        known.update(zip(op.outputs, copy.outputs, strict=True))
        inherit(copy, op, functools.partial(_beside_copies, owner, op, known, draws))
    return [known.get(t, t) for t in section.outputs]


def _beside_copies(
    owner: Operation, original: Operation, known: dict[Tensor, Tensor], draws: bool, found: Rule
) -> Rule:
    """A rule of `custom_gradient` for a copy of its operation.

    Its function may use tensors of the section where it was written. So it is called there, and what it makes is
    replayed.   found: the rule.   known: the copies of these tensors.
    """

    def of_copy(copy: Operation, *grads: Any) -> list:
        graph = copy.graph
        given = [_dense(grad, t) for grad, t in zip(grads, copy.outputs, strict=True)]
        with graph.in_section(original.section), section_of(graph, "a custom gradient") as section:
            section.parameters = [
                graph.add(Kind.PLACEHOLDER, "Placeholder", outputs=[(t.dtype, t.raw_shape)]).outputs[0] for t in given
            ]
            made = found(original, *section.parameters)
            section.outputs = leaves([grad for grad in made if grad is not None])
        parts = iter(replay(owner, section, {**known, **dict(zip(section.parameters, given, strict=True))}, draws))
        return [None if grad is None else repacked(grad, parts) for grad in made]

    return of_copy


def _copied_section(owner: Operation, section: Section, known: dict[Tensor, Tensor], draws: bool) -> int:
    """The index of a copy of a section nested in the one being replayed."""
    with section_of(owner.graph, section.word) as copy:
        for parameter in section.parameters:
            spec = (parameter.dtype, parameter.raw_shape)
            known[parameter] = owner.graph.add(Kind.PLACEHOLDER, parameter.op.type, outputs=[spec]).outputs[0]
        copy.parameters = [known[t] for t in section.parameters]
        copy.outputs = replay(owner, section, known, draws)
    return copy.index


def _differentiable(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [t for t in tensors if is_trainable(t)]


def _gradients_inside(ys: Sequence[Tensor], xs: Sequence[Tensor], grads: Sequence[Tensor]) -> list:
    """Gradients inside a section in any form: tensors, IndexedSlices, None."""
    graph = xs[0].graph
    section = graph.section
    assert section is not None
    section.naming = section.naming or graph.get_name_scope()
    pairs = [(y, g) for y, g in zip(ys, grads, strict=True) if is_trainable(y)]
    wanted, given = [y for y, _ in pairs], [g for _, g in pairs]
    return gradients(wanted, list(xs), given, name=f"{section.naming}/", stop_gradients=list(xs))


def _section_gradients(
    ys: Sequence[Tensor], xs: Sequence[Tensor], grads: Sequence[Tensor]
) -> tuple[list[Tensor], list[set[Tensor]]]:
    """Gradients inside a section, as one tensor for each x, and which of `grads` each of them depends on."""
    found = _gradients_inside(ys, xs, grads)
    sources = [set() if g is None else _sources(g, set(grads)) for g in found]
    return [_dense(g, x) for g, x in zip(found, xs, strict=True)], sources


def _sources(grad: Any, among: set[Tensor]) -> set[Tensor]:
    """The tensors of a section among some that a gradient depends on."""
    stack = [grad.values if isinstance(grad, IndexedSlices) else grad]
    seen = set(stack)
    while stack:
        new = [t for t in stack.pop().op.inputs if t not in seen]
        seen.update(new)
        stack += new
    return seen & among


def _alive(grads: Sequence[Any], after: Sequence[Tensor], sources: Sequence[set[Tensor]], carried: int) -> list[bool]:
    """For each gradient that a loop computes: whether one can flow to it.

    grads: the gradients of the loop's outputs, None for none.   after: the parameters they are passed to backwards.
    sources: those that each gradient depends on; the first `carried` are passed to the first of `after` again.
    """
    reached = {t for t, grad in zip(after, grads, strict=True) if grad is not None}
    while True:
        new = {after[i] for i in range(carried) if sources[i] & reached} - reached
        if not new:
            return [i < carried and after[i] in reached or bool(known & reached) for i, known in enumerate(sources)]
        reached |= new


def _given(op: Operation, grads: Sequence[Any], numbers: Sequence[int]) -> list[Tensor]:
    """The gradients of these outputs, zeros where there is none."""
    return [zeros_like(op.outputs[i]) if grads[i] is None else grads[i] for i in numbers]


def _dense(grad: Any, x: Tensor) -> Tensor:
    if isinstance(grad, IndexedSlices):
        return dense(grad, value_of(x))
    return zeros_like(value_of(x)) if grad is None else grad


def _matched(tensors: Sequence[Tensor], wanted: Sequence[Tensor], found: Sequence[Tensor]) -> list:
    by_tensor = dict(zip(wanted, found, strict=True))
    return [by_tensor.get(t) for t in tensors]


@rule("If")
def _cond_gradient(op: Operation, *grads: Tensor) -> list:
    sections = sections_of(op)
    wanted = _differentiable(op.inputs[1:])
    if not wanted:
        return [None] * len(op.inputs)

    graph, ways = op.graph, []
    with graph.as_default(), name_scope(None, "cond"):
        for section in sections:
            with section_of(graph, "a branch of a cond") as backward:
                ways.append((backward, _gradients_inside(replay(op, section, {}), wanted, grads)))
        kinds = [_rows_dtype([found[i] for _, found in ways]) for i in range(len(wanted))]
        for backward, found in ways:
            with graph.control_dependencies(None), graph.in_section(backward):
                backward.outputs = [
                    t for g, x, kind in zip(found, wanted, kinds, strict=True) for t in _branch_outputs(g, x, kind)
                ]
        specs = [
            (a.dtype.base_dtype, shapes.common(a.raw_shape, b.raw_shape))
            for a, b in zip(ways[0][0].outputs, ways[1][0].outputs, strict=True)
        ]
        outputs = iter(
            add_owner(graph, "If", [backward for backward, _ in ways], [op.inputs[0]], specs, "Merge", {}).outputs
        )
    joined: list[Any] = [
        next(outputs) if kind is None else IndexedSlices(next(outputs), next(outputs), shape(value_of(x)))
        for x, kind in zip(wanted, kinds, strict=True)
    ]
    for number in range(len(wanted)):
        if all([found[number] is None for _, found in ways]):
            joined[number] = None
    return [None, *_matched(op.inputs[1:], wanted, joined)]


def _rows_dtype(grads: list) -> DType | None:
    """The dtype of the indices if all branches return rows or nothing; None if one returns a tensor."""
    rows = [g for g in grads if isinstance(g, IndexedSlices)]
    if not rows or len(rows) + grads.count(None) < len(grads):
        return None
    return rows[0].indices.dtype if len({g.indices.dtype for g in rows}) == 1 else dtypes.int64


def _branch_outputs(grad: Any, x: Tensor, kind: DType | None) -> list[Tensor]:
    """The outputs of a branch for a gradient: a tensor, or rows and their indices with a dtype."""
    if kind is None:
        return [_dense(grad, x)]
    if grad is None:
        return [value_of(x)[:0], constant(np.zeros(0, kind.numpy), kind)]
    return [grad.values, cast(grad.indices, kind)]


def _placeholders(section: Section, op: Operation, like: Sequence[Tensor]) -> list[Tensor]:
    """Parameters of a section for values like these."""
    parameters = [
        op.graph.add(Kind.PLACEHOLDER, "LoopVariable", outputs=[(t.dtype.base_dtype, t.raw_shape)]).outputs[0]
        for t in like
    ]
    section.parameters += parameters
    return parameters


@rule("While")
def _loop_gradient(op: Operation, *grads: Tensor) -> list:
    if "_no_gradient" in op.attrs:
        return [None] * len(op.inputs)
    graph = op.graph
    test, step = sections_of(op)
    carried, limited = op.attrs["_carried"], op.attrs["_limited"]
    given = op.attrs["_given"]
    flowing = [i for i, t in enumerate(op.outputs) if t in _differentiable(op.outputs)]
    captured = _differentiable(op.inputs[given:])
    with section_of(graph, "while loop") as backward:
        state = _placeholders(backward, op, step.parameters)
        after = _placeholders(backward, op, [op.outputs[i] for i in flowing])
        ends = replay(op, step, dict(zip(step.parameters, state, strict=True)))
        xs = [*[state[i] for i in flowing], *captured]
        backward.outputs, sources = _section_gradients([ends[i] for i in flowing], xs, after)
    inputs = [*op.inputs[:carried], *_given(op, grads, flowing), *op.inputs[carried:given]]
    start = [op.inputs[i] for i in flowing]
    attrs = {"_carried": carried, "_grads": len(flowing), "_limited": limited}
    results = _gradient_of(op, "WhileGrad", [test, step, backward], inputs, [*start, *captured], captured, attrs)
    alive = _alive([grads[i] for i in flowing], after, sources, len(flowing))
    results = [grad if flows else None for grad, flows in zip(results, alive, strict=True)]
    found = dict(zip(flowing, results, strict=False))
    return [
        *[found.get(i) for i in range(carried)],
        *[None] * (given - carried),
        *_matched(op.inputs[given:], captured, results[len(flowing) :]),
    ]


@rule("WhileGrad")
def _loop_gradient_twice(op: Operation, *grads: Tensor) -> list:
    """As sweeps, whose gradients are known: one forward that records the states (of one shape), one backward."""
    test, step, backward = sections_of(op)
    n, m = op.attrs["_carried"], op.attrs["_grads"]
    inputs, captured = _separate_inputs(op)
    start = [_with_shape_of(t, p) for t, p in zip(inputs[:n], step.parameters, strict=True)]
    limit = inputs[n + m] if op.attrs["_limited"] else None

    def advance(state: Sequence[Tensor]) -> list[Tensor]:
        return replay(op, step, {**captured, **dict(zip(step.parameters, state, strict=True))}, draws=False)

    def continues(_: Tensor, *state: Tensor) -> Tensor:
        return replay(op, test, {**captured, **dict(zip(test.parameters, state, strict=True))}, draws=False)[0]

    count = while_loop(
        continues, lambda i, *state: [i + 1, *advance(state)], [constant(0), *start], maximum_iterations=limit
    )[0]
    _, states = sweep(lambda state, _: (advance(state), state), start, [numbers(count)])

    def undo(carried: list, state: list) -> tuple[list, list]:
        result = replay(
            op,
            backward,
            {**captured, **dict(zip(backward.parameters, [*state, *carried[:m]], strict=True))},
            draws=False,
        )
        return [*result[:m], *[total + part for total, part in zip(carried[m:], result[m:], strict=True)]], []

    totals = [_initial_total(op, place, t) for place, t in zip(op.attrs["_captures"], op.outputs[m:], strict=True)]
    ends, _ = sweep(undo, [*inputs[n : n + m], *totals], states, reverse=True)
    return gradients(ends, inputs, list(grads), stop_gradients=inputs)


def _separate_inputs(op: Operation) -> tuple[list[Tensor], dict[Tensor, Tensor]]:
    """Give each input a tensor of its own, even if it occurs twice, and map captured tensors to them.

    This is needed for partial derivatives.
    """
    inputs = [identity(value_of(t)) if is_trainable(t) else t for t in op.inputs]
    given = op.attrs["_given"]
    return inputs, dict(zip(op.inputs[given:], inputs[given:], strict=True))


def _with_shape_of(t: Tensor, parameter: Tensor) -> Tensor:
    """The same value with the less specific shape of the parameter that it is passed to."""
    return apply(pass_through, [t], type="Identity", dtype=t.dtype.base_dtype, shape=parameter.raw_shape)


def _initial_total(op: Operation, place: int, like: Tensor) -> Tensor:
    """Zeros of the shape of a captured value, which is an input of the operation."""
    return zeros_like(value_of(op.inputs[place]) if place >= 0 else like)


@rule("Sweep")
def _sweep_gradient(op: Operation, *grads: Tensor) -> list:
    graph = op.graph
    (forward,) = sections_of(op)
    carried, elements, given = op.attrs["_carried"], op.attrs["_elements"], op.attrs["_given"]
    trainable = set(_differentiable([*op.outputs, *op.inputs]))
    flowing = [i for i in range(carried) if op.outputs[i] in trainable]
    collected = [i for i in range(carried, len(op.outputs)) if op.outputs[i] in trainable]
    wanted = [i for i in range(elements) if op.inputs[carried + i] in trainable]
    captured = _differentiable(op.inputs[given:])
    with section_of(graph, "a function over elements") as backward:
        before = _placeholders(backward, op, forward.parameters)
        after = _placeholders(backward, op, [forward.outputs[i] for i in [*flowing, *collected]])
        ends = replay(op, forward, dict(zip(forward.parameters, before, strict=True)))
        xs = [*[before[i] for i in flowing], *[before[carried + i] for i in wanted], *captured]
        backward.outputs, sources = _section_gradients([ends[i] for i in [*flowing, *collected]], xs, after)
    inputs = [*op.inputs[:given], *_given(op, grads, [*flowing, *collected])]
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
    result = _gradient_of(op, "SweepGrad", [forward, backward], inputs, [*start, *arrays, *captured], captured, attrs)
    alive = _alive([grads[i] for i in [*flowing, *collected]], after, sources, len(flowing))
    result = [grad if flows else None for grad, flows in zip(result, alive, strict=True)]
    found = dict(zip([*flowing, *[carried + i for i in wanted]], result, strict=False))
    return [
        *[found.get(i) for i in range(given)],
        *_matched(op.inputs[given:], captured, result[len(flowing) + len(wanted) :]),
    ]


@rule("SweepGrad")
def _sweep_gradient_twice(op: Operation, *grads: Tensor) -> list:
    """As two sweeps, whose gradients are known: one forward that records the carried values, one backward."""
    forward, backward = sections_of(op)
    c, e, g, k = [op.attrs[word] for word in ("_carried", "_elements", "_grads", "_collected")]
    wanted, reverse = len(op.attrs["_wanted"]), op.attrs["_reverse"]
    inputs, captured = _separate_inputs(op)
    arrays, given = inputs[c : c + e], inputs[c + e + g : c + e + g + k]
    start = [_with_shape_of(t, p) for t, p in zip(inputs[:c], forward.parameters, strict=False)]

    def advance(carried: list, items: list) -> tuple[list, list]:
        known = {**captured, **dict(zip(forward.parameters, [*carried, *items], strict=True))}
        return replay(op, forward, known, draws=False)[:c], carried

    _, states = sweep(advance, start, arrays, reverse)

    def undo(carried: list, items: list) -> tuple[list, list]:
        values = [*items[: c + e], *carried[:g], *items[c + e :]]
        result = replay(op, backward, {**captured, **dict(zip(backward.parameters, values, strict=True))}, draws=False)
        totals = [total + part for total, part in zip(carried[g:], result[g + wanted :], strict=True)]
        return [*result[:g], *totals], result[g : g + wanted]

    flowing = op.outputs[g + wanted :]
    totals = [_initial_total(op, place, t) for place, t in zip(op.attrs["_captures"], flowing, strict=True)]
    ends, flows = sweep(undo, [*inputs[c + e : c + e + g], *totals], [*states, *arrays, *given], not reverse)
    return gradients([*ends[:g], *flows, *ends[g:]], inputs, list(grads), stop_gradients=inputs)


def _gradient_of(
    op: Operation, type: str, sections: list, inputs: list, like: list, captured: list, attrs: dict
) -> Sequence[Tensor]:
    """The operation that runs a loop forward and backward; its outputs are gradients of tensors `like` these."""
    every = captures(sections)
    places = tuple([len(inputs) + every.index(t) if t in every else -1 for t in captured])
    outputs = [spec_of(t) for t in like]
    return add_owner(op.graph, type, sections, inputs, outputs, type, {**attrs, "_captures": places}).outputs
