"""METG(50%): the smallest granularity of tasks at which half of the peak is reached, as Task Bench defines it.

Slaughter et al., "Task Bench: a parameterized benchmark for evaluating parallel runtime performance" (2020). A graph is
`STEPS` rows of `width` tasks; a task reads tasks of the row before, as the pattern says, and checks that it got theirs.
Granularity is wall time x cores / tasks. The kernel hashes a buffer, which releases the GIL. Plain Ray and Dask run
fewer rows, for they need longer a row: their overhead does not depend on the number of rows. Every task is fetched, so
that none can be left out.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
from collections.abc import Callable
from time import perf_counter

from benchmarks.common import row, start_ray
from benchmarks.kernel import MOST, task

STEPS = 200
PATTERNS: dict[str, Callable[[int, int, int], list[int]]] = {
    "trivial": lambda s, i, w: [],
    "no_comm": lambda s, i, w: [i],
    "stencil_1d": lambda s, i, w: [j for j in (i - 1, i, i + 1) if 0 <= j < w],
    "nearest": lambda s, i, w: [j for j in range(i - 2, i + 3) if 0 <= j < w],
    "spread": lambda s, i, w: sorted({(i + k * max(1, w // 3) + s) % w for k in range(3)}),
    "fft": lambda s, i, w: sorted({i, i ^ (1 << (s % max(1, int(math.log2(w)))))}),
    "tree": lambda s, i, w: [i // 2] if s <= math.log2(w) else [i],
    "sweep": lambda s, i, w: [j for j in (i - 1, i) if 0 <= j < w],
}
CORES = len(os.sched_getaffinity(0))


def wanted(pattern: str, step: int, place: int, width: int) -> tuple[int, ...]:
    """The places in the row before that a task reads."""
    return tuple(PATTERNS[pattern](step, place, width)) if step else ()


def weftwork_run(pattern: str, width: int, size: int, steps: int) -> Callable:
    """Ours: the kernel is a user's function like any other."""
    import weftwork as tf

    node = tf.op(task)
    with tf.Graph().as_default():
        fed = tf.placeholder(tf.object, name="size")
        before, every = [], []
        for step in range(steps):
            reads = [wanted(pattern, step, i, width) for i in range(width)]
            before = [node(fed, step, i, reads[i], *[before[j] for j in reads[i]]) for i in range(width)]
            every += before
        run = tf.Session().make_callable(every, [fed])
    for _ in range(24):  # the strategies have competed
        run(size)
    return lambda: run(size)


def dask_graph(pattern: str, width: int, size: int, steps: int) -> tuple[dict, list]:
    """The graph as Dask takes it."""
    graph = {}
    for step in range(steps):
        for i in range(width):
            reads = wanted(pattern, step, i, width)
            graph[f"t-{step}-{i}"] = (task, size, step, i, (tuple, list(reads)), *[f"t-{step - 1}-{j}" for j in reads])
    return graph, list(graph)


def dask_threads(pattern: str, width: int, size: int, steps: int) -> Callable:
    """Dask's threaded scheduler."""
    import dask.threaded

    graph, keys = dask_graph(pattern, width, size, steps)
    return lambda: dask.threaded.get(graph, keys, num_workers=CORES)


def ray_tasks(pattern: str, width: int, size: int, steps: int) -> Callable:
    """One Ray task per node."""
    import ray

    remote = ray.remote(task)

    def run():
        before, every = [], []
        for step in range(steps):
            reads = [wanted(pattern, step, i, width) for i in range(width)]
            before = [remote.remote(size, step, i, reads[i], *[before[j] for j in reads[i]]) for i in range(width)]
            every += before
        return ray.get(every)

    return run


def metg(make: Callable, pattern: str, width: int, steps: int, repeats: int) -> float:
    """Seconds: the least granularity with half of the peak, by bisection over the bytes that a task hashes."""
    low, high = 2_000, MOST
    best = math.inf
    while high / low > 1.15:
        size = int(math.sqrt(low * high))
        alone = statistics.median([_time(lambda: task(size, 0, 0, ())) for _ in range(9)])  # noqa: B023
        run = make(pattern, width, size, steps)
        took = statistics.median([_time(run) for _ in range(repeats)])
        granularity = took * CORES / (steps * width)
        if alone / granularity >= 0.5:
            best, high = granularity, size
        else:
            low = size
    return best


def _time(function: Callable) -> float:
    start = perf_counter()
    function()
    return perf_counter() - start


def main(widths: tuple[int, ...] = (2, 8)) -> None:
    """Print a row for each width and pattern against Dask's threads, and for one pattern against plain Ray."""
    start_ray(CORES)
    for width in widths:
        for pattern in PATTERNS:
            ours = metg(weftwork_run, pattern, width, STEPS, 5)
            peer = metg(dask_threads, pattern, width, 40, 3)
            row(f"METG(50%) {pattern}, width {width}", ours, peer, 0.5, "Dask threads")
    ours = metg(weftwork_run, "stencil_1d", 8, STEPS, 5)
    row("METG(50%) stencil_1d, width 8", ours, metg(ray_tasks, "stencil_1d", 8, 8, 2), 1 / 20, "plain Ray tasks")


if __name__ == "__main__":
    main(tuple(int(w) for w in sys.argv[1:]) or (2, 8))
