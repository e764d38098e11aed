"""Branches and loops in TensorFlow 1's form: Switch and Merge, Enter, NextIteration and Exit.

scope    the names visible to the operations of a section: an outside value enters through one Switch or Enter
pivot    the node that a node without inputs from the section waits for, so that it runs only if the section does
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from weftwork.graph import dtypes
from weftwork.graph.interchange.nodes import Part
from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.graph.sections import Section, sections_of

_IF = {"_sections", "_given"}
_WHILE = {"_sections", "_given", "_carried", "_limited", "_parallel"}


class Writing(Protocol):
    """What lowering needs from the writer of a graph."""

    def emit(self, name: str, type: str, inputs: list[Part], attrs: dict[str, Any], waits: Iterable[str] = ()) -> Part:
        """Write a node, and return its first output."""
        ...

    def free(self, name: str) -> str:
        """A name that no node has: this one, possibly with a number appended."""
        ...

    def within(self, scope: Scope, ops: Iterable[Operation]) -> None:
        """Write the operations of a section."""
        ...

    def rename(self, tensor: Tensor, part: Part) -> None:
        """Set a tensor's name for the places that can see its section."""
        ...

    def constant(self, name: str, value: int, waits: Iterable[str] = (), dtype: dtypes.DType = dtypes.int32) -> Part:
        """Write a constant."""
        ...

    def named(self, tensor: Tensor) -> Part:
        """The name of a tensor within its own section."""
        ...

    def redirect(self, node: Part, given: Part) -> None:
        """Replace the first input of a node that has been written."""
        ...

    scope: Scope


class Scope(Protocol):
    """Where operations are written."""

    @property
    def section(self) -> Section | None:
        """The section that they belong to."""
        ...

    @property
    def pivot(self) -> str:
        """The node that nodes without inputs from the section wait for."""
        ...

    def part(self, tensor: Tensor) -> Part:
        """The name of a tensor in this scope."""
        ...


def lowerable(op: Operation) -> bool:
    """True if the operation, with everything inside, is a branch or loop that TensorFlow can express."""
    if op.kind is not Kind.CONTROL:
        return True
    wanted = {"If": _IF, "While": _WHILE}.get(op.type)
    return set(op.attrs) == wanted and all(
        lowerable(inner) for section in sections_of(op) for inner in section.ops if inner.kind is not Kind.PLACEHOLDER
    )


class _BranchScope:
    """The scope of a branch: outside values come through a Switch."""

    def __init__(self, writing: Writing, outer: Scope, section: Section, pred: Part, side: int, folder: str):
        self._writing, self._outer, self.section, self._pred, self._side = writing, outer, section, pred, side
        self._folder, self._known = folder, {}
        self.pivot = ""

    def part(self, tensor: Tensor) -> Part:
        if tensor.op.section is self.section:
            return self._writing.named(tensor)
        if tensor not in self._known:
            given = self._outer.part(tensor)
            kind = "RefSwitch" if tensor.op.kind is Kind.VARIABLE else "Switch"
            result = self._writing.emit(self._writing.free(f"{self._folder}/Switch"), kind, [given, self._pred], {})
            self._known[tensor] = Part(f"{result.name}:{self._side}" if self._side else result.name, given.dtype)
        return self._known[tensor]


class _LoopScope:
    """The scope of a loop's condition or body: loop variables, and outside values that come through an Enter."""

    def __init__(self, writing: Writing, outer: Scope, section: Section, known: dict, folder: str, frame: dict):
        self._writing, self._outer, self.section, self._known = writing, outer, section, known
        self._folder, self._frame = folder, frame
        self.variables: dict[Tensor, Part] = {}
        self.pivot = ""

    def part(self, tensor: Tensor) -> Part:
        if tensor in self.variables:
            return self.variables[tensor]
        if tensor.op.section is self.section:
            return self._writing.named(tensor)
        if tensor not in self._known:
            given = self._outer.part(tensor)
            kind = "RefEnter" if tensor.op.kind is Kind.VARIABLE else "Enter"
            attrs = {**self._frame, "is_constant": True}
            name = self._writing.free(f"{self._folder}/Enter")
            self._known[tensor] = self._writing.emit(name, kind, [given], attrs)
        return self._known[tensor]


def lower(writing: Writing, op: Operation) -> None:
    """Write a branch or a loop."""
    (_lower_if if op.type == "If" else _lower_while)(writing, op)


def _folder(writing: Writing, op: Operation, mark: str) -> str:
    """The name scope for an operation's nodes: its own name, unless another operation uses that scope."""
    scope = op.name.rpartition("/")[0]
    return scope if scope and writing.free(f"{scope}/{mark}") == f"{scope}/{mark}" else op.name


