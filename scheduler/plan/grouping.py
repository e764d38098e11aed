"""Grouping: which nodes of a dataflow, once placed, run together in a segment, and in which order.

group     nodes with the same place, lock state and need, which become one segment
level     increases by one wherever an edge crosses between kinds, so a path that leaves a group cannot return to it
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from weftwork.graph.operation import Kind
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.plan.placement import Estimate, Place
from weftwork.scheduler.plan.policy import DEPTH_FIRST_BYTES, WORTH_A_TASK


def after_locks(flow: Dataflow) -> set[int]:
    """The nodes that depend on a newest version, and so run only under the write locks."""
    if not flow.newest:
        return set()
    values = set(flow.newest.values())
    nodes: set[int] = set()
    for node, inputs in enumerate(flow.inputs):
        if any([v in values for v in inputs]) or any([o in nodes for o in flow.after.get(node, ())]):
            nodes.add(node)
            values.update(flow.outputs[node])
    return nodes


def groups(flow: Dataflow, places: Sequence[Place], estimate: Estimate, locked: set[int]) -> list[list[int]]:
    """Convex groups of the nodes; nodes in the actor may join the `locked` ones."""
    nodes: Sequence[int] = range(len(flow.ops))
    if all([places[node] is Place.CALLER for node in nodes]):  # those before the locks, those under them
        free = [node for node in nodes if node not in locked]
        return [group for group in (free, [node for node in nodes if node in locked]) if group]
    if Place.ACTOR in places:
        _wait_for_locks(flow, places, locked)
    return _group(flow, places, estimate, locked, nodes)


def _wait_for_locks(flow: Dataflow, places: Sequence[Place], locked: set[int]) -> None:
    """Let actor nodes that only locked nodes depend on wait for the locks too: one message then serves all."""
    free: set[int] = {v for v in flow.fetched if v is not None}
    before: set[int] = set()
    for node in range(len(flow.ops) - 1, -1, -1):
        if node not in locked and places[node] is Place.ACTOR and node not in before:
            if not free.intersection(flow.outputs[node]):
                locked.add(node)
        if node not in locked:
            free.update(flow.inputs[node])
            before.update(flow.after.get(node, ()))


def _group(
    flow: Dataflow, places: Sequence[Place], estimate: Estimate, locked: set[int], nodes: Sequence[int]
) -> list[list[int]]:
    """Convex groups of some nodes.

    Nodes of one kind (place, locked) and one level are joined along their edges. The level increases by one wherever an
    edge crosses between kinds, so a path that leaves a group can never return to it. Nodes that are segments of their
    own (`_single`) raise the level on both sides, unless they form a chain.
    """
    level: list[int] = [0] * len(flow.ops)
    parent = list(range(len(flow.ops)))
    inside = set(nodes)

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    kinds = {node: (places[node], node in locked, flow.needs.get(node)) for node in nodes}
    single = {node: _single(flow, places, estimate, node) for node in nodes}
    uses = _uses(flow) if any(single.values()) else []
    for node in nodes:
        before = {flow.producer[v] for v in flow.inputs[node]}
        before.update(flow.after.get(node, ()))
        before = {other for other in before if other in inside}
        joins, top = [], 0
        chain = (
            len(before) == 1
            and places[node] is Place.TASK
            and all(single[o] and uses[o] == 1 and _chainable(flow, o, node) for o in before)
        )
        for other in before:
            same = kinds[other] == kinds[node] and (chain or not (single[node] or single[other]))
            top = max(top, level[other] if same else level[other] + 1)
            if same:
                joins.append(other)
        level[node] = top
        for other in joins:
            if level[other] == top:
                parent[root(node)] = root(other)
    _join_level(nodes, level, kinds, parent, root, any(single.values()))
    found: dict[int, list[int]] = {}
    for node in nodes:
        found.setdefault(root(node), []).append(node)
    return list(found.values())


def _join_level(nodes, level, kinds, parent, root, parallel: bool) -> None:
    """Join nodes of one level that have no edge between them, if two programs would gain nothing.

    An actor gets one message. The caller runs one program, unless it works beside tasks, whose results arrive singly.
    """
    first: dict[tuple, int] = {}
    for node in nodes:
        place = kinds[node][0]
        if place in (Place.TASK, Place.QUEUE, Place.LOOP, Place.NESTED) or (place is Place.CALLER and parallel):
            continue
        key = (kinds[node], level[node])
        if key in first:
            parent[root(node)] = root(first[key])
        else:
            first[key] = node


def _uses(flow: Dataflow) -> list[int]:
    """For each node, the number of nodes, fetches and writes that wait for it."""
    uses = [0] * len(flow.ops)
    for node, inputs in enumerate(flow.inputs):
        for other in {flow.producer[v] for v in inputs} | set(flow.after.get(node, ())):
            if other >= 0:
                uses[other] += 1
    for value in [*flow.fetched, *flow.writes.values()]:
        if value is not None and flow.producer[value] >= 0:
            uses[flow.producer[value]] += 1
    return uses


def _single(flow: Dataflow, places: Sequence[Place], estimate: Estimate, node: int) -> bool:
    """True for a node that is a segment of its own: it waits in a queue, runs nested, is a user function, or is
    long."""
    op = flow.ops[node]
    long = (estimate.seconds[node] or 0.0) >= WORTH_A_TASK
    need = flow.needs.get(node)
    if places[node] in (Place.QUEUE, Place.LOOP, Place.NESTED):
        return True
    return places[node] is Place.TASK and (long or op.traits.user or (need is not None and need.alone))


def _chainable(flow: Dataflow, first: int, then: int) -> bool:
    if flow.ops[then].kind is Kind.QUEUE or then in flow.awaited or first in flow.awaited:
        return False
    one, two = flow.needs.get(first), flow.needs.get(then)
    return one == two and (one is None or one.timeout is None)


def depth_first(flow: Dataflow, nodes: list[int], estimate: Estimate) -> list[int]:
    """Order the nodes so that large values are used soon after they are made; unchanged if little is large."""
    sizes = estimate.bytes
    if sum([sizes[v] for node in nodes for v in flow.outputs[node]]) < DEPTH_FIRST_BYTES:
        return nodes
    inside = set(nodes)
    order: list[int] = []
    done: set[int] = set()
    used = {flow.producer[v] for node in nodes for v in flow.inputs[node]}
    used.update([other for node in nodes for other in flow.after.get(node, ())])
    for end in [node for node in nodes if node not in used]:
        stack = [(end, _before(flow, end, inside))]
        while stack:
            node, before = stack[-1]
            other = next((o for o in before if o not in done), None)
            if other is not None:
                stack.append((other, _before(flow, other, inside)))
                continue
            stack.pop()
            if node not in done:
                done.add(node)
                order.append(node)
    return order


def _before(flow: Dataflow, node: int, inside: set[int]) -> Iterator[int]:
    """The predecessors of a node that are in `inside`."""
    others = dict.fromkeys([flow.producer[v] for v in flow.inputs[node]])
    others.update(dict.fromkeys(flow.after.get(node, ())))
    return iter([other for other in others if other in inside])
