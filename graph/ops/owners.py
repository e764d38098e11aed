"""Operations that own sections of the graph: how sections are created, and how their owner is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import contextmanager

from weftwork.graph.graph import Graph
from weftwork.graph.operation import LIBRARY, Kind, Operation, Tensor, Traits
from weftwork.graph.sections import Section, captures


@contextmanager
def section_of(graph: Graph, word: str):
    """A context manager: operations created inside belong to a new section."""
    section = Section(graph, word, graph.section)
    with graph.as_default(), graph.control_dependencies(None), graph.in_section(section):
        yield section


def add_owner(
    graph: Graph, type: str, sections: Sequence[Section], given: Sequence[Tensor], outputs: list, name: str, attrs: dict
) -> Operation:
    """The operation that owns the sections. Its inputs are `given` and the sections' captures."""
    _check_places([op for section in sections for op in section.ops])
    captured = captures(sections)
    controls = dict.fromkeys([c for section in sections for c in section.controls()])
    attrs = {**attrs, "_sections": tuple([section.index for section in sections]), "_given": len(given)}
    with graph.as_default(), graph.control_dependencies(list(controls)):
        op = graph.add(
            Kind.CONTROL,
            type,
            inputs=(*given, *captured),
            attrs=attrs,
            outputs=outputs,
            name=name,
            traits=asked_together([op.traits for section in sections for op in section.ops]),
        )
    for index in range(1, len(outputs)):
        graph.reserve(f"{op.name}_{index}")  # see `names.output_name`
    return op


def _check_places(ops: Sequence[Operation]) -> None:
    """Raise ValueError if one function inside must run in the caller's process, and another one must not."""
    bound = next((op for op in ops if op.traits.here and op.traits.user), None)
    other = next((op for op in ops if op.traits.elsewhere), None)
    if bound is not None and other is not None:
        raise ValueError(
            f"A branch or loop runs in one place, but {bound.defined_at} must run in the caller's process, and "
            f"{other.defined_at} needs another one because of {' and '.join(other.traits.elsewhere)}."
        )


def asked_together(every: Iterable[Traits]) -> Traits:
    """The combined traits of all nodes inside."""
    resources: dict[str, float] = {}
    labels: dict[str, str] = {}
    for traits in every:
        labels.update(traits.labels)
        for key, amount in traits.resources:
            resources[key] = max(amount, resources.get(key, 0.0))
    traits = Traits(
        user=any(t.user for t in every),
        isolated=any(t.isolated for t in every),
        resources=tuple(sorted(resources.items())),
        labels=tuple(sorted(labels.items())),
        here=any(t.here for t in every),
        timeout=min([t.timeout for t in every if t.timeout is not None], default=None),
    )
    return LIBRARY if traits == LIBRARY else traits
