"""Sharing among more lanes than this machine has cores: first runs, runs 2 to 10, and later runs.

The nodes hold the GIL and sleep, so they need no core, but no two of them can run in a process at once. A Ray that
believes in 16 CPUs lets 16 workers take them. What the scheduler needs for itself then shows as on a machine of 16
cores, but for two things: two cores send and receive all messages, and a worker that is woken takes its sender's.

`python -m benchmarks.lanes` prints the rows for 16 lanes, `python -m benchmarks.lanes 40` for another number, and
`python -m benchmarks.lanes 12 3` for three machines of four CPUs each: a cluster whose machines share this one's cores.
"""

from __future__ import annotations

import ctypes
import random
import sys
from collections.abc import Callable, Sequence
from time import perf_counter, sleep
from types import FunctionType

import ray
from ray.cluster_utils import Cluster

import weftwork as tf
from benchmarks.common import row
from benchmarks.oneshot import RUNS, print_phases

GRAPHS = 3
Costs = Sequence[float]
Reads = Sequence[Sequence[int]]


def hold(seconds: float, *_: float) -> float:
    """Hold the GIL for so long, without a core."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))
    return seconds


def even(count: int, seconds: float) -> tuple[Costs, Reads]:
    """Independent nodes that all take as long."""
    return [seconds] * count, [()] * count


def unequal(count: int, window: int = 0) -> tuple[Costs, Reads]:
    """10 to 100 ms, log-uniform. With a window, most nodes read up to two of so many before them."""
    rng = random.Random(count + window)
    costs = [10 ** rng.uniform(-2, -1) for _ in range(count)]
    reads = [
        rng.sample(range(max(0, k - window), k), min(2, k)) if window and k and rng.random() < 0.8 else []
        for k in range(count)
    ]
    return costs, reads


def bound_of(costs: Costs, reads: Reads, lanes: int) -> float:
    """Seconds that the longest path or the work takes."""
    ends: list[float] = []
    for cost, mine in zip(costs, reads, strict=True):
        ends.append(max([ends[k] for k in mine], default=0.0) + cost)
    return max(*ends, sum(costs) / lanes)


def ours(costs: Costs, reads: Reads) -> list[float]:
    """Seconds of each run of a fresh graph of a new function, which is built in the first one."""
    begin, took = perf_counter(), []
    with tf.Graph().as_default(), tf.Session() as session:
        node, out = tf.op(FunctionType(hold.__code__, globals(), "hold")), []
        for cost, mine in zip(costs, reads, strict=True):
            out.append(node(cost, *[out[k] for k in mine]))
        for _ in range(RUNS):
            session.run(out)
            took.append(perf_counter() - begin)
            begin = perf_counter()
    return took


def with_ray(costs: Costs, reads: Reads) -> float:
    """Seconds with a Ray task for each node."""
    remote, begin, out = ray.remote(hold), perf_counter(), []
    for cost, mine in zip(costs, reads, strict=True):
        out.append(remote.remote(cost, *[out[k] for k in mine]))
    ray.get(out)
    return perf_counter() - begin


CASES: dict[str, Callable[[], tuple[Costs, Reads]]] = {
    "1,000 x 20 ms": lambda: even(1000, 0.02),
    "1,000 x 5 ms": lambda: even(1000, 0.005),
    "500 nodes of 10 to 100 ms": lambda: unequal(500),
    "400 nodes of 10 to 100 ms, window 40": lambda: unequal(400, 40),
}


def start(lanes: int, machines: int) -> None:
    """Start a Ray with so many CPUs, on machines that have as many each."""
    if machines == 1:
        ray.init(address="local", num_cpus=lanes, include_dashboard=False, log_to_driver=False)
        return
    each = {"num_cpus": lanes // machines, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=each)
    for _ in range(machines - 1):
        cluster.add_node(num_cpus=lanes // machines)
    ray.init(address=cluster.address, log_to_driver=False)


def main(lanes: int, machines: int = 1) -> None:
    """Print the rows for a number of lanes."""
    start(lanes, machines)
    ray.get([ray.remote(hold).remote(2) for _ in range(lanes)])  # all processes start, and ours
    with tf.Graph().as_default(), tf.Session() as session:
        session.run([tf.op(sleep)(0.5) for _ in range(2 * lanes)])
    on = f"{machines} machines, " * (machines > 1)
    for case, made in CASES.items():
        name, (costs, reads) = f"{on}{lanes} lanes, {case}", made()
        bound = bound_of(costs, reads, lanes)
        ratios = [[each / bound for each in ours(costs, reads)] for _ in range(GRAPHS)]
        print_phases(name, ratios, None, (1.25, 1.15, 1.08))
        theirs = min(with_ray(costs, reads) for _ in range(2))
        row(
            f"{name}: first",
            sorted(each[0] for each in ratios)[GRAPHS // 2] * bound,
            theirs,
            0.9,
            "a Ray task a node",
            "ms",
            1e3,
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:] or [16]))
