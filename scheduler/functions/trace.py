"""Traces: what is kept of a function for each kind of call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from weftwork.graph import nest
from weftwork.graph.errors import FailedPreconditionError
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.variables.variable import Variable
from weftwork.scheduler.functions.runtime import initialize


class Trace:
    """The nodes of one kind of call.

    graph: where they are.   inputs: the tensors that are fed.   outputs: the tensors of what the function returned.
    """

    def __init__(self, graph: Graph, inputs: list[Tensor], feeds: list[tuple], template: Any, outputs: list[Tensor],
                 effects: list[Operation]):  # fmt: skip
        """feeds: of each input, the number of its datum and what makes of that what is fed, or None.

        template: what the function returned, with slots for the outputs.
        """
        self.graph, self.inputs, self.outputs = graph, inputs, outputs
        self._feeds, self._template = feeds, template
        self.elements: list[Tensor | Operation] = [*outputs, *effects]
        """All that a call runs."""
        self._single = type(template) is nest.Slot
        self._prepared: tuple[Any, Callable] = (None, list)

    def feeds(self, data: Sequence[Any]) -> list:
        """What is fed for the inputs."""
        return [data[at] if convert is None else convert(data[at]) for at, convert in self._feeds]

    def run(self, session: Any, data: Sequence[Any]) -> Any:
        """What the function returns for these data."""
        prepared = self._prepared
        if prepared[0] is not session:
            prepared = self._prepared = session, self._prepare(session)
        values = prepared[1](self.feeds(data))
        return values[0] if self._single else nest.fill(self._template, values)

    def _prepare(self, session: Any) -> Callable:
        """What runs it in a session. A variable without a value gets its initial one."""
        if not self.elements:
            return list
        run = session.prepare(self.elements, self.inputs)
        ops = [element.op if isinstance(element, Tensor) else element for element in self.elements]

        def call(fed: list) -> list:
            try:
                return run(fed)
            except FailedPreconditionError:  # nothing has run: a run begins with the variables' values
                if not initialize(session, ops, dict(zip(self.inputs, fed, strict=True))):
                    raise
            return run(fed)

        return call


class State:
    """What one function keeps of one graph."""

    def __init__(self, graph: Graph, seen: int):
        self.graph, self.seen = graph, seen
        """seen: the version of what it refers to that its traces were made with."""
        self.traces: dict[tuple, Trace] = {}
        self.count = 0
        self.lines: list[str] = []
        """The arguments of the last trace, for a reader."""
        self.variables: list[Variable] = []
