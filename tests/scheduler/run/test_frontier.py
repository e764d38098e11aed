"""The frontier: which ready nodes go to a lane together. No Ray, no process: what nodes cost is told."""

from __future__ import annotations

import random

import pytest

import weftwork as tf
from weftwork.scheduler.compile.lowering import lower
from weftwork.scheduler.run.frontier import Frontier


@tf.op
def work(*values):
    return len(values)


def frontier_of(costs: list[float], reads: list[tuple[int, ...]]) -> Frontier:
    """Of a graph in which node k takes costs[k] seconds and reads the nodes reads[k]."""
    with tf.Graph().as_default():
        made: list = []
        for mine in reads:
            made.append(work(len(made), *[made[k] for k in mine]))
        frontier = Frontier(lower(made, []), costs)
    for node in frontier.first():
        frontier.push(frontier.ready, node)
    return frontier


def take(frontier: Frontier) -> tuple[list[int], float | None]:
    return frontier.next_batch(2, lambda node: True)


def test_short_nodes_go_together_and_a_long_one_goes_alone():
    frontier = frontier_of([1e-4, 1e-4, 1e-4, 50e-3], [()] * 4)
    batches = [take(frontier)[0] for _ in range(2)]
    assert sorted(map(sorted, batches)) == [[0, 1, 2], [3]]


def test_what_follows_alone_goes_with_its_maker_and_counts():
    frontier = frontier_of([1e-4, 50e-3, 1e-4], [(), (0,), ()])
    nodes, seconds = take(frontier)
    assert nodes == [0, 1]
    assert seconds == pytest.approx(50.1e-3)
    assert take(frontier)[0] == [2]  # it would have waited for the long one


def test_what_was_never_seen_goes_alone():
    frontier = frontier_of([1e-4, None, 1e-4], [()] * 3)  # type: ignore[list-item]
    batches = [take(frontier)[0] for _ in range(2)]
    assert sorted(map(sorted, batches)) == [[0, 2], [1]]


@pytest.mark.parametrize("window", [3, 6, 40])
def test_two_lanes_that_take_batches_come_close_to_the_bound(window: int):
    """List scheduling is within (path + work / lanes); batches may not undo that for a path of short and long nodes."""
    rng = random.Random(window)
    costs = [10 ** rng.uniform(-5, -1) for _ in range(300)]
    reads: list[tuple[int, ...]] = [
        tuple(rng.sample(range(max(0, k - window), k), min(2, k))) if rng.random() < 0.8 else () for k in range(300)
    ]
    ends: list[float] = []
    for cost, mine in zip(costs, reads, strict=True):
        ends.append(max([ends[k] for k in mine], default=0.0) + cost)
    bound = max(max(ends), sum(costs) / 2)

    frontier = frontier_of(costs, reads)
    lanes: list[tuple[float, list[int]]] = []
    now = 0.0
    while frontier.left:
        while frontier.ready and len(lanes) < 2:
            nodes, _ = take(frontier)
            lanes.append((now + sum([costs[node] for node in nodes]), nodes))
        lanes.sort(reverse=True)
        now, nodes = lanes.pop()
        for node in nodes:
            for other in frontier.done(node):
                frontier.push(frontier.ready, other)
    assert now < 1.1 * bound
