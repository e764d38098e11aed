"""METG(50%): the smallest granularity of tasks at which half of the peak is reached, as Task Bench defines it.

Slaughter et al., "Task Bench: a parameterized benchmark for evaluating parallel runtime performance" (2020). A graph is
`STEPS` rows of `width` tasks; a task reads tasks of the row before, as the pattern says, and checks that it got theirs.
Granularity is wall time x cores / tasks; the peak is what all cores hash in long calls, so that what a short call costs
beside its hashing counts as overhead. The kernel hashes a buffer, which releases the GIL. The peers run fewer rows,
for they need longer a row: their overhead does not depend on the number of rows. Plain Ray and Dask distributed are run
at the larger width only, for they are slow, and last, for they keep processes. Every task is fetched, so that none can
be left out.

There are three figures: of the first run of a graph whose function nobody has seen, which is built within that time;
of runs 2 to 10; and of later ones, once the ways to run the graph have competed. Peers but Dask's threads have one, of
runs after their first.
"""

from __future__ import annotations

import functools
import math
import os
import statistics
import sys
from collections.abc import Callable
from time import perf_counter, sleep
from types import FunctionType

from benchmarks.common import figure, row, start_ray
from benchmarks.kernel import MOST, task

STEPS, GRAPHS = 200, 3
"""Rows of a graph, and fresh graphs of which the median counts where it is about first runs."""
PEER_STEPS = {"Dask threads": 40, "TF1 py_func": 40, "plain Ray tasks": 12, "Dask distributed": 16}
FINE, COARSE = 1.15, 1.3
"""How near the ends of a bisection come to each other, for us and for the peers."""
GOAL = 100.0
"""Microseconds."""
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


def call(*arguments):
    """The kernel, of which functions that nobody has seen can be made."""
    return task(*arguments)


def weftwork_graph(pattern: str, width: int) -> Callable:
    """Ours, as a function of the size: the kernel is a user's function like any other, and a new one."""
    import weftwork as tf

    node = tf.op(FunctionType(call.__code__, globals(), "call"))
    with tf.Graph().as_default():
        fed = tf.placeholder(tf.object, name="size")
        before, every = [], []
        for step in range(STEPS):
            reads = [wanted(pattern, step, i, width) for i in range(width)]
            before = [node(fed, step, i, reads[i], *[before[j] for j in reads[i]]) for i in range(width)]
            every += before
        return tf.Session().make_callable(every, [fed])


def weftwork_run(pattern: str, width: int, size: int, steps: int) -> Callable:
    """Ours, once it is as fast as it gets."""
    run = weftwork_graph(pattern, width)
    for _ in range(70):  # the strategies have competed, twice
        run(size)
    return lambda: run(size)


@functools.cache
def early_runs(pattern: str, width: int, size: int) -> dict[str, float]:
    """Seconds of our first runs, the graphs' building with them, and of runs 2 to 10."""
    firsts, others = [], []
    for _ in range(GRAPHS):
        begin = perf_counter()
        run = weftwork_graph(pattern, width)
        run(size)
        firsts.append(perf_counter() - begin)
        others += [_time(lambda run=run: run(size)) for _ in range(9)]  # type: ignore[misc]
    return {"first": statistics.median(firsts), "runs 2-10": statistics.median(others)}


def early(phase: str) -> Callable:
    """Ours as a peer is: what runs it is a table of what its runs have taken."""
    return lambda pattern, width, size, steps: lambda: early_runs(pattern, width, size)[phase]


def dask_first(pattern: str, width: int, size: int, steps: int) -> Callable:
    """Dask's threaded scheduler, with the building of the graph."""
    return lambda: dask_threads(pattern, width, size, steps)()


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


def dask_distributed(client) -> Callable:
    """Dask's processes, of one thread each."""

    def make(pattern: str, width: int, size: int, steps: int) -> Callable:
        graph, keys = dask_graph(pattern, width, size, steps)
        return lambda: client.get(graph, keys)

    return make


