"""Boxes: a graph collapsed to what fits on a page.

box       some operations that are drawn as one: a single one, a name scope, or one function that is called many times
grouping  says for each operation to which box it belongs
edge      from one box to another: a value of an operation in the one is an input of one in the other
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
"""What operations can be collapsed by."""
MOST = 300
"""Boxes that a drawing may have."""
_AIM = 60
"""Boxes of a drawing that chooses for itself how far it collapses."""
_FEW = 3
"""Calls of a function in one scope that have a box each."""
_NUMBER = re.compile(r"_\d+(?=/|$)")
Grouping = Callable[[Operation], Hashable]


@dataclass
class Box:
    """Operations that are drawn as one.

    scope: the name scope that it is, or "".   rest: it is what was left over.
    """

    ops: list[Operation] = field(default_factory=list)
    scope: str = ""
    rest: bool = False

    @property
    def first(self) -> Operation:
        """The operation that was made first."""
        return self.ops[0]

    @property
    def title(self) -> str:
        """Its name: of its operation, its function and how often that is called, or its scope."""
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
        """What it is: the function of its operation, or how many operations it holds."""
        if self.rest or (not self.scope and len(self.ops) > 1):
            return ""
        return f"{len(self.ops):,} nodes" if self.scope and len(self.ops) > 1 else function_of(self.first)

    @property
    def is_variable(self) -> bool:
        """True for a variable, alone or with what reads and sets it."""
        return any(op.kind is Kind.VARIABLE for op in self.ops) and (not self.scope or self.scope == self.first.name)

    @property
    def is_constant(self) -> bool:
        """True for constants alone."""
        return all(op.kind is Kind.CONSTANT for op in self.ops)


@dataclass
class Picture:
    """A collapsed graph. edges: (from, to) by the boxes' numbers; True for those that are control edges alone."""

    boxes: list[Box]
    edges: dict[tuple[int, int], bool]


def function_of(op: Operation) -> str:
    """The name of the user's function that an operation calls, else its type. A lambda is called as its nodes are."""
    if not isinstance(op.kernel, UserFunction):
        return op.type
    name = op.kernel.__name__
    return name if name != "<lambda>" else _NUMBER.sub("", op.name.rpartition("/")[2])


def collapse(graph: Graph, fetches: Iterable[Any] | None = None, by: str = "scope") -> Picture:
    """The graph, or what `fetches` depend on, as boxes.

    by: "scope": node by node if these are some 60 at most, else equal functions of a scope together, else scopes, as
        deep as they fit.   "function": a box for each function.   "node": a box for each node.
    Raises ValueError for another word, and for "node" where there are more than 300.
    """
    if by not in BY:
        raise ValueError(f"by must be one of {', '.join(map(repr, BY))}, but got {by!r}.")
    ops = _all_of(needed(graph, fetches))
    if by == "node" and len(ops) > MOST:
        raise ValueError(f'{len(ops):,} nodes are more than the {MOST} that can be drawn. by="scope" collapses them.')
    groupings = {"scope": _by_scope(ops), "function": iter([function_of]), "node": iter([_alone])}[by]
    boxes: dict[Hashable, list[Operation]] = {}
    for grouping in groupings:
        boxes = {}
        for op in ops:
            boxes.setdefault(grouping(op), []).append(op)
        if len(boxes) <= _AIM:
            break
    return _picture([_box(key, its) for key, its in boxes.items()], MOST if by == "node" else _AIM)


def _all_of(ops: list[Operation]) -> list[Operation]:
    """Operations, and those of the sections that they own, in the order of creation."""
    found = dict.fromkeys(ops)
    left = [op for op in ops if op.kind is Kind.CONTROL]
    while left:
        for section in sections_of(left.pop()):
            new = [op for op in section.ops if op not in found]
            found.update(dict.fromkeys(new))
            left += [op for op in new if op.kind is Kind.CONTROL]
    return sorted(found, key=lambda op: op.index)


def _alone(op: Operation) -> Hashable:
    return "", op.name


def _by_scope(ops: list[Operation]) -> Iterator[Grouping]:
    """Groupings, from the finest on: nodes, equal functions of a scope, scopes that are less and less deep."""
    yield _alone
    calls = Counter((op.name.rpartition("/")[0], function_of(op)) for op in ops)
    scopes = {op.name.rpartition("/")[0] for op in ops}
    deepest = max([scope.count("/") + 1 for scope in scopes if scope], default=0)
    for depth in range(deepest + 1, 0, -1):
        yield lambda op, depth=depth: _in_scope(op.name, op, scopes, depth, calls)
    numberless = {_NUMBER.sub("", scope) for scope in scopes}
    yield lambda op: _in_scope(_NUMBER.sub("", op.name), op, numberless, 1, Counter())


def _in_scope(name: str, op: Operation, scopes: set[str], depth: int, calls: Counter) -> Hashable:
    """The scope of some depth that a name is in; of one that is less deep its scope and its function.

    calls: how many nodes a scope has of a function: if they are few, each is by itself.
    """
    parts = name.split("/")
    if len(parts) > depth or name in scopes:  # a variable and what belongs to it: w, w/read, w/Assign
        return "/".join(parts[:depth]), ""
    key = "/".join(parts[:-1]), function_of(op)
    return key if calls[key] > _FEW or not calls else ("", name)


def _box(key: Hashable, ops: list[Operation]) -> Box:
    scope = key[0] if isinstance(key, tuple) and len(key) == 2 and not key[1] else ""
    return Box(ops, scope)


def _picture(boxes: list[Box], most: int) -> Picture:
    """The boxes and their edges; the smallest are one, where there are too many."""
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
    """(operation, whether for a control edge alone) for each that one waits for, inside its sections too."""
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
