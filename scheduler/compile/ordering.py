"""The order of a run's reads and writes of each variable, where the graph itself leaves it open.

Rule: reads come before writes, and writes come in creation order. The edges that state this rule are added one by one,
by creation order of the operations and then by variable name. An edge that would close a cycle is left out.

The topological order is maintained with the algorithm of Pearce and Kelly, "A dynamic topological sort algorithm for
directed acyclic graphs" (2006). An edge that agrees with the order costs nothing; any other costs a search of the nodes
between its ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Order:
    """A topological order of nodes 0..n-1 to which edges can be added."""

    def __init__(self, predecessors: list[list[int]]):
        """predecessors: for each node, all with smaller numbers."""
        self._before = predecessors
        self._after: list[list[int]] = [[] for _ in predecessors]
        for node, before in enumerate(predecessors):
            for other in before:
                self._after[other].append(node)
        self._place = list(range(len(predecessors)))

    def add(self, first: int, then: int) -> bool:
        """Make `first` come before `then`. Returns False, without a change, if `first` depends on `then`."""
        place = self._place
        if place[first] >= place[then]:
            forward = self._reach(then, self._after, lambda at: at <= place[first])
            if first in forward:
                return False
            backward = self._reach(first, self._before, lambda at: at >= place[then])
            self._reorder(backward, forward)
        self._after[first].append(then)
        self._before[then].append(first)
        return True

    def _reach(self, start: int, edges: list[list[int]], inside) -> set[int]:
        place = self._place
        seen, stack = {start}, [start]
        while stack:
            for node in edges[stack.pop()]:
                if node not in seen and inside(place[node]):
                    seen.add(node)
                    stack.append(node)
        return seen

    def _reorder(self, backward: set[int], forward: set[int]) -> None:
        place = self._place
        nodes = sorted(backward, key=place.__getitem__) + sorted(forward, key=place.__getitem__)
        for node, at in zip(nodes, sorted([place[node] for node in nodes]), strict=True):
            place[node] = at

    def sequence(self) -> list[int]:
        """The nodes in order."""
        return sorted(range(len(self._place)), key=self._place.__getitem__)


def order_accesses(
    predecessors: list[list[int]],
    accesses: Mapping[str, list[tuple[int, bool]]],
    first: Iterable[tuple[int, int]] = (),
) -> list[int]:
    """Order nodes by `predecessors` and, where these leave it open, by the rule above.

    predecessors: for each node in creation order, all with smaller numbers.
    accesses: for each variable, (node, whether it writes) in creation order.
    first: edges to add before all others.
    """
    order = Order(predecessors)
    for before, then in first:
        order.add(before, then)
    touches = [
        (node, variable, at, writes) for variable, nodes in accesses.items() for at, (node, writes) in enumerate(nodes)
    ]
    for node, variable, at, writes in sorted(touches):
        for other, other_writes in accesses[variable][:at]:
            if other == node or not (writes or other_writes):
                continue
            if writes:
                order.add(other, node)
            else:
                order.add(node, other)
    return order.sequence()
