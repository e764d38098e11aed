"""Boxes: a graph collapsed until it fits on a page.

box       operations drawn as one: a single operation, a name scope, or all calls of one function
grouping  maps each operation to its box
edge      from one box to another: an operation in the second uses a value from the first
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from weftwork.graph.export import needed
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Kind, Operation
from weftwork.graph.sections import sections_of
from weftwork.graph.user_function import UserFunction

BY = ("scope", "function", "node")
"""The ways to collapse operations."""
MOST = 300
"""The largest number of boxes in a drawing."""
_TARGET_BOXES = 60
"""The number of boxes to aim for when choosing how far to collapse."""
_FEW_CALLS = 3
"""Up to this many calls of a function in one scope get a box each."""
_NUMBER = re.compile(r"_\d+(?=/|$)")
Grouping = Callable[[Operation], Hashable]


@dataclass
class Box:
    """Operations drawn as one.

    scope: its name scope, or "".   rest: the box of everything left over.
    """

    ops: list[Operation] = field(default_factory=list)
    scope: str = ""
    rest: bool = False

    @property
    def first(self) -> Operation:
        """The oldest of its operations."""
        return self.ops[0]

    @property
    def title(self) -> str:
        """Its heading: the operation's name, the function with its number of calls, or the scope."""
        if self.rest:
            return f"{len(self.ops):,} more nodes"
        if len(self.ops) == 1:
            return self.first.name
        if self.scope:
            depth = self.scope.count("/") + 1
            scopes = {tuple(op.name.split("/")[:depth]) for op in self.ops}
            return f"{self.scope}/" + (f" x {len(scopes):,}" if len(scopes) > 1 else "")
        return f"{function_of(self.first)} x {len(self.ops):,}"

    @property
    def text(self) -> str:
        """Its second line: the function of its operation, or the number of operations it contains."""
        if self.rest or (not self.scope and len(self.ops) > 1):
            return ""
        return f"{len(self.ops):,} nodes" if self.scope and len(self.ops) > 1 else function_of(self.first)

    @property
    def is_variable(self) -> bool:
        """True for a variable, alone or with the operations that read and set it."""
        return any(op.kind is Kind.VARIABLE for op in self.ops) and (not self.scope or self.scope == self.first.name)

    @property
    def is_constant(self) -> bool:
        """True if it contains only constants."""
        return all(op.kind is Kind.CONSTANT for op in self.ops)


@dataclass
class Picture:
    """A collapsed graph. edges: (from, to) by box number; True for pure control edges."""

    boxes: list[Box]
    edges: dict[tuple[int, int], bool]


def function_of(op: Operation) -> str:
    """The name of the user's function that an operation calls, else its type. A lambda has the name of its nodes."""
    if not isinstance(op.kernel, UserFunction):
        return op.type
    name = op.kernel.__name__
    return name if name != "<lambda>" else _NUMBER.sub("", op.name.rpartition("/")[2])


def collapse(
    graph: Graph, fetches: Iterable[Any] | None = None, by: str = "scope", target: int = _TARGET_BOXES
) -> Picture:
    """The graph, or the part that `fetches` depend on, as boxes.

    by: "scope": a box for each node if there are at most `target`; else for equal functions of a scope, else for
        scopes, as deep as fits.   "function": a box for each function.   "node": a box for each node.
    Raises ValueError for another word, and for "node" with more than 300 nodes.
    """
    if by not in BY:
        raise ValueError(f"by must be one of {', '.join(map(repr, BY))}, but got {by!r}.")
    ops = _with_nested_operations(needed(graph, fetches))
    if by == "node" and len(ops) > MOST:
        raise ValueError(f'{len(ops):,} nodes are more than the {MOST} that can be drawn. by="scope" collapses them.')
    groupings = {"scope": _by_scope(ops), "function": iter([function_of]), "node": iter([_each_alone])}[by]
    boxes: dict[Hashable, list[Operation]] = {}
    for grouping in groupings:
        boxes = {}
        for op in ops:
            boxes.setdefault(grouping(op), []).append(op)
        if len(boxes) <= target:
            break
    return _picture([_box(key, its) for key, its in boxes.items()], MOST if by == "node" else target)


def _with_nested_operations(ops: list[Operation]) -> list[Operation]:
    """Operations and those in their sections, in creation order."""
    found = dict.fromkeys(ops)
    pending = [op for op in ops if op.kind is Kind.CONTROL]
    while pending:
        for section in sections_of(pending.pop()):
            new = [op for op in section.ops if op not in found]
            found.update(dict.fromkeys(new))
            pending += [op for op in new if op.kind is Kind.CONTROL]
    return sorted(found, key=lambda op: op.index)


def _each_alone(op: Operation) -> Hashable:
    return "", op.name


def _by_scope(ops: list[Operation]) -> Iterator[Grouping]:
    """Groupings, finest first: nodes, equal functions of a scope, then scopes of decreasing depth."""
    yield _each_alone
    calls = Counter((op.name.rpartition("/")[0], function_of(op)) for op in ops)
    scopes = {op.name.rpartition("/")[0] for op in ops}
    deepest = max([scope.count("/") + 1 for scope in scopes if scope], default=0)
    for depth in range(deepest + 1, 0, -1):
        yield lambda op, depth=depth: _in_scope(op.name, op, scopes, depth, calls)
    numberless = {_NUMBER.sub("", scope) for scope in scopes}
    yield lambda op: _in_scope(_NUMBER.sub("", op.name), op, numberless, 1, Counter())


def _in_scope(name: str, op: Operation, scopes: set[str], depth: int, calls: Counter) -> Hashable:
    """The scope at some depth that contains the name; for a shallower name, its scope and function.

    calls: how many nodes of a scope call a function; if these are few, each gets a box of its own.
    """
    parts = name.split("/")
    if len(parts) > depth or name in scopes:  # a variable and its operations: w, w/read, w/Assign
        return "/".join(parts[:depth]), ""
    key = "/".join(parts[:-1]), function_of(op)
    return key if calls[key] > _FEW_CALLS or not calls else ("", name)


def _box(key: Hashable, ops: list[Operation]) -> Box:
    scope = key[0] if isinstance(key, tuple) and len(key) == 2 and not key[1] else ""
    return Box(ops, scope)


def _picture(boxes: list[Box], most: int) -> Picture:
    """The boxes and their edges; if there are too many, the smallest are merged."""
    if len(boxes) > most:
        boxes.sort(key=lambda box: -len(box.ops))
        rest = sorted([op for box in boxes[most - 1 :] for op in box.ops], key=lambda op: op.index)
        boxes = [*boxes[: most - 1], Box(rest, rest=True)]
    boxes.sort(key=lambda box: box.first.index)
    number = {op: place for place, box in enumerate(boxes) for op in box.ops}
    edges: dict[tuple[int, int], bool] = {}
    for op, place in number.items():
        for maker, control in _waits_for(op):
            other = number.get(maker, place)
            if other != place:
                edges[other, place] = control and edges.get((other, place), True)
    return Picture(boxes, edges)


def _waits_for(op: Operation) -> Iterator[tuple[Operation, bool]]:
    """(operation, is a control edge) for each operation that this one waits for, also from inside its sections."""
    for tensor in op.inputs:
        yield tensor.op, False
    for other in op.controls:
        yield other, True
    if op.kind is Kind.CONTROL:
        for section in sections_of(op):
            for tensor in section.outputs:
                yield tensor.op, False
            for target in section.targets:
                yield target, True
