"""Scheduling: which nodes are worth running concurrently, and which in one segment.

slot       one of the places that work at the same time: a thread, or a CPU of the Ray cluster
chain      nodes that can only run one after another; they are scheduled as one, and so run without interruption
detached  a node that takes no slot: a Ray task of its own, or a call that only waits
hop        seconds to move a value from one slot to another, including the receiver's dispatch
schedule   a slot and a start time for every node, as predicted by list scheduling
cluster    nodes that a slot runs without waiting for another slot; they become one segment

The schedule is HEFT's (Topcuoglu, Hariri, Wu, 2002): nodes are taken in the order of their longest path to the end, and
each goes to the slot that can start it first. A slot's nodes are then cut wherever one needs a value from another slot
that was not available when the cluster began, or where another slot would have to wait because the cluster goes on. So
each cluster can start once the clusters that it reads from are done, and the clusters form no cycle.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from weftwork.scheduler.plan.policy import SLOTS_LOOKED_AT


class Bound(IntEnum):
    """Which slot a node may have: any, the caller's, or none because it is detached."""

    FREE = 0
    CALLER = 1
    APART = 2


@dataclass
class Schedule:
    """A list schedule: predicted seconds of the whole run, and the slot and start time of each node."""

    makespan: float
    slot: list[int]
    start: list[float]
    order: list[int]


def chains(before: list[tuple[int, ...]], after: list[list[int]], kinds: Sequence[int]) -> list[list[int]]:
    """The nodes as chains, most of length one: each node after the first is the only successor of its only predecessor.

    kinds: a chain has nodes of one kind.

    Values inside a chain are dropped before other work begins: a map over large values holds only one for each slot.
    """
    home: list[int] = [0] * len(before)
    found: list[list[int]] = []
    for node, preds in enumerate(before):
        if len(preds) == 1 and len(after[preds[0]]) == 1 and kinds[preds[0]] == kinds[node]:
            home[node] = home[preds[0]]
            found[home[node]].append(node)
        else:
            home[node] = len(found)
            found.append([node])
    return found


@dataclass
class Contracted:
    """A dataflow whose nodes are chains, with the seconds, predecessors and successors of each."""

    chains: list[list[int]]
    seconds: list[float]
    before: list[tuple[int, ...]]
    after: list[list[int]]

    @classmethod
    def of(
        cls, seconds: Sequence[float], before: list[tuple[int, ...]], after: list[list[int]], kinds: Sequence[int]
    ) -> Contracted:
        """Contract every chain of nodes of one kind."""
        found = chains(before, after, kinds)
        home = [0] * len(before)
        for number, nodes in enumerate(found):
            for node in nodes:
                home[node] = number
        # Only the first node of a chain has predecessors outside, and only its last one has successors outside.
        return cls(
            found,
            [sum([seconds[node] for node in nodes]) for nodes in found],
            [tuple({home[p] for p in before[nodes[0]]}) for nodes in found],
            [[home[s] for s in after[nodes[-1]]] for nodes in found],
        )

    def expanded(self, foreseen: Schedule, seconds: Sequence[float]) -> Schedule:
        """Turn a schedule of the chains into one of the nodes."""
        count = sum(map(len, self.chains))
        slot, start, order = [0] * count, [0.0] * count, []
        for chain in foreseen.order:
            clock = foreseen.start[chain]
            for node in self.chains[chain]:
                slot[node], start[node] = foreseen.slot[chain], clock
                clock += seconds[node]
                order.append(node)
        return Schedule(foreseen.makespan, slot, start, order)


def ranks(seconds: Sequence[float], after: list[list[int]]) -> list[float]:
    """The longest path from each node to the end, in seconds, including the node itself."""
    rank = [0.0] * len(after)
    for node in range(len(after) - 1, -1, -1):
        longest = 0.0
        for other in after[node]:
            if rank[other] > longest:
                longest = rank[other]
        rank[node] = longest + seconds[node] + 1e-9
    return rank


