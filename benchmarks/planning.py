"""The cost of planning, in microseconds and kilobytes per node, for 10^3 to 10^6 nodes (a tree of additions).

Goals: 15 us per node, also for 10,000 slots; at 10^6 nodes at most 1.5 times the cost at 10^4; and 1.5 KB per node.
"""

from __future__ import annotations

import gc
import random
import resource
from time import perf_counter

from benchmarks.common import figure, row


def plan(nodes: int) -> tuple[float, float]:
    """Seconds and bytes per node to make the dataflow, estimate and candidates, as in a session's first run."""
    import weftwork as tf
    from weftwork.scheduler.compile.lowering import lower
    from weftwork.scheduler.plan.autotune import candidates
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


def main() -> None:
    """Print a row for each size, the ratio of the largest to 10^4, and a row for each number of slots."""
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