@functools.lru_cache(maxsize=1)
def tensorflow_graph(pattern: str, width: int, steps: int) -> Callable:
    """TensorFlow 1's session with a `py_func` for each task, as a function of the size."""
    import tensorflow.compat.v1 as tf1

    def node(size, step: int, place: int, reads: tuple, pairs: list):
        def function(size, *numbers):
            return task(int(size), step, place, reads, *zip(numbers[::2], numbers[1::2], strict=True))

        flat = [tensor for pair in pairs for tensor in pair]
        return tf1.py_func(function, [size, *flat], [tf1.int64, tf1.int64])

    with tf1.Graph().as_default():
        fed = tf1.placeholder(tf1.int64, [])
        before, every = [], []
        for step in range(steps):
            reads = [wanted(pattern, step, i, width) for i in range(width)]
            before = [node(fed, step, i, reads[i], [before[j] for j in reads[i]]) for i in range(width)]
            every += before
        return tf1.Session().make_callable(every, [fed])


def tensorflow_run(pattern: str, width: int, size: int, steps: int) -> Callable:
    """TensorFlow 1, as it comes."""
    run = tensorflow_graph(pattern, width, steps)
    run(size)
    return lambda: run(size)


@functools.cache
def peak() -> float:
    """Bytes that a core hashes in a second, in long calls."""
    size = 1_000_000
    return size / min([_time(lambda: task(size, 0, 0, ())) for _ in range(200)])


def metg(make: Callable, pattern: str, width: int, steps: int, repeats: int, near: float = COARSE) -> float:
    """Seconds: the least granularity with half of the peak, by bisection over the bytes that a task hashes.

    Infinite when the largest task does not reach it. The bisection ends when its ends differ by the factor `near`.
    make: what runs such a graph; a run may return the seconds that it took.
    """
    low, high = 2_000, MOST
    best = math.inf
    while high / low > near:
        size = int(math.sqrt(low * high))
        run = make(pattern, width, size, steps)
        took = statistics.median([_time(run) for _ in range(repeats)])
        granularity = took * CORES / (steps * width)
        if size / peak() / granularity >= 0.5:
            best, high = granularity, size
        else:
            low = size
    return best


def _time(function: Callable) -> float:
    start = perf_counter()
    told = function()
    return told if isinstance(told, float) else perf_counter() - start


def main(widths: tuple[int, ...] = (2, 8), patterns: tuple[str, ...] = tuple(PATTERNS)) -> None:
    """Print the rows of each width and pattern: the figure itself, and its ratios to the peers."""
    import weftwork as tf

    start_ray(CORES)
    with tf.Session(graph=tf.Graph()) as session, session.graph.as_default():  # the processes start
        session.run([tf.op(sleep)(0.3) for _ in range(4)])
    ours: dict[tuple[str, int], float] = {}

    def compare(peer: str, make: Callable, pattern: str, width: int, repeats: int, goal: float) -> None:
        theirs = metg(make, pattern, width, PEER_STEPS[peer], repeats)
        row(f"METG(50%) {pattern}, width {width}", ours[pattern, width], theirs, goal, peer)

    for width in widths:
        for pattern in patterns:
            ours[pattern, width] = metg(weftwork_run, pattern, width, STEPS, 5, FINE)
            figure(f"METG(50%) {pattern}, width {width}, absolute", ours[pattern, width] * 1e6, "us", GOAL)
            compare("Dask threads", dask_threads, pattern, width, 3, 1 / 10)
            compare("TF1 py_func", tensorflow_run, pattern, width, 3, 1.0)
            print_early(pattern, width)
    width = max(widths)
    for pattern in patterns:
        compare("plain Ray tasks", ray_tasks, pattern, width, 2, 1 / 20)
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=CORES, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        for pattern in patterns:
            compare("Dask distributed", dask_distributed(client), pattern, width, 2, 1 / 20)


def print_early(pattern: str, width: int) -> None:
    """Print the rows of the first runs, against Dask's threads."""
    name = f"METG(50%) {pattern}, width {width}"
    for phase, make, goal in (("first", dask_first, 0.7), ("runs 2-10", dask_threads, 0.3)):
        theirs = metg(make, pattern, width, PEER_STEPS["Dask threads"], 3)
        row(f"{name}: {phase}", metg(early(phase), pattern, width, STEPS, 1), theirs, goal, "Dask threads")


if __name__ == "__main__":
    numbers = tuple([int(w) for w in sys.argv[1:] if w.isdigit()])
    names = tuple([p for p in sys.argv[1:] if p in PATTERNS])
    main(numbers or (2, 8), names or tuple(PATTERNS))