def schedule(
    seconds: Sequence[float],
    before: list[tuple[int, ...]],
    rank: list[float],
    slots: int,
    hop: float,
    bound: Sequence[int] | None = None,
) -> Schedule:
    """Simulate a run on `slots` slots. Nodes that are `bound` go to slot 0; those APART take no time of it."""
    count = len(seconds)
    order = sorted(range(count), key=rank.__getitem__, reverse=True)
    free = [0.0] * slots
    soonest = [(0.0, number) for number in range(slots)] if slots > SLOTS_LOOKED_AT else []
    """A heap of slots by the time at which they are free. Entries of slots that were taken since are stale."""
    slot, start, end = [0] * count, [0.0] * count, [0.0] * count
    for node in order:
        preds = before[node]
        if bound is not None and bound[node]:
            candidates: Sequence[int] = (0,)
        elif slots <= SLOTS_LOOKED_AT:
            candidates = range(slots)
        else:
            while free[soonest[0][1]] != soonest[0][0]:
                heapq.heappop(soonest)
            candidates = {slot[p] for p in preds} | {soonest[0][1]}  # type: ignore[assignment]
        best, best_start = 0, float("inf")
        for candidate in candidates:
            at = free[candidate]
            for pred in preds:
                there = end[pred] if slot[pred] == candidate else end[pred] + hop
                if there > at:
                    at = there
            if at < best_start:
                best, best_start = candidate, at
        slot[node], start[node], end[node] = best, best_start, best_start + seconds[node]
        free[best] = best_start if bound is not None and bound[node] == Bound.APART else end[node]
        if soonest:
            heapq.heappush(soonest, (free[best], best))
    return Schedule(max(end, default=0.0), slot, start, order)


@dataclass(slots=True)
class _Cluster:
    """A cluster in the making.

    kind: the `bound` of its nodes.   began, ended: positions in the order of nodes by their start.
    work: seconds of its nodes.   due: the time at which another slot first needs one of its values.
    """

    slot: int
    kind: int
    began: int
    nodes: list[int]
    work: float = 0.0
    due: float = float("inf")
    is_open: bool = True
    ended: int = 0

    def end(self, position: int) -> None:
        """Take no further node."""
        self.is_open, self.ended = False, position


def clusters(
    plan: Schedule,
    seconds: Sequence[float],
    before: list[tuple[int, ...]],
    bound: Sequence[int],
    limit: float,
    hop: float = 0.0,
) -> list[tuple[int, list[int]]]:
    """Cut a schedule into clusters (slot, nodes), in an order in which they could run one after another.

    bound: a cluster has nodes of one kind.
    limit: seconds after which a cluster ends, so that later work can still be balanced.
    hop: seconds that a value may be late, because a cut costs as much.
    """
    needed = _needed(plan, before)
    rank = {node: i for i, node in enumerate(plan.order)}
    made: list[_Cluster] = []
    latest: dict[int, _Cluster] = {}
    """The last cluster of each slot."""
    home: dict[int, _Cluster] = {}
    for position, node in enumerate(sorted(range(len(seconds)), key=lambda n: (plan.start[n], rank[n]))):
        slot = plan.slot[node]
        mine = latest.get(slot)
        if mine is not None:
            late = plan.start[node] + seconds[node] > mine.due + hop
            if late or mine.kind != bound[node] or mine.work >= limit:
                mine.end(position)
                mine = None
        for pred in before[node]:
            other = home[pred]
            if other is mine:
                continue
            if other.is_open:
                other.end(position)
            if mine is not None and other.ended > mine.began:
                mine.end(position)
                mine = None
        if mine is None or not mine.is_open:
            mine = latest[slot] = _Cluster(slot, bound[node], position, [])
            made.append(mine)
        mine.nodes.append(node)
        mine.work += seconds[node]
        mine.due = min(mine.due, needed[node])
        home[node] = mine
    return [(cluster.slot, cluster.nodes) for cluster in made]


def _needed(plan: Schedule, before: list[tuple[int, ...]]) -> list[float]:
    """For each node, the time at which another slot first needs its value; infinite if none does."""
    needed = [float("inf")] * len(before)
    for node, preds in enumerate(before):
        for pred in preds:
            if plan.slot[pred] != plan.slot[node] and plan.start[node] < needed[pred]:
                needed[pred] = plan.start[node]
    return needed
