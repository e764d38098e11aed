"""The branches and loops that contain the nodes of a GraphDef, from its Switch, Merge, Enter, Exit and NextIteration.

place    a tuple of the branches and loops that contain a node, outermost first: `Branch(pred, turn, side)` for a side
  of a cond, `Loop(frame, inside)` for a loop, where inside is False in its condition and True in its body
turn     how many conds on the same predicate have been merged before

Only graphs made by `tf.cond` and `tf.while_loop`, or similar functions, have consistent places.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from weftwork.graph.errors import UnimplementedError

SWITCHES = frozenset({"Switch", "RefSwitch"})
MERGES = frozenset({"Merge", "RefMerge"})
ENTERS = frozenset({"Enter", "RefEnter"})
EXITS = frozenset({"Exit", "RefExit"})
NEXTS = frozenset({"NextIteration", "RefNextIteration"})
CONTROL_FLOW = SWITCHES | MERGES | ENTERS | EXITS | NEXTS | {"LoopCond"}


class Branch(NamedTuple):
    """A side of a cond: 1 if the predicate is true, else 0."""

    pred: tuple[str, int]
    turn: int
    side: int


class Loop(NamedTuple):
    """A loop, identified by its frame."""

    frame: str
    inside: bool


Place = tuple[Branch | Loop, ...]


def source(text: str) -> tuple[str, int]:
    """(node, output) for an input as a NodeDef writes it; -1 for a control input."""
    if text.startswith("^"):
        return text[1:], -1
    name, colon, index = text.rpartition(":")
    return (name, int(index)) if colon and index.isdigit() else (text, 0)


def ordered(before: Mapping[str, Collection[str]]) -> list[str]:
    """The names, each after those `before` it, otherwise in their given order. Raises ValueError for a cycle."""
    number = {name: at for at, name in enumerate(before)}
    after: dict[str, list[str]] = {name: [] for name in before}
    missing = {}
    for name, others in before.items():
        missing[name] = len(others)
        for other in others:
            after[other].append(name)
    names = list(before)
    ready = [number[name] for name in names if not missing[name]]
    order = []
    while ready:
        name = names[heapq.heappop(ready)]
        order.append(name)
        for other in after[name]:
            missing[other] -= 1
            if not missing[other]:
                heapq.heappush(ready, number[other])
    if len(order) < len(names):
        remaining = [name for name in names if missing[name]]
        raise ValueError(
            f"The graph has a cycle that is not a loop. It goes through the nodes {', '.join(remaining[:5])}."
        )
    return order


class Places:
    """The place of each node.

    nodes: NodeDefs by name; every input names one of them.
    inside: the place of a node; `outside` is the place of the users of a Merge or Exit.
    Raises UnimplementedError for branches and loops that `tf.cond` and `tf.while_loop` do not make.
    """

    def __init__(self, nodes: Mapping[str, Any]):
        self._nodes = nodes
        self.inputs = {name: [source(text) for text in node.input] for name, node in nodes.items()}
        self._left = {self.inputs[name][0] for name in nodes if self.type(name) in EXITS}
        self._before = {name: self._sources(name) for name in nodes}
        self.inside: dict[str, Place] = {}
        self._turns: dict[str, dict] = {}
        for name in ordered(self._before):
            self._turns[name] = self._turn(name)
            self.inside[name] = self._inside(name)

    def _sources(self, name: str) -> set[str]:
        """The nodes that this one waits for, without the back edge of a loop."""
        found = {other for other, _ in self.inputs[name] if other in self._nodes}
        if self.type(name) in MERGES:
            found = {other for other in found if self.type(other) not in NEXTS}
        return found

    def type(self, name: str) -> str:
        """The type of a node."""
        return self._nodes[name].op if name in self._nodes else ""

    def is_loop_merge(self, name: str) -> bool:
        """True if the node is where a loop starts over."""
        return self.type(name) in MERGES and any(self.type(other) in NEXTS for other, _ in self.inputs[name])

    def is_loop_switch(self, name: str) -> bool:
        """True if the node is where a loop ends or continues: its predicate is a LoopCond, or an Exit follows it."""
        if self.type(name) not in SWITCHES:
            return False
        return self.type(self.inputs[name][1][0]) == "LoopCond" or (name, 0) in self._left

    def branch(self, switch: str, side: int) -> Branch:
        """The branch that starts at an output of a Switch."""
        pred = self._pred(switch)
        return Branch(pred, self._turns[switch].get(pred, 0), side)

    def _pred(self, switch: str) -> tuple[str, int]:
        """The predicate of a Switch.

        The Switch that only tells which side is taken has the cond's own, SCOPE/pred_id.
        """
        data, pred = self.inputs[switch][:2]
        own = f"{switch.rpartition('/')[0]}/pred_id"
        return (own, 0) if data == pred and self.type(own) == "Identity" and self.inputs[own][0] == pred else pred

    def _turn(self, name: str) -> dict:
        """For each predicate, the number of merges on the way to a node."""
        turns: dict = {}
        for other in self._before[name]:
            for pred, turn in self._turns[other].items():
                turns[pred] = max(turn, turns.get(pred, 0))
        if self.type(name) in MERGES and not self.is_loop_merge(name):
            places = [self.seen_by(*given) for given in self.inputs[name] if given[1] >= 0 and given[0] in self._nodes]
            last = max(places, key=len)[-1:]
            if last and isinstance(last[0], Branch):
                turns[last[0].pred] = last[0].turn + 1
        return turns

    def _inside(self, name: str) -> Place:
        place: Place = ()
        if self.type(name) in MERGES and not self.is_loop_merge(name):
            return max(
                [self.seen_by(*given) for given in self.inputs[name] if given[1] >= 0 and given[0] in self._nodes],
                key=len,
            )
        for given in self.inputs[name]:
            if given[0] in self.inside:
                place = self._joined(place, self.seen_by(*given), name)
        return place

    def seen_by(self, name: str, output: int) -> Place:
        """The place of the users of a node's output, as far as this output determines it."""
        place, type_ = self.inside[name], self.type(name)
        if type_ in SWITCHES and output >= 0:
            if not self.is_loop_switch(name):
                return (*place, self.branch(name, output))
            return place if output == 0 else (*place[:-1], Loop(place[-1].frame, True))  # type: ignore[union-attr]
        if type_ in ENTERS:
            return (*place, Loop(self._nodes[name].attr["frame_name"].s.decode(), False))
        if type_ in EXITS:
            return place[:-1]
        return place[:-1] if type_ in MERGES and not self.is_loop_merge(name) else place

    def _joined(self, one: Place, two: Place, name: str) -> Place:
        if len(one) < len(two):
            one, two = two, one
        joined = []
        for at, part in enumerate(two):
            other = one[at]
            if isinstance(part, Loop) and isinstance(other, Loop) and part.frame == other.frame:
                part = Loop(part.frame, part.inside or other.inside)
            elif part != other:
                raise UnimplementedError(
                    None,
                    None,
                    f"Node '{name}' takes values from two branches or loops, neither of which contains the other. "
                    "Weftwork reads what tf.cond and tf.while_loop make, but not their derivatives",
                )
            joined.append(part)
        return (*joined, *one[len(joined) :])

    def order(self) -> list[str]:
        """The names in an order of creation: the contents of a branch or loop come before its Merges and Exits."""
        within: dict[Any, set[str]] = {}
        for name, place in self.inside.items():
            for part in place:
                within.setdefault(_owner_of(part), set()).add(name)
        before = dict(self._before)
        for name, place in self.inside.items():
            if self.ends(name):
                whole = within[_owner_of(place[-1])]
                before[name] = before[name] | {other for other in whole if not self._ends_same(other, place)}
        return ordered(before)

    def ends(self, name: str) -> bool:
        """True if the node is a Merge of a cond, or an Exit of a loop."""
        type_ = self.type(name)
        return type_ in EXITS or (type_ in MERGES and not self.is_loop_merge(name))

    def _ends_same(self, name: str, place: Place) -> bool:
        own_place = self.inside[name]
        return self.ends(name) and len(own_place) == len(place) and _owner_of(own_place[-1]) == _owner_of(place[-1])


def _owner_of(part: Branch | Loop) -> Any:
    """A key for a whole cond or loop."""
    return part.frame if isinstance(part, Loop) else (part.pred, part.turn)
