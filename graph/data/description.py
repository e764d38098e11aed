"""The value of a dataset's tensor: what is to be read, and how; nothing is read before an iterator is initialised.

description   one stage, with the values that it was given, and the stages that it reads from
function      the number of the section of the graph that a stage calls for elements; `captured` are the values of what
              that takes from outside, as they were when the dataset was evaluated
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from weftwork.graph.graph import Graph
from weftwork.graph.operation import REFERENCES, Tensor
from weftwork.graph.ownership import add_atoms
from weftwork.graph.sections import Section, captures


@dataclass(frozen=True, eq=False)
class Description:
    """One stage of a pipeline. kind: the word of its class in `actors.data`."""

    kind: str
    sources: tuple[Description, ...] = ()
    values: tuple = ()
    function: int | None = None
    captured: tuple = ()
    options: tuple[tuple[str, Any], ...] = ()

    def option(self, name: str) -> Any:
        """What was said when the graph was built."""
        return dict(self.options)[name]


add_atoms(Description)


def describe(
    *values: Any, kind: str, sources: int, given: int, function: int | None, options: tuple[tuple[str, Any], ...]
) -> Description:
    """The kernel of a dataset's node: its inputs are its sources, `given` values, and what its function captures."""
    end = sources + given
    return Description(kind, values[:sources], values[sources:end], function, values[end:], options)


def captured_by(section: Section) -> list[Tensor]:
    """The tensors from outside that a function's nodes take; variables are read anew whenever it is called."""
    return [tensor for tensor in captures([section]) if tensor.op.kind not in REFERENCES]


def function_at(graph: Graph, number: int) -> Section:
    """The section of a graph that is a dataset's function."""
    return graph.sections[number]
