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

from weftwork.scheduler.compile.dataflow import Dataflow
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


def neighbours(flow: Dataflow) -> tuple[list[tuple[int, ...]], list[list[int]]]:
    """The predecessors and the successors of each node, control edges included."""
    before: list[tuple[int, ...]] = []
    after: list[list[int]] = [[] for _ in flow.ops]
    producer = flow.producer
    for node, inputs in enumerate(flow.inputs):
        others = {producer[v] for v in inputs}
        others.discard(-1)
        if node in flow.after:
            others.update(flow.after[node])
        for other in others:
            after[other].append(node)
        before.append(tuple(others))
    return before, after


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
    position = {node: i for i, node in enumerate(plan.order)}
    nodes = sorted(range(len(seconds)), key=lambda n: (plan.start[n], position[n]))
    made: list[tuple[int, list[int]]] = []
    open_cluster: dict[int, int] = {}
    home: list[int] = [-1] * len(seconds)
    closed: list[bool] = []
    born: list[int] = []
    died: list[int] = []
    work: list[float] = []
    due: list[float] = []
    for clock, node in enumerate(nodes):
        slot = plan.slot[node]
        mine = open_cluster.get(slot, -1)
        late = mine >= 0 and plan.start[node] + seconds[node] > due[mine] + hop
        if mine >= 0 and (late or bound[made[mine][1][0]] != bound[node] or work[mine] >= limit):
            closed[mine], died[mine], mine = True, clock, -1
        for pred in before[node]:
            other = home[pred]
            if other == mine:
                continue
            if not closed[other]:
                closed[other], died[other] = True, clock
            if mine >= 0 and died[other] > born[mine]:
                closed[mine], died[mine], mine = True, clock, -1
        if mine < 0 or closed[mine]:
            mine = open_cluster[slot] = len(made)
            made.append((slot, []))
            closed.append(False)
            born.append(clock)
            died.append(0)
            work.append(0.0)
            due.append(float("inf"))
        made[mine][1].append(node)
        due[mine] = min(due[mine], needed[node])
        work[mine] += seconds[node]
        home[node] = mine
    return made


def _needed(plan: Schedule, before: list[tuple[int, ...]]) -> list[float]:
    """For each node, the time at which another slot first needs its value; infinite if none does."""
    needed = [float("inf")] * len(before)
    for node, preds in enumerate(before):
        for pred in preds:
            if plan.slot[pred] != plan.slot[node] and plan.start[node] < needed[pred]:
                needed[pred] = plan.start[node]
    return needed
