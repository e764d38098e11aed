"""The value of a dataset's tensor: a description of what to read. Nothing is read until an iterator is initialized.

description   one stage, with its arguments' values and the stages that it reads from
function      the number of the graph section that a stage calls for elements; `captured` are the values of its
  captures at the time when the dataset was evaluated
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from weftwork.graph.operation import REFERENCES, Tensor
from weftwork.graph.python.ownership import add_atoms
from weftwork.graph.sections import Section, captures

AUTOTUNE = -1
"""As a number of parallel calls, or of elements to prefetch: as many as the machine can handle."""


@dataclass(frozen=True, eq=False)
class Description:
    """One stage of a pipeline. kind: identifies the class in `actors.data`."""

    kind: str
    sources: tuple[Description, ...] = ()
    values: tuple = ()
    function: int | None = None
    captured: tuple = ()
    options: tuple[tuple[str, Any], ...] = ()

    def option(self, name: str) -> Any:
        """An option given when the graph was built."""
        return dict(self.options)[name]


add_atoms(Description)


def describe(
    *values: Any, kind: str, sources: int, given: int, function: int | None, options: tuple[tuple[str, Any], ...]
) -> Description:
    """The kernel of a dataset's node. Its inputs are the sources, `given` values, and the captures of its function."""
    end = sources + given
    return Description(kind, values[:sources], values[sources:end], function, values[end:], options)


def captured_by(section: Section) -> list[Tensor]:
    """The outside tensors that a function's nodes use; variables are read at each call instead."""
    return [tensor for tensor in captures([section]) if tensor.op.kind not in REFERENCES]
