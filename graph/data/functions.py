"""Functions of datasets: called once, with tensors that stand for an element, when the graph is built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from weftwork.graph.data import structure as structures
from weftwork.graph.graph import Graph
from weftwork.graph.operation import WRITES, Kind, Operation
from weftwork.graph.ops.control_flow import section_of
from weftwork.graph.sections import Section

_EFFECTS = frozenset({Kind.FUNCTION, Kind.QUEUE, *WRITES})
"""Kinds of operations that run though nobody takes what they give."""


def traced(
    graph: Graph,
    function: Callable,
    elements: Sequence[Any],
    finish: Callable[[Any], Any] = structures.as_components,
) -> tuple[Section, Any]:
    """The section of function(*elements), and what it returned, as `finish` sees it inside.

    elements: their structures; one that is a tuple alone is given as several arguments. A list that is returned is a
    tuple: it is more likely what an operation gave than what is to be stacked.
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
    """True for a branch or a loop in which something has effects."""
    if op.kind is not Kind.CONTROL:
        return False
    sections = [op.graph.sections[number] for number in op.attrs["_sections"]]
    return any([inner.kind in _EFFECTS or _has_effects(inner) for section in sections for inner in section.ops])
