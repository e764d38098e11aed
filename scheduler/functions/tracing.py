"""Tracing: makes the nodes of a traced Python function mean what its lines say.

order      a read of a variable sees the value written by the lines before it
effect     a node that runs in each call, whether or not its value is needed: a write, a call of a function that is not
           pure, a queue operation. A node that only computes runs if its value is needed
argument   a user function that gets an argument of the call gets the object that was passed; and lines that compute
           only with Python numbers give what Python gives
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from weftwork.graph import dtypes
from weftwork.graph.build import apply, as_tensor, constant, placeholder
from weftwork.graph.divisions import DIVISIONS
from weftwork.graph.forgetting import held_by
from weftwork.graph.graph import Graph
from weftwork.graph.operation import WRITES, Kind, Operation, Tensor
from weftwork.graph.sections import Section, sections_of
from weftwork.graph.stacks import local
from weftwork.graph.ufuncs import OPERATORS
from weftwork.graph.variables.creators import variable_creator_scope
from weftwork.scheduler.compile.pruning import prune

_PYTHONS: dict[Any, Any] = {checked: OPERATORS.get(ufunc, ufunc) for ufunc, checked in DIVISIONS.items()}
"""Python's division for each of the library's divisions."""
_EFFECTS = frozenset({Kind.FUNCTION, Kind.QUEUE, *WRITES})


class Tracing:
    """A trace being made in this thread. Inside `with Tracing(graph):`, nodes are added to `graph`."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self._made: list[Any] = []
        """The variables made so far."""
        self._places = array("q")
        """The indexes of the nodes made so far."""
        self._observers: list[Callable[[Any], None]] = []
        self._kept: dict[Tensor, Tensor | None] = {}
        """For arguments whose objects differ from the fed values, the placeholder of the object, once needed."""
        self._written: dict[str, Operation] = {}
        """By variable, the last node that wrote it: a write, or the owner of a section that contains one."""
        self._effects: list[Operation] = []
        self._inside: set[Section] = set()
        """Sections that contain effects."""
        self._home: Section | None = None
        self._outer: Any = None

    def __enter__(self) -> Tracing:
        self._outer, local.tracing = local.tracing, self
        self._home = self.graph.section
        return self

    def __exit__(self, *_: Any) -> None:
        local.tracing = self._outer

    # While nodes are made

    def added(self, op: Operation) -> None:
        """Record a new node."""
        if op.graph is not self.graph:
            return
        self._places.append(op.index)
        if op.kind is Kind.CONTROL:
            self._owner_added(op)
        elif op.kind in _EFFECTS and not op.attrs.get("_initializer"):
            if op.kind in WRITES:
                self._written[op.attrs["_variable"]] = op
            self._note_effect(op)

    def _owner_added(self, op: Operation) -> None:
        """Make a branch or a loop run after earlier writes to variables that it reads."""
        sections = sections_of(op)
        before = [w for w in self._written.values() if w.section is op.section and w is not op and w.index < op.index]
        op.wait_for(dict.fromkeys(before))
        for section in sections:
            for name in section.changes():
                self._written[name] = op
        if not self._inside.isdisjoint(sections):
            self._note_effect(op)

    def _note_effect(self, op: Operation) -> None:
        if op.section is self._home:
            self._effects.append(op)
        elif op.section is not None:
            self._inside.add(op.section)

    def read(self, variable: Any, snapshot: Tensor) -> Tensor:
        """The value of a variable at this line."""
        last = self._written.get(variable.op.name)
        if last is None or variable.graph is not self.graph or last.section is not self.graph.section:
            return snapshot  # the owner handles the writes of outer sections
        if last.kind in WRITES:
            return last.outputs[0]
        with self.graph.control_dependencies([last]):
            return variable.read_value()

    def argument(self, value: Any) -> Tensor | None:
        """The tensor for an argument of a user function, or None."""
        tensor = as_tensor(value)
        if tensor is None or not (tensor in self._kept or tensor in self.graph.weak):
            return tensor
        with self.graph.control_dependencies(None), self.graph.name_scope(None):
            return self._objects(tensor)

    def _objects(self, tensor: Tensor) -> Tensor:
        """The tensor for the object passed as an argument, or for what Python computes from such objects."""
        known = self._kept.get(tensor)
        if known is not None:
            return known
        name = f"{tensor.op.name}/object"
        if tensor in self._kept:
            made = placeholder(dtypes.object, name=name)
        elif tensor.op.kind is Kind.CONSTANT:
            made = constant(tensor.op.attrs["value"].item(), dtypes.object, name=name)
        else:
            inputs = [self._objects(each) for each in tensor.op.inputs]
            kernel = _PYTHONS.get(tensor.op.kernel, tensor.op.kernel)
            made = apply(kernel, inputs, tensor.op.attrs, type=tensor.op.type, name=name, dtype=dtypes.object)
        self._kept[tensor] = made
        return made

    # For the traced function

    def keep(self, tensor: Tensor) -> None:
        """Note that the fed value of an argument is not the object that was passed, which user functions must get."""
        self._kept[tensor] = None

    def kept(self, tensor: Tensor) -> Tensor | None:
        """The placeholder for the object that was passed, if it is used."""
        return self._kept.get(tensor)

    @contextmanager
    def watched_variables(self, notify: Callable[[Any], None]) -> Iterator[None]:
        """While the lines run, call `notify(None)` before a variable is made, and `notify(variable)` afterwards."""
        self._observers.append(notify)
        try:
            if len(self._observers) > 1:
                yield
            else:
                with variable_creator_scope(self._make):
                    yield
        finally:
            self._observers.pop()

    def _make(self, next_creator: Callable, **kwargs: Any) -> Any:
        self._observers[-1](None)
        variable = next_creator(**kwargs)
        self._made.append(variable)
        self._observers[-1](variable)
        return variable

    def add_effect(self, op: Operation) -> None:
        """Make each call run an operation that the function has returned."""
        self._effects.append(op)

    def places(self) -> array:
        """The indexes of the nodes that were made, except those of variables, which outlive the trace."""
        lasting = {op.index for variable in self._made for op in held_by(variable)}
        return array("q", [index for index in self._places if index not in lasting])

    def effects(self) -> list[Operation]:
        """The effects, except those needed only by an initial value, which run once."""
        initial = [variable.initial_value.op for variable in self._made]
        once = set(prune(initial, set()))
        return list(dict.fromkeys([op for op in self._effects if op not in once]))
