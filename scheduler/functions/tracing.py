"""Tracing: what is looked after while a plain Python function makes nodes, so that they mean what its lines say.

order      a variable that is read after a line that wrote it has what that line wrote
effect     a node that runs in each call, though nobody may need its value: a write, a call of a function that is not
           pure, a queue's. A node that computes and no more runs where somebody needs it
argument   where a function of the user's gets an argument of the call, it gets the object that was passed; and where
           lines compute with Python's numbers alone, what Python computes
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from weftwork.graph import dtypes
from weftwork.graph.build import OPERATORS, apply, as_tensor, constant, placeholder
from weftwork.graph.divisions import DIVISIONS
from weftwork.graph.graph import Graph
from weftwork.graph.operation import WRITES, Kind, Operation, Tensor
from weftwork.graph.sections import Section, sections_of
from weftwork.graph.stacks import local
from weftwork.graph.variables.creators import variable_creator_scope
from weftwork.scheduler.compile.pruning import prune

_PYTHONS: dict[Any, Any] = {checked: OPERATORS.get(ufunc, ufunc) for ufunc, checked in DIVISIONS.items()}
"""Python's own way to divide, for each of the library's."""
_EFFECTS = frozenset({Kind.FUNCTION, Kind.QUEUE, *WRITES})


class Tracing:
    """One trace that is being made in this thread. `with Tracing(graph):` its nodes go to `graph`."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self._made: list[Any] = []
        """The variables that were made."""
        self._told: list[Callable[[Any], None]] = []
        self._kept: dict[Tensor, Tensor | None] = {}
        """Of an argument whose object differs from what is fed: the placeholder for the object, once it is needed."""
        self._written: dict[str, Operation] = {}
        """By variable, the last node that wrote it: a write, or the owner of a section with one."""
        self._effects: list[Operation] = []
        self._inside: set[Section] = set()
        """Sections in which something has an effect."""
        self._home: Section | None = None
        self._outer: Any = None

    def __enter__(self) -> Tracing:
        self._outer, local.tracing = local.tracing, self
        self._home = self.graph.section
        return self

    def __exit__(self, *_: Any) -> None:
        local.tracing = self._outer

    # Asked while nodes are made

    def added(self, op: Operation) -> None:
        """A node was made."""
        if op.graph is not self.graph:
            return
        if op.kind is Kind.CONTROL:
            self._owner_added(op)
        elif op.kind in _EFFECTS and not op.attrs.get("_initializer"):
            if op.kind in WRITES:
                self._written[op.attrs["_variable"]] = op
            self._note_effect(op)

    def _owner_added(self, op: Operation) -> None:
        """A branch or a loop: it runs after what was written before it, as its reads do."""
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
        """What a variable stands for at this line."""
        last = self._written.get(variable.op.name)
        if last is None or variable.graph is not self.graph or last.section is not self.graph.section:
            return snapshot  # of an outer section's writes the owner takes care
        if last.kind in WRITES:
            return last.outputs[0]
        with self.graph.control_dependencies([last]):
            return variable.read_value()

    def argument(self, value: Any) -> Tensor | None:
        """The tensor that an argument of a user's function is, or None."""
        tensor = as_tensor(value)
        if tensor is None or not (tensor in self._kept or tensor in self.graph.weak):
            return tensor
        with self.graph.in_section(None), self.graph.control_dependencies(None), self.graph.name_scope(None):
            return self._objects(tensor)

    def _objects(self, tensor: Tensor) -> Tensor:
        """The tensor of the object that was passed for an argument, or of what Python computes of such ones."""
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

    # Of the function that is traced

    def keep(self, tensor: Tensor) -> None:
        """What is fed for an argument is not the object that was passed: functions get that."""
        self._kept[tensor] = None

    def kept(self, tensor: Tensor) -> Tensor | None:
        """The placeholder for the object that was passed, if somebody takes it."""
        return self._kept.get(tensor)

    @contextmanager
    def making(self, told: Callable[[Any], None]) -> Iterator[None]:
        """A function's lines run: `told(None)` is called before a variable is made, and then with it."""
        self._told.append(told)
        try:
            if len(self._told) > 1:
                yield
            else:
                with variable_creator_scope(self._make):
                    yield
        finally:
            self._told.pop()

    def _make(self, next_creator: Callable, **kwargs: Any) -> Any:
        self._told[-1](None)
        variable = next_creator(**kwargs)
        self._made.append(variable)
        self._told[-1](variable)
        return variable

    def run_too(self, op: Operation) -> None:
        """An operation that the function has returned."""
        self._effects.append(op)

    def effects(self) -> list[Operation]:
        """The effects, but for what only an initial value needs: that is run once."""
        initial = [variable.initial_value.op for variable in self._made]
        once = set(prune(initial, set()))
        return list(dict.fromkeys([op for op in self._effects if op not in once]))
