"""The functions of datasets. Each call is an ordinary run of the engine, so variables, random draws, places and errors
behave as everywhere else.

A call runs the function's section as a dataflow, fed with the element and the captured values. If the section only
calls library kernels, they are called directly, without a run. Many calls can also be one run: it consists of parts,
each of which calls the function for its share of the elements, and the engine places the parts. Functions whose calls
must keep an order (writes, queues, functions bound to the caller) are called one by one.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from weftwork.actors.data.elements import Chunk, EachElement, in_columns
from weftwork.actors.data.stage import Failed, Functions
from weftwork.actors.programs.float_errors import quiet
from weftwork.graph import dtypes
from weftwork.graph.data.description import captured_by
from weftwork.graph.errors import CancelledError, OpError
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.graph.ops.owners import asked_together
from weftwork.graph.sections import Section
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.effects import functions_of
from weftwork.scheduler.compile.folding import Rewrites
from weftwork.scheduler.compile.lowering import lower
from weftwork.scheduler.compile.needs import settle_needs
from weftwork.scheduler.compile.sections import SectionFlow, body_of, is_limited
from weftwork.scheduler.plan.signatures import Signature
from weftwork.scheduler.plan.specializations import Specialization
from weftwork.scheduler.request.fetches import NO_FETCHES, Fetches
from weftwork.scheduler.state.mirror import Cells

_PARTS = 8
"""Parts for each core, unless limited: cores that finish early get more to do."""


class ElementFunctions(Functions):
    """The functions of the datasets of one session."""

    def __init__(self, engine: Any):
        self._engine = weakref.proxy(engine)  # weak, so a forgotten session is freed at once
        self._known: dict[Section, _Function] = {}
        self._values: dict[Tensor, Signature] = {}

    def _function(self, graph: Graph, number: int) -> _Function:
        section = graph.sections[number]
        known = self._known.get(section)
        if known is None:
            known = self._known[section] = _Function(self._engine, graph, section)
        return known

    def call(self, graph: Graph, function: int, captured: tuple, values: list) -> list:
        return self._function(graph, function).call(captured, values)

    def call_many(self, graph: Graph, function: int, captured: tuple, values: list[list], most: int) -> list:
        known, cores = self._function(graph, function), self.cores()
        parts = min(len(values), most if most < cores else _PARTS * cores)
        if parts > 1 and cores > 1 and known.may_overlap:
            return known.call_in_parts(captured, values, parts)
        made: list = []
        for each in values:
            try:
                made.append(known.call(captured, each))
            except OpError as error:
                made.append(Failed(type(error), error.message, error.call))
        return [in_columns(made)]

    def value_of(self, graph: Graph, operation: int, output: int) -> Any:
        tensor = graph.operations[operation].outputs[output]
        known = self._values.get(tensor)
        if known is None:
            known = self._values[tensor] = self._engine.signatures.add(None, Fetches((tensor,), list), ())
        return _executed(self._engine, known, [])[0]

    def cores(self) -> int:
        return max(1, self._engine.lanes.slots())


def _executed(engine: Any, signature: Signature, fed: list) -> list:
    """The values of a run. Raises CancelledError if the session is closed or was collected."""
    try:
        return engine.execute(signature, fed, None, None)
    except (RuntimeError, ReferenceError):
        if _is_open(engine):
            raise
        raise CancelledError(None, None, "Run call was cancelled") from None


def _is_open(engine: Any) -> bool:
    try:
        return not engine.closed
    except ReferenceError:
        return False


class _Function:
    """A dataset function in a session."""

    def __init__(self, engine: Any, graph: Graph, section: Section):
        self._engine, self._graph, self._section = engine, graph, section
        self._captured = captured_by(section)
        self._fed = [*section.parameters, *self._captured]
        elements = tuple([*section.outputs, *section.targets])
        ran = frozenset(section.controls())
        self._single: Signature = engine.signatures.add(None, Fetches(elements, list), self._fed, ran)
        if self._single.flow is None:
            engine.signatures.compile(self._single)
        self._in_parts: dict[int, _InParts] = {}
        self._kernel: EachElement | None = None
        self._body = self._each_element().body if self._is_plain else None
        """Calls the function without a run, if it is plain."""

    @property
    def _flow(self) -> Dataflow:
        flow = self._single.flow
        assert flow is not None
        return flow

    @property
    def may_overlap(self) -> bool:
        """True if calls need not keep an order: they write nothing, wait for nothing, and may run anywhere."""
        flow = self._flow
        return not (flow.writes or flow.newest or flow.queued or flow.here or flow.needs or is_limited(flow))

    @property
    def _is_plain(self) -> bool:
        """True if it only calls library kernels, which needs no run."""
        flow, auto = self._flow, self._engine.config.placement == "auto"
        return auto and self.may_overlap and not (flow.functions or flow.controls or flow.pinned or flow.draws)

    def call(self, captured: tuple, values: Sequence) -> list:
        """The outputs for the values of an element's tensors. Raises the error of the node that failed."""
        if self._body is not None:
            with quiet():
                return self._body([], [*values, *captured])
        made = _executed(self._engine, self._single, [*values, *captured])
        return made[: len(self._section.outputs)]

    def call_in_parts(self, captured: tuple, values: list[list], count: int) -> list:
        """The outputs for each of `values`, computed in `count` parts, as columns."""
        known = self._in_parts.get(count)
        if known is None:
            known = self._in_parts[count] = _InParts(self._engine, self._parts(count))
        draws = list(self._flow.draws.values())
        if draws:
            places = self._engine.draws.take(draws * len(values), {})
            values = [
                [*each, *places[at : at + len(draws)]]
                for each, at in zip(values, range(0, len(places), len(draws)), strict=True)
            ]
        ends = [len(values) * part // count for part in range(count + 1)]
        chunks = [Chunk(values[a:b]) for a, b in zip(ends, ends[1:], strict=False)]
        return _executed(self._engine, known, [*chunks, *captured])

    def _parts(self, count: int) -> Dataflow:
        """Nodes, each of which calls the function for a list of elements."""
        if self._kernel is None:
            self._kernel = self._each_element()
        single, op = self._flow, self._owner()
        traits = asked_together([each.traits for each in self._section.ops])
        specs: list = [(dtypes.object, None)]
        name, kernel = f"{op.name}/calls", self._kernel
        part = Operation(
            self._graph, op.index, name, op.type, Kind.CONTROL, kernel, (), {}, specs, (), traits, op.source, op.device
        )
        flow = Dataflow()
        chunks = [flow.new_value() for _ in range(count)]
        captured = [flow.new_value() for _ in self._captured]
        flow.feeds = {Tensor(part, at, dtypes.object, None): number for at, number in enumerate(chunks)}
        flow.feeds.update(zip(self._captured, captured, strict=True))
        flow.pinned = {name: flow.new_value() for name in single.pinned}
        flow.variables, flow.required = dict(single.variables), set(single.required)
        for node, chunk in enumerate(chunks):
            made = flow.new_value(node)
            flow.ops.append(part)
            flow.inputs.append((chunk, *captured, *flow.pinned.values()))
            flow.outputs.append((made,))
            flow.kernels.append(self._kernel)
            flow.attrs.append({})
            flow.fetched.append(made)
        settle_needs(flow, self._engine.config)
        flow.beside = bool(flow.functions)
        return flow

    def _owner(self) -> Operation:
        """The dataset node that has the function."""
        number = self._section.index
        return next(op for op in self._graph.operations if op.attrs.get("function") == number)

    def _each_element(self) -> EachElement:
        """The kernel of a part: it takes elements with their places in random streams, then the shared values."""
        elements = (*self._section.outputs, *self._section.targets)
        rewrites = Rewrites.of(self._engine.config)
        flow = lower(elements, self._fed, frozenset(self._section.controls()), rewrites)
        order = {op: number for number, op in flow.draws.items()}
        inputs = [flow.feeds[tensor] for tensor in self._section.parameters]
        inputs += [order[op] for op in self._flow.draws.values()]
        inputs += [flow.feeds[tensor] for tensor in self._captured]
        inputs += [flow.pinned[name] for name in self._flow.pinned]
        outputs = [number for number in flow.fetched if number is not None]
        flow.close(outputs)
        kernel = EachElement(body_of(SectionFlow(self._owner(), flow, tuple(inputs), tuple(outputs), [])))
        kernel.functions = functions_of(flow.kernels)
        return kernel


class _InParts(Signature):
    """The signature of many calls of a function in one run."""

    def __init__(self, engine: Any, flow: Dataflow):
        super().__init__(NO_FETCHES, tuple(flow.feeds), ())
        self.flow, self.cells = flow, Cells(engine.mirror, flow)
        self._last = Specialization()

    def specialization_for(self, fed: Sequence[Any]) -> Specialization:
        """Always the same specialization, because chunks are of about the same size."""
        return self._last
