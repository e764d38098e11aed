"""A stage of a dataset, as a node of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weftwork.graph import dtypes
from weftwork.graph.build import apply, convert_to_tensor, graph_of
from weftwork.graph.data.description import captured_by, describe
from weftwork.graph.operation import Tensor
from weftwork.graph.sections import Section


def variant_of(
    kind: str,
    sources: Sequence[Any] = (),
    values: Sequence[Tensor] = (),
    function: Section | None = None,
    **options: Any,
) -> Tensor:
    """The tensor of one more stage. options: known now; those of a function are the parts of its result."""
    captured = [] if function is None else captured_by(function)
    attrs = {
        "kind": kind,
        "sources": len(sources),
        "given": len(values),
        "function": None if function is None else function.index,
        "options": tuple(options.items()),
    }
    inputs = [*[source.variant_tensor for source in sources], *values, *captured]
    graph_of(inputs)
    controls = [] if function is None else function.controls()
    graph = inputs[0].graph if inputs else graph_of(())
    with graph.as_default(), graph.control_dependencies(controls):
        return apply(describe, inputs, attrs, type=f"{kind}Dataset", dtype=dtypes.variant, shape=())


def whole_number(value: Any, name: str) -> Tensor:
    """An int64 tensor."""
    return convert_to_tensor(value, dtypes.int64, name=name)
