"""Traces: what a function keeps for each kind of call.

A trace is gone once nobody refers to it: its function is gone, or was traced again because something has changed. Its
nodes then leave the graph, when the next function is traced.
"""

from __future__ import annotations

import weakref
from array import array
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

    graph: their graph.   inputs: the tensors to feed.   outputs: the tensors in what the function returned.
    """

    def __init__(self, graph: Graph, inputs: list[Tensor], feeds: list[tuple], template: Any, outputs: list[Tensor],
                 effects: list[Operation], places: array):  # fmt: skip
        """feeds: for each input, the number of its datum, and the conversion to what is fed, or None.

        template: what the function returned, with slots in place of the outputs.
        places: the indexes of its nodes that the graph may forget once the trace is gone.
        """
        weakref.finalize(self, _drop, weakref.ref(graph), places).atexit = False
        self.graph, self.inputs, self.outputs = graph, inputs, outputs
        self._feeds, self._template = feeds, template
        self.elements: list[Tensor | Operation] = [*outputs, *effects]
        """Everything that a call runs."""
        self._single = type(template) is nest.Slot
        self._prepared: tuple[Any, Callable] = (None, list)

    def feeds(self, data: Sequence[Any]) -> list:
        """The values to feed for the inputs."""
        return [data[at] if convert is None else convert(data[at]) for at, convert in self._feeds]

    def run(self, session: Any, data: Sequence[Any]) -> Any:
        """What the function returns for this data."""
        prepared = self._prepared
        if prepared[0] is not session:
            prepared = self._prepared = session, self._prepare(session)
        values = prepared[1](self.feeds(data))
        return values[0] if self._single else nest.fill(self._template, values)

    def _prepare(self, session: Any) -> Callable:
        """A callable that runs the trace in a session. Variables without a value are initialized."""
        if not self.elements:
            return list
        run = session.prepare(self.elements, self.inputs)
        ops = [element.op if isinstance(element, Tensor) else element for element in self.elements]

        def call(fed: list) -> list:
            try:
                return run(fed)
            except FailedPreconditionError:  # raised before anything runs: a variable has no value
                if not initialize(session, ops, dict(zip(self.inputs, fed, strict=True))):
                    raise
            return run(fed)

        return call


def _drop(graph: weakref.ref[Graph], places: array) -> None:
    known = graph()
    if known is not None:
        known.drop(places)


class State:
    """What a function keeps for one graph."""

    def __init__(self, graph: Graph, seen: int):
        self.graph, self.seen = graph, seen
        """seen: the version of what the function refers to, as of its traces."""
        self.traces: dict[tuple, Trace] = {}
        self.count = 0
        self.lines: list[str] = []
        """Description of the last trace's arguments, for messages."""
        self.variables: list[Variable] = []