def _lower_if(writing: Writing, op: Operation) -> None:
    outer = writing.scope
    folder = _folder(writing, op, "pred_id")
    controls = [control.name for control in op.controls if control.section is op.section]
    pred = writing.emit(f"{folder}/pred_id", "Identity", [outer.part(op.inputs[0])], {}, controls)
    turn = writing.emit(writing.free(f"{folder}/Switch"), "Switch", [pred, pred], {})
    branch_ends: list[list[Part]] = []
    for side, section in ((1, sections_of(op)[0]), (0, sections_of(op)[1])):
        scope = _BranchScope(writing, outer, section, pred, side, folder)
        name = writing.free(f"{folder}/switch_{'ft'[side]}")
        pivot = writing.emit(name, "Identity", [Part(f"{turn.name}:{side}", dtypes.bool)], {})
        scope.pivot = pivot.name
        writing.within(scope, section.ops)
        given = [scope.part(tensor) for tensor in section.outputs] or [pivot]
        branch_ends.append([_after_side_effects(writing, part, section, folder) for part in given])
    for number, (yes, no) in enumerate(zip(*branch_ends, strict=True)):
        name = op.name if number == 0 else writing.free(f"{op.name}_{number}")
        result = writing.emit(name, "Merge", [no, yes], {})
        if op.outputs:
            writing.rename(op.outputs[number], result)


def _after_side_effects(writing: Writing, part: Part, section: Section, folder: str) -> Part:
    """A value that waits for the section's side effects."""
    if not section.targets:
        return part
    name = writing.free(f"{folder}/control_dependency")
    return writing.emit(name, "Identity", [part], {}, [target.name for target in section.targets])


def _lower_while(writing: Writing, op: Operation) -> None:
    outer, attrs = writing.scope, op.attrs
    folder = _folder(writing, op, "LoopCond")
    count: int = attrs["_carried"]
    frame = {"frame_name": op.name, "parallel_iterations": int(attrs["_parallel"])}
    known: dict[Tensor, Part] = {}
    test, body = [_LoopScope(writing, outer, section, known, folder, frame) for section in sections_of(op)]
    controls = [control.name for control in op.controls if control.section is op.section]
    starts = [outer.part(tensor) for tensor in op.inputs[:count]]
    if attrs["_limited"]:
        starts.append(writing.constant(f"{folder}/start", 0, dtype=op.inputs[count].dtype.base_dtype))
    merges = []
    named = [[tensor.op.name for tensor in section.parameters] for section in sections_of(op)]
    if attrs["_limited"]:
        for names, word in zip(named, ("Merge", "Identity"), strict=True):
            names.append(writing.free(f"{folder}/{word}"))
    for start, merge in zip(starts, named[0], strict=True):
        name = writing.free(f"{folder}/Enter")
        enter = writing.emit(name, "Enter", [start], {**frame, "is_constant": False}, controls)
        following = writing.free(f"{folder}/NextIteration")
        # `start` stands for the next value, which is known once the body is written.
        next_iteration = writing.emit(following, "NextIteration", [start], {})
        merges.append((writing.emit(merge, "Merge", [enter, next_iteration], {}), next_iteration))
    test.pivot = merges[0][0].name if merges else ""
    test.variables = dict(zip(sections_of(op)[0].parameters, [merge for merge, _ in merges], strict=False))
    assert test.section is not None
    assert body.section is not None
    writing.within(test, test.section.ops)
    wanted = _after_side_effects(writing, test.part(test.section.outputs[0]), test.section, folder)
    if attrs["_limited"]:
        limit = test.part(op.inputs[count])
        less = writing.emit(writing.free(f"{folder}/Less"), "Less", [merges[-1][0], limit], {})
        wanted = writing.emit(writing.free(f"{folder}/LogicalAnd"), "LogicalAnd", [wanted, less], {})
    condition = writing.emit(f"{folder}/LoopCond", "LoopCond", [wanted], {})
    turns = [
        _write_switch(writing, merge, condition, f"{folder}/Switch", number, op, name)
        for number, ((merge, _), name) in enumerate(zip(merges, named[1], strict=True))
    ]
    body.pivot = turns[0].name if turns else ""
    body.variables = dict(zip(body.section.parameters, turns, strict=False))
    writing.within(body, body.section.ops)
    ends = [_after_side_effects(writing, body.part(tensor), body.section, folder) for tensor in body.section.outputs]
    if attrs["_limited"]:
        one = writing.constant(f"{folder}/one", 1, [body.pivot], turns[-1].dtype)
        ends.append(writing.emit(writing.free(f"{folder}/Add"), "Add", [turns[-1], one], {}))
    for (_, next_iteration), end in zip(merges, ends, strict=True):
        writing.redirect(next_iteration, end)


def _write_switch(
    writing: Writing, merge: Part, going: Part, switch: str, number: int, op: Operation, inside: str
) -> Part:
    """Write the Switch of a loop variable, its Exit, and the value `inside`, with which the loop continues."""
    turn = writing.emit(writing.free(switch), "Switch", [merge, going], {})
    if number < len(op.outputs):
        name = op.name if number == 0 else writing.free(f"{op.name}_{number}")
        writing.rename(op.outputs[number], writing.emit(name, "Exit", [Part(turn.name, merge.dtype)], {}))
    return writing.emit(inside, "Identity", [Part(f"{turn.name}:1", merge.dtype)], {})
