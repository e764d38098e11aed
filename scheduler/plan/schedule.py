"""Clustering: which nodes are worth running beside each other, and which together.

slot       one of the places that can work at the same time: a thread, or a CPU that Ray has
chain      nodes that can only run one after another: they are scheduled as one, and so run through before others begin
hop        seconds that a value takes from one slot to another, the dispatch of the receiver included
schedule   for every node its slot and its start, as list scheduling foresees them
cluster    nodes that one slot runs without waiting for another: the nodes of a future segment

The schedule is HEFT's (Topcuoglu, Hariri, Wu, 2002): nodes in the order of their longest path to the end, each on the
slot that can begin it first. A slot's nodes are then cut wherever one of them needs a value from another slot that was
not there when the cluster began, or where another slot would wait for a value because the cluster goes on. So each
cluster can begin once the clusters that it reads from are done, and the clusters have no cycle.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.plan.policy import SLOTS_LOOKED_AT


@dataclass
class Schedule:
    """What list scheduling foresees: seconds until all is done, and for each node its slot and start."""

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


def chains(before: list[tuple[int, ...]], after: list[list[int]], apart: Sequence[bool]) -> list[list[int]]:
    """The nodes in chains, most of length one: each node but the first has one predecessor, of which it is all.

    What a chain makes on its way need not be kept while others work: a map over large values keeps one in each slot.
    """
    home: list[int] = [0] * len(before)
    found: list[list[int]] = []
    for node, preds in enumerate(before):
        if len(preds) == 1 and len(after[preds[0]]) == 1 and apart[preds[0]] == apart[node]:
            home[node] = home[preds[0]]
            found[home[node]].append(node)
        else:
            home[node] = len(found)
            found.append([node])
    return found


@dataclass
class Contracted:
    """A dataflow with its chains as nodes: seconds, predecessors and successors of each."""

    chains: list[list[int]]
    seconds: list[float]
    before: list[tuple[int, ...]]
    after: list[list[int]]

    @classmethod
    def of(
        cls, seconds: Sequence[float], before: list[tuple[int, ...]], after: list[list[int]], apart: Sequence[bool]
    ) -> Contracted:
        """Contract every chain."""
        found = chains(before, after, apart)
        home = [0] * len(before)
        for number, nodes in enumerate(found):
            for node in nodes:
                home[node] = number
        # A chain's first node alone has predecessors outside, its last one alone successors.
        return cls(
            found,
            [sum([seconds[node] for node in nodes]) for nodes in found],
            [tuple({home[p] for p in before[nodes[0]]}) for nodes in found],
            [[home[s] for s in after[nodes[-1]]] for nodes in found],
        )

    def expanded(self, foreseen: Schedule, seconds: Sequence[float]) -> Schedule:
        """A schedule of the chains as one of the nodes."""
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
    """The longest path from each node to the end, in seconds, its own included."""
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
    bound: Sequence[bool] | None = None,
) -> Schedule:
    """Foresee a run on `slots` slots. Those nodes that are `bound` are in slot 0."""
    count = len(seconds)
    order = sorted(range(count), key=rank.__getitem__, reverse=True)
    free = [0.0] * slots
    soonest = [(0.0, number) for number in range(slots)] if slots > SLOTS_LOOKED_AT else []
    """A heap of slots by when they are free; of one that is taken since, an entry is stale."""
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
        slot[node], start[node] = best, best_start
        free[best] = end[node] = best_start + seconds[node]
        if soonest:
            heapq.heappush(soonest, (free[best], best))
    return Schedule(max(end, default=0.0), slot, start, order)


def clusters(
    plan: Schedule,
    seconds: Sequence[float],
    before: list[tuple[int, ...]],
    apart: Sequence[bool],
    limit: float,
    hop: float = 0.0,
) -> list[tuple[int, list[int]]]:
    """Cut a schedule into clusters: (slot, nodes), in an order in which they could run one after another.

    apart: nodes that may not share a cluster with those of which it is not true.
    limit: seconds after which a cluster ends, so that work can still be shared out differently.
    hop: seconds that a value may be late, for a cut costs as much.
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
        if mine >= 0 and (late or apart[made[mine][1][0]] != apart[node] or work[mine] >= limit):
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
    """For each node when another slot begins what needs its value; infinite where none does."""
    needed = [float("inf")] * len(before)
    for node, preds in enumerate(before):
        for pred in preds:
            if plan.slot[pred] != plan.slot[node] and plan.start[node] < needed[pred]:
                needed[pred] = plan.start[node]
    return needed
