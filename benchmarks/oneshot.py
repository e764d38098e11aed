"""What a user sees who runs a graph once or ten times: each graph has rows for the first run, runs 2 to 10, and later.

Work is counted, not timed: a node does so many steps of a loop. The bound of a graph is what its work takes in a plain
loop, measured beside each run, times the larger of (longest path / work) and (1 / cores). Each figure is a median over
fresh graphs, each with functions of its own, which nobody has called before. The processes have started, but for the
last row: a fresh program's way to its first result.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from time import perf_counter, sleep
from types import FunctionType
from typing import Any

import weftwork as tf
from benchmarks.common import figure, row

GRAPHS, RUNS = 5, 15
CORES = min(2, os.cpu_count() or 1)
STEPS = 2e7
"""Steps of the loop in a second, about: the bound is measured, so it need not be right."""


def spin(seconds: float, *_: Any) -> float:
    """Work that holds the GIL."""
    x = 1
    for _ in range(int(seconds * STEPS)):
        x = x * 5 & 1023
    return 1.0


def fresh() -> Callable:
    """`spin` as a function that was never seen."""
    return FunctionType(spin.__code__, globals(), "spin")


class Graph:
    """What each node costs, and which nodes it reads."""

    def __init__(self, costs: Sequence[float], reads: Sequence[Sequence[int]] | None = None):
        self.costs = costs
        self.reads = reads or [()] * len(costs)
        ends: list[float] = []
        for cost, mine in zip(costs, self.reads, strict=True):
            ends.append(max([ends[p] for p in mine], default=0.0) + cost)
        self.share = max(max(ends) / sum(costs), 1 / CORES)
        """Of the time of a plain loop: the bound."""


def unequal(window: int, nodes: int = 300) -> Callable[[int], Graph]:
    """One function whose cost depends on its argument, 10 us to 100 ms; a node reads up to two of those before it."""

    def made(seed: int) -> Graph:
        rng = random.Random(seed)
        costs = [10 ** rng.uniform(-5, -1) for _ in range(nodes)]
        reads = [
            rng.sample(range(max(0, i - window), i), min(2, i)) if i and rng.random() < 0.8 else []
            for i in range(nodes)
        ]
        return Graph(costs, reads)

    return made


def equal(count: int, seconds: float) -> Callable[[int], Graph]:
    """Independent nodes that all cost the same."""
    return lambda seed: Graph([seconds] * count)


def heavy_tail(seed: int) -> Graph:
    """500 nodes of 1 ms, and 3 of 300 ms at random places."""
    costs = [1e-3] * 500 + [0.3] * 3
    random.Random(seed).shuffle(costs)
    return Graph(costs)


def runs_of(graph: Graph, own_functions: bool, bound_node: bool) -> list[float]:
    """How long each run of a fresh graph takes, over the bound."""
    function = fresh()
    work, bound = tf.op(function), tf.op(num_cpus=1)(function)
    begin = perf_counter()
    with tf.Graph().as_default():
        out: list[Any] = []
        for number, (cost, mine) in enumerate(zip(graph.costs, graph.reads, strict=True)):
            one = tf.op(fresh()) if own_functions else bound if bound_node and number == 0 else work
            out.append(one(cost, *[out[p] for p in mine]))
        built = perf_counter() - begin
        took = []
        with tf.Session() as session:
            for _ in range(RUNS):
                begin = perf_counter()
                session.run(out)
                took.append(perf_counter() - begin)
    took[0] += built
    begin = perf_counter()
    for cost in graph.costs:
        spin(cost)
    loop = perf_counter() - begin
    return [each / (loop * graph.share) for each in took]


def rows(name: str, graph_of: Callable[[int], Graph], goals: tuple[float, float, float], **options: bool) -> None:
    """Three rows of a kind of graph."""
    options = {"own_functions": False, "bound_node": False, **options}
    all_runs = [runs_of(graph_of(seed), **options) for seed in range(GRAPHS)]
    phases = {"first": slice(0, 1), "runs 2-10": slice(1, 10), "steady": slice(10, None)}
    for (phase, which), goal in zip(phases.items(), goals, strict=True):
        value = statistics.median([statistics.median(took[which]) for took in all_runs])
        row(f"{name}: {phase}", value, 1.0, goal, "bound", unit="", scale=1.0)


def first_result() -> float:
    """Seconds from `import weftwork` in a fresh program to the first result of a new function, the median of five."""
    code = (
        "import time; begin = time.perf_counter(); import weftwork as tf\n"
        "with tf.Session() as session: session.run(tf.op(lambda x: x + 1)(1))\n"
        "print(time.perf_counter() - begin, flush=True)"
    )
    took = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(5)]
    return statistics.median([float(each.stdout) for each in took])


def main() -> None:
    """Print all rows."""
    with tf.Graph().as_default(), tf.Session() as session:  # the processes start, Ray's too
        session.run([tf.op(sleep)(0.3) for _ in range(4)])
        session.run(tf.op(num_cpus=1)(sleep)(0.1))
    for window in (40, 6, 3):
        rows(f"300 nodes, cost by argument, window {window}", unequal(window), (1.25, 1.15, 1.08))
    rows("the same, a function of its own for each", unequal(40), (1.25, 1.1, 1.05), own_functions=True)
    rows("64 x 20 ms", equal(64, 20e-3), (1.2, 1.1, 1.07))
    rows("1,000 x 2 ms", equal(1000, 2e-3), (1.2, 1.1, 1.07))
    rows("500 x 1 ms and 3 x 300 ms", heavy_tail, (1.15, 1.1, 1.05))
    rows("200 x 5 ms, one of which asks for a CPU", equal(200, 5e-3), (1.2, 1.1, 1.07), bound_node=True)
    figure("fresh program to its first result", first_result(), "s", 0.6)


if __name__ == "__main__":
    main()
