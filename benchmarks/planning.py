"""The cost of building and planning, in microseconds and kilobytes per node.

Planning: for 10^3 to 10^6 nodes (a tree of additions). Goals: 15 us per node, also for 10,000 slots; at 10^6 nodes at
most 1.5 times the cost at 10^4; and 1.5 KB per node.
Building: graphs of 2,000 calls, with Python's garbage collector at work. Goals: 5 us for a call of an `@op` function,
and less than Dask's `delayed`; 12 us for an addition of a constant, which makes two nodes, and half of TensorFlow's.
"""

from __future__ import annotations

import gc
import random
import resource
from time import perf_counter

from benchmarks.common import figure, interleaved, row

CALLS = 2000
"""Nodes of a graph that is built."""


def plan(nodes: int) -> tuple[float, float]:
    """Seconds and bytes per node to make the dataflow, estimate and candidates, as in a session's first run."""
    import weftwork as tf
    from weftwork.scheduler.compile.lowering import lower
    from weftwork.scheduler.plan.candidates import candidates
    from weftwork.scheduler.plan.collector import collecting_later
    from weftwork.scheduler.plan.placement import Estimate

    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [])
        level = [x + float(i) for i in range((nodes + 1) // 2)]
        while len(level) > 1:
            level = [a + b for a, b in zip(level[::2], level[1::2], strict=False)] + level[len(level) // 2 * 2 :]
        gc.collect()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = perf_counter()
        with collecting_later():
            flow = lower([level[0]], [x])
            kept = candidates(flow, Estimate(flow, {}))
        took = perf_counter() - start
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        assert kept
        count = len(flow.ops)
        assert tf.Session().run(level[0], {x: 0.0}) == sum(range((nodes + 1) // 2)) or nodes > 10_000
    return took / count, grown / count


def schedule_for(slots: int, nodes: int = 100_000) -> float:
    """Seconds per node of list scheduling for `slots` slots. A node reads two of the 500 nodes before it."""
    from weftwork.scheduler.plan.schedule import ranks, schedule

    rng = random.Random(1)
    seconds = [rng.uniform(1e-3, 1e-2) for _ in range(nodes)]
    before = [tuple(rng.sample(range(max(0, i - 500), i), min(2, i))) for i in range(nodes)]
    after: list[list[int]] = [[] for _ in before]
    for node, preds in enumerate(before):
        for pred in preds:
            after[pred].append(node)
    rank = ranks(seconds, after)
    start = perf_counter()
    schedule(seconds, before, rank, slots, 1e-4)
    return (perf_counter() - start) / nodes


def additions(tf) -> None:
    """Build a chain of additions of a constant with either library."""
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [])
        for _ in range(CALLS):
            x = x + 1.0


def building() -> None:
    """Print rows for what it takes to add a call, and an addition, to a graph."""
    import tensorflow.compat.v1 as tf1
    from dask.delayed import delayed

    import weftwork as tf

    op, task = tf.op(abs), delayed(abs, pure=False)

    def calls() -> None:
        with tf.Graph().as_default():
            for k in range(CALLS):
                op(k)

    def tasks() -> list:
        return [task(k) for k in range(CALLS)]

    took = interleaved({"ours": calls, "peer": tasks}, rounds=15, warm=2)
    row("building, a call", took["ours"] / CALLS, took["peer"] / CALLS, 1.0, "Dask delayed")
    figure("building, a call", took["ours"] / CALLS * 1e6, "us", 5)
    tf1.disable_eager_execution()
    took = interleaved({"ours": lambda: additions(tf), "peer": lambda: additions(tf1)}, rounds=5, warm=1)
    row("building, x + 1.0", took["ours"] / CALLS, took["peer"] / CALLS, 0.5, "TF1")
    figure("building, x + 1.0", took["ours"] / CALLS * 1e6, "us", 12)


def main() -> None:
    """Print the rows of building, a row for each size, the ratio of the largest to 10^4, and one for each number of
    slots.
    """
    building()
    took = {}
    for nodes in (1_000, 10_000, 100_000, 1_000_000):
        took[nodes], grown = plan(nodes)
        figure(f"planning {nodes:,} nodes, time", took[nodes] * 1e6, "us a node", 15)
        if nodes == 1_000_000:
            figure(f"planning {nodes:,} nodes, memory", grown / 1024, "KB a node", 1.5)
    row("planning 10^6 nodes, a node", took[1_000_000], took[10_000], 1.5, "10^4 nodes")
    for slots in (2, 64, 1_000, 10_000):
        figure(f"scheduling 100,000 nodes for {slots:,} slots", schedule_for(slots) * 1e6, "us a node", 15)


if __name__ == "__main__":
    main()
