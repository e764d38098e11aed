"""Functions of datasets: called once while the graph is built, with tensors that stand for an element."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from weftwork.graph.data import structure as structures
from weftwork.graph.graph import Graph
from weftwork.graph.operation import WRITES, Kind, Operation
from weftwork.graph.ops.owners import section_of
from weftwork.graph.sections import Section

_EFFECTS = frozenset({Kind.FUNCTION, Kind.QUEUE, *WRITES})
"""Kinds of operations that run even if nobody uses their output."""


def traced(
    graph: Graph,
    function: Callable,
    elements: Sequence[Any],
    finish: Callable[[Any], Any] = structures.as_components,
) -> tuple[Section, Any]:
    """The section of function(*elements), and the function's result as processed by `finish` inside the section.

    elements: their structures; a single tuple is passed as several arguments. A returned list is treated as a tuple: it
    is more likely to be an operation's list of outputs than something to be stacked.
    """
    with section_of(graph, "a function of a dataset") as section:
        args = []
        for element in elements:
            parts = structures.placeholders(graph, element)
            section.parameters += parts
            args.append(structures.whole(element, parts))
        if len(args) == 1 and type(args[0]) is tuple:
            args = list(args[0])
        result = function(*args)
        result = finish(tuple(result) if type(result) is list else result)
        section.outputs = structures.parts_of(structures.flatten(result))
    section.targets = [op for op in section.ops if op.kind in _EFFECTS or _has_effects(op)]
    return section, result


def _has_effects(op: Operation) -> bool:
    """True if the operation, or one inside the branch or loop, has side effects."""
    if op.kind is not Kind.CONTROL:
        return False
    sections = [op.graph.sections[number] for number in op.attrs["_sections"]]
    return any([inner.kind in _EFFECTS or _has_effects(inner) for section in sections for inner in section.ops])
